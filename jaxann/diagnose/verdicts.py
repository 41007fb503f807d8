"""Verdicts: what is wrong with a training, the numbers that say so, and what to do; most pressing first."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from jaxann.core.checks import fail
from jaxann.train.recipe import Recipe

__all__ = ["KINDS", "REMARKS", "Diagnosis", "Remedy", "Verdict"]

_WIDTH = 100

# Each kind in the order in which kinds are told: what spoils all that comes after it stands first.
KINDS = {
    "target_leak": "a column gives the target away",
    "shared_rows": "rows of the validation set are among the training rows",
    "missing_labels": "a class never occurs",
    "input_scale": "inputs are far from zero mean and unit variance",
    "nonfinite": "numbers that are not finite",
    "exploding": "gradients explode",
    "dead": "units are off for every example",
    "collapsed": "all examples look the same inside",
    "vanishing": "gradients vanish on their way down",
    "saturated": "activations stand at their limits",
    "wild_start": "the first answers are far worse than none",
    "unstable": "the learning rate is too high",
    "stalled": "the learning rate is too low",
    "stuck": "not even one batch can be learned by heart",
    "small_batch": "batches are too small",
    "label_noise": "labels contradict the inputs",
    "easy_validation": "the validation set is easier than the training set",
    "overfitting": "the net learns its rows by heart",
    "underfitting": "the net learns too little",
    "imbalance": "one class has most of the rows",
    "useless_columns": "columns that say nothing, or the same as others",
}

REMARKS = frozenset(("imbalance", "useless_columns"))  # worth knowing; training goes well with them


@dataclass(frozen=True)
class Remedy:
    """Something to do.

    Attributes:
        text: what, as a sentence.
        change: the recipe with it done; None for what no recipe can do, such as more data.
    """

    text: str
    change: Callable[[Recipe], Recipe] | None = None


@dataclass(frozen=True)
class Verdict:
    """One thing that is wrong.

    Attributes:
        kind: of `KINDS`.
        evidence: the numbers that say so, and where they were found.
        where: names of layers or columns, the worst first; empty where it is all of it.
        severity: how many times beyond its limit, at least 1.
        remedies: what to do, in the order in which to try.
    """

    kind: str
    evidence: str
    where: tuple[str, ...] = ()
    severity: float = 1.0
    remedies: tuple[Remedy, ...] = ()

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe with the first remedy done that a recipe can do.

        Raises:
            InputError: none of the remedies is a change of the recipe.
        """
        for remedy in self.remedies:
            if remedy.change is not None:
                return remedy.change(recipe)
        fail("Verdict.apply", "kind", "one with a remedy that changes the recipe", self.kind)

    def __str__(self) -> str:
        lines = [f"{self.kind}: {KINDS[self.kind]}", *_wrapped(self.evidence, "  ")]
        for number, remedy in enumerate(self.remedies, 1):
            lines += _wrapped(remedy.text, f"  {number}. ")
        return "\n".join(lines)


@dataclass(frozen=True)
class Diagnosis:
    """What was found; print it.

    Attributes:
        verdicts: the most pressing first; empty where nothing is wrong.
        measured: what was looked at, a line each.
    """

    verdicts: tuple[Verdict, ...]
    measured: tuple[str, ...] = ()

    @property
    def first(self) -> str:
        """The kind of the first verdict, "healthy" where there is none but of imbalance and useless columns."""
        return next((verdict.kind for verdict in self.verdicts if verdict.kind not in REMARKS), "healthy")

    def __str__(self) -> str:
        lines = [str(verdict) for verdict in self.verdicts]
        if self.first == "healthy":
            lines = ["healthy: nothing wrong was found", *lines]
        return "\n".join([*lines, *(line for text in self.measured for line in _wrapped(text, "- "))])


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent))
