"""Programs that run once or twice, or make many steps: how hard the compiler need try."""

from __future__ import annotations

import functools

import jax

__all__ = ["quick_jit", "stepping_jit"]

quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
# Of many small steps: compiled in little more than half the time that a user's program takes, and as fast as that.
stepping_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 1})
