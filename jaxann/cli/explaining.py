"""`jaxann explain`: an account, or the errata, in the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from jaxann.cli.costs import LABELS, ONE_NUMBER, loss_by_name, targets_of
from jaxann.cli.inputs import Task, read_task
from jaxann.cli.terminal import console, needed, show_lines, width
from jaxann.core.checks import check_integer, check_range, fail
from jaxann.core.errors import InputError
from jaxann.optimizers import sgd
from jaxann.teach import SEVERITIES, Check, Erratum, Figure, explain
from jaxann.teach import errata as rows
from jaxann.teach import example as worked
from jaxann.teach.steps import number, vector
from jaxann.teach.text import lines
from jaxann.train.recipe import recipe

__all__ = ["account", "errata"]

_LABELS = ("printed", "right")


def account(
    example: str | None,
    model: Path | None,
    data: Path | None,
    row: int | None,
    loss: str | None,
    learning_rate: float,
    digits: int,
    html: Path | None,
    train: bool,
    seed: int | None,
) -> None:
    """Show the account of an example, or of a model with a row of data; write the page where one is asked for."""
    check_range("explain", "--learning-rate", learning_rate, 0)
    if row is not None and data is None:
        raise InputError("explain: --row must come with --data, got it alone.")
    if seed is not None:
        if not train:
            raise InputError("explain: --seed must come with --train, got it alone.\nNothing is random otherwise.")
        check_integer("explain", "--seed", seed, 0)
        if seed >= 2**32:
            fail("explain", "--seed", "less than 2^32", seed)
    if (model is None) != (data is None):
        given, missing = ("--model", "--data") if data is None else ("--data", "--model")
        raise InputError(f"explain: {given} must come with {missing}, got it alone.")
    if model is not None and data is not None:
        if example is not None:
            raise InputError("explain: --example must be left out where there is a --model.")
        task = read_task(model, data, row or 0, loss)
    else:
        if loss in LABELS or loss in ONE_NUMBER:
            hint = targets_of(loss)
            fail("explain", "--loss", "a loss for an example's one output, whose target is 1", loss, hint=hint)
        chosen = worked("2-2-1" if example is None else example)
        cost = chosen.recipe.loss if loss is None else loss_by_name(loss)
        task = Task(chosen.recipe.model, chosen.params, None, chosen.x, chosen.y, cost, ())
    done = explain(
        recipe(task.model, task.loss, sgd(learning_rate)),
        task.params,
        task.x,
        task.y,
        state=task.state,
        names=task.names,
        digits=digits,
        train=train or model is None,  # nothing in an example knows the difference
        key=jax.random.key(seed or 0) if train else None,
    )
    if html is not None:  # first of all: what cannot be written is said before a long account, not below it
        try:
            html.write_text(done.html(), encoding="utf-8")
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"explain: --html must be a file that can be written, got {str(html)!r}: {reason}."
            ) from error
    screen = console()
    show_lines(screen, lines(done.title, done.text, done.sections, width(screen)))
    if html is not None:
        screen.print(f"\nWrote {html}: the same with a drawing of the net.", markup=False)


def errata(which: str | None) -> None:
    """Show rows of the errata, each with its check run now: those of severity S that have one, or those asked for.

    Raises:
        InputError: there is no such row.
        ArithmeticError: a check does not bear out what is said to be right.
    """
    chosen = rows("S" if which is None else which if which in ("all", "S", "I", "N") else which.upper())
    if which is None:
        chosen = tuple(row for row in chosen if row.check is not None)
    screen = console()
    text = needed("rich").text.Text
    broken = []
    for row in chosen:
        done = row.run()
        for label, line in _told(row, done, width(screen)):
            screen.print(text(line, style=label))
        screen.print()
        broken += [row.number] if done is not None and not done.holds else []
    if len(chosen) > 1:
        kinds = "; ".join(f"{letter}: {meaning}" for letter, meaning in SEVERITIES.items())
        more = " All rows: jaxann explain --errata all." if which is None else ""
        for line in textwrap.wrap(f"{len(chosen)} rows. {kinds}.{more}", width(screen)):
            screen.print(text(line, style="dim"))
    if broken:
        raise ArithmeticError(f"The check does not hold of {', '.join(broken)}.")


def _told(row: Erratum, done: Check | None, columns: int) -> Iterator[tuple[str, str]]:
    """A row's lines, each with its style."""
    yield "bold cyan", f"{row.number} ({row.severity})"
    for label, sentence in zip(_LABELS, (row.printed, row.right), strict=True):
        head = f"  {label:8}"
        style = "red" if label == "printed" else "green"
        for line in textwrap.wrap(sentence, columns, initial_indent=head, subsequent_indent=" " * len(head)):
            yield style, line
    if done is None:
        return
    for figure in done.figures:
        for line in textwrap.wrap(
            f"{figure.what} = {_shown(figure)}", columns, initial_indent=" " * 10, subsequent_indent=" " * 12
        ):
            yield "", line
    yield (
        ("bold" if done.holds else "bold red"),
        "          computed now: " + ("it holds" if done.holds else "IT DOES NOT HOLD"),
    )


def _shown(figure: Figure) -> str:
    """A figure's number with 8 digits; an array in its brackets."""
    value = np.asarray(figure.value)
    if value.dtype == bool:
        return "yes" if value else "no"
    if value.ndim < 2:
        return vector(value, 8, 6) if value.ndim else number(value, 8)
    return "[" + ", ".join(vector(row, 8, 6) for row in value) + "]"
