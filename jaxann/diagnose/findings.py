"""What a gradient check found, and how it reads."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Callable
from typing import TypedDict

from jaxann.core.typing import Params

__all__ = ["CheckSettings", "Finding", "GradientCheck", "LeafCheck", "verdict"]

# (good, acceptable, suspicious) below these relative errors; wrong above. Of a function that computes in float32 the
# differences have three digits, of one in 16 bits none.
_LIMITS = {"float64": (1e-7, 1e-5, 1e-3), "float32": (1e-3, 1e-2, 1e-1)}
_WIDTH = 80
_MOST_ROWS = 24


class CheckSettings(TypedDict, total=False):
    """What `check_layer` and `check_loss` hand on to `check_gradients`, which says what each means."""

    gradients: Params | Callable[..., Params]
    directions: int | None
    most: int | None
    method: str
    step: float | None
    jit: bool


def verdict(error: float, precision: str = "float64") -> str:
    """Good, acceptable, suspicious or wrong, in a word; "unknown" where differences cannot tell."""
    if precision not in _LIMITS:
        return "unknown"
    names = ("good", "acceptable", "suspicious")
    return next((name for name, limit in zip(names, _LIMITS[precision], strict=True) if error < limit), "wrong")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One slope by its gradient and by differences."""

    name: str  # path of the leaf
    index: tuple[int, ...] | int  # place within it; the number of the direction where directions were checked
    analytic: float
    numeric: float
    error: float  # |a - n| / max(|a|, |n|, 1e-8), less what the difference leaves open where it is not below 1e-7
    verdict: str

    @property
    def place(self) -> str:
        """The leaf and the place within it, as text."""
        if isinstance(self.index, int):
            return f"{self.name}, direction {self.index}"
        return f"{self.name}[{', '.join(map(str, self.index))}]" if self.index else self.name


@dataclasses.dataclass(frozen=True)
class LeafCheck:
    """One array of the arguments."""

    name: str
    size: int
    checked: int  # entries or directions looked at
    kinks: int  # of them, left out for standing at a kink
    worst: Finding | None  # None when all were left out

    @property
    def verdict(self) -> str:
        """That of the worst, "kinks" when none is left."""
        return "kinks" if self.worst is None else self.worst.verdict


@dataclasses.dataclass(frozen=True)
class GradientCheck:
    """The result of `check_gradients`; print it for a table."""

    leaves: tuple[LeafCheck, ...]
    left_out: tuple[str, ...]  # arguments that were not differentiated
    method: str
    precision: str  # the float that the function computed in
    by_direction: bool = False  # random directions in each leaf, not its entries
    notes: tuple[str, ...] = ()

    @property
    def worst(self) -> Finding | None:
        """The entry with the greatest error; None when every one stands at a kink."""
        found = [leaf.worst for leaf in self.leaves if leaf.worst is not None]
        return max(found, key=lambda finding: _badness(finding.error)) if found else None

    @property
    def error(self) -> float:
        """The greatest relative error; NaN when nothing could be checked."""
        return math.nan if self.worst is None else self.worst.error

    @property
    def verdict(self) -> str:
        """That of the worst: good, acceptable, suspicious or wrong; "unknown" when nothing could be seen."""
        return "unknown" if self.worst is None else self.worst.verdict

    @property
    def ok(self) -> bool:
        """Whether the verdict is good or acceptable."""
        return self.verdict in ("good", "acceptable")

    @property
    def kinks(self) -> int:
        """Entries left out for standing at a kink."""
        return sum(leaf.kinks for leaf in self.leaves)

    def __str__(self) -> str:
        lines = [f"gradient check, {self.method} differences in {self.precision}: {self.verdict}"]
        if self.method == "complex":
            lines = [f"gradient check, complex step in {self.precision}: {self.verdict}"]
        if self.worst is not None:
            lines += [
                f"  worst at    {_short(self.worst.place, _WIDTH - 14)}",
                f"  gradient    {self.worst.analytic: .15g}",
                f"  difference  {self.worst.numeric: .15g}",
                f"  error       {self.worst.error: .3g}",
            ]
        width = min(max((len(leaf.name) for leaf in self.leaves), default=0), 36)
        width = max(width, 4)
        lines += ["", f"{'leaf':<{width}}  {'checked':>15}  {'kinks':>6}  {'error':>8}  verdict"]
        ranked = sorted(self.leaves, key=lambda leaf: 1.0 if leaf.worst is None else -_badness(leaf.worst.error))
        shown = {leaf.name for leaf in ranked[:_MOST_ROWS]}
        for leaf in self.leaves:
            if leaf.name in shown:
                error = "" if leaf.worst is None else f"{leaf.worst.error:.1e}"
                checked = f"{leaf.checked:,} ways" if self.by_direction else f"{leaf.checked:,} of {leaf.size:,}"
                name = _short(leaf.name, width)
                lines.append(f"{name:<{width}}  {checked:>15}  {leaf.kinks:>6,}  {error:>8}  {leaf.verdict}")
        if len(self.leaves) > len(shown):
            lines.append(f"and {len(self.leaves) - len(shown):,} more, none of them worse")
        if self.left_out:
            lines += ["", *_wrapped("left out: " + ", ".join(self.left_out))]
        for note in self.notes:
            lines += ["", *_wrapped(note)]
        return "\n".join(lines)


def _badness(error: float) -> float:
    """The error, what is not a number being the worst there is."""
    return math.inf if math.isnan(error) else error


def _short(text: str, width: int) -> str:
    """The end of a long name, which is what tells it from others."""
    return text if len(text) <= width else "..." + text[len(text) - width + 3 :]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", max_lines=6, break_long_words=True)
