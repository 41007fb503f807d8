"""Estimators of raw tables: a table with every wart at once, nets of one's own, members, files."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann.estimators import TabularClassifier, TabularRegressor
from jaxann.estimators.tabular_defaults import FEW_ROWS, default_recipe
from tests.estimators.test_tables import warts

pytestmark = pytest.mark.filterwarnings("ignore:.*column 'town' did not occur in fit")
ROOT = Path(__file__).resolve().parents[2]
FRAME, NEW = warts(), warts(30, seed=5).assign(town="never seen")
Y = np.nan_to_num(FRAME["number"].to_numpy()) * 3 + FRAME["flag"].to_numpy()
LABELS = np.where(np.random.default_rng(2).random(len(Y)) < 0.15, "rich", "poor")


@pytest.fixture(scope="module")
def regressor() -> TabularRegressor:
    with pytest.warns(UserWarning, match=r"left out of X: 'row' \(counts the rows\); 'copy' \(a copy of 'number'\)"):
        return TabularRegressor(epochs=40, random_state=0).fit(FRAME, Y)


def test_a_table_with_every_wart_is_learned_and_new_rows_are_predicted(regressor: TabularRegressor):
    assert regressor.score(FRAME, Y) > 0.9
    assert set(regressor.dropped_) == {"row", "copy", "name", "constant", "nothing"}
    with pytest.warns(UserWarning, match="100% of the values of column 'town' did not occur in fit"):
        assert np.isfinite(regressor.predict(NEW)).all()
    disagreement = regressor.predict_doubt(NEW)  # of the members inside the net
    assert disagreement.shape == (30,) and (disagreement > 0).all()


def test_a_file_reads_raw_tables_and_predicts_the_same_bits(regressor: TabularRegressor, tmp_path: Path):
    regressor.save(tmp_path / "table.safetensors")
    again = TabularRegressor.load(tmp_path / "table.safetensors")
    np.testing.assert_array_equal(again.predict(NEW), regressor.predict(NEW))
    assert again.dropped_ == regressor.dropped_
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(regressor)).predict(NEW), regressor.predict(NEW))
    code = (
        "import sys, numpy as np; from jaxann.estimators import TabularRegressor;"
        "from tests.estimators.test_tables import warts; x = warts(30, seed=5).assign(town='never seen');"
        "np.save(sys.argv[1] + '/p.npy', TabularRegressor.load(sys.argv[1] + '/table.safetensors').predict(x))"
    )
    # compiled as in this process, which the flags and the number of devices say
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "2"}
    environment |= {"JAX_DISABLE_MOST_OPTIMIZATIONS": str(int(jax.config.read("jax_disable_most_optimizations")))}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment, cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), regressor.predict(NEW))


def test_columns_are_those_of_training_by_name(regressor: TabularRegressor):
    with pytest.raises(ValueError, match="feature names"):
        regressor.predict(NEW[NEW.columns[::-1]])


def test_a_rare_class_counts_as_told_and_a_net_of_ones_own_is_trained():
    net = ja.models.mlp((8, 2))
    settings = {"net": net, "epochs": 10, "random_state": 0, "optimizer": ja.optimizers.adam(1e-2)}
    with pytest.warns(UserWarning, match="left out of X"):
        plain = TabularClassifier(**settings).fit(FRAME, LABELS, validation=(FRAME, LABELS))
        even = TabularClassifier(class_weight="balanced", **settings).fit(FRAME, LABELS, validation=(FRAME, LABELS))
    rare = list(plain.classes_).index("rich")
    shares = [model.predict_proba(FRAME)[:, rare].mean() for model in (plain, even)]
    assert shares[0] < 0.3 < 0.4 < shares[1]
    assert "validation_loss" in plain.history_ and plain.predict_proba(NEW).shape == (30, 2)


def test_defaults_go_by_the_rows():
    few, many = (default_recipe("regression", rows=rows) for rows in (FEW_ROWS - 1, FEW_ROWS))
    assert few.recipe.stopping is None and (few.members, few.validation) == (1, 0.0)
    assert many.recipe.stopping is not None and (many.members, many.validation) == (4, 0.125)
    given = default_recipe("classification", rows=100, width=3, epochs=7, batch_size=32)
    assert (given.epochs, given.batch_size) == (7, 32)
