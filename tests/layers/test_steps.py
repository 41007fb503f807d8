"""Position by position: `start` and `step` of a layer of the tests' own, and through the layers made of layers."""

from __future__ import annotations

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import layers, models
from jaxann.core import Layer, LayerFunctions, factory
from jaxann.core.checks import check_integer
from jaxann.core.keys import fold_name
from tests.contract import assert_input_error

BATCH, TIME, FEATURES = 3, 7, 5


@factory(Layer, static=("units",))
def recurrent(units: int):
    """h' = tanh(x W + h U + b), y = h'; where a position is padding h stays as it is."""
    check_integer("recurrent", "units", units)

    def init(key, spec):
        shapes = {"w": (spec.shape[-1], units), "u": (units, units), "b": (units,)}
        return {n: 0.5 * jax.random.normal(fold_name(key, n), s, spec.dtype) for n, s in shapes.items()}, {}

    def start(params, batch):
        return jnp.zeros((batch, units), params["u"].dtype)

    def step(params, h, x):
        bias = jnp.broadcast_to(params["b"], (x.shape[0], units))
        h = jnp.tanh(x @ params["w"] + h @ params["u"] + bias)
        return h, h

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        def body(h, at):
            value, real = at
            after, _ = step(params, h, value)
            h = jnp.where(jnp.broadcast_to(real[:, None], h.shape), after, h)
            return h, h

        real = jnp.ones(x.shape[:2], bool) if sequence_mask is None else sequence_mask.astype(bool)
        _, ys = jax.lax.scan(body, start(params, x.shape[0]), (jnp.swapaxes(x, 0, 1), real.T))
        return jnp.swapaxes(ys, 0, 1), state

    return LayerFunctions(init, apply, start=start, step=step)


def _fresh(model: Layer, x: jax.Array, seed: int = 1) -> tuple[Any, Any]:
    """Parameters, and statistics that are those of no init."""
    params, state = model.init(jax.random.key(seed), x)
    return params, jax.tree.map(lambda a: a + 0.3, state)


def _x(*shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(0), shape or (BATCH, TIME, FEATURES))


def _stepped(model: Layer, params: Any, state: Any, x: Any) -> Any:
    """What comes out of one position after the other."""
    carry = model.start(params, BATCH, state=state)

    @jax.jit
    def step(carry, x):
        return model.step(params, carry, x, state=state)

    ys = []
    for t in range(TIME):
        y, after = step(carry, jax.tree.map(lambda a, t=t: a[:, t], x))
        chex.assert_trees_all_equal_shapes_and_dtypes(after, carry)
        carry = after
        ys.append(y)
    return jax.tree.map(lambda *a: jnp.stack(a, 1), *ys)


def _in_sequence() -> Layer:
    return layers.sequential(
        {"dense": layers.dense(4), "rnn": recurrent(6), "norm": layers.batch_norm(), "out": layers.dense(2)}
    )


MODELS = {
    "sequential": _in_sequence,
    "nested": lambda: layers.sequential({"a": _in_sequence(), "drop": layers.dropout(0.5), "b": recurrent(3)}),
    "residual": lambda: layers.residual(recurrent(FEATURES)),
    "two sides": lambda: layers.residual(layers.dense(4), recurrent(4)),
    "stochastic depth": lambda: layers.stochastic_depth(recurrent(4), 0.5, skip=layers.dense(4, use_bias=False)),
    "branch": lambda: layers.branch({"a": recurrent(4), "b": layers.dense(3)}),
    "joined": lambda: layers.sequential(
        {"two": layers.branch({"a": recurrent(4), "b": layers.dense(3)}), "join": layers.concatenate()}
    ),
    "mlp": lambda: layers.sequential({"rnn": recurrent(4), "head": models.mlp((5, 2), dropout=0.3, batch_norm=True)}),
    "convolution": lambda: layers.conv(4, (3,), padding=((4, 0),), dilation=2),
    "groups": lambda: layers.conv(10, (2,), padding=((1, 0),), groups=5, use_bias=False),
    "depthwise": lambda: layers.depthwise_conv((3,), padding=((2, 0),), multiplier=2),
    "one place": lambda: layers.residual(layers.conv(FEATURES, (1,))),
    "weight norm": lambda: layers.weight_norm(layers.conv(4, (3,), padding=((2, 0),))),
    "temporal": lambda: models.temporal_conv_net(2, filters=(4, 4, 3), kernel_size=2, rate=0.5),
    "custom": lambda: layers.sequential({"own": layers.as_layer(Foreign()), "out": layers.dense(2)}),
}


class Foreign:
    """A running sum, by an object of another kind."""

    def init(self, key, spec):
        return {"scale": jnp.ones((), spec.dtype)}, {}

    def apply(self, params, state, x, *, key=None, train=False, sequence_mask=None):
        return params["scale"] * jnp.cumsum(x, 1), state

    def start(self, params, batch, state):
        return jnp.zeros((batch, FEATURES))

    def step(self, params, carry, x):
        return params["scale"] * (carry + x), carry + x


@pytest.mark.parametrize("name", MODELS)
def test_step_by_step_equals_the_whole_sequence(name: str):
    model, x = MODELS[name](), _x()
    assert model.carries
    params, state = _fresh(model, x)
    before = jax.tree.map(np.array, state)
    whole, after = model.apply(params, state, x)
    chex.assert_trees_all_close(_stepped(model, params, state, x), whole, rtol=1e-6, atol=1e-6)
    chex.assert_trees_all_equal(after, before)
    chex.assert_trees_all_equal(state, before)


def test_parallel_steps_through_several_inputs():
    model = layers.parallel({"a": recurrent(4), "b": layers.dense(3)})
    x = {"a": _x(), "b": _x(BATCH, TIME, 2)}
    params, state = _fresh(model, x)
    chex.assert_trees_all_close(
        _stepped(model, params, state, x), model.apply(params, state, x)[0], rtol=1e-6, atol=1e-6
    )


def test_padded_positions_keep_what_is_carried():
    model, x = _in_sequence(), _x()
    params, state = _fresh(model, x)
    mask = jnp.arange(TIME)[None] < jnp.array([[7], [2], [4]])
    y, _ = model.apply(params, state, x, sequence_mask=mask)
    plain, _ = model.apply(params, state, x)
    real = np.broadcast_to(np.asarray(mask)[..., None], y.shape)
    np.testing.assert_array_equal(np.asarray(y)[real], np.asarray(plain)[real])
    np.testing.assert_array_equal(y[1, 2:], np.broadcast_to(y[1, 1], (5, 2)))


def test_what_carries_and_what_is_positionwise():
    for build in MODELS.values():
        assert build().carries and "positionwise" not in build().traits
    plain = [
        layers.residual(layers.dense(3)),
        layers.sequential({}),
        models.mlp((3, 2), batch_norm=True, dropout=0.5),
        models.tabm((3, 2), members=2),
        layers.branch({"a": layers.dense(2)}),
    ]
    for model in plain:
        assert not model.carries and "positionwise" in model.traits
        assert_input_error(lambda m=model: m.start({}, 3), "start")
        assert_input_error(lambda m=model: m.step({}, {}, None), "step")
    assert "positionwise" not in layers.sequential({"flat": layers.flatten()}).traits


def test_a_convolution_that_sees_what_comes_later_carries_nothing():
    for given in ({}, {"padding": 1}, {"padding": ((2, 1),)}, {"padding": ((1, 0),)}, {"padding": "valid"},
                  {"padding": ((2, 0),), "stride": 2}, {"padding": ((2, 0),), "dilation": 2}):  # fmt: skip
        assert not layers.conv(4, (3,), **given).carries
    assert not layers.conv(4, 1).carries and not layers.conv(4, 3, padding=((2, 0), (2, 0))).carries
    model = layers.conv(4, (3,), padding=((2, 0),))
    params, _ = model.init(jax.random.key(0), _x())
    carry = model.start(params, BATCH)
    assert_input_error(lambda: model.step(params, carry, _x()), "x", given="shape (3, 7, 5)")
    assert_input_error(lambda: model.step(params, carry, np.ones((BATCH, FEATURES), np.int32)), "x", given="int32")


def test_layer_that_mixes_positions_is_refused_by_name():
    model = layers.sequential({"rnn": recurrent(4), "all": layers.flatten()})
    params, state = _fresh(model, _x())
    assert_input_error(lambda: model.start(params, BATCH), "layers['all']", given="flatten()")
    carry, first = {"rnn": jnp.zeros((BATCH, 4))}, _x()[:, 0]
    assert_input_error(lambda: jax.eval_shape(lambda x: model.step(params, carry, x)[0], first), "layers['all']")
    deeper = layers.residual(layers.sequential({"rnn": recurrent(5)}), layers.sequential({"pool": layers.flatten()}))
    params, state = _fresh(layers.residual(layers.sequential({"rnn": recurrent(5)}), layers.dense(5)), _x())
    assert_input_error(lambda: deeper.start(params, BATCH), "layers['skip']")


def test_state_may_be_left_out_where_there_is_none():
    model = layers.sequential({"rnn": recurrent(4), "inner": layers.sequential({"out": layers.dense(2)})})
    x = _x()
    params, state = model.init(jax.random.key(1), x)
    carry = model.start(params, BATCH)
    y, _ = model.step(params, carry, x[:, 0])
    np.testing.assert_array_equal(y, model.step(params, carry, x[:, 0], state=state)[0])
    normed = _in_sequence()
    params, state = normed.init(jax.random.key(1), x)
    carry, first = normed.start(params, BATCH), x[:, 0]
    assert_input_error(
        lambda: jax.eval_shape(lambda c, v: normed.step(params, c, v)[0], carry, first),
        "state",
        expected="'norm' has one",
    )


def _nothing(*args: Any, **keywords: Any) -> Any:
    return {}, {}


def test_custom_layer_of_functions_carries_and_shows_its_children():
    own = recurrent(4).functions
    layer = layers.custom(own.init, own.apply, start=own.start, step=own.step)
    again = layers.custom(own.init, own.apply, start=own.start, step=own.step)
    assert layer == again and hash(layer) == hash(again) and layer.carries
    params, state = layer.init(jax.random.key(0), _x())
    np.testing.assert_allclose(
        _stepped(layer, params, state, _x()), layer.apply(params, state, _x())[0], rtol=1e-6, atol=1e-6
    )
    child = layers.dense(3)
    outer = layers.custom(_nothing, _nothing, children={"inside": child}, traits=("chain",))
    assert dict(outer.children) == {"inside": child} and "chain" in outer.traits
    assert outer == layers.custom(_nothing, _nothing, children={"inside": layers.dense(3)}, traits=["chain"])
    assert outer != layers.custom(_nothing, _nothing, traits=("chain",))
    assert_input_error(lambda: layers.custom(_nothing, _nothing, step=_nothing), "start", given="None")
    assert_input_error(lambda: layers.custom(_nothing, _nothing, traits=("carries",)), "traits", given="carries")
