"""What a recommendation rests on: a handful of facts of the task and the data, told or read."""

from __future__ import annotations

import math
import numbers
from typing import Any, NamedTuple

from jaxann.core.checks import check_choice, check_integer, check_range, fail

__all__ = ["INPUTS", "NUMBERS", "TASKS", "Facts", "check_facts", "check_options"]

INPUTS = ("ids", "images", "pair", "sequences", "table")
NUMBERS = ("counts", "quantiles", "regression")  # tasks whose targets are numbers
TASKS = ("binary", "language", "multiclass", "multilabel", "reconstruction", "translation", *NUMBERS)
_READS = {"language": ("ids",), "translation": ("pair",), "reconstruction": ("images", "table")}
_AXES = {"table": 1, "images": 3, "sequences": 2, "ids": 1, "pair": 1}


class Facts(NamedTuple):
    """What is known of a task and its data. Only the first three have to be told; `recommend(data)` reads all of them.

    Attributes:
        task: "binary" (one yes or no), "multiclass" (one of several classes), "multilabel" (a yes or no for each of
            several labels), "regression" (numbers), "counts" (whole numbers from 0 on), "quantiles" (how far numbers
            may lie), "language" (which id comes next), "translation" (one sequence of ids from another),
            "reconstruction" (the inputs themselves, through a short code).
        examples: of the training set.
        shape: of one example: `(features,)` of a table, `(height, width, channels)`, `(time, features)`, or `(time,)`
            of ids.
        inputs: "table", "images", "sequences" (of numbers), "ids" (sequences of whole numbers that are names), or
            "pair" (ids to read and ids to write).
        classes: of "multiclass".
        target_shape: of one example's target, without classes and quantiles: () for one of each example, `(k,)` for k
            labels or numbers, `(time,)` for a class at each position, `(time, k)`, `(height, width)`, ....
        vocabulary, target_vocabulary: how many ids there are, of what is read and of what is written.
        categories: how many codes each column of categories has, beside the numbers of a table.
        missing: share of the numbers of x that are missing (NaN).
        heavy: share of the columns with numbers that lie far outside of the others (robust z above 20).
        correlation: the greatest |r| of two columns.
        components: how many principal components have 95 % of the variance of the scaled columns.
        shares: of each class; of the positive examples, one for each label.
        outliers: share of the targets far outside of the others (robust z above 6).
        lowest: of the numbers to be predicted.
        center, deviation: of each number to be predicted; median and 1.4826 MAD where there are outliers, else mean and
            standard deviation.
        bounds: between which targets have to lie, `(0, None)` or `(low, high)`; None for any number. They are known,
            and cannot be read from data.
        levels: of "quantiles", in (0, 1).
    """

    task: str
    examples: int
    shape: tuple[int, ...]
    inputs: str = "table"
    classes: int | None = None
    target_shape: tuple[int, ...] = ()
    vocabulary: int | None = None
    target_vocabulary: int | None = None
    categories: tuple[int, ...] = ()
    missing: float = 0.0
    heavy: float = 0.0
    correlation: float = 0.0
    components: int | None = None
    shares: tuple[float, ...] = ()
    outliers: float = 0.0
    lowest: float | None = None
    center: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    bounds: tuple[float, float | None] | None = None
    levels: tuple[float, ...] = ()

    @property
    def places(self) -> int:
        """How many axes of the target are positions of the input, which has an answer at each of them."""
        axes = {"sequences": 1, "ids": 1, "images": 2}.get(self.inputs, 0)
        wanted = axes if self.task == "multiclass" else axes + 1
        fits = self.target_shape[:axes] == self.shape[:axes] and len(self.target_shape) == wanted
        return axes if axes and fits else 0

    @property
    def event(self) -> tuple[int, ...]:
        """Shape of what is predicted for one example, or at one position."""
        return self.target_shape[self.places :]

    @property
    def values(self) -> int:
        """How many numbers, labels or classes' answers an example, or a position, has."""
        return math.prod(self.event)

    @property
    def units(self) -> int:
        """How many numbers the net has to give for them."""
        if self.task == "multiclass":
            return self.classes or 0
        return self.values * max(1, len(self.levels) if self.task == "quantiles" else 1)

    @property
    def imbalance(self) -> float:
        """How many times as many examples the commonest class has as the rarest that is there; of labels the worst."""
        if self.task == "multiclass":
            there = [share for share in self.shares if share > 0]
            return max(there) / min(there) if there else 1.0
        return max((max(s, 1 - s) / min(s, 1 - s) for s in self.shares if 0 < s < 1), default=1.0)


def check_options(function: str, bounds: Any, levels: Any) -> tuple[Any, tuple[float, ...]]:
    """Bounds and quantiles' levels as facts hold them.

    Raises:
        InputError: they are none.
    """
    if bounds is not None:
        expected = "(low, high), or (low, None) for no upper end"
        if not isinstance(bounds, tuple | list) or len(bounds) != 2 or bounds[0] is None:
            fail(function, "bounds", expected, bounds, hint="An upper end alone: predict -y.")
        check_range(function, "low of bounds", bounds[0])
        if bounds[1] is not None:
            check_range(function, "high of bounds", bounds[1], bounds[0], open_low=True)
        bounds = (float(bounds[0]), None if bounds[1] is None else float(bounds[1]))
    if isinstance(levels, numbers.Real) and not isinstance(levels, bool):
        levels = (levels,)
    if not isinstance(levels, tuple | list):
        fail(function, "levels", "a tuple of numbers in (0, 1)", levels)
    for level in levels:
        check_range(function, "each of levels", level, 0, 1, open_low=True, open_high=True)
    return bounds, tuple(map(float, levels))


def check_facts(function: str, facts: Facts) -> Facts:
    """The facts, where they go together.

    Raises:
        InputError: one is out of range, or two contradict each other; the message names it.
    """
    check_choice(function, "task", facts.task, TASKS)
    check_choice(function, "inputs", facts.inputs, INPUTS)
    check_integer(function, "examples", facts.examples)
    for name in ("shape", "target_shape"):
        value = getattr(facts, name)
        if not isinstance(value, tuple):
            fail(function, name, "a tuple of positive integers", value)
        for size in value:
            check_integer(function, f"each of {name}", size)
    numbers_alone = facts.inputs == "table" and not facts.shape and facts.categories
    if len(facts.shape) != _AXES[facts.inputs] and not numbers_alone:
        expected = f"of {_AXES[facts.inputs]} axes for {facts.inputs!r}"
        fail(function, "shape", expected, facts.shape)
    allowed = _READS.get(facts.task, tuple(one for one in INPUTS if one != "pair"))
    if facts.inputs not in allowed:
        fail(function, "inputs", f"{' or '.join(map(repr, allowed))} for {facts.task!r}", facts.inputs)
    if facts.task == "multiclass":
        check_integer(function, "classes", facts.classes, 2)
    elif facts.classes is not None:
        fail(function, "classes", f"None for {facts.task!r}", facts.classes)
    if facts.inputs in ("ids", "pair"):
        check_integer(function, "vocabulary", facts.vocabulary)
    if facts.inputs == "pair":
        check_integer(function, "target_vocabulary", facts.target_vocabulary)
    for name in ("missing", "heavy", "correlation", "outliers"):
        check_range(function, name, getattr(facts, name), 0, 1)
    for size in facts.categories:
        check_integer(function, "each of categories", size)
    for share in facts.shares:
        check_range(function, "each of shares", share, 0, 1)
    if facts.lowest is not None:
        check_range(function, "lowest", facts.lowest)
    if facts.components is not None:
        check_integer(function, "components", facts.components, 0)
    _check_target(function, facts)
    bounds, levels = check_options(function, facts.bounds, facts.levels)
    return facts._replace(bounds=bounds, levels=levels)


def _check_target(function: str, facts: Facts) -> None:
    """Shape and numbers of the target against the task."""
    if bool(facts.levels) != (facts.task == "quantiles"):
        expected = "given for 'quantiles'" if facts.task == "quantiles" else f"left out for {facts.task!r}"
        hint = "levels=(0.1, 0.5, 0.9)" if facts.task == "quantiles" else None
        fail(function, "levels", expected, facts.levels, hint=hint)
    if facts.bounds is not None and facts.task != "regression":
        fail(function, "bounds", f"None for {facts.task!r}", facts.bounds)
    if facts.task == "multiclass" and facts.event != ():
        hint = "Of shape (n, 1): y[:, 0]. One-hot rows: y.argmax(1). Several labels an example: task='multilabel'."
        fail(
            function,
            "target_shape",
            "() for one class an example, or the input's positions",
            facts.target_shape,
            hint=hint,
        )
    if facts.task == "binary" and facts.target_shape not in ((), (1,)):
        fail(function, "target_shape", "() or (1,) for 'binary'", facts.target_shape, hint="Several: 'multilabel'.")
    if facts.task == "multilabel" and len(facts.event) != 1:
        fail(function, "target_shape", "(labels,) for 'multilabel'", facts.target_shape)
    if facts.task in NUMBERS and len(facts.event) > 1:
        fail(function, "target_shape", f"() or (k,) for {facts.task!r}", facts.target_shape)
    if facts.task in NUMBERS and facts.inputs in ("sequences", "ids") and facts.target_shape == facts.shape[:1]:
        hint = "y[..., None] for a number at each position."
        fail(
            function,
            "target_shape",
            f"(k,), k other than the {facts.shape[0]} positions, or (time, k)",
            facts.target_shape,
            hint=hint,
        )
    for name in ("center", "deviation"):
        value = getattr(facts, name)
        if value and len(value) != facts.values and facts.task in NUMBERS:
            fail(function, name, f"a number for each of the {facts.values} to be predicted", f" {len(value)}")
        for one in value:
            low = {"low": 0, "open_low": True} if name == "deviation" else {}
            check_range(function, f"each of {name}", one, **low)
