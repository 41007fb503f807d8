"""What is shown in a terminal: styles for the lines of an account, and the two packages that draw them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jaxann.core.errors import MissingDependencyError
from jaxann.teach.text import Line

__all__ = ["console", "needed", "show_lines", "width"]

_STYLES = {"title": "bold", "section": "bold cyan", "text": "dim", "warning": "bold red", "good": "green"}
_WIDEST = 80


def needed(package: str) -> Any:
    """typer or rich's `console` and `text`.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        if package == "typer":
            import typer

            return typer
        import rich.console
        import rich.text

        return rich
    except ImportError as error:
        raise MissingDependencyError('jaxann\'s command needs typer and rich: pip install "jaxann[cli]".') from error


def console(*, stderr: bool = False) -> Any:
    """A console that breaks no line by itself; without colour where nobody looks (a pipe, a file)."""
    return needed("rich").console.Console(highlight=False, soft_wrap=True, stderr=stderr)


def width(screen: Any) -> int:
    """Columns to write in: 80, or fewer on a narrow screen."""
    return max(40, min(_WIDEST, screen.width))


def show_lines(screen: Any, lines: Iterable[Line]) -> None:
    """Print lines in their styles, the result of a step in bold."""
    text = needed("rich").text.Text
    for line in lines:
        shown = text(line.text, style=_STYLES.get(line.kind, ""))
        if line.result:
            shown.append(line.result, style="bold green" if line.kind == "step" else "bold")
        screen.print(shown)
