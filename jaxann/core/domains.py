"""Which numbers a function takes for targets: declared by it, checked once where data come in, never inside a program.

targets outside of it do not fail by themselves: a formula meant for 0 and 1 has some value at 2 as well, below 0 at
times, and training goes after it
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.checks import check_array, fail, is_concrete

__all__ = [
    "SIGN",
    "UNIT",
    "Domain",
    "binary_domain",
    "check_answers",
    "check_classes",
    "check_known_weights",
    "counted_places",
    "takes_classes",
]

_UNITS = 8  # in the last place, that arithmetic puts beyond an end: a mask that was scaled, labels that were mixed
_SUM = 1e-2  # what rounding many entries leaves of a sum of 1


class Domain(NamedTuple):
    """The numbers from `low` to `high`, or those of `values` alone; rows along the last axis may have to sum to 1."""

    low: float | None = None
    high: float | None = None
    values: tuple[float, ...] = ()
    distributions: bool = False  # of entries at least 0; all of them 0 too, for a row that counts for nothing
    hint: str | None = None
    words: str | None = None  # what stands in a message, where the ends alone would not tell

    @property
    def expected(self) -> str:
        """As it stands in a message."""
        if self.words is not None:
            return self.words
        if self.distributions:
            return "distributions over the last axis: at least 0, with a sum of 1"
        if len(self.values) == 1:
            return f"{self.values[0]:g}"
        if self.values:
            return ", ".join(f"{v:g}" for v in self.values[:-1]) + f" or {self.values[-1]:g}"
        if self.high is None and self.low is None:
            return "numbers"
        if self.high is None:
            return f"at least {self.low:g}"
        if self.low is None:
            return f"at most {self.high:g}"
        return f"in [{self.low:g}, {self.high:g}]"

    def check(self, function: str, argument: str, targets: Any, counted: np.ndarray | None = None) -> None:
        """All targets lie in it.

        Args:
            function, argument: for the message.
            targets: an array of known values.
            counted: bool, over the leading axes; False for what counts for nothing, which may be anything.

        Raises:
            InputError: one does not; the message gives the first.
        """
        host = np.asarray(targets)
        slack = _UNITS * _epsilon(host.dtype)
        if host.dtype == bool:
            host = host.astype(np.int8)
        elif host.dtype.kind not in "iuf" or host.dtype.itemsize < 4 and host.dtype.kind == "f":
            host = host.astype(np.float32)  # NumPy compares half precision slowly, and in half precision
        if host.size == 0 or self._holds_for_all(host):
            return
        if self.distributions and not host.any():
            fail(function, argument, self.expected, " only zeros", hint=self.hint)
        strange = self._strange(host, slack)
        if counted is not None:
            real = np.asarray(counted if counted.ndim <= strange.ndim else np.any(counted, axis=-1))
            strange &= real.reshape(*real.shape, *(1,) * (strange.ndim - real.ndim))
        if strange.any():
            place = tuple(np.argwhere(strange)[0])
            found = host[place]
            what = f"a sum of {np.sum(found):g}" if strange.ndim < host.ndim else _shown(found)
            fail(function, argument, self.expected, f" {what}{_where(place)}", hint=self.hint)

    def _holds_for_all(self, host: np.ndarray) -> bool:
        """Most data are right: two numbers tell, and no array is made."""
        if self.values or self.distributions:
            return False
        low, high = host.min(), host.max()  # NaN is neither
        return bool((self.low is None or low >= self.low) and (self.high is None or high <= self.high))

    def _strange(self, host: np.ndarray, slack: float) -> np.ndarray:
        """Where the targets lie outside; one entry a row for distributions whose entries are all at least 0.

        Args:
            host: the targets.
            slack: what rounding may have put beyond, as a share of the greatest number that is asked for.
        """
        asked = [abs(v) for v in (*self.values, self.low, self.high) if v is not None]
        apart = slack * (max(asked, default=0) or 1)
        if self.values:
            strange = ~np.logical_or.reduce([host == value for value in self.values])
            if slack and strange.any():
                others = host[strange]
                strange[strange] = ~np.logical_or.reduce([np.abs(others - value) <= apart for value in self.values])
            return strange
        low = 0 if self.distributions else self.low
        inside = np.ones(host.shape, bool) if low is None else host >= low - apart
        if self.high is not None:
            inside &= host <= self.high + apart
        if self.distributions and inside.all():
            total = host.sum(-1, dtype=np.float64)
            return ~((np.abs(total - 1) <= max(_SUM, slack)) | (total == 0))
        return ~inside


def _epsilon(dtype: np.dtype) -> float:
    """The precision of targets: 0 for whole numbers; of float64 that of float32, in which most of them were made."""
    if dtype.kind in "iub":
        return 0.0
    return max(float(jax.numpy.finfo(dtype).eps), float(np.finfo(np.float32).eps))


UNIT = Domain(low=0, high=1, hint="Two classes are 0 and 1.")
SIGN = Domain(low=-1, high=1, words="0 and 1, or -1 and 1")


def check_known_weights(function: str, weights: Any) -> None:
    """Weights that can be looked at are finite and at least 0: NaN would hide where it stands, -1 undo an example."""
    if weights is None:
        return
    check_array(function, "weights", weights)
    if not is_concrete(weights):
        return
    host = np.asarray(weights).astype(np.float64)
    good = (host >= 0) & np.isfinite(host)
    if not good.all():
        place = np.unravel_index(int(np.argmin(good)), host.shape)
        fail(function, "weights", "finite and at least 0", f" {host[place]:g}{_where(place)}")


def counted_places(shape: tuple[int, ...], weights: Any, mask: Any = None) -> np.ndarray | None:
    """Where targets of this shape count, over their leading axes: weight above 0 and no padding; None for everywhere.

    Weights and masks that are traced, or fit others than the leading axes, say nothing.
    """
    counted = None
    for one in (mask, weights):
        if one is None or not is_concrete(one) or np.shape(one) != shape[: np.ndim(one)]:
            continue
        real = np.asarray(one) != 0
        if counted is None:
            counted = real
            continue
        short, long = sorted((counted, real), key=lambda a: a.ndim)
        counted = long & short.reshape(*short.shape, *(1,) * (long.ndim - short.ndim))
    return counted


def binary_domain(traits: Collection[str]) -> Domain | None:
    """What a metric of these traits takes for targets where predictions are one score each; None for anything."""
    if "takes_labels" in traits:
        return SIGN
    return UNIT if "takes_probabilities" in traits else None


def takes_classes(traits: Collection[str]) -> bool:
    """Whether targets of a metric of these traits are labels where predictions have one more axis, the classes."""
    return "takes_classes" in traits or binary_domain(traits) is not None


def check_classes(
    function: str,
    argument: str,
    labels: Any,
    classes: int | None,
    counted: np.ndarray | None = None,
    *,
    hint: str | None = None,
) -> None:
    """Known labels are whole numbers in 0..classes-1 where they count, of any dtype; any, where classes is None.

    Args:
        function, argument: for the message.
        labels: an array of known values.
        classes: how many there are, where that is known.
        counted: as in `Domain.check`.
        hint: how many there are, in words.

    Raises:
        InputError: one is not; the message gives the first.
    """
    host = np.asarray(labels)
    low, high = (-(2**31), 2**31) if classes is None else (0, classes)
    expected = "labels, whole numbers of 32 bits" if classes is None else f"labels in 0..{classes - 1}"
    whole = host.dtype == bool or jax.dtypes.issubdtype(host.dtype, np.integer)
    if not whole and not jax.dtypes.issubdtype(host.dtype, np.floating):
        fail(function, argument, expected, f" {host.dtype}")
    if host.size == 0 or (whole and host.min() >= low and host.max() < high):
        return
    strange = ~((host >= low) & (host < high))  # NaN is neither
    if not whole:
        strange |= ~(host == np.floor(host))
    if counted is not None:
        strange &= counted.reshape(*counted.shape, *(1,) * (host.ndim - counted.ndim))
    if strange.any():
        place = tuple(np.argwhere(strange)[0])
        if hint is not None:
            hint += "; labels start at 0."
            if host[strange].min() < 0:
                hint += " Labels to be left out: functools.partial(loss, ignore_index=...)."
        fail(function, argument, expected, f" {_shown(host[place])}{_where(place)}", hint=hint)


def check_answers(
    function: str,
    traits: Collection[str],
    predictions: Any,
    targets: Any,
    weights: Any,
    argument: str = "targets",
    *,
    classes: Any = None,
) -> None:
    """Known targets are what a metric of these traits takes with such predictions, where they count.

    Labels where predictions are scores of classes or labels themselves, and answers of a binary question where they are
    one score each.

    Args:
        function, argument: for the message.
        traits: of the metric; one that declares nothing of targets takes anything.
        predictions: anything of their shape and dtype.
        targets, weights: nothing is looked at where either is traced.
        classes: how many, where the metric is told.

    Raises:
        InputError: one that counts is not.
    """
    if not takes_classes(traits) or not (_is_known(targets) and _is_known(weights)):
        return
    if not (hasattr(predictions, "dtype") and hasattr(targets, "dtype")):
        return
    shape, of_scores = np.shape(targets), np.shape(predictions)
    counted = counted_places(shape, weights)
    if of_scores == shape:
        domain = binary_domain(traits)
        if domain is None:
            return
        if jax.dtypes.issubdtype(predictions.dtype, np.floating):
            domain.check(function, argument, targets, counted)
            if domain is SIGN:
                _check_signs(function, argument, np.asarray(targets), counted)
        elif "takes_labels" in traits:
            classes = classes if isinstance(classes, int) else None
            check_classes(function, argument, targets, classes, counted)
            if _is_known(predictions):
                check_classes(function, "predictions", predictions, classes, counted)
    elif of_scores[:-1] == shape and len(of_scores) == len(shape) + 1 and of_scores[-1] > 1:
        many = of_scores[-1]
        check_classes(function, argument, targets, many, counted, hint=f"Predictions have {many} classes")


def _check_signs(function: str, argument: str, host: np.ndarray, counted: np.ndarray | None) -> None:
    """Where -1 is an answer the other one is 1: three values, with 0, would be three classes."""
    if host.size == 0 or host.dtype == bool or host.min() >= -0.5:  # else 0, as rounding left it
        return
    below = host < -0.5
    if counted is not None:
        below &= counted.reshape(*counted.shape, *(1,) * (host.ndim - counted.ndim))
    if below.any():
        Domain(values=(-1, 1), hint="Two classes are 0 and 1, or -1 and 1.").check(function, argument, host, counted)


def _is_known(value: Any) -> bool:
    """Whether there are values here to be looked at: no tracer, and no array whose rows other processes hold."""
    return is_concrete(value) and getattr(value, "is_fully_addressable", True)


def _shown(number: Any) -> str:
    return f"{float(number):g}" if jax.dtypes.issubdtype(np.asarray(number).dtype, np.floating) else str(int(number))


def _where(place: tuple[Any, ...]) -> str:
    row, *rest = map(int, place) if place else (None,)
    if row is None:
        return ""
    return f" at row {row}" + (f", column {', '.join(map(str, rest))}" if rest else "")
