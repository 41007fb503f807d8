"""CATALOGUE.md: every activation, loss, optimizer and so on with its formula, its defaults and what its peers do.

    python -m scripts.catalogue            print it
    python -m scripts.catalogue --write    write CATALOGUE.md and the README's summary of it

All of it is read from the docstrings and signatures of what the tests' catalogue lists, so nothing is typed twice.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxann
from tests.catalogue import TABLES
from tests.optimizers.spirals import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
FILE, README = ROOT / "CATALOGUE.md", ROOT / "README.md"
BEGIN, END = "<!-- catalogue:begin -->", "<!-- catalogue:end -->"
HEAD = """# Catalogue

What each function and factory computes, its defaults, and where PyTorch, Keras and optax do otherwise. Written by
`python -m scripts.catalogue --write` from the docstrings, which say more: `help(jaxann.optimizers.adam)`.
"""


def resolved(name: str) -> Callable[..., Any]:
    """The public object of a catalogue row, such as `optimizers.adam`."""
    value: Any = jaxann
    for part in name.split("."):
        value = getattr(value, part)
    return value


def paragraphs(value: Any) -> list[str]:
    """The docstring's paragraphs, each on one line."""
    text = inspect.getdoc(value) or ""
    return [" ".join(block.split()) for block in text.split("\n\n")]


def formula(value: Any) -> str:
    """The first paragraph."""
    return paragraphs(value)[0]


def peers(value: Any) -> str:
    """What the paragraph `Peers: ...` says; nothing where there is none."""
    found = [block for block in paragraphs(value) if block.startswith("Peers: ")]
    return found[0].removeprefix("Peers: ") if found else ""


def defaults(value: Any) -> str:
    """The signature, without types."""
    shown = []
    for name, parameter in inspect.signature(value).parameters.items():
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = parameter.default
        named = getattr(default, "__name__", None) or repr(default)
        shown.append(star + name if default is parameter.empty else f"{name}={named}")
    return ", ".join(shown)


def table(names: list[str]) -> str:
    """One room's rows in alphabetical order."""
    lines = ["| name | formula | arguments and defaults | peers |", "|---|---|---|---|"]
    for name in sorted(names):
        value = resolved(name)
        cells = [f"`{name}`", formula(value), f"`{defaults(value)}`", peers(value)]
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines)


def catalogue() -> str:
    """The whole file."""
    tables = [f"## {title}: {len(names)}\n\n{table(names)}\n" for title, names in TABLES.items()]
    return HEAD + "\n" + "\n".join([*tables, spirals()])


def spirals() -> str:
    """For each optimizer a setting that works, from the test that runs it."""
    lines = ["| optimizer | epochs |", "|---|---|"]
    lines += [f"| `{setting.optimizer}` | {setting.epochs:,} |" for _, setting in sorted(SETTINGS.items())]
    head = (
        "With these each of them brings a 2-20-20-1 network with tanh to 95 % or more of the 194 points (Lang and\n"
        "Witbrock 1988), all points in every step, from the same start."
    )
    return f"## The two spirals: a setting of each optimizer\n\n{head}\n\n" + "\n".join(lines) + "\n"


def summary() -> str:
    """The README's table: how many there are in each room, and their names."""
    lines = ["| | | |", "|---|---|---|"]
    for title, names in TABLES.items():
        short = ", ".join(f"`{name.rpartition('.')[2]}`" for name in sorted(names))
        lines.append(f"| {title} | {len(names)} | {short} |")
    return "\n".join(lines)


def main() -> int:
    """Print the catalogue, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write CATALOGUE.md and the README's summary")
    if not parser.parse_args().write:
        print(catalogue())
        return 0
    FILE.write_text(catalogue())
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(f"{before}{BEGIN}\n{summary()}\n{END}{rest.partition(END)[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
