"""A file whose arrays are not those of the model that it describes is refused when it is read."""

from __future__ import annotations

import pathlib
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann.core import CheckpointError
from jaxann.io import checkpoints

KEY = jax.random.key(0)
X = jax.ShapeDtypeStruct((1, 3), np.float32)
MODEL = ja.models.mlp((4, 2), batch_norm=True)


def drawn(model: Any) -> tuple[Any, Any]:
    return jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), jax.eval_shape(lambda: model.init(KEY, X)))


PARAMS, STATE = drawn(MODEL)
MISFITS = {
    "another width": (drawn(ja.models.mlp((5, 2), batch_norm=True)), "params dense0.weight"),
    "other layers": (drawn(ja.models.mlp((4, 2))), "params norm0.bias"),
    "swapped": ((STATE, PARAMS), "params"),
    "a leaf too many": ((PARAMS | {"more": {"weight": np.zeros(2, np.float32)}}, STATE), "params more.weight"),
    "a population": (jax.tree.map(lambda a: np.stack([a, a]), (PARAMS, STATE)), "params"),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_load_refuses_arrays_that_are_none_of_the_model(kind: str, tmp_path: pathlib.Path, monkeypatch: Any):
    weights, named = MISFITS[kind]
    path = tmp_path / "model.safetensors"
    with monkeypatch.context() as patch:  # a file that another program wrote, or an older release
        patch.setattr(checkpoints, "disagreement", lambda *_: None)
        ja.save(path, MODEL, *weights)
    with pytest.raises(CheckpointError, match="as its model has it") as told:
        ja.load(path)
    assert named in str(told.value) and "model.safetensors" in str(told.value)


def test_load_takes_what_save_wrote(tmp_path: pathlib.Path):
    ja.save(tmp_path / "a", MODEL, PARAMS, STATE)
    _, params, state = ja.load(tmp_path / "a")
    assert jax.tree.structure((params, state)) == jax.tree.structure((PARAMS, STATE))
