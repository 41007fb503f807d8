"""What the passes are given: odd but right, and wrong."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from jaxann import activations, backprop, layers, losses
from jaxann.backprop.registry import ACTIVATIONS, LAYERS, LOSSES
from jaxann.core.tables import known_factories
from jaxann.models import mlp
from tests import catalogue
from tests.contract import assert_input_error

CHAINS = {"layers.sequential", "layers.feed_forward", "layers.transformer_block"}  # which need no rule of their own
CE = losses.softmax_cross_entropy
MODEL = mlp((3, 2))
X, Y = np.ones((4, 5), np.float32), np.array([0, 1, 1, 0], np.int32)


@pytest.fixture(scope="module")
def net():
    return MODEL.init(jax.random.key(0), X)


def test_every_row_of_the_catalogue_has_a_rule():
    """No new layer, loss or activation without one; a model is a sequence inside, `custom` is your own."""
    short = lambda name: name.rpartition(".")[2]  # noqa: E731
    made = {row.name for row in catalogue.LAYERS if row.name.startswith("layers.")} - {"layers.custom", *CHAINS}
    assert {known_factories()[name].public for name in made} <= set(LAYERS)
    assert {row.name for row in catalogue.LOSSES} <= {f"losses.{getattr(f, '__name__', '')}" for f in LOSSES}
    without_vector = {"activations.log_sum_exp"} & {row.name for row in catalogue.ACTIVATIONS}
    names = {row.name for row in catalogue.ACTIVATIONS} - without_vector
    assert all(getattr(activations, short(name)) in ACTIVATIONS for name in names)


def test_lists_and_an_empty_batch_are_taken(net):
    of_lists = backprop.backward(MODEL, *net, X.tolist(), Y.tolist(), CE, weights=[1.0, 2.0, 0.0, 1.0])
    of_arrays = backprop.backward(MODEL, *net, X, Y, CE, weights=np.array([1, 2, 0, 1], np.float32))
    jax.tree.map(np.testing.assert_array_equal, of_lists.grads, of_arrays.grads)
    nothing = backprop.backward(MODEL, *net, X[:0], Y[:0], CE)
    assert float(nothing.loss) == 0 and not any(np.asarray(g).any() for g in jax.tree.leaves(nothing.grads))


def test_what_does_not_fit_is_named(net):
    params, state = net

    def call(params=params, state=state, x=X, y=Y, loss=CE, **settings):
        return backprop.backward(MODEL, params, state, x, y, loss, **settings)

    call()
    for weights in (2.0, np.ones((4, 1), np.float32), np.ones(3, np.float32)):
        with pytest.raises(ValueError, match="weights must be one for each example"):
            call(weights=weights)
    for bad in (None, {}, {"dense0": params["dense0"]}):
        assert_input_error(lambda bad=bad: call(params=bad), "params", expected="the model's")
        assert_input_error(lambda bad=bad: call(state=bad), "state")
    with pytest.raises(ValueError, match="one for each example"):
        call(x=X[0], y=np.int32(1))
    for dtype in ("foo", "int8"):
        assert_input_error(lambda d=dtype: backprop.value_and_grad(MODEL, CE, compute_dtype=d), "compute_dtype")


def test_a_sequence_without_a_layer_hands_the_gradient_on():
    trace = backprop.backward(layers.sequential({}), {}, {}, X[:, :2], Y, CE)
    np.testing.assert_allclose(trace.input_grad, (np.full((4, 2), 0.5) - np.eye(2)[Y]) / 4, rtol=1e-6)
