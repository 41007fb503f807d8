"""What holds for every augmentation."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.core.augmentation import Augment, Mixed
from tests.catalogue import AUGMENTS, AugmentRow
from tests.contract import assert_input_error
from tests.programs import quick_jit
from tests.tolerances import close

every_augment = pytest.mark.parametrize("row", AUGMENTS, ids=str)
change = quick_jit(lambda augment, key, x, y, example_mask: augment(key, x, y, example_mask))


@functools.cache
def _batch(row: AugmentRow) -> tuple[jax.Array, jax.Array]:
    x = jax.random.normal(jax.random.key(5), row.shape) + 3.0
    if row.ids is not None:  # 0 at the end, for those to whom that is padding
        x = jax.random.randint(jax.random.key(5), row.shape, 1, row.ids, jnp.int32).at[:, -3:].set(0)
    return x, jnp.arange(row.shape[0], dtype=jnp.int32)  # each example's label is its number


def _mapped(row: AugmentRow) -> Any:
    """By two equal sets of its numbers, and within by three keys: one program for both."""
    (x, y), augment = _batch(row), row.build()

    def over_keys(augment, keys):
        return jax.vmap(lambda key: augment(key, x, y))(keys)

    if not jax.tree.leaves(augment):
        return jax.device_get(quick_jit(over_keys)(augment, _keys()))
    many = jax.tree.map(lambda leaf: np.stack([np.asarray(leaf)] * 2), augment)
    found = quick_jit(jax.vmap(over_keys, in_axes=(0, None)))(many, _keys())
    return jax.tree.map(lambda leaf: np.asarray(leaf)[1], found)


def _keys() -> jax.Array:
    return jax.random.split(jax.random.key(7), 3)


@every_augment
def test_augment_keeps_shapes_and_dtypes(row: AugmentRow):
    (x, y), augment = _batch(row), row.build()
    assert isinstance(augment, Augment)
    for dtype in (jnp.float32, jnp.bfloat16) if row.ids is None else (jnp.int32, jnp.uint8):
        given = jax.ShapeDtypeStruct(x.shape, dtype)
        new, targets = jax.eval_shape(augment, jax.random.key(0), given, y)
        assert (new.shape, new.dtype) == (row.output or x.shape, dtype)
        assert isinstance(targets, Mixed) == row.mixes
        if row.mixes:
            assert (targets.second.shape, targets.second.dtype) == (y.shape, y.dtype)
            assert (targets.share.shape, targets.share.dtype) == (y.shape, jnp.float32)
    new, targets = change(augment, jax.random.key(0), x, y, None)
    assert (new.shape, new.dtype) == (row.output or x.shape, x.dtype)
    if row.mixes:
        np.testing.assert_array_equal(targets.first, y)
        assert sorted(targets.second.tolist()) == y.tolist()
        assert ((targets.share >= 0) & (targets.share <= 1)).all()
    else:
        np.testing.assert_array_equal(targets, y)
    if row.ids is not None:
        floats = np.ones(row.shape, np.float32)
        assert_input_error(lambda: jax.eval_shape(augment, jax.random.key(0), floats, y), "x", given="float32")
    whole = np.ones(row.shape, np.uint8)
    if row.wide:
        assert_input_error(lambda: jax.eval_shape(augment, jax.random.key(0), whole, y), "x", given="uint8")
    else:
        assert jax.eval_shape(augment, jax.random.key(0), whole, y)[0].dtype == jnp.uint8
    if len(row.shape) == 4:
        assert_input_error(
            lambda: jax.eval_shape(augment, jax.random.key(0), whole[0], y), "x", given=str(row.shape[1:])
        )
    assert_input_error(lambda: augment(3, x, y), "key", given="3")


@every_augment
def test_augment_depends_on_the_key_alone(row: AugmentRow):
    (x, y), augment = _batch(row), row.build()
    first = change(augment, jax.random.key(0), x, y, None)
    again = change(row.build(), jax.random.key(0), x, y, None)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert any((np.asarray(change(augment, jax.random.key(k), x, y, None)[0]) != first[0]).any() for k in (1, 2, 3))
    if row.output is None:
        assert any((np.asarray(change(augment, jax.random.key(k), x, y, None)[0]) != x).any() for k in (1, 2, 3))
    if row.nothing is not None:
        np.testing.assert_array_equal(change(augment.replace(**row.nothing), _keys()[0], x, y, None)[0], x)


@every_augment
def test_augment_mixes_no_padding_in(row: AugmentRow):
    (x, y), augment = _batch(row), row.build()
    masks = [np.float32([1, 1, 1, 1, 0, 0]), np.array([False, True, True, False, True, False])]
    if not row.mixes:  # no example meets another: flags are taken, and mean what the numbers do
        given = jax.eval_shape(augment, jax.random.key(0), x, y, masks[1])[0]
        assert (given.shape, given.dtype) == (row.output or x.shape, x.dtype)
        masks[1] = masks[1].astype(np.float32)
    for example_mask in masks:
        real = example_mask.astype(bool)
        spoiled = np.array(x)
        spoiled[~real] = np.nan if row.ids is None else -7
        for seed in range(5):
            new, targets = change(augment, jax.random.key(seed), spoiled, y, example_mask)
            assert np.isfinite(np.asarray(new)[real]).all() and (row.ids is None or (np.asarray(new)[real] >= 0).all())
            if row.mixes:
                assert set(np.asarray(targets.second)[real]) == set(np.asarray(y)[real])
                np.testing.assert_array_equal(np.asarray(targets.second)[~real], np.asarray(y)[~real])
    assert change(augment, jax.random.key(0), x, y, np.zeros(6, np.float32))[0].shape == (row.output or x.shape)


@pytest.mark.parametrize("row", [row for row in AUGMENTS if not row.mixes], ids=str)
def test_augment_draws_for_each_example_alone(row: AugmentRow):
    (x, y), augment, key = _batch(row), row.build(), jax.random.key(3)
    whole = np.asarray(change(augment, key, x, y, None)[0])
    fewer = change(augment, key, x[:4], y[:4], None)[0]
    np.testing.assert_allclose(fewer, whole[:4], rtol=close("float32", "program"))
    x = np.asarray(x)
    others = np.concatenate([x[:2], x[2:] * 3 + 1])
    np.testing.assert_array_equal(change(augment, key, others, y, None)[0][:2], whole[:2])
    assert len({row.tobytes() for row in np.asarray(change(augment, key, x[:1].repeat(6, 0), y, None)[0])}) > 1


@every_augment
def test_augment_maps_over_keys_and_over_numbers_that_are_traced(row: AugmentRow):
    (x, y), augment = _batch(row), row.build()
    one = change(augment, _keys()[1], x, y, None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-6), _mapped(row), one)
