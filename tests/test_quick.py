"""The quick run takes what exists, a slice of every room, and the tests of what was changed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scripts.total import summary
from tests import quick
from tests.catalogue import ACTIVATIONS, LOSSES, PRODUCTS
from tests.conftest import THOROUGH

ROOT = Path(__file__).resolve().parent.parent


def test_thorough_names_tests_that_exist():
    for name in THOROUGH:
        file, _, test = name.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert not test or test.partition("[")[0] in found, name


def test_quick_names_files_and_rows_that_exist():
    assert not [file for file in quick.FILES if not (ROOT / file).is_file()]
    assert not set(quick.ROWS) - {row.name for row in [*ACTIVATIONS, *LOSSES, *PRODUCTS]}


def test_quick_has_a_slice_of_every_room():
    rooms = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")} - {"scripts"}
    contracts = {path.stem.removeprefix("test_contracts_") for path in (ROOT / "tests").glob("test_contracts_*.py")}
    whole = {Path(file).parent.name for file in quick.FILES}
    assert not rooms - whole - contracts
    rows = {row.split(".")[0] for row in quick.ROWS}
    assert not contracts - rows - {"augment"} and "data.mixup" in quick.ROWS


@pytest.mark.parametrize(
    ("test", "taken"),
    [
        ("tests/test_contracts_optimizers.py", True),
        ("tests/test_contracts_optimizers.py::test_optimizer_takes_zero_gradients[optimizers.adam]", True),
        ("tests/test_contracts_optimizers.py::test_optimizer_takes_zero_gradients[optimizers.adamw]", False),
        ("tests/test_contracts_layers.py::test_layer_refuses_integers[int32-layers.dense-train]", True),
        ("tests/test_contracts.py::test_catalogue_is_complete", True),
        ("tests/optimizers/test_spirals.py", False),
        ("tests/tune/test_bayes.py::test_anything", True),
    ],
)
def test_quick_takes(test: str, taken: bool):
    assert quick.takes(test, frozenset({"tests/tune/test_bayes.py"})) is taken


def test_quick_finds_the_tests_of_a_changed_file():
    assert quick.mirrors("jaxann/schedules/cosine.py") == {"tests/schedules/test_cosine.py"}
    assert quick.mirrors("jaxann/optimizers/__init__.py") == {"tests/test_contracts_optimizers.py"}
    assert quick.mirrors("tests/losses/test_edges.py") == {"tests/losses/test_edges.py"}
    assert len(quick.mirrors("jaxann/neuron/no_such_file.py")) == len(list((ROOT / "tests/neuron").glob("test_*.py")))
    assert quick.mirrors("README.md") == set()


def test_the_summary_adds_up():
    counts = {"passed": 5800, "skipped": 3, "failed": 1, "deselected": 9000, "": 7}
    line = summary({"counts": counts, "failed": ["tests/a.py::test_b"]}, 605).splitlines()
    assert line[0] == "FAILED tests/a.py::test_b"
    assert line[1].strip("= ") == "1 failed, 5800 passed, 3 skipped in 605.00s (0:10:05)"
    assert summary({"counts": {}, "failed": []}, 2).strip("= ") == "no tests ran in 2.00s (0:00:02)"
