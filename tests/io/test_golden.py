"""Model files of former versions: they load, predict what they predicted, and stay as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import jaxann as ja
from tests.golden import write
from tests.tolerances import close

GOLDEN = Path(write.__file__).parent
FILES = sorted(GOLDEN.glob("*.safetensors"))

SHA256 = {
    "ensemble_0.1.0.safetensors": "092da4f2ce7e21f0",
    "mlp_0.1.0.safetensors": "0907607add8dac67",
    "nested_0.1.0.safetensors": "81f580ff1c6fb3b0",
    "residual_0.1.0.safetensors": "f7e70aae5b5ddecb",
    "tabm_0.1.0.safetensors": "e7abb95732cd21ad",
}


def test_golden_files_are_those_that_were_written():
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in FILES}
    assert found == SHA256


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_model_predicts_what_it_predicted(path: Path, tmp_path: Path):
    kind, version = path.stem.rsplit("_", 1)
    model, params, state = ja.load(path)
    assert model == write.models()[kind]
    with np.load(GOLDEN / f"predictions_{version}.npz") as predictions:
        expected = predictions[kind]
    predicted = ja.predict(model, params, state, write.inputs())
    assert predicted.dtype == expected.dtype
    np.testing.assert_allclose(predicted, expected, rtol=close("float32", "program"), atol=close("float32", "program"))
    again = tmp_path / "again.safetensors"
    ja.save(again, model, params, state)
    after = ja.load(again)
    assert after[0] == model
    np.testing.assert_array_equal(ja.predict(*after, write.inputs()), predicted)
