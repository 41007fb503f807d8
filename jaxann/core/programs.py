"""How programs are compiled here: `jit` leaves out a part of XLA that gives wrong numbers.

jaxlib 0.10.2 hands some products, together with what follows them, to the library YNNPACK on a CPU, and does so by
default. Of a long batch such a product is silently wrong (jax-ml/jax 39103), and the gradient of a convolution takes
ten times as long. So:

- where JAX has not started when jaxann is imported, the flag that turns this off is added to `XLA_FLAGS`: every program
  of the process is compiled without it, whoever jits it;
- where it has, programs of jaxann are compiled without it one by one (a compiler option), and a product that is known
  to go wrong is tried once: if it does, a warning says what holds for programs that are jitted elsewhere.

An option that this jaxlib does not know is left out; a flag that it does not know would end the process, so flags are
set for the versions alone that were tried.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax.core import Tracer

from jaxann.core.setup import has_started

__all__ = ["jit", "leave_out_faults"]

_OPTION = "xla_cpu_experimental_ynn_fusion_type"
_FLAG = f"--{_OPTION}="
_TRIED = ((0, 10, 2), (0, 13))  # versions of jaxlib from the first on, before the second
_RIGHT = (0, 11)  # from which on the product below is right
_ROWS = 32769  # of which the last one goes wrong


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in jaxlib.__version__.split(".")[:3] if part.isdigit())


def _is_left_out() -> bool:
    return _FLAG in os.environ.get("XLA_FLAGS", "").split()


class _Settled:
    """What was found out when jaxann was imported, and what is yet to be told."""

    by_flag = False  # whether all programs of this process are compiled without
    is_told = False


def leave_out_faults() -> None:
    """Set the flag where it has an effect yet; called once, when jaxann is imported."""
    if not has_started() and _TRIED[0] <= _version() < _TRIED[1]:
        given = os.environ.get("XLA_FLAGS", "")
        if _OPTION not in given:  # else somebody has chosen
            os.environ["XLA_FLAGS"] = f"{given} {_FLAG}".strip()
        _Settled.by_flag = _is_left_out()


@functools.cache
def _options() -> tuple[tuple[str, str], ...]:
    """The compiler options that leave it out, as far as this jaxlib knows them."""
    try:
        jax.jit(lambda: 0, compiler_options={_OPTION: ""})()
    except RuntimeError:  # JaxRuntimeError: no such option
        return ()
    return ((_OPTION, ""),)


def _tell() -> None:
    """Say once what goes wrong outside of this library's programs."""
    if _Settled.is_told or _Settled.by_flag or jax.default_backend() != "cpu":
        return
    _Settled.is_told = True
    if _RIGHT <= _version() < _TRIED[1]:
        return
    rows = np.zeros((_ROWS, 3), np.float32)
    rows[:, 0] = np.arange(_ROWS)
    unit = np.eye(3, dtype=np.float32)
    squares = jax.jit(lambda rows: jax.vmap(lambda row: jnp.sum((unit @ row) ** 2))(rows))(rows)
    if float(squares[-1]) != float((_ROWS - 1) ** 2):
        message = (
            f"jaxlib {jaxlib.__version__} compiles some products wrongly on this CPU, as JAX had started before jaxann "
            f"was imported. Programs of jaxann are compiled without the fault; for what you jit yourself, import "
            f"jaxann first, or set XLA_FLAGS={_FLAG} before JAX starts."
        )
        warnings.warn(message, RuntimeWarning, stacklevel=4)


class _Program:
    """A jitted function that chooses the compiler's options when it is first called."""

    def __init__(self, function: Callable, nested: bool, level: int | None, settings: dict[str, Any]):
        functools.update_wrapper(self, function)
        self._function, self._nested = function, nested
        self._level = {} if level is None else {"xla_backend_optimization_level": level}
        self._settings = settings
        self._plain = jax.jit(function, **settings)
        self._chosen: Any = None

    def _choose(self) -> Any:
        if self._chosen is None:
            _tell()
            options = self._level | ({} if _Settled.by_flag else dict(_options()))
            self._chosen = self._plain
            if options:
                self._chosen = jax.jit(self._function, compiler_options=options, **self._settings)
        return self._chosen

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if self._nested and _is_traced((args, keywords)):
            return self._plain(*args, **keywords)  # part of another program, which has options of its own
        return (self._chosen or self._choose())(*args, **keywords)

    def eval_shape(self, *args: Any, **keywords: Any) -> Any:
        """Shapes of what comes back; nothing is compiled."""
        return self._plain.eval_shape(*args, **keywords)

    def lower(self, *args: Any, **keywords: Any) -> Any:
        """As of a jitted function."""
        return self._choose().lower(*args, **keywords)


def _is_traced(tree: Any) -> bool:
    """Whether the call is part of a program being traced."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree)):
        return True
    return isinstance(jnp.zeros(()), Tracer)


def jit(function: Callable | None = None, *, nested: bool = False, level: int | None = None, **settings: Any) -> Any:
    """`jax.jit` for the programs of this library: compiled without what is known to be wrong.

    Args:
        function: what to compile; a decorator when None.
        nested: whether it may also be called inside another jitted function; then it is a part of that program.
        level: optimization level of the compiler's back end, where less is enough.
        settings: as of `jax.jit`.
    """
    if function is None:
        return functools.partial(jit, nested=nested, level=level, **settings)
    return _Program(function, nested, level, settings)
