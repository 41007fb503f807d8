"""The commands, their options, and what becomes of an error: exit code 2 and one message, without a traceback."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxann.cli.costs import loss_names
from jaxann.cli.explaining import account, errata
from jaxann.cli.mapping import draw_map
from jaxann.cli.terminal import console, needed
from jaxann.core.errors import CheckpointError, InputError, MissingDependencyError

if TYPE_CHECKING:
    from typer import Typer

__all__ = ["build", "main"]

_WELCOME = """[bold]jaxann[/bold]: neural networks on JAX, every number visible.

  [bold cyan]jaxann explain[/bold cyan]
      a training step of a small net, number by number
  [bold cyan]jaxann explain --digits 15[/bold cyan]
      the same with every digit
  [bold cyan]jaxann explain --html net.html[/bold cyan]
      and as a page, with a drawing of the net
  [bold cyan]jaxann explain --example 2-2-1-slope-2[/bold cyan]
      variants of the net: 2-2-1-cross-entropy, 2-2-1-slope-2
  [bold cyan]jaxann explain --example lstm[/bold cyan]
      a step of an LSTM and its way back through time; attention: one head
  [bold cyan]jaxann explain --model net.safetensors --data rows.csv --row 3[/bold cyan]
      a net of your own, saved by jaxann.save, on a row of your own data
  [bold cyan]jaxann explain --errata[/bold cyan]
      mistakes that are commonly printed, each checked while you read
      (--errata E3 for one, --errata all for all)
  [bold cyan]jaxann map net.safetensors --data rows.csv --out map.html[/bold cyan]
      the net as boxes and lines, with what each layer makes of the rows

Every command has --help. In Python: [bold]import jaxann as ja[/bold], then
[bold]print(ja.explain(recipe, params, x, y))[/bold].
"""


def build() -> Typer:
    """The typer application; bad input ends it with a message and exit code 2.

    Raises:
        MissingDependencyError: typer or rich is not installed.
    """
    typer = needed("typer")
    needed("rich")
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    option, argument = typer.Option, typer.Argument

    def start(context: Any, version: bool = option(False, "--version", help="Print the version and leave.")) -> None:
        """Neural networks on JAX, every number visible."""
        if version:
            console().print(f"jaxann {getattr(sys.modules['jaxann'], '__version__', 'unknown')}")
        elif context.invoked_subcommand is None:
            console().print(_WELCOME, end="")

    # typer reads the types of arguments from here; its own class is not known where this module is imported.
    start.__annotations__["context"] = typer.Context
    app.callback(invoke_without_command=True)(start)

    def explain(
        context: Any,
        which: str = argument(None, metavar="[E3|all]", help="With --errata: one row, or all of them."),
        example: str = option(None, help="2-2-1 (the default), 2-2-1-cross-entropy, 2-2-1-slope-2, lstm or attention."),
        model: Path = option(None, help="A model of your own, written by jaxann.save."),  # noqa: B008
        data: Path = option(None, help="Comma-separated numbers: the inputs, then the targets."),  # noqa: B008
        row: int = option(None, help="Row of --data, counted from 0. [default: 0]"),
        loss: str = option(None, help="Name of a loss, in place of the example's own. For a --model it is "
                                      "softmax_cross_entropy where the target is one class of several, "
                                      "else half_squared_error."),
        learning_rate: float = option(0.5, help="Length of the step."),
        digits: int = option(6, help="Significant digits, 2 to 17."),
        html: Path = option(None, help="Write the account to this file too, with a drawing."),  # noqa: B008
        train: bool = option(False, help="As in training: with dropout, and batch norm by the statistics of the row; "
                                         "else as the model predicts."),
        seed: int = option(None, help="With --train: what its random numbers are drawn from. [default: 0]"),
        wrong: bool = option(False, "--errata", help="Mistakes that are commonly printed, checked as you read."),
    ) -> None:  # fmt: skip
        """One forward pass, one backward pass and one step of gradient descent, every number written out."""
        with _reported(typer):
            if wrong:
                more = [name for name in _given(context) if name not in ("which", "wrong")]
                if more:
                    option_name = f"--{more[0].replace('_', '-')}"
                    raise InputError(f"explain: --errata must come without {option_name}, got both.")
                errata(which)
            elif which is not None:
                raise InputError(f"explain: {which!r} must come with --errata.\nFor a variant: --example {which}.")
            else:
                account(example, model, data, row, loss, learning_rate, digits, html, train, seed)

    explain.__annotations__["context"] = typer.Context
    app.command("explain", epilog=f"Losses: {', '.join(loss_names())}.")(explain)

    def draw(
        model: Path = argument(..., metavar="FILE", help="A model of your own, written by jaxann.save."),  # noqa: B008
        data: Path = option(..., help="Comma-separated numbers: the inputs, then the targets."),  # noqa: B008
        out: Path = option(Path("map.html"), help="File to write the page to."),  # noqa: B008
        loss: str = option(None, help="Name of a loss: softmax_cross_entropy where the target is one class of several, "
                                      "else half_squared_error."),
        learning_rate: float = option(0.01, help="Of the step of gradient descent whose length is shown."),
        examples: int = option(8, help="How many of the first rows can be picked on the page."),
    ) -> None:  # fmt: skip
        """The net as a page: a box for each layer with its figures, its gradient, and what each example makes of it."""
        with _reported(typer):
            draw_map(model, data, out, loss, learning_rate, examples)

    app.command("map", epilog=f"Losses: {', '.join(loss_names())}.")(draw)

    return app


def _given(context: Any) -> list[str]:
    """What stands in the command itself, and is no default."""
    return [name for name in context.params if context.get_parameter_source(name).name == "COMMANDLINE"]


@contextlib.contextmanager
def _reported(typer: Any) -> Iterator[None]:
    """Bad input as one message and exit code 2; a check that does not hold as exit code 1."""
    try:
        yield
    except (InputError, CheckpointError) as error:
        _say(error)
        raise typer.Exit(2) from error
    except OSError as error:  # of `load`, a sentence with the path; of the system, only its whole text names it
        _say(error if error.filename is not None else error.strerror or error)
        raise typer.Exit(2) from error
    except ArithmeticError as error:
        _say(error)
        raise typer.Exit(1) from error


def _say(error: Exception | str) -> None:
    console(stderr=True).print(str(error), style="red", markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code: 0, 2 for bad input, 1 where a package is missing."""
    try:
        app = build()
    except MissingDependencyError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        app(args=None if arguments is None else list(arguments), prog_name="jaxann")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
