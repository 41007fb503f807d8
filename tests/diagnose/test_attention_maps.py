"""The maps of attention: against PyTorch, by what a layer makes of them, by name through a model; what is refused."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import backprop, layers
from jaxann.backprop.registry import LAYERS
from jaxann.core import padded
from tests.contract import assert_input_error
from tests.layers.test_attention import BATCH, FEATURES, MASK, OPTIONS, RANDOM, TIME, X, _drawn, _layer
from tests.programs import quick_jit
from tests.tolerances import assert_close

NAME = "multi_head_attention"


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "padded"])
def test_maps_are_the_weights_of_pytorchs_module(masked: bool):
    torch = pytest.importorskip("torch")
    layer = layers.multi_head_attention(FEATURES, 2)
    params, state = _drawn(layer)
    module = torch.nn.MultiheadAttention(FEATURES, 2, batch_first=True, dtype=torch.float64)
    for name, weight, bias in (("qkv", module.in_proj_weight, module.in_proj_bias),
                               ("out", module.out_proj.weight, module.out_proj.bias)):  # fmt: skip
        weight.data, bias.data = torch.tensor(params[name]["weight"].T.copy()), torch.tensor(params[name]["bias"])
    x = torch.tensor(X)
    unseen = torch.tensor(~MASK) if masked else None
    expected = module(x, x, x, key_padding_mask=unseen, need_weights=True, average_attn_weights=False)[1]
    found = ja.diagnose.attention_maps(layer, params, state, X, sequence_mask=MASK if masked else None)
    real = (MASK if masked else np.ones_like(MASK))[:, None, :, None]  # PyTorch has rows for queries of padding, too
    assert list(found) == [NAME]
    assert_close(found[NAME], expected.detach().numpy() * real, "torch")


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", OPTIONS)
def test_a_layers_output_is_what_its_maps_take_of_the_values(name: str):
    """y = (P V) W_o + b, with the values taken from the parameters: whatever made P, masks, groups or positions."""
    layer = _layer(name, dropout=0.4)
    params, state = _drawn(layer)
    maps = np.asarray(ja.diagnose.attention_maps(layer, params, state, X)[NAME])
    given = layer.arguments
    heads, groups = 4, given["groups"] or 4
    mixed = X @ params["qkv"]["weight"] + params["qkv"].get("bias", 0)
    size = mixed.shape[-1] // (heads + 2 * groups)
    values = mixed.reshape(BATCH, TIME, -1, size)[:, :, heads + groups :].repeat(heads // groups, 2)
    taken = np.einsum("bhqk,bkhd->bqhd", maps, values).reshape(BATCH, TIME, -1)
    expected = taken @ params["out"]["weight"] + params["out"].get("bias", 0)
    assert_close(layer.apply(params, state, X)[0], expected, "oracle")
    assert maps.shape == (BATCH, heads, TIME, TIME)
    assert_close(maps.sum(-1), np.ones((BATCH, heads, TIME)), "reduction")
    place = np.arange(TIME)
    behind = place[:, None] - place
    if given["causal"]:
        assert not maps[..., behind < 0].any()
    if given["window"]:
        assert not maps[..., np.abs(behind) >= given["window"]].any()


def _gpt() -> tuple[Any, Any, Any, np.ndarray]:
    model = ja.models.gpt(7, features=8, heads=2, blocks=3, context=TIME)
    ids = RANDOM.integers(0, 7, (BATCH, TIME)).astype(np.int32)
    params, state = model.init(jax.random.key(0), ids)
    return model, jax.tree.map(lambda a: a + 0.3 * RANDOM.normal(size=a.shape).astype(a.dtype), params), state, ids


@pytest.mark.usefixtures("x64")
def test_each_block_of_a_model_has_its_own_map():
    model, params, state, ids = _gpt()
    found = ja.diagnose.attention_maps(model, params, state, ids)
    assert list(found) == [f"blocks.block.{i}.attend.body.attention" for i in range(3)]
    params = jax.tree.map(np.asarray, params)
    x = params["embed"]["weight"][ids] + params["positions"]["weight"][:TIME]
    for i, maps in enumerate(found.values()):
        own = jax.tree.map(lambda a, i=i: a[i], params["blocks"]["block"])
        inside = own["attend"]["body"]
        normed = np.asarray(layers.layer_norm().apply(inside["norm"], {}, x)[0])
        q, k, _ = np.split(normed @ inside["attention"]["qkv"]["weight"] + inside["attention"]["qkv"]["bias"], 3, -1)
        q, k = (a.reshape(BATCH, TIME, 2, 4) for a in (q, k))
        scores = np.einsum("bqhd,bkhd->bhqk", q, k) / 2
        scores = np.where(np.tri(TIME, dtype=bool), scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        assert_close(maps, shares / shares.sum(-1, keepdims=True), "oracle")
        block = model.children["blocks"].children["block"]
        x = np.asarray(quick_jit(block.apply)(own, _empty(block), x)[0])


def _empty(layer: Any) -> dict[str, Any]:
    return {name: _empty(child) for name, child in layer.children.items()}


def test_padded_inputs_have_maps_of_their_real_positions():
    layer = layers.remat(layers.multi_head_attention(FEATURES, 2))
    x = X.astype(np.float32)
    params, state = layer.init(jax.random.key(0), x)
    given = padded(x, MASK.sum(1))
    [maps] = ja.diagnose.attention_maps(layer, params, state, given).values()
    [masked] = ja.diagnose.attention_maps(layer, params, state, x, sequence_mask=MASK).values()
    np.testing.assert_array_equal(maps, masked)
    assert_close(np.asarray(maps).sum(-1), np.broadcast_to(MASK[:, None], (BATCH, 2, TIME)), "reduction")
    assert not np.asarray(maps).swapaxes(2, 3)[~np.broadcast_to(MASK[:, None], (BATCH, 2, TIME))].any()


def test_a_layer_of_ones_own_says_where_it_looks():
    """Each position takes the mean of all."""

    def apply(params, state, x, *, key=None, train=False):
        return jnp.broadcast_to(x.mean(1, keepdims=True), x.shape), state

    def rule(call: backprop.Call) -> backprop.Step:
        y, state = call.apply()
        batch, time = call.x.shape[:2]
        maps = jnp.full((batch, 1, time, time), 1 / time)
        return backprop.Step(y, state, lambda g: backprop.Cotangents(g, {}), attention=maps)

    mean = layers.custom(lambda key, spec: ({}, {}), apply)
    model = layers.sequential({"mean": mean, "out": layers.dense(2)})
    params, state = model.init(jax.random.key(0), X)
    assert_input_error(lambda: ja.diagnose.attention_maps(model, params, state, X), "model", given="'mean'")
    backprop.layer_rule(apply)(rule)
    try:
        found = ja.diagnose.attention_maps(model, params, state, X)
    finally:
        del LAYERS[apply]
    assert list(found) == ["mean"] and np.all(np.asarray(found["mean"]) == np.float32(1 / TIME))


def test_maps_are_part_of_the_trace_and_of_ones_own_program():
    model, params, state, ids = _gpt()
    expected = ja.diagnose.attention_maps(model, params, state, ids)
    trace = quick_jit(lambda p: backprop.forward(model, p, state, ids, train=False).layers)(params)
    traced = quick_jit(lambda p: ja.diagnose.attention_maps(model, p, state, ids))(params)
    for name, maps in expected.items():
        assert_close(trace[name].attention, maps, "program")
        assert_close(traced[name], maps, "program")
    assert trace["head"].attention is None


def test_what_has_no_map_is_refused():
    model = ja.models.mlp((4, 3))
    params, state = model.init(jax.random.key(0), np.ones((2, 5), np.float32))
    maps = ja.diagnose.attention_maps
    assert_input_error(lambda: maps(model, params, state, np.ones((2, 5), np.float32)), "model", expected="attention")
    assert_input_error(lambda: maps("gpt", params, state, X), "model")  # pyright: ignore
    layer, x = layers.multi_head_attention(FEATURES, 2), X.astype(np.float32)
    params, state = jax.eval_shape(layer.init, jax.random.key(0), x)
    params, state = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), (params, state))
    assert_input_error(lambda: maps(layer, params, state, x[0]), "x")
    assert_input_error(lambda: maps(layer, params, state, x, sequence_mask=MASK[:, 1:]), "sequence_mask")
