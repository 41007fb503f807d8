"""Recurrent layers: against PyTorch over a grid of options, the backward rules against autodiff, steps, dropout."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import backprop, layers, losses
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
BATCH, TIME, FEATURES, UNITS = 4, 6, 3, 5
X = RANDOM.normal(size=(BATCH, TIME, FEATURES))
LENGTHS = np.array([6, 1, 4, 3])
MASK = np.arange(TIME) < LENGTHS[:, None]
KINDS = {
    "rnn": {},
    "relu": {"activation": "relu"},
    "lstm": {},
    "projected": {"projection": 2},
    "gru": {},
}
FACTORY = {"rnn": layers.rnn, "relu": layers.rnn, "lstm": layers.lstm, "projected": layers.lstm, "gru": layers.gru}


def _layer(kind: str, **more: Any) -> Any:
    return FACTORY[kind](UNITS, **KINDS[kind], **more)


def _model(kind: str, both_ways: bool, depth: int, **more: Any) -> Any:
    one = (lambda: layers.bidirectional(_layer(kind, **more))) if both_ways else lambda: _layer(kind, **more)
    return layers.sequential({f"layer{i}": one() for i in range(depth)})


def _drawn(model: Any, x: Any = X) -> tuple[Any, Any]:
    params, state = model.init(jax.random.key(0), x)
    return jax.tree.map(lambda a: np.asarray(a) + 0.3 * RANDOM.normal(size=a.shape), params), state


NAMES = {"weight": "weight_ih", "recurrent": "weight_hh", "bias": "bias_ih", "recurrent_bias": "bias_hh",
         "projection": "weight_hr"}  # fmt: skip


def _torch_net(torch: Any, kind: str, both_ways: bool, depth: int, params: Any) -> tuple[Any, Any]:
    """PyTorch's module with our parameters, and its gradients in our form."""
    kinds = {"rnn": torch.nn.RNN, "relu": torch.nn.RNN, "gru": torch.nn.GRU}
    options = {"relu": {"nonlinearity": "relu"}, "projected": {"proj_size": 2}}.get(kind, {})
    module = kinds.get(kind, torch.nn.LSTM)(
        FEATURES, UNITS, depth, batch_first=True, bidirectional=both_ways, dtype=torch.float64, **options
    )
    ways = {"forward": "", "backward": "_reverse"} if both_ways else {"": ""}
    places = {}
    for (index, (way, end)), name in itertools.product(itertools.product(range(depth), ways.items()), NAMES):
        own = params[f"layer{index}"][way] if way else params[f"layer{index}"]
        if name in own:
            places[index, way, name] = tensor = getattr(module, f"{NAMES[name]}_l{index}{end}")
            tensor.data = torch.tensor(own[name].T.copy())

    def grads() -> Any:
        made: dict = {f"layer{i}": {way: {} for way in ways} if both_ways else {} for i in range(depth)}
        for (index, way, name), tensor in places.items():
            (made[f"layer{index}"][way] if way else made[f"layer{index}"])[name] = tensor.grad.numpy().T
        return made

    return module, grads


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("both_ways", [False, True], ids=["forward", "both ways"])
@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_layer_is_pytorchs(kind: str, both_ways: bool, depth: int, lengths: bool):
    torch = pytest.importorskip("torch")
    model = _model(kind, both_ways, depth)
    params, state = _drawn(model)
    module, torch_grads = _torch_net(torch, kind, both_ways, depth, params)
    x = torch.tensor(X, requires_grad=True)
    if lengths:
        rnn = torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
        y = rnn.pad_packed_sequence(module(packed)[0], batch_first=True, total_length=TIME)[0]
    else:
        y = module(x)[0]
    cotangent = RANDOM.normal(size=tuple(y.shape))
    y.backward(torch.tensor(cotangent))
    mask = MASK if lengths else None

    @quick_jit
    def ours(params, x, cotangent):
        y, vjp = jax.vjp(lambda p, x: model.apply(p, state, x, sequence_mask=mask)[0], params, x)
        return y, vjp(cotangent)

    found, wanted = ours(params, X, cotangent), (y.detach().numpy(), (torch_grads(), x.grad.numpy()))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), found, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_layer_is_pytorchs_in_float32(kind: str):
    torch = pytest.importorskip("torch")
    model, x = _model(kind, False, 1), X.astype(np.float32)
    params, state = model.init(jax.random.key(0), x)
    module, _ = _torch_net(torch, kind, False, 1, jax.tree.map(lambda p: np.asarray(p, float), params))
    wanted = module(torch.tensor(X))[0].detach().numpy()
    np.testing.assert_allclose(quick_jit(model.apply)(params, state, x)[0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("kind", KINDS)
def test_backward_through_time_is_autodiff(kind: str, masked: bool):
    """With dropout, in both directions, stacked, before a layer of the last position."""
    inner = layers.sequential({"rnn": _layer(kind, recurrent_dropout=0.4), "last": layers.last_position()})
    table = {
        "first": layers.bidirectional(_layer(kind, recurrent_dropout=0.3), merge="mean"),
        "second": _layer(kind),
        "third": layers.bidirectional(inner),
        "out": layers.dense(2),
    }
    model, mask = layers.sequential(table), MASK if masked else None
    params, state = _drawn(model)
    x, y, key = np.where(MASK[..., None] | (not masked), X, 1e3), RANDOM.normal(size=(BATCH, 2)), jax.random.key(1)

    @quick_jit
    def both(params, x):
        trace = backprop.backward(
            model, params, state, x, y, losses.squared_error, train=True, key=key, sequence_mask=mask
        )

        def cost(params, x):
            given, _ = model.apply(params, state, x, train=True, key=key, sequence_mask=mask)
            return jnp.mean((given - y) ** 2)

        return (trace.grads, trace.input_grad), jax.grad(cost, (0, 1))(params, x)

    ours, wanted = both(params, x)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
        assert np.asarray(other).any()


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_layer_goes_position_by_position(kind: str):
    model = layers.sequential({"a": _layer(kind, recurrent_dropout=0.5), "b": layers.dense(4), "c": _layer(kind)})
    x = jnp.asarray(X, jnp.float32)
    params, state = model.init(jax.random.key(3), x)
    carry, step, ys = model.start(params, BATCH), jax.jit(model.step), []
    for t in range(TIME):
        y, carry = step(params, carry, x[:, t])
        ys.append(y)
    np.testing.assert_allclose(jnp.stack(ys, 1), model.apply(params, state, x)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_dropout_draws_once_for_a_sequence(kind: str):
    """What is dropped at one position is dropped at all: that of one drawn mask, written out by `step`."""
    rate, x, key = 0.5, jnp.asarray(X, jnp.float32), jax.random.key(5)
    layer = _layer(kind, recurrent_dropout=rate)
    params, state = layer.init(jax.random.key(3), x)
    width = params["recurrent"].shape[0]
    kept = ja.ops.keep_mask(key, rate, (BATCH, width)).astype(jnp.float32) / (1 - rate)
    carry, ys = layer.start(params, BATCH), []
    for t in range(TIME):
        h = carry[0] if isinstance(carry, tuple) else carry
        dropped = (h * kept, *carry[1:]) if isinstance(carry, tuple) else h * kept
        if kind == "gru":  # whose h also stands outside the products
            z = x[:, t] @ params["weight"] + jnp.broadcast_to(params["bias"], (BATCH, 3 * UNITS))
            s = dropped @ params["recurrent"] + jnp.broadcast_to(params["recurrent_bias"], (BATCH, 3 * UNITS))
            r, u = (jax.nn.sigmoid((z + s)[:, i * UNITS : (i + 1) * UNITS]) for i in (0, 1))
            n = jnp.tanh(z[:, 2 * UNITS :] + r * s[:, 2 * UNITS :])
            y = carry = (1 - u) * n + u * h
        else:
            y, carry = layer.step(params, dropped, x[:, t])
        ys.append(y)
    found, _ = layer.apply(params, state, x, train=True, key=key)
    np.testing.assert_allclose(found, jnp.stack(ys, 1), rtol=1e-5, atol=1e-6)
    assert {0.0, 2.0} == set(np.unique(np.asarray(kept)))
    assert_input_error(lambda: layer.apply(params, state, x, train=True), "key", given="None")


def test_padding_stands_still_and_gives_zeros():
    layer = layers.lstm(UNITS)
    x = jnp.asarray(X, jnp.float32)
    params, state = layer.init(jax.random.key(0), x)
    y, _ = layer.apply(params, state, x, sequence_mask=MASK)
    plain, _ = layer.apply(params, state, x)
    np.testing.assert_array_equal(np.asarray(y)[MASK], np.asarray(plain)[MASK])
    assert not np.asarray(y)[~MASK].any()
    last, _ = layers.last_position().apply({}, {}, y, sequence_mask=MASK)
    np.testing.assert_array_equal(last, np.asarray(plain)[np.arange(BATCH), LENGTHS - 1])
    nothing, _ = layers.last_position().apply({}, {}, y, sequence_mask=np.zeros_like(MASK))
    assert not np.asarray(nothing).any()
    gap = np.ones_like(MASK)
    gap[:, 2] = False  # a hole in the middle: as if the position were not there
    held, _ = layer.apply(params, state, x, sequence_mask=gap)
    short, _ = layer.apply(params, state, jnp.delete(x, 2, 1))
    np.testing.assert_allclose(np.delete(held, 2, 1), short, rtol=1e-6, atol=1e-7)


def test_initial_distributions_and_forget_bias():
    spec = jax.ShapeDtypeStruct((1, 1, 7), jnp.float32)
    params, _ = layers.lstm(64, forget_bias=1.0, projection=9).init(jax.random.key(0), spec)
    shapes = {"weight": (7, 256), "recurrent": (9, 256), "bias": (256,), "recurrent_bias": (256,),
              "projection": (64, 9)}  # fmt: skip
    assert {name: p.shape for name, p in params.items()} == shapes
    for name in ("weight", "recurrent", "recurrent_bias", "projection"):
        assert 0.1 < np.abs(params[name]).max() <= 1 / 8
    bias = np.asarray(params["bias"]).reshape(4, 64)
    assert (np.abs(bias[[0, 2, 3]]) <= 1 / 8).all() and (np.abs(bias[1] - 1) <= 1 / 8).all()
    init = ja.initializers
    made, _ = layers.gru(
        6, kernel_init=init.glorot_uniform(), recurrent_init=init.orthogonal(), bias_init=init.zeros()
    ).init(jax.random.key(0), spec)
    for gate in np.split(np.asarray(made["recurrent"]), 3, 1):  # each by itself
        np.testing.assert_allclose(gate.T @ gate, np.eye(6), atol=1e-5)
    assert not np.asarray(made["bias"]).any()


def test_recurrent_layers_refuse_what_does_not_fit():
    layer, x = layers.gru(2), np.ones((2, 3, 4), np.float32)
    params, state = layer.init(jax.random.key(0), x)
    assert_input_error(lambda: layer.init(jax.random.key(0), x[0]), "spec", given="shape (3, 4)")
    carry, narrow = layer.start(params, 2), x.astype(jnp.bfloat16)
    for given, told in ((x[0], "shape (3, 4)"), (x[..., :3], "shape (2, 3, 3)"), (narrow, "bfloat16")):
        assert_input_error(lambda v=given: layer.apply(params, state, v), "x", given=told)
    assert_input_error(lambda: layer.step(params, carry, x), "x", given="shape (2, 3, 4)")
    empty = np.ones((2, 0, 4), np.float32)
    assert_input_error(lambda: layers.last_position().apply({}, {}, empty), "x", given="shape (2, 0, 4)")
    both = layers.sequential({"both": layers.bidirectional(layer)})
    params, state = both.init(jax.random.key(0), x)
    assert_input_error(lambda: both.start(params, 2), "start")


def test_both_ways_speak_of_the_same_position_whatever_is_inside():
    """Around layers that bring their positions along by name, around one that has ended them, around positions."""
    x, mask = jnp.asarray(X, jnp.float32), MASK
    inner = layers.sequential(
        {"two": layers.branch({"a": layers.gru(2), "b": layers.rnn(3)}), "j": layers.concatenate()}
    )
    plain = layers.sequential({"at": layers.sinusoidal_positions(), "rnn": layers.gru(4)})
    for layer in (inner, plain):
        both = layers.bidirectional(layer)
        params, state = both.init(jax.random.key(0), x)
        y, _ = both.apply(params, state, x, sequence_mask=mask)
        values = getattr(y, "values", y)
        for row, length in enumerate(LENGTHS):
            alone, _ = both.apply(params, state, x[row : row + 1, :length])
            np.testing.assert_allclose(values[row, :length], alone[0], rtol=1e-5, atol=1e-6)
            turned, _ = layer.apply(params["backward"], state["backward"], x[row : row + 1, :length][:, ::-1])
            np.testing.assert_allclose(alone[0, :, -turned.shape[-1] :], turned[0, ::-1], rtol=1e-5, atol=1e-6)
        if layer is inner:
            np.testing.assert_array_equal(y.mask, mask)
    heads = layers.bidirectional(layers.branch({"a": layers.gru(2)}), merge="sum")
    params, state = heads.init(jax.random.key(0), x)
    y, _ = heads.apply(params, state, x, sequence_mask=mask)
    np.testing.assert_array_equal(y["a"].mask, mask)


@pytest.mark.usefixtures("x64")
def test_backward_of_both_ways_around_a_branch_is_autodiff():
    inner = layers.sequential(
        {"two": layers.branch({"a": layers.gru(2), "b": layers.rnn(3)}), "j": layers.concatenate()}
    )
    model = layers.sequential(
        {"at": layers.learned_positions(9), "both": layers.bidirectional(inner), "out": layers.dense(2)}
    )
    params, state = _drawn(model)
    y = RANDOM.normal(size=(BATCH, TIME, 2))
    trace = backprop.backward(model, params, state, X, y, losses.squared_error)
    wanted = jax.grad(lambda p: jnp.mean((model.apply(p, state, X)[0] - y) ** 2))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13), trace.grads, wanted)


def test_both_ways_of_what_has_no_positions_left_are_not_turned():
    """A flattened sequence is longer for a longer one too, and is none."""
    both = layers.bidirectional(layers.sequential({"rnn": layers.gru(2), "flat": layers.flatten()}))
    x = X.astype(np.float32)
    params, state = both.init(jax.random.key(0), x)
    y, _ = both.apply(params, state, x)
    second, _ = layers.gru(2).apply(params["backward"]["rnn"], {}, x[:, ::-1])
    np.testing.assert_array_equal(y[:, 2 * TIME :], second.reshape(BATCH, -1))
