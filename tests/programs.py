"""Programs that run once or twice: the compiler need not try hard."""

from __future__ import annotations

import functools

import jax

__all__ = ["quick_jit"]

quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
