"""The summary of a model against closed forms, against XLA's own count, and of layers and optimizers of one's own."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import layers, optimizers
from jaxann.core import Layer, LayerFunctions, Optimizer, factory, fold_name, padded
from jaxann.diagnose.flops import flops_by_mark
from tests.contract import assert_input_error, compiles
from tests.layers.test_repeat import BLOCK

SPEC = jax.ShapeDtypeStruct((128, 784), jnp.float32)


def _mlp() -> Layer:
    return ja.models.mlp((512, 512, 10))


def _rows(found: ja.diagnose.Summary) -> dict[str, ja.diagnose.LayerSummary]:
    return {row.path: row for row in found.rows}


def test_mlp_has_the_closed_forms_and_compiles_nothing():
    before = compiles()
    found = ja.summary(_mlp(), SPEC, optimizers.adam(1e-3))
    text = str(found)
    assert compiles() == before
    assert list(_rows(found)) == ["dense0", "act0", "dense1", "act1", "dense2"]
    assert found.parameters == 669_706 and found.bytes == 4 * 669_706 and found.batch_size == 128
    sizes = {"dense0": (784, 512), "dense1": (512, 512), "dense2": (512, 10)}
    for name, (width, units) in sizes.items():
        row = _rows(found)[name]
        assert (row.parameters, row.output) == ((width + 1) * units, (128, units))
        assert row.flops == 2 * width * units + units
        assert row.kind == "dense" and row.bytes == 4 * row.parameters
    assert found.flops == sum(row.flops for row in found.rows)
    assert sum(row.parameters for row in found.rows) == found.parameters
    memory = found.memory
    assert memory.parameters == memory.gradients == found.bytes and memory.batch == 128 * 784 * 4
    assert memory.optimizer == 2 * found.bytes + 4  # two moments and the step
    # The two hidden layers' outputs, for the weights behind them, and as many slopes of relu.
    assert memory.activations == 2 * 128 * 1024 * 4
    assert memory.total == sum(getattr(memory, f.name) for f in dataclasses.fields(memory))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100 and "669,706" in text and "dense2" in text


def test_flops_are_those_that_xla_counts():
    model = ja.models.mlp((64, 32, 10))
    x = jnp.ones((16, 20))
    params, state = model.init(jax.random.key(0), x)

    def forward(p, x):
        return model.apply(p, state, x)[0]

    counted = jax.jit(forward).lower(params, x).cost_analysis()["flops"]
    assert ja.summary(model, x).flops * 16 == pytest.approx(counted, rel=0.02)

    def convolution(x, k):
        dims = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, k, (1, 1), "VALID", dimension_numbers=dims, feature_group_count=2)

    image, kernel = jnp.ones((2, 8, 9, 4)), jnp.ones((3, 3, 2, 6))
    counted = jax.jit(convolution).lower(image, kernel).cost_analysis()["flops"]
    ours = sum(flops_by_mark(jax.make_jaxpr(convolution)(image, kernel)).values())
    assert ours == 2 * (2 * 6 * 7 * 6) * 3 * 3 * 2 == counted

    def steps(x):
        return jax.lax.scan(lambda c, _: (c @ c, None), x, None, length=5)[0]

    assert sum(flops_by_mark(jax.make_jaxpr(steps)(jnp.ones((7, 7)))).values()) == 5 * 2 * 7**3

    def others(x, i):
        looped = jax.lax.while_loop(lambda c: c[0, 0] < 3, lambda c: c + 1, x)
        either = jax.lax.cond(i[0] > 0, lambda a: a @ a, lambda a: a, x)
        return looped, either, x.at[i].add(x[:2]), jnp.sum(x, 0)

    found = sum(flops_by_mark(jax.make_jaxpr(others)(jnp.ones((7, 7)), jnp.array([0, 1]))).values())
    index = 2 * 3 + 1  # the places of the two rows, looked at whether they are negative, and the condition
    assert found == pytest.approx(7 * 7 + 2 * 7**3 + 2 * 7 + 7 * 7 + index, abs=4)


def test_batch_size_changes_shapes_and_memory_but_no_work_of_an_example():
    small, large = (ja.summary(_mlp(), SPEC, batch_size=n) for n in (4, 400))
    assert _rows(small)["dense0"].output == (4, 512) and _rows(large)["dense0"].output == (400, 512)
    assert small.flops == large.flops and large.memory.activations == 100 * small.memory.activations
    assert small.memory.optimizer == 0 and "training" not in str(small)


@factory(Layer, convert={"inner": layers.as_layer})
def doubled(inner: Layer):
    """y = scale (f(x) + f(2 x)): a layer made of layers that calls its child twice, and has a number of its own."""

    def init(key, spec):
        params, state = inner.init(fold_name(key, "inner"), spec)
        return {"inner": params, "scale": jnp.ones((), spec.dtype)}, {"inner": state}

    def apply(params, state, x, **context):
        a, after = inner.apply(params["inner"], state["inner"], x, **context)
        b, after = inner.apply(params["inner"], after, 2 * x, **context)
        return (a + b) * jnp.broadcast_to(params["scale"], a.shape), {"inner": after}

    return LayerFunctions(init, apply, {"inner": inner})


def test_composite_of_your_own_is_walked_as_ours_are():
    model = layers.sequential({"own": doubled(layers.sequential({"d": layers.dense(3)})), "out": layers.dense(2)})
    rows = _rows(ja.summary(model, jnp.ones((8, 5))))
    assert list(rows) == ["own", "own.inner.d", "out"]
    assert rows["own"].kind == "doubled" and rows["own"].parameters == 1
    assert rows["own"].flops == 5 + 3 + 3  # 2 x, the sum and the product
    assert rows["own.inner.d"].parameters == 18 and rows["own.inner.d"].flops == 2 * (2 * 5 * 3 + 3)


def test_containers_several_inputs_and_heads_have_rows():
    model = layers.sequential(
        {
            "in": layers.parallel({"a": layers.dense(6), "b": layers.flatten()}),
            "join": layers.concatenate(),
            "block": layers.stochastic_depth(layers.sequential({"d": layers.dense(26)}), 0.1),
            "gate": layers.gated_dense(6),
            "heads": layers.branch({"one": layers.dense(2), "two": layers.batch_norm()}),
        }
    )
    x = {"a": jnp.ones((4, 3)), "b": padded(jnp.ones((4, 5, 4)), jnp.array([1, 2, 3, 4]))}
    found = ja.summary(model, x)
    rows = _rows(found)
    assert list(rows) == ["in.a", "in.b", "join", "block", "block.body.d", "gate", "heads.one", "heads.two"]
    assert rows["in.b"].output == (4, 20) and rows["join"].output == (4, 26)
    assert rows["block"].parameters == 0 and rows["block"].flops == 26 and rows["block.body.d"].parameters == 26 * 27
    assert rows["gate"].parameters == 27 * 12
    assert found.parameters == sum(r.parameters for r in rows.values()) and found.memory.state == 2 * 6 * 4
    single = ja.summary(layers.dense(3), jnp.ones((2, 5)))
    assert single.rows[0].path == "" and "(model)" in str(single)
    both = ja.summary(layers.branch({"a": doubled(layers.dense(3)), "b": layers.dense(1)}), jnp.ones((2, 5)))
    assert list(_rows(both)) == ["a", "a.inner", "b"]


def _facts(optimizer: Optimizer) -> dict[str, tuple[int, int, tuple[float, ...]]]:
    found = ja.summary(ja.models.mlp((4, 3)), jnp.ones((2, 5)), optimizer)
    return {r.path: (r.frozen, r.decayed, r.learning_rate_scales) for r in found.rows if r.parameters}


def test_rows_say_what_the_optimizer_does_with_the_leaves():
    assert _facts(optimizers.sgd(0.1)) == {"dense0": (0, 0, (1.0,)), "dense1": (0, 0, (1.0,))}
    assert _facts(optimizers.adamw(0.1, weight_decay=0.1, mask="*.weight"))["dense0"] == (0, 20, (1.0,))
    assert _facts(optimizers.adamw(0.1, weight_decay=0.0))["dense0"] == (0, 0, (1.0,))
    per_leaf = optimizers.per_leaf(
        optimizers.chain(optimizers.clip_by_global_norm(1.0), optimizers.adamw(0.1, weight_decay=0.1)),
        freeze="dense1.bias",
        learning_rate_scale={"dense0.weight": 0.5, "dense0": 0.25},
        decay="*.weight",
    )
    assert _facts(per_leaf) == {"dense0": (0, 20, (0.25, 0.5)), "dense1": (3, 12, (1.0,))}
    frozen = optimizers.freeze(optimizers.adamw(0.1, weight_decay=0.1), "dense0")
    assert _facts(frozen) == {"dense0": (24, 0, ()), "dense1": (0, 15, (1.0,))}
    groups = optimizers.partition({"dense0": None, "*": optimizers.sgd(0.1)})
    assert _facts(groups) == {"dense0": (24, 0, ()), "dense1": (0, 0, (1.0,))}
    layerwise = optimizers.layerwise_learning_rate(optimizers.sgd(0.1), ("dense0", "dense1"), decay=0.5)
    assert _facts(layerwise) == {"dense0": (0, 0, (0.5,)), "dense1": (0, 0, (1.0,))}


@factory(Optimizer)
def weights_alone(rate: float):
    """A rule of one's own that never moves a bias."""

    def update(grads, state, params):
        return jax.tree.map(lambda g: -rate * g if g.ndim > 1 else jnp.zeros_like(g), grads), state

    return lambda params: (), update


@factory(Optimizer)
def compiled_weights_alone(rate: float):
    """The same, compiled as one function inside."""
    init, update = weights_alone(rate).functions[:2]
    return init, jax.jit(update)


def test_optimizer_of_your_own_that_freezes_is_seen_and_shown():
    assert _facts(compiled_weights_alone(0.1)) == _facts(weights_alone(0.1))
    assert _facts(weights_alone(0.1)) == {"dense0": (4, 0, (1.0,)), "dense1": (3, 0, (1.0,))}
    found = ja.summary(ja.models.mlp((4, 3)), jnp.ones((2, 5)), weights_alone(0.1))
    assert found.frozen == 7 and "part frozen" in str(found) and "7 of the parameters are frozen" in str(found)
    shown = str(ja.summary(_mlp(), SPEC, optimizers.per_leaf(
        optimizers.adamw(1e-3, weight_decay=0.1), freeze="dense0", learning_rate_scale={"dense1": 0.1})))  # fmt: skip
    assert "frozen" in shown and "decays, x0.1" in shown and max(map(len, shown.splitlines())) <= 100


def test_long_names_are_cut_to_a_hundred_columns():
    table = {f"a_layer_with_quite_a_long_name_{i}": layers.dense(10_000_000) for i in range(2)}
    text = str(ja.summary(layers.sequential(table), SPEC, optimizers.adam(0.1)))
    assert max(map(len, text.splitlines())) <= 100 and "..." in text


def test_summary_refuses_what_it_cannot_read():
    assert_input_error(lambda: ja.summary(3, SPEC), "model")
    assert_input_error(lambda: ja.summary(_mlp(), SPEC, "adam"), "optimizer")
    assert_input_error(lambda: ja.summary(_mlp(), SPEC, batch_size=0), "batch_size")
    assert_input_error(lambda: ja.summary(_mlp(), {}), "spec")
    np.testing.assert_equal(ja.summary(_mlp(), SPEC), ja.summary(_mlp(), SPEC))


def test_summary_sees_one_block_and_counts_them_all():
    x = jax.ShapeDtypeStruct((2, 6, 4), np.float32)
    loop = ja.summary(layers.sequential({"blocks": layers.repeat(BLOCK, 3)}), x)
    single = ja.summary(layers.sequential({f"b{i}": BLOCK for i in range(3)}), x)
    again = ja.summary(layers.sequential({"blocks": layers.repeat(layers.remat(BLOCK), 3)}), x)
    assert (loop.parameters, loop.flops) == (single.parameters, single.flops)
    assert [row.path for row in loop.rows] == [
        "blocks.block", *(f"blocks.block.body.{name}" for name in ("norm", "act", "drop", "conv"))]  # fmt: skip
    assert [(row.path, row.kind, row.parameters, row.flops) for row in again.rows] == [
        (row.path, row.kind, row.parameters, row.flops) for row in loop.rows]  # fmt: skip
    assert again.memory.activations < 0.5 * loop.memory.activations


def test_flops_of_blocks_and_places_are_the_closed_forms():
    x = jax.ShapeDtypeStruct((2, 8, 6), np.float32)
    table = {
        "pass": layers.highway(layers.dense(6)),
        "block": layers.dense_block({"a": layers.dense(2)}),
        "scale": layers.squeeze_excitation(units=3),
        "up": layers.resize(12, method="bilinear"),
        "shuffled": layers.pixel_shuffle(2),
        "pad": layers.pad(1),
    }
    rows = _rows(ja.summary(layers.sequential(table), x))
    assert rows["pass.body"].flops == 8 * (2 * 6 * 6 + 6)
    assert rows["block.a"].flops == 8 * (2 * 6 * 2 + 2) and rows["block.a"].parameters == 14
    assert rows["pass"].flops >= 8 * (2 * 6 * 6 + 6 + 4 * 6) and rows["scale"].flops >= 2 * 8 * 8 + 2 * 2 * 8 * 3
    assert rows["up"].flops == 2 * 12 * 8 * 8 and rows["up"].output == (2, 12, 8)
    assert rows["shuffled"].flops == rows["pad"].flops == 0


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [({}, 818_176), ({"positions": "alibi"}, 809_984), ({"positions": "rotary", "groups": 2}, 743_936)],
)
def test_a_transformer_has_the_counts_of_the_closed_forms(settings: dict, parameters: int):
    v, d, heads, blocks, time, batch = 65, 128, 4, 4, 64, 8
    model = ja.models.gpt(v, **settings)
    found = ja.summary(model, jax.ShapeDtypeStruct((batch, time), jnp.int32), optimizers.adam(1e-3))
    width = d + 2 * d * settings.get("groups", heads) // heads  # of queries, keys and values
    block = 2 * 2 * d + (d + 1) * width + (d + 1) * d + (d + 1) * 4 * d + (4 * d + 1) * d
    rest = v * d + 2 * d + d * v + (0 if "positions" in settings else time * d)
    assert found.parameters == blocks * block + rest == parameters and found.bytes == 4 * parameters
    assert found.memory.optimizer == 2 * found.bytes + 4
    rows = _rows(found)
    inside = "blocks.block.attend.body.attention"
    assert rows[f"{inside}.qkv"].flops == blocks * time * (2 * d * width + width)
    assert rows[f"{inside}.out"].flops == blocks * time * (2 * d * d + d)
    assert rows["head"].flops == time * 2 * d * v and rows["head"].output == (batch, time, v)
    products = blocks * 2 * 2 * time * time * d  # q k of all heads, and their weights times v
    assert products < rows[inside].flops < products + blocks * (12 * heads * time * time + 20 * time * 2 * d)
    assert sum(row.parameters for row in found.rows) == parameters
    text = str(found).splitlines()
    assert any(line.startswith("...") and "attention.qkv" in line for line in text) and max(map(len, text)) <= 100


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_a_recurrent_language_model_has_the_counts_of_the_closed_forms(cell: str, gates: int):
    v, units, time, batch = 65, 256, 64, 8
    model = ja.models.recurrent_language_model(v, cell=cell, units=units)
    found = ja.summary(model, jax.ShapeDtypeStruct((batch, time), jnp.int32))
    of_cell = 2 * units * gates * units + 2 * gates * units
    assert found.parameters == v * units + of_cell + (units + 1) * v and found.bytes == 4 * found.parameters
    row = _rows(found)[f"{cell}0"]
    assert row.parameters == of_cell and row.output == (batch, time, units)
    products = time * 2 * 2 * units * gates * units  # x W and h U, at every position
    assert products < row.flops < products + time * 24 * units  # of all gates both the sigmoid and the tanh
    assert _rows(found)["head"].flops == time * (2 * units * v + v)
