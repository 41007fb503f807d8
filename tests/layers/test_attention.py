"""Attention: against PyTorch, brute force and closed forms; backward by hand; one position at a time; positions."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import backprop, layers, losses, ops
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
BATCH, TIME, FEATURES = 3, 6, 8
X = RANDOM.normal(size=(BATCH, TIME, FEATURES))
MASK = np.arange(TIME) < np.array([[6], [4], [1]])
OPTIONS = {
    "plain": {},
    "causal": {"causal": True},
    "window": {"causal": True, "window": 3},
    "both sides": {"window": 2},
    "one group": {"groups": 1, "causal": True},
    "two groups": {"groups": 2, "head_features": 3},
    "no bias": {"use_bias": False},
    "rotary": {"positions": "rotary", "causal": True, "groups": 2},
    "alibi": {"positions": "alibi", "causal": True},
}


def _layer(name: str, **more: Any) -> Any:
    return layers.multi_head_attention(FEATURES, 4, **OPTIONS[name], **more)


def _drawn(model: Any, x: Any = X) -> tuple[Any, Any]:
    params, state = model.init(jax.random.key(0), x)
    return jax.tree.map(lambda a: np.asarray(a) + 0.3 * RANDOM.normal(size=a.shape), params), state


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize(("heads", "causal"), [(1, False), (2, False), (4, False), (2, True), (4, True)])
def test_attention_is_pytorchs_module(heads: int, causal: bool, masked: bool):
    torch = pytest.importorskip("torch")
    layer = layers.multi_head_attention(FEATURES, heads, causal=causal)
    params, state = _drawn(layer)
    module = torch.nn.MultiheadAttention(FEATURES, heads, batch_first=True, dtype=torch.float64)
    pairs = {"qkv": (module.in_proj_weight, module.in_proj_bias), "out": (module.out_proj.weight, module.out_proj.bias)}
    for name, (weight, bias) in pairs.items():
        weight.data, bias.data = torch.tensor(params[name]["weight"].T.copy()), torch.tensor(params[name]["bias"])
    x = torch.tensor(X, requires_grad=True)
    unseen = torch.tensor(np.triu(np.ones((TIME, TIME), bool), 1)) if causal else None
    padding = torch.tensor(~MASK) if masked else None
    y = module(x, x, x, attn_mask=unseen, key_padding_mask=padding, need_weights=False)[0]
    real = MASK if masked else np.ones_like(MASK)
    cotangent = RANDOM.normal(size=y.shape) * real[..., None]
    y.backward(torch.tensor(cotangent))

    @quick_jit
    def ours(params, x):
        y, vjp = jax.vjp(lambda p, x: layer.apply(p, state, x, sequence_mask=MASK if masked else None)[0], params, x)
        return y, vjp(cotangent)

    found, grads = ours(params, X)
    np.testing.assert_allclose(found[real], y.detach().numpy()[real], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grads[1][real], x.grad.numpy()[real], rtol=1e-10, atol=1e-12)
    for name, (weight, bias) in pairs.items():
        np.testing.assert_allclose(grads[0][name]["weight"], weight.grad.numpy().T, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(grads[0][name]["bias"], bias.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("queries", "causal", "window"), list(itertools.product((6, 2), (False, True), (None, 3))))
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_attention_is_pytorchs_function(groups: int, queries: int, causal: bool, window: int | None):
    torch = pytest.importorskip("torch")
    q, k, v = (
        RANDOM.normal(size=(BATCH, n, h, d)) for n, h, d in ((queries, 4, 5), (TIME, groups, 5), (TIME, groups, 3))
    )
    i, j = np.arange(TIME - queries, TIME)[:, None], np.arange(TIME)[None]
    seen = ((j <= i) | (not causal)) & (np.abs(i - j) < (window or TIME))
    tensors = [torch.tensor(np.swapaxes(a, 1, 2).copy(), requires_grad=True) for a in (q, k, v)]
    bias = RANDOM.normal(size=(4, queries, TIME))
    given = torch.tensor(np.where(seen, bias, -np.inf))[None]
    y = torch.nn.functional.scaled_dot_product_attention(*tensors, attn_mask=given, enable_gqa=True).transpose(1, 2)
    cotangent = RANDOM.normal(size=tuple(y.shape))
    y.backward(torch.tensor(cotangent))
    mask = ops.attention_mask(queries, TIME, causal=causal, window=window)
    found, vjp = jax.vjp(lambda *a: ops.attention(*a, mask=mask, bias=bias), q, k, v)
    np.testing.assert_allclose(found, y.detach().numpy(), rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(vjp(cotangent), tensors, strict=True):
        np.testing.assert_allclose(ours, theirs.grad.transpose(1, 2).numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("name", OPTIONS)
def test_backward_is_autodiff(name: str, masked: bool):
    model = layers.sequential({
        "learned": layers.learned_positions(7), "waves": layers.sinusoidal_positions(),
        "attend": layers.residual(_layer(name, dropout=0.3)), "more": _layer(name), "out": layers.dense(2),
    })  # fmt: skip
    params, state = _drawn(model)
    mask, key = MASK if masked else None, jax.random.key(1)
    y = RANDOM.normal(size=(BATCH, TIME, 2))
    weights = np.broadcast_to((MASK if masked else np.ones_like(MASK))[..., None], y.shape).astype(float)

    @quick_jit
    def both(params, x):
        trace = backprop.backward(
            model, params, state, x, y, losses.squared_error, train=True, key=key, sequence_mask=mask, weights=weights
        )

        def cost(params, x):
            given, _ = model.apply(params, state, x, train=True, key=key, sequence_mask=mask)
            return jnp.sum(weights * (given - y) ** 2) / np.sum(weights)

        return (trace.grads, trace.input_grad), jax.grad(cost, (0, 1))(params, x)

    ours, wanted = both(params, X)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
        assert np.asarray(other).any()


@pytest.mark.parametrize("name", [name for name, given in OPTIONS.items() if given.get("causal")])
def test_attention_goes_position_by_position(name: str):
    """With the cache of all positions, as of the whole sequence; with one of the window, the window is all there is."""
    context = OPTIONS[name].get("window", TIME)
    table = {"at": layers.learned_positions(TIME), "waves": layers.sinusoidal_positions(),
             "attend": layers.residual(_layer(name, context=context, dropout=0.5)), "out": layers.dense(2)}  # fmt: skip
    model, x = layers.sequential(table), jnp.asarray(X, jnp.float32)
    params, state = model.init(jax.random.key(3), x)
    carry, step, ys = model.start(params, BATCH), jax.jit(model.step), []
    for t in range(TIME):
        y, carry = step(params, carry, x[:, t])
        ys.append(y)
    np.testing.assert_allclose(jnp.stack(ys, 1), model.apply(params, state, x)[0], rtol=1e-5, atol=1e-6)
    beyond, _ = step(params, carry, x[:, 0])
    assert np.isnan(np.asarray(beyond)).all()  # there is no vector for one position more


@pytest.mark.parametrize("positions", [None, "rotary", "alibi"])
def test_a_cache_forgets_what_is_oldest(positions: str | None):
    """What `step` sees with a context of c are the last c positions: a window of c."""
    x = jnp.asarray(X, jnp.float32)
    short = layers.multi_head_attention(FEATURES, 2, causal=True, context=2, positions=positions)
    params, _ = short.init(jax.random.key(0), x)
    windowed = layers.multi_head_attention(FEATURES, 2, causal=True, window=2, positions=positions)
    carry, ys = short.start(params, BATCH), []
    for t in range(TIME):
        y, carry = short.step(params, carry, x[:, t])
        ys.append(y)
    expected, _ = windowed.apply(params, {"qkv": {}, "out": {}}, x)
    np.testing.assert_allclose(jnp.stack(ys, 1), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("x64")
def test_rotary_turns_by_the_position():
    """As numbers of the complex plane, in both conventions; what a query says to a key hangs on the distance alone."""
    x = RANDOM.normal(size=(2, 5, 3, 6))
    angles = np.arange(5)[:, None] * 100.0 ** (-2 * np.arange(3) / 6)
    turn = np.exp(1j * angles)[None, :, None]
    z = (x[..., :3] + 1j * x[..., 3:]) * turn
    ours = ops.rotary(x, np.arange(5), base=100.0)
    np.testing.assert_allclose(ours, np.concatenate([z.real, z.imag], -1), rtol=1e-12, atol=1e-12)
    z = (x[..., ::2] + 1j * x[..., 1::2]) * turn
    ours = ops.rotary(x, np.arange(5), base=100.0, interleaved=True)
    np.testing.assert_allclose(ours, np.stack([z.real, z.imag], -1).reshape(x.shape), rtol=1e-12, atol=1e-12)
    q, k = x[:, :1], x[:, 1:2]
    said = [np.vdot(ops.rotary(q, np.array([p + 3])), ops.rotary(k, np.array([p]))) for p in (0, 7, 100)]
    np.testing.assert_allclose(said, said[0], rtol=1e-10)
    each = np.stack([np.asarray(ops.rotary(x[i : i + 1], np.arange(5) + i)) for i in range(2)])[:, 0]
    np.testing.assert_allclose(ops.rotary(x, np.arange(5) + np.arange(2)[:, None]), each, rtol=1e-12)


def test_alibi_and_masks_written_out():
    bias = np.asarray(ops.alibi(2, 2, 3))
    assert bias.shape == (1, 2, 2, 3)
    np.testing.assert_allclose(bias[0, 0], -(2.0**-4) * np.array([[1, 0, 1], [2, 1, 0]]))
    np.testing.assert_allclose(bias[0, 1], -(2.0**-8) * np.array([[1, 0, 1], [2, 1, 0]]))
    assert ops.attention_mask(3, 3) is None
    causal = ops.attention_mask(2, 3, causal=True)
    np.testing.assert_array_equal(causal[0, 0], [[1, 1, 0], [1, 1, 1]])
    near = ops.attention_mask(3, 3, window=1, real=np.array([[1, 1, 0]]))
    np.testing.assert_array_equal(near[0, 0], [[1, 0, 0], [0, 1, 0], [0, 0, 0]])


def test_a_query_that_sees_nothing_gives_nothing():
    q = RANDOM.normal(size=(1, 2, 1, 4)).astype(np.float32)
    mask = np.array([[True, True], [False, False]])

    @quick_jit
    def run(q):
        return ops.attention(q, q, q, mask=mask), jax.grad(lambda a: ops.attention(a, a, a, mask=mask).sum())(q)

    y, grad = run(q)
    assert np.asarray(y)[0, 0].any() and not np.asarray(y)[0, 1].any() and np.isfinite(grad).all()


def test_weights_of_the_keys_sum_to_one_and_hold_in_16_bits():
    q = (100 * RANDOM.normal(size=(2, 5, 2, 4))).astype(jnp.bfloat16)
    shares = quick_jit(lambda q: ops.attention_weights(q, q))(q)
    assert shares.dtype == jnp.float32
    np.testing.assert_allclose(np.asarray(shares).sum(-1), 1, rtol=1e-6)


def test_positions_written_out():
    x = np.zeros((1, 3, 5), np.float32)
    waves, _ = layers.sinusoidal_positions().apply({}, {}, x)
    wanted = [[(np.cos if i % 2 else np.sin)(t / 10_000 ** ((i - i % 2) / 5)) for i in range(5)] for t in range(3)]
    np.testing.assert_allclose(waves[0], wanted, rtol=1e-6, atol=1e-7)
    layer = layers.learned_positions(4)
    params, state = layer.init(jax.random.key(0), x)
    np.testing.assert_array_equal(layer.apply(params, state, x)[0][0], params["weight"][:3])


def test_padding_is_not_counted_among_positions():
    x, mask = X.astype(np.float32), np.array([[0, 1, 1, 0, 1, 0]], bool).repeat(BATCH, 0)
    for layer in (layers.learned_positions(TIME), layers.sinusoidal_positions()):
        params, state = layer.init(jax.random.key(0), x)
        found, _ = layer.apply(params, state, x, sequence_mask=mask)
        wanted, _ = layer.apply(params, state, x[:, mask[0]])
        np.testing.assert_allclose(np.asarray(found)[:, mask[0]], wanted, rtol=1e-6)


def test_backward_takes_sequences_of_no_positions():
    model = layers.sequential({"attend": _layer("alibi"), "rnn": layers.lstm(3), "out": layers.dense(2)})
    params, state = model.init(jax.random.key(0), X.astype(np.float32))
    empty, y = np.zeros((2, 0, FEATURES), np.float32), np.zeros((2, 0, 2), np.float32)
    trace = jax.eval_shape(lambda p: backprop.backward(model, p, state, empty, y, losses.squared_error).grads, params)
    assert jax.tree.map(lambda a: a.shape, trace) == jax.tree.map(lambda a: a.shape, params)


def test_attention_refuses_what_does_not_fit():
    layer, x = layers.multi_head_attention(FEATURES, 2), X.astype(np.float32)
    params, state = layer.init(jax.random.key(0), x)
    assert_input_error(lambda: layer.apply(params, state, x[0]), "x", given="shape (6, 8)")
    assert_input_error(lambda: layer.init(jax.random.key(0), x[0]), "spec", given="shape (6, 8)")
    table = {"rnn": layers.gru(FEATURES), "a": layer}  # which sees what comes later
    assert_input_error(lambda: layers.sequential(table).start({"rnn": {}, "a": params}, 2), "layers['a']")
    assert_input_error(lambda: layers.multi_head_attention(8, 2, context=4), "context", given="4")
    blind = layers.multi_head_attention(FEATURES, 2, causal=True)
    assert_input_error(lambda: blind.start(params, 2), "context", given="None")
    q = np.ones((2, 3, 4, 5), np.float32)
    for argument, arguments in (
        ("query", (q[0], q, q)), ("key", (q, q[..., :4], q)), ("key", (q, q[:, :, :3], q)), ("value", (q, q, q[:, :2])),
    ):  # fmt: skip
        assert_input_error(lambda a=arguments: ops.attention(*a), argument)
    assert_input_error(lambda: ops.attention(q, q, q, mask=np.ones((3, 4), bool)), "mask", given="shape (3, 4)")
    assert_input_error(lambda: ops.attention(q, q, q, keep=q), "keep", given="shape (2, 3, 4, 5)")
    assert_input_error(lambda: ops.attention_mask(3, 3, real=np.ones(3, bool)), "real", given="shape (3,)")
    assert_input_error(lambda: ops.rotary(q, np.arange(3)), "x", given="shape (2, 3, 4, 5)")
    assert_input_error(lambda: ops.rotary(q[..., :4], np.arange(4)), "positions", given="shape (4,)")
    five = layers.learned_positions(5)
    params, state = five.init(jax.random.key(0), x[:, :5])
    assert_input_error(lambda: five.apply(params, state, x), "x", given="shape (3, 6, 8)")
