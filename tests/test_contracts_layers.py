"""What holds for every layer and model."""

from __future__ import annotations

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.core.trees import flatten_named
from jaxann.layers import fit_preprocessing
from jaxann.layers.preprocess import learns_from_data
from tests.catalogue import LAYERS, LayerRow
from tests.contract import assert_input_error
from tests.programs import quick_jit
from tests.tolerances import assert_close, close


def _is_model(row: LayerRow) -> bool:
    """Whether it is made of layers that have rows of their own: compiling one takes seconds."""
    return str(row).startswith("models.")


every_layer = pytest.mark.parametrize("row", LAYERS, ids=str)
# In both modes where they differ; that they are one for the others is a test of its own.
every_mode = pytest.mark.parametrize(
    ("row", "train"),
    [(row, train) for row in LAYERS for train in ([False, True] if row.random or row.stateful else [True])],
    ids=lambda value: ("train" if value else "predict") if isinstance(value, bool) else str(value),
)
# The same, of models in training alone: what they are made of is tried in both modes.
every_mode_of_layers = pytest.mark.parametrize(
    ("row", "train"),
    [
        (row, train)
        for row in LAYERS
        for train in ([False, True] if (row.random or row.stateful) and not _is_model(row) else [True])
    ],
    ids=lambda value: ("train" if value else "predict") if isinstance(value, bool) else str(value),
)

# A layer is an ordinary argument, so one compiled program serves all tests of a row.
run = jax.jit(
    lambda layer, params, state, x, key, train, mask: layer.apply(
        params, state, x, key=key, train=train, example_mask=mask
    ),
    static_argnames="train",
)


@functools.cache
def _example(row: LayerRow) -> tuple[Any, Any, Any, Any]:
    layer = row.build()
    x = _drawn(row.shape, row.ids)
    params, state = layer.init(jax.random.key(2), x)
    return layer, params, fit_preprocessing(layer, params, state, x), x


def _drawn(shape: Any, ids: int | None = None) -> Any:
    """Numbers, or ids, of one shape, or of several by name."""
    if isinstance(shape, dict):
        return {name: _drawn(one, ids) for name, one in shape.items()}
    if ids is not None:
        return np.random.default_rng(1).integers(0, ids, shape, np.int32)
    return (np.random.default_rng(1).normal(size=shape) + 0.5).astype(np.float32)


def _narrow(tree: Any) -> Any:
    return jax.tree.map(lambda a: np.asarray(a).astype(jnp.bfloat16) if np.asarray(a).dtype.kind == "f" else a, tree)


def _other(row: LayerRow, x: Any) -> Any:
    """Other inputs."""
    return jax.tree.map(lambda a: a + 1 if row.ids is None else (a + 1) % row.ids, x)


def _close(actual: Any, expected: Any, kind: str) -> None:
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert_close(a, b, kind)


def _first(tree: Any) -> Any:
    return jax.tree.leaves(tree)[0]


def _key(row: LayerRow, train: bool) -> jax.Array | None:
    return jax.random.key(3) if train and row.random else None


def _check_names(tree: Any) -> None:
    assert type(tree) is dict
    for name, value in tree.items():
        assert isinstance(name, str) and name and "." not in name
        if isinstance(value, dict):
            _check_names(value)
        else:
            assert isinstance(value, jax.Array)


@every_layer
def test_layer_init_gives_nested_dicts_of_arrays(row: LayerRow):
    layer, params, state, x = _example(row)
    for tree in (params, state):
        _check_names(tree)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(params))
    spec = jax.tree.map(lambda a: jax.ShapeDtypeStruct((9, *a.shape[1:]), a.dtype), x)
    if not _is_model(row):
        chex.assert_trees_all_equal(layer.init(jax.random.key(2), spec), layer.init(jax.random.key(2), x))
    shapes = jax.eval_shape(layer.init, jax.random.key(2), spec)
    chex.assert_trees_all_equal_shapes_and_dtypes(shapes, (params, state))


@every_layer
def test_layer_init_depends_on_the_key_alone(row: LayerRow):
    layer, params, _, x = _example(row)
    other = layer.init(jax.random.key(4), x)[0]
    for name, leaf in flatten_named(params).items():
        if name.endswith("weight"):
            assert (np.asarray(leaf) != np.asarray(flatten_named(other)[name])).any()
    old, two = jax.random.key_data(jax.random.key(0)), jax.random.split(jax.random.key(0))
    assert_input_error(lambda: layer.init(0, x), "key", given="0")
    assert_input_error(lambda: layer.init(old, x), "key", given="uint32")
    assert_input_error(lambda: layer.init(two, x), "key", given="2 keys")


@every_mode_of_layers
def test_layer_compiled_equals_eager_and_keeps_shapes(row: LayerRow, train: bool):
    layer, params, state, x = _example(row)
    key, x = _key(row, train), jax.tree.map(jnp.asarray, x)
    fast, fast_after = run(layer, params, state, x, key, train, None)
    if _is_model(row):  # it has no code of its own: step by step it runs what the rows of its layers do
        assert layer.functions.apply.__module__.startswith("jaxann.layers.")
        y, after = fast, fast_after
    else:
        y, after = layer.apply(params, state, x, key=key, train=train)
    shapes = jax.eval_shape(lambda p, s, v: layer.apply(p, s, v, key=key, train=train), params, state, x)
    chex.assert_trees_all_equal_shapes_and_dtypes(shapes, (y, after))
    chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for leaf in jax.tree.leaves(y):
        assert leaf.shape[0] == _first(x).shape[0] and leaf.dtype == np.float32
    _close(fast, y, "program")
    chex.assert_trees_all_close(fast_after, after, rtol=close("float32", "program"), atol=1e-6)


@every_layer
def test_layer_in_prediction_draws_nothing_and_changes_nothing(row: LayerRow):
    layer, params, state, x = _example(row)
    y, after = run(layer, params, state, x, None, False, None)
    assert row.stateful == bool(jax.tree.leaves(state)) or learns_from_data(layer)
    chex.assert_trees_all_equal(after, state)
    with_key = run(layer, params, state, x, jax.random.key(9), False, None)[0]
    chex.assert_trees_all_equal(with_key, y)
    program = jax.make_jaxpr(lambda k: layer.apply(params, state, x, key=k))(jax.random.key(9))
    assert "random_bits" not in str(program)


@every_layer
def test_layer_in_training_needs_a_key_iff_it_is_random(row: LayerRow):
    layer, params, state, x = _example(row)
    if not row.random:
        y, _ = run(layer, params, state, x, None, True, None)
        with_key = run(layer, params, state, x, jax.random.key(9), True, None)[0]
        chex.assert_trees_all_equal(with_key, y)
        if not row.stateful:
            chex.assert_trees_all_equal(run(layer, params, state, x, None, False, None)[0], y)
        return
    assert_input_error(
        lambda: jax.eval_shape(lambda p, s, v: layer.apply(p, s, v, train=True), params, state, x), "key", given="None"
    )
    made = [run(layer, params, state, x, jax.random.key(seed), True, None)[0] for seed in (3, 3, 4)]
    draws = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(y)]) for y in made]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


@every_mode_of_layers
def test_layer_maps_over_members_and_over_batches(row: LayerRow, train: bool):
    layer, params, state, x = _example(row)
    key = _key(row, train)
    more = _other(row, x)
    batches = jax.tree.map(lambda *a: np.stack(a), x, more)

    @quick_jit
    def mapped(keys, params, state, x, batches):
        apply = functools.partial(layer.apply, key=key, train=train)
        if _is_model(row):  # vmap over init is tried of its layers
            members = jax.tree.map(lambda a: jnp.stack([a, a + jnp.asarray(0.5, a.dtype), a]), (params, state))
        else:
            members = jax.vmap(lambda k: layer.init(k, x))(keys)
        over_batches = jax.vmap(apply, in_axes=(None, None, 0))
        if not jax.tree.leaves(members):
            return members, over_batches(params, state, batches)
        # The one within the other, each with a rule of its own for what it maps: half the program of the two apart.
        return members, jax.vmap(over_batches, in_axes=(0, 0, None))(*members, batches)

    members, results = mapped(jax.random.split(jax.random.key(5), 3), params, state, x, batches)
    second = (1,) if not jax.tree.leaves(members) else (1, 1)
    members = jax.tree.map(lambda leaf: np.asarray(leaf)[1], members)
    y, after = jax.tree.map(lambda leaf: np.asarray(leaf)[second], results)
    expected = run(layer, *members, more, key, train, None)
    _close(y, expected[0], "program")
    chex.assert_trees_all_close(after, expected[1], rtol=1e-5, atol=1e-6)


@every_mode_of_layers
def test_layer_has_finite_gradients(row: LayerRow, train: bool):
    layer, params, state, x = _example(row)

    def total(product, params, x):
        y, _ = product.apply(params, state, x, key=_key(row, train), train=train)
        return sum(jnp.sum(jnp.sin(leaf + 0.1)) for leaf in jax.tree.leaves(y))

    numbers = jax.tree.map(jnp.asarray, layer)
    given = (numbers, params, x) if row.ids is None else (numbers, params)
    gradients = quick_jit(jax.grad(total, argnums=tuple(range(len(given)))))(numbers, params, x)
    chex.assert_trees_all_equal_shapes_and_dtypes(gradients, given)
    chex.assert_tree_all_finite(gradients)
    assert all((np.asarray(leaf) != 0).any() for leaf in jax.tree.leaves(gradients[-1]))


@every_layer
def test_layer_state_is_carried_by_scan(row: LayerRow):
    layer, params, state, x = _example(row)
    key = _key(row, True)

    def body(state, scale):
        scaled = x if row.ids else jax.tree.map(lambda a: a * jnp.broadcast_to(scale, a.shape), x)
        y, after = layer.apply(params, state, scaled, key=key, train=True)
        return after, y

    scales = np.array([1.0, 2.0, 3.0], np.float32)
    if _is_model(row) or not jax.tree.leaves(state):  # what comes of it is its layers' state, or needs none
        last, ys = jax.eval_shape(lambda s: jax.lax.scan(body, s, scales), state)
        chex.assert_trees_all_equal_shapes_and_dtypes(last, state)
        assert {leaf.shape[:2] for leaf in jax.tree.leaves(ys)} == {(3, _first(x).shape[0])}
        return
    last, ys = quick_jit(lambda s: jax.lax.scan(body, s, scales))(state)
    for i, scale in enumerate(scales):
        scaled = x if row.ids else jax.tree.map(lambda a, s=scale: a * s, x)
        y, state = run(layer, params, state, scaled, key, True, None)
        _close(jax.tree.map(lambda a, i=i: a[i], ys), y, "program")
    chex.assert_trees_all_close(last, state, rtol=1e-5, atol=1e-6)


@every_layer
def test_layer_works_in_bfloat16(row: LayerRow):
    layer, params, state, x = _example(row)
    narrow = _narrow(x)
    made = jax.eval_shape(layer.init, jax.random.key(2), narrow)
    assert row.ids or all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(made[0]))
    chex.assert_trees_all_equal_shapes_and_dtypes(made[1], state)  # statistics stay wide
    key = _key(row, True)
    if _is_model(row):  # its numbers are its layers'
        y, after = jax.eval_shape(
            lambda p, s, v: layer.apply(p, s, v, key=key, train=True), _narrow(params), state, narrow
        )
    else:
        y, after = run(layer, _narrow(params), state, narrow, key, True, None)
    assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(y))
    chex.assert_trees_all_equal_shapes_and_dtypes(after, made[1])
    if _is_model(row):
        return
    wide = narrow if row.ids else jax.tree.map(lambda a: a.astype(np.float32), narrow)
    _close(y, run(layer, params, state, wide, key, True, None)[0], "program")


@every_layer
def test_layer_leaves_padding_out(row: LayerRow):
    layer, params, state, x = _example(row)
    key, rows = _key(row, True), _first(x).shape[0]
    mask = np.array([1] * rows + [0] * 2, np.float32)
    results = []
    for content in (1e3, np.nan) if row.ids is None else (0, row.ids - 1):
        longer = jax.tree.map(lambda a, c=content: np.concatenate([a, np.full_like(a[:2], c)]), x)
        y, after = run(layer, params, state, longer, key, True, mask)
        results.append((jax.tree.map(lambda a: np.asarray(a)[:rows], y), after))
    chex.assert_trees_all_equal(results[0], results[1])
    if not row.random:
        y, after = run(layer, params, state, x, key, True, None)
        _close(results[0][0], y, "program")
        chex.assert_trees_all_close(results[0][1], after, rtol=1e-5, atol=1e-6)


@every_mode
@pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint8], ids=["int32", "uint8"])
def test_layer_refuses_integers(row: LayerRow, train: bool, dtype: Any):
    layer, params, state, x = _example(row)
    dtype = dtype if row.ids is None else np.float32  # of which one that takes ids takes none
    whole = jax.tree.map(lambda a: np.ones(a.shape, dtype), x)
    call = functools.partial(layer.apply, key=_key(row, train), train=train)
    if row.takes_integers:
        return
    assert_input_error(lambda: jax.eval_shape(call, params, state, whole), "x", given=jnp.dtype(dtype).name)


@every_layer
def test_layer_takes_any_batch(row: LayerRow):
    layer, params, state, x = _example(row)
    y = jax.tree.map(np.asarray, run(layer, params, state, x, None, False, None)[0])
    for rows in (1,) if _is_model(row) else (1, 3):
        few = jax.tree.map(lambda a, n=rows: a[:n], x)
        part = run(layer, params, state, few, None, False, None)[0]
        _close(part, jax.tree.map(lambda a, n=rows: a[:n], y), "program")
    for rows in (0, 3):
        few = jax.tree.map(lambda a, n=rows: np.resize(a, (n, *a.shape[1:])), x)
        made = jax.eval_shape(lambda v: layer.apply(params, state, v)[0], few)
        assert jax.tree.map(lambda a: a.shape, made) == jax.tree.map(lambda a, n=rows: (n, *a.shape[1:]), y)
