"""Which numbers a function takes for targets: declared by it, checked once where data come in, never inside a program.

targets outside of it do not fail by themselves: a formula meant for 0 and 1 has some value at 2 as well, below 0 at
times, and training goes after it
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.checks import fail, is_concrete

__all__ = ["SIGN", "UNIT", "Domain", "binary_domain", "check_binary", "counted_places"]

_SLACK = 1e-6  # what arithmetic in float32 puts beyond an end: a mask that was scaled, labels that were mixed


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
        if self.values:
            return ", ".join(f"{v:g}" for v in self.values[:-1]) + f" or {self.values[-1]:g}"
        if self.high is None:
            return f"at least {self.low:g}"
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
        host = host.astype(np.int8) if host.dtype == bool else host
        if host.size == 0 or self._holds_for_all(host):
            return
        if self.distributions and not host.any():
            fail(function, argument, self.expected, " only zeros", hint=self.hint)
        strange = self._strange(host)
        if counted is not None:
            real = np.asarray(counted if counted.ndim <= strange.ndim else np.any(counted, axis=-1))
            strange &= real.reshape(*real.shape, *(1,) * (strange.ndim - real.ndim))
        if strange.any():
            row, *rest = (int(i) for i in np.argwhere(strange)[0])
            where = f"row {row}" + (f", column {', '.join(map(str, rest))}" if rest else "")
            found = host[(row, *rest)]
            what = f"a sum of {np.sum(found):g}" if strange.ndim < host.ndim else f"{found:g}"
            fail(function, argument, self.expected, f" {what} at {where}", hint=self.hint)

    def _holds_for_all(self, host: np.ndarray) -> bool:
        """Most data are right: two numbers tell, and no array is made."""
        if self.values or self.distributions:
            return False
        low, high = host.min(), host.max()  # NaN is neither
        return bool((self.low is None or low >= self.low) and (self.high is None or high <= self.high))

    def _strange(self, host: np.ndarray) -> np.ndarray:
        """Where the targets lie outside; one entry a row for distributions whose entries are all at least 0."""
        if self.values:
            return ~np.logical_or.reduce([host == value for value in self.values])
        inside = (
            np.ones(host.shape, bool)
            if self.low is None and not self.distributions
            else host >= (self.low or 0) - _SLACK
        )
        if self.high is not None:
            inside &= host <= self.high + _SLACK
        if self.distributions and inside.all():
            total = host.sum(-1, dtype=np.float64)
            return ~((np.abs(total - 1) <= 1e-2) | (total == 0))
        return ~inside


UNIT = Domain(low=0, high=1, hint="Two classes are 0 and 1.")
SIGN = Domain(low=-1, high=1, words="0 and 1, or -1 and 1")


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


def check_binary(
    function: str, traits: Collection[str], predictions: Any, targets: Any, weights: Any, argument: str = "targets"
) -> None:
    """Known targets of one score each are answers of a binary question, for a metric of these traits.

    Raises:
        InputError: one that counts is not.
    """
    domain = binary_domain(traits)
    if domain is None or not is_concrete(targets) or np.shape(targets) != np.shape(predictions):
        return
    if hasattr(predictions, "dtype") and jax.dtypes.issubdtype(predictions.dtype, np.floating):
        domain.check(function, argument, targets, counted_places(np.shape(targets), weights))
