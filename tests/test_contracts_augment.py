"""What holds for every augmentation."""

from __future__ import annotations

import functools

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


@every_augment
def test_augment_keeps_shapes_and_dtypes(row: AugmentRow):
    (x, y), augment = _batch(row), row.build()
    assert isinstance(augment, Augment)
    for dtype in (jnp.float32, jnp.bfloat16) if row.ids is None else (jnp.int32, jnp.uint8):
        new, targets = change(augment, jax.random.key(0), x.astype(dtype), y, None)
        assert (new.shape, new.dtype) == (row.output or x.shape, dtype)
        assert isinstance(targets, Mixed) == row.mixes
        if row.mixes:
            np.testing.assert_array_equal(targets.first, y)
            assert (targets.second.shape, targets.second.dtype) == (y.shape, y.dtype)
            assert (targets.share.shape, targets.share.dtype) == (y.shape, jnp.float32)
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
    keys = jax.random.split(jax.random.key(7), 3)
    many = quick_jit(jax.vmap(augment, in_axes=(0, None, None)))(keys, x, y)
    one = change(augment, keys[1], x, y, None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=close("float32", "program")), many, one)
    if row.nothing is not None:
        np.testing.assert_array_equal(change(augment.replace(**row.nothing), keys[0], x, y, None)[0], x)


@every_augment
def test_augment_mixes_no_padding_in(row: AugmentRow):
    (x, y), augment = _batch(row), row.build()
    for example_mask in (jnp.array([1.0, 1, 1, 1, 0, 0]), jnp.array([False, True, True, False, True, False])):
        real = np.asarray(example_mask).astype(bool)
        spoiled = jnp.where(
            jnp.broadcast_to(example_mask.astype(bool).reshape(-1, *(1,) * (x.ndim - 1)), x.shape),
            x,
            jnp.nan if row.ids is None else jnp.int32(-7),
        )
        for seed in range(5):
            new, targets = change(augment, jax.random.key(seed), spoiled, y, example_mask)
            assert np.isfinite(np.asarray(new)[real]).all() and (row.ids is None or (np.asarray(new)[real] >= 0).all())
            if row.mixes:
                assert set(np.asarray(targets.second)[real]) == set(np.asarray(y)[real])
                np.testing.assert_array_equal(np.asarray(targets.second)[~real], np.asarray(y)[~real])
    assert change(augment, jax.random.key(0), x, y, jnp.zeros(6))[0].shape == (row.output or x.shape)


@pytest.mark.parametrize("row", [row for row in AUGMENTS if not row.mixes], ids=str)
def test_augment_draws_for_each_example_alone(row: AugmentRow):
    (x, y), augment, key = _batch(row), row.build(), jax.random.key(3)
    whole = np.asarray(change(augment, key, x, y, None)[0])
    fewer = change(augment, key, x[:4], y[:4], None)[0]
    np.testing.assert_allclose(fewer, whole[:4], rtol=close("float32", "program"))
    others = jnp.concatenate([x[:2], x[2:] * 3 + 1])
    np.testing.assert_array_equal(change(augment, key, others, y, None)[0][:2], whole[:2])
    assert len({row.tobytes() for row in np.asarray(change(augment, key, x[:1].repeat(6, 0), y, None)[0])}) > 1


@every_augment
def test_augment_numbers_may_be_traced(row: AugmentRow):
    (x, y), augment = _batch(row), row.build()
    if not jax.tree.leaves(augment):
        return
    numbers = jax.tree.map(jnp.asarray, augment)
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), numbers)
    new = quick_jit(jax.vmap(lambda a: a(jax.random.key(0), x, y)[0]))(many)
    np.testing.assert_allclose(new[1], change(augment, jax.random.key(0), x, y, None)[0], rtol=1e-6)
