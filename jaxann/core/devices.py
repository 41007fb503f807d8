"""Arrays that are bound to devices have to be bound to the same ones, for a program runs in one place."""

from __future__ import annotations

from typing import Any

import jax

from jaxann.core.checks import fail

__all__ = ["check_one_place"]


def check_one_place(function: str, **arguments: Any) -> None:
    """All arrays that were put on devices by name are on the same ones; the rest goes where they are.

    Raises:
        InputError: two of them are not; the message names both.
    """
    first = None
    for name, tree in arguments.items():
        try:
            leaves = jax.tree.leaves(tree)
        except ValueError:  # of keys that cannot be sorted, which other checks tell
            continue
        for leaf in leaves:
            if isinstance(leaf, jax.Array) and leaf.committed:
                devices = leaf.sharding.device_set
                if first is None:
                    first = name, devices
                elif devices != first[1]:
                    expected = f"on the devices of {first[0]}, {_shown(first[1])}"
                    hint = "jax.device_put(array, device) moves it."
                    fail(function, name, expected, f" one on {_shown(devices)}", hint=hint)


def _shown(devices: Any) -> str:
    return ", ".join(sorted(map(str, devices)))
