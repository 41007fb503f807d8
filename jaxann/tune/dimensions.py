"""What one setting of a search may be: a range of floats or integers, a choice, or one of these under a condition.

Each dimension maps its values to a coordinate in [0, 1] and back. Equal lengths of the coordinate hold equal shares of
a uniform dimension, of the logarithm of a log-uniform one, of the integers, of the options.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from jaxann.core.checks import check_range, fail, show
from jaxann.tune.on_host import on_host

__all__ = [
    "Choice",
    "Conditional",
    "Dimension",
    "Integer",
    "LogUniform",
    "Uniform",
    "choice",
    "conditional",
    "integer",
    "log_uniform",
    "plain",
    "same",
    "uniform",
]

_EXACT = 1 << 53  # up to here every integer is a float64 too


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Floats in [low, high]; made by `uniform`."""

    low: float
    high: float

    @property
    def expected(self) -> str:
        """What a value must be, for messages."""
        return f"a number in [{self.low:g}, {self.high:g}]"

    def holds(self, value: Any) -> bool:
        """Whether the value is in the dimension."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def to_unit(self, value: Any) -> float:
        """The coordinate of a value."""
        return (value - self.low) / (self.high - self.low)

    def from_unit(self, unit: np.ndarray) -> list[Any]:
        """The values at coordinates `(n,)`; both ends exactly."""
        return np.clip(self.low * (1 - unit) + self.high * unit, self.low, self.high).tolist()

    def column(self, values: Sequence[Any]) -> np.ndarray:
        """The values as a float64 array `(n,)`."""
        return np.array(values, np.float64)


@dataclasses.dataclass(frozen=True)
class LogUniform(Uniform):
    """Floats in [low, high], every decade as likely as another; made by `log_uniform`."""

    def to_unit(self, value: Any) -> float:
        """The coordinate of a value."""
        low, high = math.log(self.low), math.log(self.high)
        return min(max((math.log(value) - low) / (high - low), 0.0), 1.0)

    def from_unit(self, unit: np.ndarray) -> list[Any]:
        """The values at coordinates `(n,)`; both ends exactly."""
        values = np.exp(math.log(self.low) * (1 - unit) + math.log(self.high) * unit)
        values = np.where(unit == 0, self.low, np.where(unit == 1, self.high, values))
        return np.clip(values, self.low, self.high).tolist()


@dataclasses.dataclass(frozen=True)
class Integer:
    """Integers from low to high, both included; made by `integer`.

    Integer i owns the coordinates of [i - 1/2, i + 1/2], on a logarithmic scale where `log`.
    """

    low: int
    high: int
    log: bool = False

    @property
    def expected(self) -> str:
        """What a value must be, for messages."""
        return f"an integer from {self.low} to {self.high}"

    def holds(self, value: Any) -> bool:
        """Whether the value is in the dimension."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def to_unit(self, value: Any) -> float:
        """The coordinate of a value."""
        low, high = self._ends()
        return ((math.log(value) if self.log else value) - low) / (high - low)

    def from_unit(self, unit: np.ndarray) -> list[Any]:
        """The values at coordinates `(n,)`."""
        low, high = self._ends()
        values = low * (1 - unit) + high * unit
        values = np.rint(np.exp(values) if self.log else values)
        return [int(v) for v in np.clip(values, self.low, self.high)]

    def column(self, values: Sequence[Any]) -> np.ndarray:
        """The values as an int64 array `(n,)`."""
        return np.array(values, np.int64)

    def _ends(self) -> tuple[float, float]:
        low, high = self.low - 0.5, self.high + 0.5
        return (math.log(low), math.log(high)) if self.log else (low, high)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few values of any kind; made by `choice`. Option i of k owns the coordinates [i/k, (i+1)/k)."""

    options: tuple[Any, ...]

    @property
    def expected(self) -> str:
        """What a value must be, for messages."""
        return "one of " + ", ".join(map(show, self.options))

    def holds(self, value: Any) -> bool:
        """Whether the value is an option."""
        return any(same(value, option) for option in self.options)

    def to_unit(self, value: Any) -> float:
        """The coordinate of an option."""
        index = next(i for i, option in enumerate(self.options) if same(value, option))
        return (index + 0.5) / len(self.options)

    def from_unit(self, unit: np.ndarray) -> list[Any]:
        """The options at coordinates `(n,)`."""
        last = len(self.options) - 1
        return [self.options[min(int(u * len(self.options)), last)] for u in unit]

    def column(self, values: Sequence[Any], *more: Any) -> np.ndarray | list[Any]:
        """An array `(n,)` where all options (and `more`) are numbers, else a list; a flag is no number."""
        every = [*self.options, *more]
        kinds = {type(value) for value in every}
        if kinds <= {int, float} and all(isinstance(v, float) or abs(v) <= _EXACT for v in every):
            return np.array(values, np.float64 if float in kinds else np.int64)
        return list(values)


Dimension: TypeAlias = Uniform | Integer | Choice  # LogUniform is a Uniform


@dataclasses.dataclass(frozen=True)
class Conditional:
    """A dimension that plays a part only beside certain values of others; made by `conditional`."""

    dimension: Dimension
    when: Mapping[str, Any]
    otherwise: Any


@on_host
def uniform(low: float, high: float) -> Uniform:
    """Floats in [low, high], all as likely.

    Raises:
        InputError: low is not below high, or one is not finite.
    """
    return Uniform(*_interval("uniform", low, high))


@on_host
def log_uniform(low: float, high: float) -> LogUniform:
    """Floats in [low, high] whose logarithm is uniform: every decade as likely as another.

    Raises:
        InputError: low is not positive, or not below high.
    """
    check_range("log_uniform", "low", low, 0, open_low=True, as_held=False)
    ends = _interval("log_uniform", low, high)
    if math.log(ends[0]) == math.log(ends[1]):
        fail("log_uniform", "high", "so far above low that their logarithms differ", high)
    return LogUniform(*ends)


@on_host
def integer(low: int, high: int, *, log: bool = False) -> Integer:
    """Integers from low to high, both included.

    Args:
        low, high: the ends, within 32 bits, as jax's integers.
        log: whether every decade is as likely as another, instead of every integer.

    Raises:
        InputError: an end is no such integer, low is above high, or with `log` low is below 1.
    """
    low, high = plain(low), plain(high)
    for name, value in (("low", low), ("high", high)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not -(1 << 31) <= value < 1 << 31:
            fail("integer", name, "an integer of 32 bits", value)
    if not isinstance(log, bool):
        fail("integer", "log", "True or False", log)
    if log and low < 1:
        fail("integer", "low", "at least 1 on a logarithmic scale", low)
    if low > high:
        fail("integer", "high", f"at least low, {low}", high)
    return Integer(int(low), int(high), log)


@on_host
def choice(options: Sequence[Any]) -> Choice:
    """One of a few values, all as likely: numbers, texts, tuples, None, anything that can be compared.

    Raises:
        InputError: there is no option, or one is listed twice, is NaN, or is an array.
    """
    if not isinstance(options, list | tuple | np.ndarray) or not len(options):
        fail("choice", "options", "a list of at least one value", options)
    values = tuple(plain(option) for option in options)
    for i, value in enumerate(values):
        if isinstance(value, np.ndarray | jax.Array):
            hint = "Arrays have no plain equality: choose among names, and look the array up when building."
            fail("choice", f"options[{i}]", "a value that can be compared", value, hint=hint)
        if not same(value, value):
            fail("choice", f"options[{i}]", "equal to itself", value)
        if any(same(value, other) for other in values[:i]):
            fail("choice", "options", "different from one another", f" {show(value)} twice")
    return Choice(values)


@on_host
def conditional(dimension: Dimension | Sequence[Any], *, when: Mapping[str, Any], otherwise: Any) -> Conditional:
    """A dimension that is active only beside certain values of others; where it is not, the value is `otherwise`.

        "momentum": conditional(uniform(0.5, 0.99), when={"optimizer": ("sgd", "nesterov")}, otherwise=0.0)

    All names of `when` must agree. What counts is the value another name has, active or not, so that chains resolve
    from the outside in.

    Args:
        dimension: the values while active; a list is a choice.
        when: from the name of another dimension (a choice or an integer) to the value, or the tuple of values, beside
            which this one is active.
        otherwise: the value while inactive; a number for a dimension of numbers.

    Raises:
        InputError: an argument is of another kind. Unknown names, impossible values and circles are told by the
            function that is given the space.
    """
    inner = choice(dimension) if isinstance(dimension, list | tuple) else dimension
    if not isinstance(inner, Uniform | Integer | Choice):
        expected = "a dimension (uniform, log_uniform, integer, choice) or a list of values"
        fail("conditional", "dimension", expected, dimension)
    if not isinstance(when, Mapping) or not when or not all(isinstance(name, str) for name in when):
        fail("conditional", "when", "a dict from names of other dimensions to their values", when)
    value = plain(otherwise)
    if isinstance(inner, Uniform):
        if not isinstance(value, int | float):
            fail("conditional", "otherwise", "a number", otherwise)
        check_range("conditional", "otherwise", value, as_held=False)
        value = float(value)
    elif isinstance(inner, Integer):
        if isinstance(value, bool) or not isinstance(value, int) or not -(1 << 31) <= value < 1 << 31:
            fail("conditional", "otherwise", "an integer of 32 bits", otherwise)
    elif isinstance(value, np.ndarray | jax.Array) or not same(value, value):
        fail("conditional", "otherwise", "a value that can be compared", otherwise)
    return Conditional(inner, dict(when), value)


def plain(value: Any) -> Any:
    """A numpy or jax scalar as the Python value, within tuples too; everything else as it is."""
    if type(value) is tuple:
        return tuple(map(plain, value))
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray | jax.Array) and value.ndim == 0):
        return value.item()
    return value


def same(a: Any, b: Any) -> bool:
    """Equality in which True is not 1."""
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _interval(function: str, low: Any, high: Any) -> tuple[float, float]:
    check_range(function, "low", low, as_held=False)
    check_range(function, "high", high, as_held=False)
    if not low < high:
        fail(function, "high", f"above low, {low:g}", high)
    if not math.isfinite(float(high) - float(low)):
        fail(function, "high", "so near low that their difference is a float", high)
    return float(low), float(high)
