"""Tables of former versions: they load with every number exact, and rank as they did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import jaxann as ja
from tests.golden import write

FILES = sorted(Path(write.__file__).parent.glob("table_*.json"))


def test_there_is_a_golden_table_of_the_first_version():
    assert "table_0.1.0" in [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_table_is_what_was_written(path: Path, tmp_path: Path):
    table, expected = ja.tune.load_table(path), write.table()
    assert (table.monitor, table.mode) == (expected.monitor, expected.mode)
    assert table.scores.keys() == expected.scores.keys()
    for name, figures in expected.scores.items():
        np.testing.assert_array_equal(table.scores[name], figures)
    np.testing.assert_array_equal(table.epochs, expected.epochs)
    np.testing.assert_array_equal(table.rounds, expected.rounds)
    assert table.best == expected.best
    assert table.best["optimizer"] == ja.optimizers.adam(1e-3) and table.best["widths"] == (4, 2)
    np.testing.assert_array_equal(table.order, [0, 2, 1])
    table.save(tmp_path / "again.json")
    assert ja.tune.load_table(tmp_path / "again.json").best == expected.best
