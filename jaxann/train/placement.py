"""Where a population is trained: on which devices, how many members at once, in how much memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.checks import check_integer, fail
from jaxann.core.typing import Device

__all__ = ["Placement", "placed_on", "placement"]


class Placement(NamedTuple):
    """Where the members of a population are trained; made by `placement`."""

    devices: tuple[Device, ...] | None
    members_at_once: int | str | None
    memory: int | None


def placement(
    *, devices: Sequence[Device] | None = None, members_at_once: int | str | None = None, memory: int | None = None
) -> Placement:
    """Where a population is trained.

    Args:
        devices: all local ones when None.
        members_at_once: members a device trains side by side, or "all" of its own; when None, 1 on a CPU device and
            "all" on an accelerator.
        memory: bytes that may be used; 80 % of what is free when None. A population that needs more is trained in
            pieces, one after the other.

    Raises:
        InputError: an argument is out of range.
    """
    if devices is not None:
        _check_devices(devices)
    known = members_at_once is None or members_at_once == "all"
    if not known and (isinstance(members_at_once, bool) or not isinstance(members_at_once, int) or members_at_once < 1):
        fail("placement", "members_at_once", 'a positive integer, "all", or None', members_at_once)
    if memory is not None:
        check_integer("placement", "memory", memory)
    return Placement(None if devices is None else tuple(devices), members_at_once, memory)


def _check_devices(devices: Any) -> None:
    expected, hint = "a sequence of different devices", 'As jax.devices("cpu") gives them.'
    if not isinstance(devices, Sequence | np.ndarray) or isinstance(devices, str):
        fail("placement", "devices", expected, devices, hint=hint)
    if len(devices) == 0:
        fail("placement", "devices", "at least one device", " none")
    for device in devices:
        if not isinstance(device, jax.Device):
            fail("placement", "each of devices", "a device", device, hint=hint)
    if len(set(devices)) < len(devices):
        fail("placement", "devices", expected, " one of them twice")


def placed_on(function: str, given: Placement | None) -> tuple[list[Device], int | str | None, int | None]:
    """`(devices, members at once, memory)` of a placement, all local devices where it names none.

    Raises:
        InputError: it is no placement.
    """
    if given is None:
        given = placement()
    if not isinstance(given, Placement):
        fail(function, "placement", "jaxann.train.placement(...), or None", given)
    return list(jax.local_devices() if given.devices is None else given.devices), given.members_at_once, given.memory
