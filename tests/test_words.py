"""Names of variables, functions, arguments, attributes and files are the field's plain words."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = tuple(name for name in ("jaxann", "tests", "scripts", "benchmarks") if (ROOT / name).is_dir())

# What a reader would need a glossary for, and what says it: no identifier is called so.
UNCLEAR = {
    "back": "vjp, or what it is the derivative of",
    "crew": "members, devices",
    "curves": "history",
    "descended": "gradient step",
    "doubt": "error bound",
    "fleet": "population",
    "held_out": "validation",
    "ingredients": "arguments",
    "lanes": "members",
    "law": "distribution",
    "laws": "distributions",
    "least": "minimum, lower bound",
    "looks_at_all": "a declared trait",
    "looks_elsewhere": "a declared trait",
    "memory": "state; of bytes, `memory_...`",
    "merged": "what it holds",
    "mix": "moving_average, interpolate",
    "outputs": "predictions, y",
    "parts": "what they are",
    "plan": "what it settles",
    "pruned": "what it holds",
    "pull": "vjp",
    "root": "square_root, inverse_root, folder",
    "seeds": "keys",
    "seen": "what was seen",
    "spelling": "format",
    "spread": "deviation, broadcast",
    "strong": "what it guarantees",
    "trained": "what was trained",
    "unbiasing": "bias_correction",
}
CLASSES = frozenset(("back", "seen", "trained"))  # unclear as the name of a class; ordinary words for a variable
FILES = frozenset(("recipes",))  # unclear as the name of a file: the word for several of what `recipe` makes
BEGINNINGS = ("deltas", "slopes")  # and whatever begins so
# A folder or file in which a word means something else, and what.
ALLOWED = {
    ("benchmarks", "memory"): "bytes",
    ("jaxann/diagnose", "memory"): "bytes",
    ("jaxann/train", "memory"): "bytes",
    ("jaxann/tune", "memory"): "bytes",
    ("tests/diagnose", "memory"): "bytes",
    ("tests/train", "memory"): "bytes",
    ("tests/tune", "memory"): "bytes",
}


def _identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that stands in a file, with its line."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for field in ("id", "attr", "arg", "name", "asname", "rest"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield from ((word, line) for word in value.split("."))
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((word, line) for word in node.module.split("."))
        elif isinstance(node, ast.Global | ast.Nonlocal):
            yield from ((word, line) for word in node.names)


def _unclear(identifier: str) -> str | None:
    """The word of the list that an identifier is, if it is one."""
    plain = identifier.strip("_")
    word = plain.lower()
    if word in CLASSES:
        return word if plain[:1].isupper() and not plain.isupper() else None
    if word in UNCLEAR and not plain.isupper():
        return word
    return next((start for start in BEGINNINGS if word.startswith(start)), None)


@functools.cache
def _found(path: Path) -> list[tuple[str, int, str]]:
    """(word, line, identifier) for each unclear one; line 0 is the file's own name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path.stem in FILES:
        return [(path.stem, 0, path.stem)]
    names = [(path.stem, 0), *((folder, 0) for folder in _name(path).split("/")[:-1]), *_identifiers(tree)]
    return [(word, line, name) for name, line in names if (word := _unclear(name)) is not None]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _files(place: str) -> list[Path]:
    return sorted((ROOT / place).rglob("*.py")) if (ROOT / place).is_dir() else [ROOT / place]


def _is_allowed(path: Path, word: str) -> bool:
    return any(word == other and f"{_name(path)}/".startswith(f"{place}/") for place, other in ALLOWED)


@pytest.mark.parametrize("folder", FOLDERS)
def test_identifiers_are_plain_words(folder: str):
    wrong = [
        f"{_name(path)}:{line}: {name} (say: {UNCLEAR.get(word, 'what it is the derivative of')})"
        for path in _files(folder)
        for word, line, name in _found(path)
        if not _is_allowed(path, word)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_exception_is_needed():
    for place, word in ALLOWED:
        assert any(word == found for path in _files(place) for found, _, _ in _found(path)), (place, word)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("crew = 1", "crew"),
        ("def f(*, held_out): ...", "held_out"),
        ("f(unbiasing=True)", "unbiasing"),
        ("x.looks_at_all", "looks_at_all"),
        ("class Trained: ...", "trained"),
        ("from jaxann.backprop.slopes_gates import y", "slopes"),
        ("import jaxann.train.fleet as z", "fleet"),
        ("_memory: int", "memory"),
        ("match x:\n    case {**parts}: ...", "parts"),
        ("lambda mix: 0", "mix"),
    ],
)
def test_a_word_is_found_wherever_it_stands(code: str, word: str):
    assert [found for name, _ in _identifiers(ast.parse(code)) if (found := _unclear(name))] == [word]


def test_plain_words_pass():
    code = "memory_bytes = out_of_memory = negative_slope = square_root = part = back = trained = 'crew'"
    assert not [name for name, _ in _identifiers(ast.parse(code)) if _unclear(name)]
