"""Attention to a second sequence, and the blocks and models that are made of it."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import backprop, core, layers, losses, models
from jaxann.core.padding import Padded
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
BATCH, TIME, OTHER, FEATURES, WIDTH = 3, 5, 6, 8, 7
X, SOURCE = RANDOM.normal(size=(BATCH, TIME, FEATURES)), RANDOM.normal(size=(BATCH, OTHER, WIDTH))
REAL = np.arange(TIME) < np.array([[5], [3], [1]])
SEEN = np.arange(OTHER) < np.array([[6], [2], [4]])


def _drawn(model: Any, x: Any) -> tuple[Any, Any]:
    params, state = model.init(jax.random.key(0), x)
    return jax.tree.map(lambda a: np.asarray(a) + 0.3 * RANDOM.normal(size=a.shape), params), state


def _values(y: Any) -> Any:
    return y.values if isinstance(y, Padded) else y


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("heads", "masked"), list(itertools.product((1, 2, 4), (False, True))))
def test_cross_attention_is_pytorchs_module(heads: int, masked: bool):
    torch = pytest.importorskip("torch")
    layer = layers.cross_attention(FEATURES, heads)
    x = {"x": X, "source": Padded(SOURCE, SEEN) if masked else SOURCE}
    params, state = _drawn(layer, x)
    module = torch.nn.MultiheadAttention(FEATURES, heads, batch_first=True, dtype=torch.float64, kdim=WIDTH, vdim=WIDTH)
    keys, values = np.split(params["key_value"]["weight"], 2, 1)
    for weight, given in zip(
        (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight),
        (params["query"]["weight"], keys, values),
        strict=True,
    ):
        weight.data = torch.tensor(given.T.copy())
    module.in_proj_bias.data = torch.tensor(np.concatenate([params["query"]["bias"], params["key_value"]["bias"]]))
    module.out_proj.weight.data = torch.tensor(params["out"]["weight"].T.copy())
    module.out_proj.bias.data = torch.tensor(params["out"]["bias"])
    q, m = torch.tensor(X, requires_grad=True), torch.tensor(SOURCE, requires_grad=True)
    y = module(q, m, m, key_padding_mask=torch.tensor(~SEEN) if masked else None, need_weights=False)[0]
    cotangent = RANDOM.normal(size=y.shape)
    y.backward(torch.tensor(cotangent))

    @quick_jit
    def ours(params, q, m):
        def run(params, q, m):
            return layer.apply(params, state, {"x": q, "source": Padded(m, SEEN) if masked else m})[0]

        y, vjp = jax.vjp(run, params, q, m)
        return y, vjp(cotangent)

    found, (grads, of_x, of_source) = ours(params, X, SOURCE)
    np.testing.assert_allclose(found, y.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(of_x, q.grad.numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(of_source, m.grad.numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grads["query"]["weight"], module.q_proj_weight.grad.numpy().T, rtol=1e-10, atol=1e-12)
    both = np.concatenate([module.k_proj_weight.grad.numpy(), module.v_proj_weight.grad.numpy()]).T
    np.testing.assert_allclose(grads["key_value"]["weight"], both, rtol=1e-10, atol=1e-12)


def _block_of_torch(torch: Any, params: Any, norm_first: bool) -> Any:
    module = torch.nn.TransformerDecoderLayer(
        FEATURES, 2, 16, 0.0, batch_first=True, norm_first=norm_first, dtype=torch.float64
    )

    def put(weight: Any, value: np.ndarray) -> None:
        weight.data = torch.tensor(np.ascontiguousarray(value))

    own, cross = params["attention"], params["cross"]
    put(module.self_attn.in_proj_weight, own["qkv"]["weight"].T)
    put(module.self_attn.in_proj_bias, own["qkv"]["bias"])
    put(module.multihead_attn.in_proj_weight, np.concatenate([cross[n]["weight"].T for n in ("query", "key_value")]))
    put(module.multihead_attn.in_proj_bias, np.concatenate([cross[n]["bias"] for n in ("query", "key_value")]))
    for linear, given in (
        (module.self_attn.out_proj, own["out"]),
        (module.multihead_attn.out_proj, cross["out"]),
        (module.linear1, params["feed"]["dense0"]),
        (module.linear2, params["feed"]["dense1"]),
    ):
        put(linear.weight, given["weight"].T)
        put(linear.bias, given["bias"])
    for i in range(3):
        norm = getattr(module, f"norm{i + 1}")
        put(norm.weight, params[f"norm{i}"]["scale"])
        put(norm.bias, params[f"norm{i}"]["bias"])
    return module


def _block(**more: Any) -> Any:
    attention = layers.multi_head_attention(FEATURES, 2, causal=True, context=TIME)
    cross = layers.cross_attention(FEATURES, 2)
    return layers.decoder_block(attention, cross, layers.feed_forward(16, FEATURES, activation="relu"), **more)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("norm_first", "masked"), list(itertools.product((False, True), (False, True))))
def test_decoder_block_is_pytorchs(norm_first: bool, masked: bool):
    torch = pytest.importorskip("torch")
    source = RANDOM.normal(size=(BATCH, OTHER, FEATURES))
    block = _block(norm_first=norm_first)
    params, state = _drawn(block, {"x": X, "source": source})
    module = _block_of_torch(torch, params, norm_first)
    q, m = torch.tensor(X, requires_grad=True), torch.tensor(source, requires_grad=True)
    y = module(
        q,
        m,
        tgt_mask=torch.tensor(np.triu(np.ones((TIME, TIME), bool), 1)),
        tgt_key_padding_mask=torch.tensor(~REAL) if masked else None,
        memory_key_padding_mask=torch.tensor(~SEEN) if masked else None,
    )
    cotangent = RANDOM.normal(size=y.shape) * (REAL if masked else np.ones_like(REAL))[..., None]
    y.backward(torch.tensor(cotangent))

    @quick_jit
    def ours(q, m):
        def run(q, m):
            x = {"x": Padded(q, REAL), "source": Padded(m, SEEN)} if masked else {"x": q, "source": m}
            return _values(block.apply(params, state, x)[0]["x"])

        y, vjp = jax.vjp(run, q, m)
        return y, vjp(cotangent)

    found, (of_x, of_source) = ours(X, source)
    real = REAL if masked else np.ones_like(REAL)
    np.testing.assert_allclose(found[real], y.detach().numpy()[real], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(of_x[real], q.grad.numpy()[real], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(of_source, m.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("norm_first", "masked"), list(itertools.product((False, True), (False, True))))
def test_transformer_block_is_pytorchs(norm_first: bool, masked: bool):
    torch = pytest.importorskip("torch")
    from tests.models.torch_encoder import encoder_layer

    attention = layers.multi_head_attention(FEATURES, 2)
    feed = layers.feed_forward(16, FEATURES, activation="relu")
    block = layers.transformer_block(attention, feed, norm_first=norm_first)
    params, state = _drawn(block, X)
    module = encoder_layer(params, 2, "relu", norm_first)
    y = module(torch.tensor(X), src_key_padding_mask=torch.tensor(~REAL) if masked else None)
    found, _ = block.apply(params, state, X, sequence_mask=REAL if masked else None)
    real = REAL if masked else np.ones_like(REAL)
    np.testing.assert_allclose(np.asarray(found)[real], y.detach().numpy()[real], rtol=1e-10, atol=1e-12)


IDS = {
    "source": RANDOM.integers(0, 7, (BATCH, OTHER), np.int32),
    "target": RANDOM.integers(0, 9, (BATCH, TIME), np.int32),
}
SMALL: dict[str, Any] = {"features": 8, "heads": 2, "context": 9}
NETS = {
    "transformer": models.transformer(7, 9, blocks=2, **SMALL, rate=0.3),
    "post-norm": models.transformer(7, 9, blocks=2, **SMALL, norm_first=False, rate=0.3),
    "rotary": models.transformer(7, 9, blocks=1, **SMALL, positions="rotary", activation="swiglu"),
    "recurrent": models.recurrent_encoder_decoder(7, 9, units=4, depth=2, rate=0.3),
    "gru": models.recurrent_encoder_decoder(7, 9, cell="gru", units=6, two_ways=False, heads=2),
}


def _padded(x: Any) -> Any:
    return {"source": Padded(x["source"], SEEN), "target": Padded(x["target"], REAL)}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("name", "masked"), [*((name, True) for name in NETS), ("transformer", False), ("gru", False)])
def test_backward_is_autodiff(name: str, masked: bool):
    model, key = NETS[name], jax.random.key(1)
    params, state = _drawn(model, IDS)
    x = _padded(IDS) if masked else IDS
    y = RANDOM.integers(0, 9, (BATCH, TIME), np.int32)
    y = Padded(y, REAL) if masked else y

    @quick_jit
    def both(params):
        trace = backprop.backward(model, params, state, x, y, losses.softmax_cross_entropy, train=True, key=key)

        def cost(params):
            given, _ = model.apply(params, state, x, train=True, key=key)
            one, other, weights = core.unpadded(given, y)
            return losses.mean(losses.softmax_cross_entropy(one, other), weights=weights)

        return (trace.loss, trace.grads), jax.value_and_grad(cost)(params)

    ours, wanted = both(params)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-13)
        assert np.asarray(other).any()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NETS)
def test_padding_of_either_side_changes_nothing(name: str):
    model = NETS[name]
    params, state = _drawn(model, IDS)
    other = {n: np.where(mask, IDS[n], 1) for n, mask in (("source", SEEN), ("target", REAL))}
    run = quick_jit(lambda x: _values(model.apply(params, state, x)[0]))
    found, changed = run(_padded(IDS)), run(_padded(other))
    np.testing.assert_array_equal(np.asarray(found)[REAL], np.asarray(changed)[REAL])
    alone = {"source": IDS["source"][1:2, SEEN[1]], "target": IDS["target"][1:2, REAL[1]]}
    np.testing.assert_allclose(found[1][REAL[1]], run(alone)[0], rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NETS)
def test_an_encoder_and_decoder_go_position_by_position(name: str):
    model = NETS[name]
    params, state = _drawn(model, IDS)
    x = {"source": Padded(IDS["source"], SEEN), "target": IDS["target"]}
    expected = model.apply(params, state, x)[0]
    carry, step, ys = model.start(params, BATCH, state=state, source=x["source"]), quick_jit(model.step), []
    for t in range(TIME):
        y, carry = step(params, carry, IDS["target"][:, t])
        ys.append(y)
    np.testing.assert_allclose(jnp.stack(ys, 1), expected, rtol=1e-10, atol=1e-12)


def test_layers_of_two_sequences_refuse_what_does_not_fit():
    layer = layers.cross_attention(FEATURES, 2)
    x = {"x": X.astype(np.float32), "source": SOURCE.astype(np.float32)}
    params, state = layer.init(jax.random.key(0), x)
    assert_input_error(lambda: layer.apply(params, state, x["x"]), "x", given="(3, 5, 8)")
    assert_input_error(lambda: layer.apply(params, state, {"x": x["x"]}), "x", given="'source'")
    assert_input_error(lambda: layer.apply(params, state, {**x, "source": x["x"][0]}), "x['source']", given="(5, 8)")
    assert_input_error(lambda: layer.apply(params, state, {**x, "source": x["source"][:2]}), "x['source']")
    assert_input_error(lambda: layer.apply(params, state, x, sequence_mask=REAL), "sequence_mask")
    assert_input_error(lambda: layer.start(params, BATCH), "source", given="None")
    assert_input_error(lambda: layer.start(params, 2, source=x["source"]), "source", given="(3, 6, 7)")
    gru = layers.gru(3)
    assert_input_error(lambda: gru.start({}, 2, source=X), "source", given="one")
    assert_input_error(lambda: layers.decoder_block(gru, gru, gru), "cross")
    narrow = layers.decoder_block(
        layers.multi_head_attention(1, 1), layers.cross_attention(1), layers.feed_forward(8, 8)
    )
    one = {"x": x["x"][..., :1], "source": x["source"]}
    made = jax.eval_shape(narrow.init, jax.random.key(0), one)
    assert_input_error(lambda: jax.eval_shape(narrow.apply, *made, one), "feed", given="(3, 5, 8)")
    body = layers.sequential({"lstm": layers.lstm(3), "last": layers.last_position()})
    assert_input_error(lambda: layers.tied_embedding(layers.embedding(7, 3), body), "body")
    dense = layers.dense(3)
    assert_input_error(lambda: layers.encoder_decoder(layers.last_position(), dense, layer, dense), "encoder")
    assert_input_error(lambda: layers.encoder_decoder(dense, dense, dense, dense), "decoder")
    assert_input_error(lambda: layers.attentive_recurrence(gru, gru, 3), "cross")
    model = NETS["transformer"]
    assert_input_error(lambda: model.init(jax.random.key(0), IDS["source"]), "spec")
    few = {**IDS, "target": IDS["target"][:2]}
    assert_input_error(lambda: model.init(jax.random.key(0), few), "spec", given="(3, 6) and (2, 5)")
