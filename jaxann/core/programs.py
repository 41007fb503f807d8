"""How programs are compiled here: `jit` leaves out a part of XLA that gives wrong numbers.

jaxlib 0.10.2 hands some products, together with what follows them, to the library YNNPACK on a CPU, and does so by
default. Of a long batch such a product is silently wrong (jax-ml/jax 39103), and the gradient of a convolution takes
ten times as long. So:

- where JAX has not started when jaxann is imported, the flag that turns this off is added to `XLA_FLAGS`: every program
  of the process is compiled without it, whoever jits it;
- where it has, or the flag is gone or another one by the time that a program is first asked for, programs of jaxann
  are compiled without it one by one (a compiler option), and a product that is known to go wrong is tried once: if it
  does, a warning says what holds for programs that are jitted elsewhere.

An option that this jaxlib does not know is left out; a flag that it does not know would end the process, so flags are
set for the versions alone that were tried. This one stays in the environment: XLA reads it when it compiles for the
first time, which nothing tells us of, and a child process of the same jaxlib needs it too.

How many are kept. A compiled program and what it was traced from take about 16 MB, and JAX keeps each for as long as
the process lives: a loss written anew for each run, or a model for each setting, would fill the memory. Here a function
keeps the programs of the `KEPT` settings that were used last (a setting is the structure of the arguments: which model,
loss and optimizer, whatever their numbers are), and of each those of as many shapes. What is needed again later is
compiled again. A search keeps all of its own while it lasts (`reserve`).

JAX's checks (`jax_debug_nans`, `jax_debug_infs`, `jax_debug_key_reuse`) look at all that a program returns. A program
that fills what it has not come to with NaN, or starts a minimum at infinity, or runs steps twice, is `guarded`: it runs
without them, and its caller says on the host what was not finite, and where.
"""

from __future__ import annotations

import contextlib
import functools
import numbers
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

from jaxann.core.notices import notify
from jaxann.core.programs_on_disk import keep_on_disk
from jaxann.core.setup import has_started
from jaxann.core.tracing import is_traced

__all__ = [
    "KEPT",
    "hands_over",
    "is_checking",
    "jit",
    "leave_out_faults",
    "reserve",
    "tell_of_faults",
    "traced_only",
    "unchecked",
]

P = ParamSpec("P")
R = TypeVar("R")

KEPT = 16  # settings whose programs a function keeps, and shapes of each

_OPTION = "xla_cpu_experimental_ynn_fusion_type"
_FLAG = f"--{_OPTION}="
_TRIED = ((0, 10, 2), (0, 13))  # versions of jaxlib from the first on, before the second
_RIGHT = (0, 11)  # from which on the product below is right
_ROWS = 32769  # of which the last one goes wrong
_QUICK = {
    "xla_backend_optimization_level": 1,
    "xla_cpu_use_fusion_emitters": False,
    "xla_llvm_disable_expensive_passes": True,
}  # half of the time; what it makes takes up to twice as long


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in jaxlib.__version__.split(".")[:3] if part.isdigit())


def _chosen() -> str | None:
    """The choice that stands in the environment: of several the last one holds."""
    given = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if flag.startswith(_FLAG)]
    return given[-1] if given else None


class _Settled:
    """What was found out when jaxann was imported, and what is yet to be told."""

    in_time = False  # whether JAX had not started when jaxann was imported, and reads the flags yet
    by_flag: bool | None = None  # whether all programs of this process are compiled without; None before the first
    is_told = False


def leave_out_faults() -> None:
    """Set the flag where it has an effect yet; called once, when jaxann is imported."""
    if not has_started() and _TRIED[0] <= _version() < _TRIED[1]:
        given = os.environ.get("XLA_FLAGS", "").strip()
        if _chosen() is None and given[:1] in ("", "-"):  # else somebody has chosen, or it names a file of flags
            os.environ["XLA_FLAGS"] = f"{given} {_FLAG}".strip()
        _Settled.in_time = True


def _by_flag() -> bool:
    """Whether all programs are compiled without; looked at when the first one is, for flags may change until then."""
    if _Settled.by_flag is None:
        _Settled.by_flag = _Settled.in_time and _chosen() == _FLAG
    return _Settled.by_flag


@functools.cache
def _options() -> tuple[tuple[str, str], ...]:
    """The compiler options that leave it out, as far as this jaxlib knows them."""
    return ((_OPTION, ""),) if _is_known(_OPTION, "") else ()


@functools.cache
def _quick_options() -> tuple[tuple[str, Any], ...]:
    """The compiler options with which it is done soonest, as far as this jaxlib knows them."""
    return tuple((name, value) for name, value in _QUICK.items() if _is_known(name, value))


def _is_known(option: str, value: Any) -> bool:
    try:
        _aside(jax.jit(lambda: 0, compiler_options={option: value}))
    except RuntimeError:  # JaxRuntimeError: no such option
        return False
    return True


def tell_of_faults() -> None:
    """Say once what goes wrong outside of this library's programs; called where a layer becomes part of any."""
    if _Settled.is_told or _by_flag():
        return
    if jax.default_backend() == "cpu" and not _RIGHT <= _version() < _TRIED[1] and _goes_wrong():
        message = (
            f"jaxlib {jaxlib.__version__} compiles some products wrongly on this CPU, as {_reason()}. Programs of "
            f"jaxann are compiled without the fault; for what you jit yourself, {_remedy()}."
        )
        notify(message, RuntimeWarning)  # which may raise, and then it is not told
    _Settled.is_told = True


def _reason() -> str:
    if _chosen() not in (None, _FLAG):
        return f"XLA_FLAGS asks for it ({_chosen()})"
    if _Settled.in_time:
        return "XLA_FLAGS was changed after jaxann was imported, or names a file"
    return "JAX had started before jaxann was imported"


def _remedy() -> str:
    if _chosen() not in (None, _FLAG):
        return f"set {_FLAG} there"
    before = "" if _Settled.in_time else "import jaxann first, or "
    return f"{before}have {_FLAG} among the XLA_FLAGS before JAX starts"


@functools.cache
def _goes_wrong() -> bool:
    """Whether the known product does, where nothing is left out."""
    rows = np.zeros((_ROWS, 3), np.float32)
    rows[:, 0] = np.arange(_ROWS)
    unit = np.eye(3, dtype=np.float32)
    product = jax.jit(lambda rows: jax.vmap(lambda row: jnp.sum((unit @ row) ** 2))(rows))
    return _aside(lambda: float(product(rows)[-1])) != float((_ROWS - 1) ** 2)


def _aside(ask: Callable[[], Any]) -> Any:
    """What it gives in a thread of its own: whoever asks first may be tracing a program, or on a mesh."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ask).result()


_RESERVED: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


def reserve(owner: Any, settings: int) -> None:
    """Keep so many settings more than `KEPT` of each function, for as long as `owner` lives."""
    with _LOCK:
        _RESERVED[owner] = settings


_TRACED: list[Any] = []  # jitted functions that are only asked for shapes
_GIVEN_UP = [0]


def traced_only(jitted: Any) -> Any:
    """Decorate a jitted function that is never compiled: what it was traced with goes when programs go."""
    _TRACED.append(jitted)
    return jitted


def _let_go(jitted: Any) -> None:
    jitted.clear_cache()
    _GIVEN_UP[0] += 1
    if _GIVEN_UP[0] % KEPT == 0:
        for one in _TRACED:
            one.clear_cache()


def is_checking() -> bool:
    """Whether somebody has turned on a check of JAX's that looks at what programs return."""
    config: Any = jax.config
    return config.jax_debug_nans or config.jax_debug_infs or config.jax_debug_key_reuse


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Within, those checks are off."""
    with jax.debug_nans(False), jax.debug_infs(False), jax.debug_key_reuse(False):
        yield


def hands_over(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a verb that is handed arrays of the host, and moves them: `jax.transfer_guard` is for what is not meant.

    Outside of a guard it costs a look at the configuration.
    """

    @functools.wraps(function)
    def allowed(*args: P.args, **keywords: P.kwargs) -> R:
        config: Any = jax.config
        guards = (config.jax_transfer_guard_host_to_device, config.jax_transfer_guard_device_to_host,
                  config.jax_transfer_guard_device_to_device)  # fmt: skip
        if not any(str(guard).startswith("disallow") for guard in guards):
            return function(*args, **keywords)
        with jax.transfer_guard("allow"):
            return function(*args, **keywords)

    return allowed


class _Guarded:
    """A jitted function that runs without JAX's checks."""

    def __init__(self, jitted: Any):
        self._jitted = jitted

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if not is_checking():
            return self._jitted(*args, **keywords)
        with unchecked():
            return self._jitted(*args, **keywords)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jitted, name)


class _Program:
    """A jitted function that chooses the compiler's options when it is first called, and keeps so many programs."""

    def __init__(
        self,
        function: Callable,
        nested: bool,
        level: int | None,
        quickly: bool,
        guarded: bool,
        settings: dict[str, Any],
    ):
        functools.update_wrapper(self, function)
        self._function, self._nested, self._quickly, self._guarded = function, nested, quickly, guarded
        self._level = {} if level is None else {"xla_backend_optimization_level": level}
        self._settings = settings
        self._plain: Any = jax.jit(function, **settings) if nested else None
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def _made(self, options: dict[str, Any]) -> Any:
        """A jitted function with caches of its own, which go with it."""
        settings: dict[str, Any] = self._settings | ({"compiler_options": options} if options else {})

        @functools.wraps(self._function)
        def own(*args: Any, **keywords: Any) -> Any:
            return self._function(*args, **keywords)

        return jax.jit(own, **settings)

    def of(self, setting: Hashable) -> Any:
        """The jitted function for one setting; the one not used for the longest time is given up for it."""
        keep_on_disk()
        tell_of_faults()
        options = self._level | (dict(_quick_options()) if self._quickly else {})
        options |= {} if _by_flag() else dict(_options())
        with _LOCK:
            found = self._kept.get(setting)
            if found is not None and found._cache_size() <= KEPT:
                self._kept.move_to_end(setting)
                return found
            if found is not None:
                _let_go(self._kept.pop(setting))
            found = self._made(options)
            found = self._kept[setting] = _Guarded(found) if self._guarded else found
            while len(self._kept) > KEPT + sum(_RESERVED.values()):
                _let_go(self._kept.popitem(last=False)[1])
        return found

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if is_traced((args, keywords)):  # part of another program, which has options of its own
            return (self._plain or self._made({}))(*args, **keywords)
        return self.of(_setting((args, keywords)))(*args, **keywords)

    def eval_shape(self, *args: Any, **keywords: Any) -> Any:
        """Shapes of what comes back; nothing is compiled."""
        return self.of(_setting((args, keywords))).eval_shape(*args, **keywords)

    def lower(self, *args: Any, **keywords: Any) -> Any:
        """As of a jitted function."""
        return self.of(_setting((args, keywords))).lower(*args, **keywords)


def _setting(call: Any) -> Hashable:
    """The structure of the arguments, and what of them is static; numbers and shapes are none of it."""
    leaves, structure = jax.tree.flatten(call)
    fixed = [leaf for leaf in leaves if not hasattr(leaf, "dtype") and not isinstance(leaf, numbers.Number)]
    return structure, tuple(fixed)


def jit(
    function: Callable | None = None,
    *,
    nested: bool = False,
    level: int | None = None,
    quickly: bool = False,
    guarded: bool = False,
    **settings: Any,
) -> Any:
    """`jax.jit` for the programs of this library: compiled without what is known to be wrong.

    Args:
        function: what to compile; a decorator when None.
        nested: whether it is often called inside other jitted functions, of which it then is a part: what it was
            traced to is kept for them, as long as the process lives.
        level: optimization level of the compiler's back end, where less is enough.
        quickly: whether it is to be compiled soon rather than to run fast: for what takes milliseconds and runs once.
        guarded: whether it runs without JAX's checks, for its caller looks at what it returns.
        settings: as of `jax.jit`.
    """
    if function is None:
        return functools.partial(jit, nested=nested, level=level, quickly=quickly, guarded=guarded, **settings)
    return _Program(function, nested, level, quickly, guarded, settings)
