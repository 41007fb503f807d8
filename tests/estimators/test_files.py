"""Estimators in files: the same bits afterwards, also in another process; a damaged file is refused whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jaxann.core import CheckpointError, InputError
from jaxann.estimators import MLPClassifier, TabularRegressor
from tests.estimators.bad_inputs import ALL, CLASSIFIERS, LABELS, X, Y, bits, fitted, made, quiet


@pytest.mark.parametrize("name", ALL)
def test_what_is_read_predicts_the_same_bits(name: str, tmp_path: Path):
    one = quiet(lambda: made(name).fit(pd.DataFrame(X, columns=["a", "b", "c"]), Y[name]))
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    one.calibrate(frame, Y[name])
    one.save(tmp_path / "file")
    again = type(one).load(tmp_path / "file")
    np.testing.assert_array_equal(bits(again, frame), bits(one, frame))
    assert again.get_params() == {**one.get_params(), "random_state": 0} and again.n_features_in_ == 3
    assert list(again.feature_names_in_) == ["a", "b", "c"]
    method = "predict_set" if name in CLASSIFIERS else "predict_interval"
    np.testing.assert_array_equal(getattr(again, method)(frame), getattr(one, method)(frame))
    with pytest.raises(CheckpointError):
        (TabularRegressor if name == "MLPClassifier" else MLPClassifier).load(tmp_path / "file")


def test_in_another_process(tmp_path: Path):
    one = fitted("MLPClassifier")
    one.save(tmp_path / "file")
    np.save(tmp_path / "x.npy", X)
    code = (
        "import sys, numpy as np; from jaxann.estimators import MLPClassifier;"
        "np.save(sys.argv[1] + '/p.npy', MLPClassifier.load(sys.argv[1] + '/file').predict_proba("
        "np.load(sys.argv[1] + '/x.npy')))"
    )
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), one.predict_proba(X))


def test_damaged_files_are_refused(tmp_path: Path):
    fitted("MLPClassifier").save(tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    flipped = bytearray(content)
    flipped[-5] ^= 1
    for damaged in (b"", content[:7], content[: len(content) // 2], content[:-1], bytes(flipped), b"x" * 100):
        (tmp_path / "other").write_bytes(damaged)
        with pytest.raises(CheckpointError):
            MLPClassifier.load(tmp_path / "other")


def test_what_has_no_name_in_a_table_is_not_saved(tmp_path: Path):
    def activation(x: Any) -> Any:
        return x

    one = quiet(lambda: made("MLPClassifier", activation=activation).fit(X, LABELS))
    with pytest.raises(InputError, match="activation must be"):
        one.save(tmp_path / "file")
    assert not (tmp_path / "file").exists()
