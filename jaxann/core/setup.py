"""What has to be settled before JAX starts its devices."""

from __future__ import annotations

import os

import jax

from jaxann.core.checks import check_integer, fail

__all__ = ["cores", "has_started", "setup"]


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_started() -> bool:
    """Whether JAX has started its devices, when their number is settled."""
    now = jax.config.jax_num_cpu_devices  # pyright: ignore[reportAttributeAccessIssue]
    try:
        jax.config.update("jax_num_cpu_devices", now + 2)
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", now)
    return False


def setup(*, cpu_devices: int | str = "cores") -> int:
    """Make each core of the CPU a device of its own, so that populations are spread over the cores.

    To be called before anything runs on JAX: the number of devices is fixed when its backend starts. Where JAX uses
    an accelerator this changes nothing for it.

    Args:
        cpu_devices: a number, or "cores" for as many as this process may use.

    Returns:
        The number of CPU devices.

    Raises:
        InputError: JAX has already started with another number, or the number is no positive integer.
    """
    if isinstance(cpu_devices, str) and cpu_devices != "cores":
        fail("setup", "cpu_devices", 'a number of devices, or "cores"', cpu_devices)
    wanted = cores() if isinstance(cpu_devices, str) else cpu_devices
    check_integer("setup", "cpu_devices", wanted)
    try:
        jax.config.update("jax_num_cpu_devices", int(wanted))
    except RuntimeError:
        running = jax.local_device_count("cpu")
        if running != wanted:
            hint = "The number of devices is fixed when JAX starts: call it before anything else."
            fail("setup", "cpu_devices", f"what JAX has already started with ({running})", wanted, hint=hint)
    return int(wanted)
