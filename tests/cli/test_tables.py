"""Tables that a shell hands over: another separator and rows of nothing are told what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jaxann.cli.inputs import read_row
from tests.contract import assert_input_error


def _file(folder: Path, text: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "separator"),
    [("1;2;3\n", "semicolons"), ("a;b;c\n1;2;3\n", "semicolons"), ("1,5;2,5\n", "semicolons"), ("1\t2\n", "tabs")],
)
def test_another_separator_is_named(tmp_path: Path, text: str, separator: str):
    told = {"expected": "separated by commas", "given": separator}
    assert_input_error(lambda: read_row(_file(tmp_path, text), 0), "--data", **told)


@pytest.mark.parametrize("text", ["a,b,c\n,,\n1,2,3\n", "1,2,3\n,,\n"])
def test_a_row_of_empty_cells_is_a_row_without_numbers(tmp_path: Path, text: str):
    row = 1 if text[0] == "1" else 0
    assert_input_error(lambda: read_row(_file(tmp_path, text), row), f"row {row} of --data", given="''")


def test_a_first_row_of_empty_cells_is_no_line_of_names(tmp_path: Path):
    path = _file(tmp_path, ",,\n1,2,3\n")
    assert_input_error(lambda: read_row(path, 0), "row 0 of --data", given="''")
    np.testing.assert_array_equal(read_row(path, 1).values, [1, 2, 3])


def test_empty_lines_are_no_rows(tmp_path: Path):
    found = read_row(_file(tmp_path, "a;b,c\n\n1,2\n  \n3,4\n"), 1)
    assert found.names == ("a;b", "c")
    np.testing.assert_array_equal(found.values, [3, 4])
