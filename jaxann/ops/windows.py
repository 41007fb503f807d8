"""Windows that slide over the places of an image, a signal or a volume: their sizes, and how many there are.

Arrays are `(batch, *places, channels)`. Along one axis of `n` places, a window of `size` places that lie `dilation`
apart, moved by `stride` over the axis with `low` and `high` places of padding around it, fits

    floor((n + low + high - dilation (size - 1) - 1) / stride) + 1

times. "same" pads such that there are ceil(n / stride), and where their number is odd, the odd place comes last (as
TensorFlow and flax do; torchvision's nets pad both sides alike, and need explicit numbers); "valid" pads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxann.core.checks import check_integer, fail

__all__ = ["MODES", "Padding", "Windows", "as_axes", "as_padding", "as_size", "as_windows", "check_window", "positions"]

MODES = ("zeros", "circular", "reflect", "replicate")  # what padded places hold
Padding = str | int | Sequence[int | tuple[int, int]]


class Windows(NamedTuple):
    """How windows lie on the places of an input; one entry an axis."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]  # places before and after; below 0 they are cut off
    dilation: tuple[int, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        """Places from the first to the last of a window, both counted."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.size, self.dilation, strict=True))

    def count(self, places: Sequence[int]) -> tuple[int, ...]:
        """How many windows there are along each axis of so many places."""
        axes = zip(places, self.pads, self.reach, self.stride, strict=True)
        return tuple(max(0, (n + low + high - reach) // stride + 1) for n, (low, high), reach, stride in axes)


def as_size(function: str, kernel_size: Any) -> tuple[int, ...]:
    """Places of a window along each axis; one number is that of both axes of an image.

    Raises:
        InputError: it is neither a whole number nor one to three of them.
    """
    if not isinstance(kernel_size, tuple | list):
        return as_axes(function, "kernel_size", kernel_size, 2)
    if not 1 <= len(kernel_size) <= 3:
        fail(function, "kernel_size", "of one to three axes", tuple(kernel_size))
    return as_axes(function, "kernel_size", kernel_size, len(kernel_size))


def as_axes(function: str, argument: str, value: Any, rank: int, *, minimum: int = 1) -> tuple[int, ...]:
    """One whole number for each of `rank` axes, given as such or as one for all.

    Raises:
        InputError: it is neither, or one is below the minimum.
    """
    if not isinstance(value, tuple | list):
        check_integer(function, argument, value, minimum)
        return (int(value),) * rank
    if len(value) != rank:
        fail(function, argument, f"a whole number, or one for each of the {rank} axes", tuple(value))
    for number in value:
        check_integer(function, f"each of {argument}", number, minimum)
    return tuple(int(number) for number in value)


def check_window(function: str, window: Any, *, stride: Any, padding: Any, dilation: Any = 1) -> None:
    """What can be said of the windows of a pool before their input is known: one number is for any number of axes.

    Raises:
        InputError: one of them is neither a whole number nor one for each axis, or of another number of axes.
    """
    ranks = [len(value) for value in (window, stride, padding, dilation) if isinstance(value, tuple | list)]
    rank = ranks[0] if ranks else 1
    as_axes(function, "window", window, rank)
    if stride is not None:
        as_axes(function, "stride", stride, rank)
    as_axes(function, "dilation", dilation, rank)
    as_padding(function, padding, rank)


def as_padding(function: str, padding: Any, rank: int, argument: str = "padding") -> str | tuple[tuple[int, int], ...]:
    """The word "same" or "valid", or the places before and after along each axis.

    Raises:
        InputError: it is something else, or a number is negative.
    """
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            fail(function, "padding", '"same", "valid", a whole number, or numbers for each axis', padding)
        return padding
    if not isinstance(padding, tuple | list):
        check_integer(function, argument, padding, 0)
        return ((int(padding), int(padding)),) * rank
    if len(padding) != rank:
        fail(function, argument, f"of one entry for each of the {rank} axes", tuple(padding))
    found = []
    for entry in padding:
        pair = tuple(entry) if isinstance(entry, tuple | list) else (entry, entry)
        if len(pair) != 2:
            fail(function, argument, "of numbers or pairs (before, after)", tuple(padding))
        for number in pair:
            check_integer(function, f"each of {argument}", number, 0)
        found.append((int(pair[0]), int(pair[1])))
    return tuple(found)


def as_windows(
    function: str,
    places: Sequence[int],
    size: tuple[int, ...],
    *,
    stride: Any = 1,
    padding: Any = "same",
    dilation: Any = 1,
) -> Windows:
    """The windows on an input of so many places.

    Raises:
        InputError: an argument is wrong.
    """
    rank = len(size)
    if len(places) != rank:
        fail(function, "x", f"of shape (batch, {rank} axes of places, channels)", f" {len(places)} axes of places")
    steps = as_axes(function, "stride", stride, rank)
    apart = as_axes(function, "dilation", dilation, rank)
    given = as_padding(function, padding, rank)
    if given == "valid":
        given = ((0, 0),) * rank
    if given == "same":
        given = tuple(_same(n, d * (k - 1) + 1, s) for n, k, d, s in zip(places, size, apart, steps, strict=True))
    assert not isinstance(given, str)
    return Windows(size, steps, given, apart)


def _same(places: int, reach: int, stride: int) -> tuple[int, int]:
    missing = max(0, (-(-places // stride) - 1) * stride + reach - places)
    return missing // 2, missing - missing // 2


def positions(function: str, windows: Windows, places: Sequence[int]) -> tuple[int, ...]:
    """How many windows there are along each axis.

    Raises:
        InputError: none fits along one of them.
    """
    found = windows.count(places)
    if min(found, default=1) < 1:
        reach = " x ".join(map(str, windows.reach))
        padded = " x ".join(str(n + low + high) for n, (low, high) in zip(places, windows.pads, strict=True))
        fail(function, "x", f"of at least {reach} places, padding counted", f" {padded}")
    return found
