"""A recommendation and its reasons, and how they read."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from jaxann.advice.facts import Facts
from jaxann.train.recipe import Recipe

__all__ = ["Reason", "Recommendation", "show_number"]

_WIDTH = 100
_OF = {"table": "a table", "pair": "pairs of ids"} | {name: name for name in ("ids", "images", "sequences")}


class Reason(NamedTuple):
    """One choice: what was chosen, why, and who found so."""

    choice: str
    value: str
    reason: str
    source: str

    def __str__(self) -> str:
        head = f"{self.choice:<17}  {self.value}"
        text = f"{self.reason} [{self.source}]"
        return "\n".join([_indented(head, 19, ""), _indented(text, 21, " " * 21)])


class Recommendation(NamedTuple):
    """A recipe with a reason for every choice in it; `print` it for a page.

    Attributes:
        recipe: runs as it is, `fit(recommendation.recipe, (x, y), validation=..., key=...)`; it has epochs and a batch
            size of its own, which `recipe.replace(epochs=3)` changes.
        reasons: of every choice, in the order in which they are made.
        facts: what was read or told. `recommend(facts._replace(examples=100_000))` says what other data would need.
        epochs, batch_size: as in the recipe.
        parameters: of the model.
        notes: what to do or to know besides.
    """

    recipe: Recipe
    reasons: tuple[Reason, ...]
    facts: Facts
    epochs: int
    batch_size: int
    parameters: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        facts = self.facts
        of = f"{facts.examples:,} examples of {_OF[facts.inputs]}"
        shape = " x ".join(map(str, facts.shape)) or "categories alone"
        lines = [f"{facts.task} from {of} ({shape}); {self.parameters:,} parameters", ""]
        lines += map(str, self.reasons)
        lines += ["", *(_indented(f"- {note}", 2, "") for note in self.notes)] if self.notes else []
        return "\n".join([*lines, "", "ja.fit(recommendation.recipe, (x, y), validation=(x_val, y_val), key=key)"])


def _indented(text: str, indent: int, first: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=" " * indent)


def show_number(value: float) -> str:
    """A number as people write it."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
