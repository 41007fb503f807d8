"""The modes a model is run in."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.core import TrainMode
from jaxann.core.modes import check_train
from tests.contract import assert_input_error


def test_modes_are_flags_or_one_of_two():
    assert check_train("apply", np.bool_(True)) is True and check_train("apply", False) is False
    assert check_train("apply", TrainMode.NOISE) is TrainMode.NOISE
    assert bool(TrainMode.STATISTICS)  # training, for a layer that knows neither


@pytest.mark.parametrize("mode", ["nosie", "noise", 1, None, 0.0])
def test_anything_else_is_refused_by_every_layer(mode):
    layer = ja.layers.dense(2)
    params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 3), jnp.float32))
    x = jnp.ones((2, 3))
    assert_input_error(lambda: layer.apply(params, state, x, train=mode), "train", expected="TrainMode")
    model = ja.layers.sequential({"dense": layer})
    assert_input_error(lambda: model.apply({"dense": params}, {"dense": {}}, x, train=mode), "train")


def test_a_traced_flag_is_refused():
    layer, x, key = ja.layers.dropout(0.5), jnp.ones((2, 3)), jax.random.key(0)

    def apply(train):
        return layer.apply({}, {}, x, key=key, train=train)[0]

    assert_input_error(lambda: jax.eval_shape(apply, np.array(True)), "train")
