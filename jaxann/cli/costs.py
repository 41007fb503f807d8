"""The losses by name, and how many columns of a row are the target of each."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from jaxann import losses
from jaxann.core.checks import fail
from jaxann.core.tables import known_functions

__all__ = ["LABELS", "ONE_NUMBER", "SEVERAL_ROWS", "loss_by_name", "loss_names", "targets_of"]

# One target, the number of the class, for a model with an output for each class.
LABELS = ("multiclass_hinge", "poly1", "softmax_cross_entropy", "softmax_focal")

# One target, a number, for a model with so many outputs.
ONE_NUMBER = {"adaptive_barron": 3, "gaussian_nll": 2}

# They compare the outputs of several examples with each other, or take a sequence: nothing a row has.
SEVERAL_ROWS = (
    "contrastive",
    "cosine_embedding",
    "ctc",
    "info_nce",
    "nt_xent",
    "triplet",
    "triplet_hard",
    "triplet_semi_hard",
)


def _table() -> dict[str, Callable]:
    table = {name.removeprefix("losses."): f for name, f in known_functions().items() if name.startswith("losses.")}
    return {name: f for name, f in table.items() if getattr(losses, name, None) is f}


def loss_names() -> tuple[str, ...]:
    """The losses that fit one row of a table."""
    return tuple(sorted(set(_table()) - set(SEVERAL_ROWS)))


def loss_by_name(name: str, function: str = "explain") -> Callable:
    """The loss of that name.

    Raises:
        InputError: there is none, or it is none of a single row; the message points at the closest.
    """
    names = loss_names()
    if name in SEVERAL_ROWS:
        hint = f"{name} compares several examples with each other, or takes a sequence."
        fail(function, "--loss", "a loss of one row: its outputs and its targets", name, hint=hint)
    if name not in names:
        close = [n for n in names if n == name.lower()] or difflib.get_close_matches(name, names, 1)
        hint = (f"Did you mean {close[0]!r}? " if close else "") + f"All names: jaxann {function} --help."
        fail(function, "--loss", "the name of a loss", name, hint=hint)
    return _table()[name]


def targets_of(loss: str | None) -> str:
    """What the last columns of a table must be for a loss, in a sentence."""
    if loss is None:
        return "The last columns are the targets, as many as the model has outputs, or one for the number of the class."
    if loss in LABELS:
        return f"{loss} needs one target column, the number of the class, and a model with an output for each class."
    if loss in ONE_NUMBER:
        return f"{loss} needs one target column, and a model with {ONE_NUMBER[loss]} outputs."
    return f"{loss} needs as many target columns as the model has outputs."
