"""What the pictures of the learn scripts share: colours, axes for lines, a heading, a folder to write to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from jaxann.plot.canvas import GRID, INK, QUIET, new_figure, quiet

ROOT = Path(__file__).resolve().parent.parent
# Told apart by people who do not see red and green (after Okabe and Ito 2008).
BLUE, ORANGE, GREEN, PINK, SKY, AMBER = "#0072b2", "#d55e00", "#00916a", "#cc79a7", "#56b4e9", "#e69f00"


def folder(text: str, arguments: list[str] | None) -> Path:
    """The folder named by `--out`; the first line of the script's text is its help."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "learn", help="folder for the picture")
    return parser.parse_args(arguments).out


def begin(width: float, height: float, title: str, note: str) -> Any:
    """A figure with its message above and a line of explanation below."""
    figure = new_figure("learn", width, height)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=14, fontweight="bold")
    figure.supxlabel(note, x=0.01, ha="left", color=QUIET, fontsize=10)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    return figure


def lines(axes: Any, title: str, x: str, y: str = "") -> None:
    """Axes for curves: a grey grid, a floor, labels."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color=GRID)
    axes.set_axisbelow(True)
    quiet(axes, title)
    axes.tick_params(which="minor", length=0)
    axes.spines["bottom"].set(visible=True, color=QUIET)


def frame(axes: Any, title: str) -> None:
    """Axes for a plane: a thin box around it."""
    quiet(axes, title)
    for spine in axes.spines.values():
        spine.set(visible=True, color=GRID)


def key(where: Any, **place: Any) -> None:
    """The legend, without a box."""
    where.legend(frameon=False, fontsize=9, labelcolor=INK, **place)


def save(figure: Any, out: Path, name: str) -> None:
    """Write the picture and say where it is."""
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / f"{name}.png")
    print(f"Drew {out / name}.png")
