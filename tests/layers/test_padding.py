"""Padding changes nothing, over the whole catalogue of layers: which rows are padding, and which positions."""

from __future__ import annotations

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import layers
from jaxann.core import Padded, TrainMode, padded
from tests.catalogue import LAYERS, LayerRow
from tests.contract import assert_input_error
from tests.programs import quick_jit
from tests.tolerances import assert_close

ROWS = [row for row in LAYERS if row.sequence is not None]
every_layer = pytest.mark.parametrize("row", ROWS, ids=str)
MODES = [False, True, TrainMode.NOISE, TrainMode.STATISTICS]


def _shapes(row: LayerRow) -> dict[str, tuple[int, ...]]:
    return row.sequence if isinstance(row.sequence, dict) else {"": row.sequence}


def _tree(row: LayerRow, leaves: dict[str, Any]) -> Any:
    return leaves if isinstance(row.sequence, dict) else leaves[""]


@functools.cache
def _example(row: LayerRow) -> tuple[Any, Any, Any, dict[str, np.ndarray]]:
    layer = row.build()
    x = {name: _drawn(shape) + np.float32(0.5) for name, shape in _shapes(row).items()}
    params, state = layer.init(jax.random.key(2), _tree(row, x))
    return layer, params, state, x


def _drawn(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def _masks(row: LayerRow) -> tuple[np.ndarray, np.ndarray]:
    """The last example is padding; of the others the first has one position less than there are, the next two."""
    batch, time = next(iter(_shapes(row).values()))[:2]
    positions = np.arange(time)[None] < np.maximum(time - 1 - np.arange(batch), 1)[:, None]
    return np.arange(batch) < batch - 1, positions


def _over(mask: jax.Array, leaf: jax.Array) -> jax.Array:
    return jnp.broadcast_to(mask.astype(bool).reshape(*mask.shape, *(1,) * (leaf.ndim - mask.ndim)), leaf.shape)


def _plain(y: Any) -> list[jax.Array]:
    """The arrays of an output, without the masks that come with them."""
    return [leaf.values if isinstance(leaf, Padded) else leaf
            for leaf in jax.tree.leaves(y, is_leaf=lambda n: isinstance(n, Padded))]  # fmt: skip


@functools.cache
def _program(row: LayerRow, train: Any, grows: bool):
    """What real places give: output, new state, gradients by the parameters and by the input."""

    def program(layer, params, state, x, example_mask, sequence_mask, given, key):
        def total(params, x):
            inputs = {n: Padded(a, sequence_mask) for n, a in x.items()} if given else x
            mask = None if given or isinstance(row.sequence, dict) else sequence_mask
            y, after = layer.apply(params, state, _tree(row, inputs), key=key, train=train, example_mask=example_mask,
                                   sequence_mask=mask)  # fmt: skip
            real = _over(example_mask, sequence_mask) & sequence_mask.astype(bool) if grows else example_mask
            kept = [jnp.where(_over(real, leaf), leaf, 0) for leaf in _plain(y)]
            return sum(jnp.sum(jnp.sin(leaf + 0.1)) for leaf in kept), (kept, after)

        gradients, (kept, after) = jax.grad(total, (0, 1), has_aux=True)(params, x)
        both = _over(example_mask, sequence_mask) & sequence_mask.astype(bool)
        by_input = {name: jnp.where(_over(both, leaf), leaf, 0) for name, leaf in gradients[1].items()}
        return kept, after, gradients[0], by_input

    return jax.jit(program, static_argnames="given", compiler_options={"xla_backend_optimization_level": 0})


def _filled(x: dict[str, np.ndarray], masks: tuple[np.ndarray, np.ndarray], content: float) -> dict[str, np.ndarray]:
    real = masks[0][:, None] & masks[1]
    shaped = {name: real.reshape(*real.shape, *(1,) * (leaf.ndim - 2)) for name, leaf in x.items()}
    return {name: np.where(shaped[name], leaf, np.float32(content)) for name, leaf in x.items()}


@every_layer
@pytest.mark.parametrize("train", [False, True], ids=["predict", "train"])
def test_what_padding_holds_changes_nothing(row: LayerRow, train: bool):
    layer, params, state, x = _example(row)
    masks, key = _masks(row), jax.random.key(3) if train and row.random else None
    run = functools.partial(_program(row, train, row.grows), layer, params, state, key=key)
    both = masks[0][:, None] & masks[1]
    several = isinstance(row.sequence, dict)
    results = []
    for content, given in ((0.0, True), (1e3, True), (jnp.nan, True), (1e3, several)):
        filled = _filled(x, masks, content)
        results.append(run(x=filled, example_mask=masks[0], sequence_mask=both if given else masks[1], given=given))
    for other in results[1:3]:
        chex.assert_trees_all_equal(other, results[0])
    for ours, wanted in zip(jax.tree.leaves(results[3]), jax.tree.leaves(results[0]), strict=True):
        assert_close(ours, wanted, "program")
    chex.assert_tree_all_finite(results)


@pytest.mark.parametrize("row", [row for row in ROWS if not row.random], ids=str)
@pytest.mark.parametrize("kind", ["bool", "float32"])
def test_padding_that_is_appended_changes_nothing(row: LayerRow, kind: str):
    layer, params, state, x = _example(row)
    batch, time = next(iter(x.values())).shape[:2]
    length = 2 if row.grows else 0
    longer = {
        name: np.pad(leaf, ((0, 2), (0, length), *((0, 0),) * (leaf.ndim - 2)), constant_values=1e3)
        for name, leaf in x.items()
    }
    example = (np.arange(batch + 2) < batch).astype(kind)
    position = np.broadcast_to(np.arange(time + length) < time, (batch + 2, time + length)).astype(kind)
    given = isinstance(row.sequence, dict)
    run = functools.partial(_program(row, True, row.grows), layer, params, state, given=given, key=None)
    short = run(x=x, example_mask=np.ones(batch, kind), sequence_mask=np.ones((batch, time), kind))
    long = run(x=longer, example_mask=example, sequence_mask=position)
    short, long = jax.tree.map(np.asarray, (short, long))
    kept = [leaf[:batch, :time] if row.grows else leaf[:batch] for leaf in long[0]]
    below = {name: leaf[:batch, :time] for name, leaf in long[3].items()}
    found, expected = jax.tree.leaves((kept, *long[1:3], below)), jax.tree.leaves(short)
    for ours, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("train", MODES, ids=str)
def test_batch_norm_counts_real_places_of_real_rows(train: Any):
    layer = layers.batch_norm()
    x = _drawn((4, 3, 2))
    params, state = layer.init(jax.random.key(1), x)
    rows, places = np.array([True, True, True, False]), np.arange(3)[None] < np.array([[3], [1], [2], [3]])

    @quick_jit
    def run(rows, places):
        """The mask of places as it is, and in the dtypes of the masks of rows."""
        one = functools.partial(layer.apply, params, state, x, train=train)
        return [[one(example_mask=mask, sequence_mask=p) for p in (places.astype(mask.dtype), places)] for mask in rows]

    expected = None
    for (y, after), mixed in run([rows.astype(kind) for kind in (bool, np.float32, np.int32)], places):
        chex.assert_trees_all_equal((y, after), mixed)
        expected = (y, after) if expected is None else expected
        chex.assert_trees_all_equal((y, after), expected)
    real = x[places & rows[:, None]]
    share = {True: 0.9, TrainMode.STATISTICS: 0.0}.get(train, 1.0)
    wanted = {"mean": (1 - share) * real.mean(0), "var": share + (1 - share) * real.var(0)}
    chex.assert_trees_all_close(expected[1], wanted, rtol=1e-5, atol=1e-6)


def test_flatten_ends_the_sequence_and_writes_zeros():
    model = layers.sequential({"wide": layers.dense(2), "flat": layers.flatten(), "norm": layers.batch_norm()})
    x = padded(_drawn((3, 4, 5)), np.array([4, 1, 2]))
    # the mask does not fit the batch norm, and is not given to it
    y, _ = quick_jit(lambda x: model.apply(*model.init(jax.random.key(1), x), x))(x)
    assert y.shape == (3, 8)
    mask = np.repeat(np.asarray(x.mask), 2, 1)
    assert (np.asarray(y)[~mask] == 0).all() and (np.asarray(y)[mask] != 0).all()
    assert "ends_sequence" in model.traits and "positionwise" not in model.traits


def _mixing_init(key, spec):
    return {}, {}


def _mixing_apply(params, state, x, *, key=None, train=False):
    return x - jnp.broadcast_to(jnp.mean(x, 1, keepdims=True), x.shape), state


def test_layer_that_heeds_no_mask_and_declares_nothing_is_refused():
    own = layers.custom(_mixing_init, _mixing_apply)
    model = layers.sequential({"a": layers.dense(2), "own": own})
    x = padded(_drawn((3, 4, 5)), np.array([4, 1, 2]))
    params, state = model.init(jax.random.key(1), x.values)
    message = assert_input_error(lambda: jax.eval_shape(lambda v: model.apply(params, state, v)[0], x), "sequence_mask")
    assert "positionwise" in message
    jax.eval_shape(lambda v: model.apply(params, state, v)[0], x.values)


def test_mask_reaches_children_of_children():
    seen = []

    def apply(params, state, x, *, key=None, train=False, example_mask=None, sequence_mask=None):
        seen.append((example_mask, sequence_mask))
        return x, state

    own = layers.custom(_mixing_init, apply)
    inner = layers.sequential({"own": own, "res": layers.residual(own, own)})
    deep = layers.stochastic_depth(layers.branch({"own": own}), 0.5)
    model = layers.sequential({"inner": inner, "own": own})
    x, rows = padded(jnp.ones((3, 4, 5)), jnp.array([4, 1, 2])), jnp.array([1.0, 1.0, 0.0])
    params, state = model.init(jax.random.key(0), x)
    for train in (False, True):
        seen.clear()
        model.apply(params, state, x, train=train, example_mask=rows)
        assert len(seen) == 4 and all(a is rows and b is x.mask for a, b in seen)
    seen.clear()
    assert deep.children["body"].children["own"] is own
    forward = layers.branch({"own": own, "flat": layers.flatten()})
    y, _ = forward.apply(*forward.init(jax.random.key(0), x), x, example_mask=rows)
    assert seen[-1][0] is rows and seen[-1][1] is x.mask
    assert isinstance(y["own"], Padded) and y["own"].mask is x.mask and y["flat"].shape == (3, 20)


def test_each_of_several_inputs_keeps_its_own_mask():
    pool = layers.custom(_mixing_init, _mean_of_real, traits=("ends_sequence",))
    model = layers.sequential(
        {
            "first": layers.parallel({"words": layers.dense(3), "sounds": layers.dense(2), "numbers": layers.dense(4)}),
            "norm": layers.parallel(
                {"words": layers.batch_norm(), "sounds": layers.batch_norm(), "numbers": layers.batch_norm()}
            ),
            "pool": layers.parallel({"words": pool, "sounds": pool, "numbers": layers.elementwise("tanh")}),
            "join": layers.concatenate(),
            "out": layers.dense(2),
        }
    )
    x = {
        "words": padded(_drawn((3, 4, 5)), np.array([4, 1, 2])),
        "sounds": padded(_drawn((3, 6, 2)), np.array([1, 6, 2])),
        "numbers": _drawn((3, 7)),
    }
    params, state = model.init(jax.random.key(1), x)
    run = quick_jit(lambda x: model.apply(params, state, x, train=True))
    y, after = run(x)
    spoiled = {
        name: v._replace(values=np.where(v.mask[..., None], v.values, np.float32(np.nan))) if name != "numbers" else v
        for name, v in x.items()
    }
    chex.assert_trees_all_equal(run(spoiled), (y, after))
    first = np.asarray(x["words"].values)[np.asarray(x["words"].mask)] @ np.asarray(params["first"]["words"]["weight"])
    np.testing.assert_allclose(after["norm"]["words"]["mean"], 0.1 * first.mean(0), rtol=1e-5, atol=1e-6)


def _mean_of_real(params, state, x, *, key=None, train=False, sequence_mask=None):
    real = jnp.ones(x.shape[:2]) if sequence_mask is None else sequence_mask.astype(x.dtype)
    count = jnp.maximum(jnp.sum(real, 1, keepdims=True), 1)
    weights = jnp.broadcast_to((real / count)[..., None], x.shape)
    return jnp.sum(weights * x, 1), state


def test_joined_sequences_have_one_mask_and_hand_it_on():
    seen = []

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        seen.append(sequence_mask)
        return x, state

    own = layers.custom(_mixing_init, apply)
    front = layers.sequential({"in": layers.parallel({"a": layers.dense(2), "b": layers.dense(2)}),
                               "join": layers.concatenate(), "out": layers.dense(3)})  # fmt: skip
    model = layers.sequential({"front": front, "own": own})
    lengths = jnp.array([4, 1, 2])
    x = {name: padded(jnp.ones((3, 4, 5)), lengths) for name in "ab"}
    params, state = model.init(jax.random.key(1), x)
    seen.clear()
    y, _ = model.apply(params, state, x)
    np.testing.assert_array_equal(seen[0], x["a"].mask)
    assert isinstance(y, Padded) and y.values.shape == (3, 4, 3)
    half = x | {"b": x["b"].values}
    assert_input_error(lambda: model.apply(params, state, half), "x", given="'b' without one")
    assert_input_error(
        lambda: model.apply(params, state, jnp.ones((3, 4, 5))), "x", expected="a dict with the names 'a', 'b'"
    )
    plain = {name: v.values for name, v in x.items()}
    mask = x["a"].mask
    assert_input_error(lambda: model.apply(params, state, plain, sequence_mask=mask), "sequence_mask")
