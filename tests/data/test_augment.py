"""Augmentations: what is mixed with what and by how much, and where boxes lie."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxann as ja
from jaxann.data import cutmix, cutout, mixup, random_erasing
from tests.train.problems import digits, small_fit

change = jax.jit(lambda augment, keys, x, y: jax.vmap(lambda key: augment(key, x, y))(keys))
KEYS = jax.random.split(jax.random.key(0), 400)


@pytest.mark.parametrize("per_example", [False, True], ids=["batch", "example"])
def test_mixup_is_the_line_between_two_examples(per_example: bool):
    x = jax.random.normal(jax.random.key(1), (8, 3))
    for alpha in (0.2, 1.0, 5.0):
        new, targets = change(mixup(alpha, per_example=per_example), KEYS, x, jnp.arange(8))
        share = np.asarray(targets.share)[..., None]
        expected = share * np.asarray(x) + (1 - share) * np.asarray(x)[np.asarray(targets.second)]
        np.testing.assert_allclose(new, expected, rtol=1e-5, atol=1e-6)
        draws = np.asarray(targets.share) if per_example else np.asarray(targets.share)[:, :1]
        assert (draws[:, :1] == targets.share).all() != per_example
        distance, _ = scipy.stats.kstest(draws.ravel(), scipy.stats.beta(alpha, alpha).cdf)
        assert distance < 1.95 / np.sqrt(draws.size)  # one in a thousand is further off
    nearly, targets = change(mixup(1e-3, per_example=per_example), KEYS, x, jnp.arange(8))
    whole = np.where(np.asarray(targets.share) > 0.5, np.arange(8), targets.second)
    assert (np.abs(np.asarray(nearly) - np.asarray(x)[whole]) < 1e-6).mean() > 0.95  # hardly anything is mixed


@pytest.mark.parametrize("per_example", [False, True], ids=["batch", "example"])
def test_cutmix_shares_by_the_area_that_is_left(per_example: bool):
    height, width = 6, 9
    y = jnp.arange(8)
    x = jnp.broadcast_to(y.astype(jnp.float32).reshape(8, 1, 1, 1), (8, height, width, 2))  # every pixel says whose
    new, targets = change(cutmix(per_example=per_example), KEYS, x, y)
    new, second = np.asarray(new), np.asarray(targets.second).reshape(400, 8, 1, 1, 1)
    own = np.asarray(y).reshape(8, 1, 1, 1)
    assert ((new == own) | (new == second)).all()
    foreign = (new != own)[..., 0]
    differs = (second != own)[..., 0, 0, 0]
    np.testing.assert_allclose((1 - foreign.mean((2, 3)))[differs], np.asarray(targets.share)[differs], atol=1e-6)
    rows, columns = foreign.any(3), foreign.any(2)
    boxes = rows[..., :, None] & columns[..., None, :]
    np.testing.assert_array_equal(boxes, foreign)  # a box, and nothing but a box
    if not per_example:
        assert (np.asarray(targets.share) == np.asarray(targets.share)[:, :1]).all()
    assert 0.6 < np.asarray(targets.share).mean() < 0.8  # half of the area, less what lies outside
    assert foreign.mean((0, 1)).min() > 0.1


def test_cutout_hides_a_square_that_may_be_cut_off():
    x = jnp.ones((8, 7, 10, 2))
    for size in (1, 3, 4):
        new, _ = change(cutout(size), KEYS, x, jnp.arange(8))
        gone = np.asarray(new) == 0
        np.testing.assert_array_equal(gone[..., 0], gone[..., 1])
        gone = gone[..., 0]
        tall, broad = gone.any(3).sum(2), gone.any(2).sum(2)
        np.testing.assert_array_equal(gone.sum((2, 3)), tall * broad)
        assert tall.max() == broad.max() == size and min(tall.min(), broad.min()) == (size + 1) // 2
        seen = gone.mean((0, 1))
        expected = size * size / 70
        np.testing.assert_allclose(seen[3, 5], expected, rtol=0.25)
    assert (np.asarray(change(cutout(20, fill=0.25), KEYS, x, jnp.arange(8))[0]) == 0.25).mean() > 0.9
    noise = np.asarray(change(cutout(40, fill="noise"), KEYS, x, jnp.arange(8))[0])
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02


def test_random_erasing_draws_area_shape_and_place():
    x = jnp.ones((8, 40, 50, 1))
    keys = KEYS[:60]
    new, _ = change(random_erasing(0.5, scale=(0.1, 0.2), ratio=(0.5, 2.0)), keys, x, jnp.arange(8))
    gone = np.asarray(new)[..., 0] == 0
    some = gone.any((2, 3))
    assert abs(some.mean() - 0.5) < 0.1
    gone = gone[some]
    tall, broad = gone.any(2).sum(1), gone.any(1).sum(1)
    np.testing.assert_array_equal(gone.sum((1, 2)), tall * broad)
    area, shape = tall * broad / 2000, tall / broad
    assert 0.09 < area.min() < 0.11 and 0.19 < area.max() < 0.21 and abs(area.mean() - 0.15) < 0.01
    assert 0.45 < shape.min() < 0.6 and 1.7 < shape.max() < 2.2 and abs(np.log(shape).mean()) < 0.1
    assert gone[:, 0].any() and gone[:, -1].any() and gone[:, :, 0].any() and gone[:, :, -1].any()
    thin, _ = change(random_erasing(1.0, scale=(1.0, 1.0), ratio=(9.0, 9.0)), keys, x, jnp.arange(8))
    assert (np.asarray(thin)[..., 0] == 0).any(3).all()  # cut to the picture's height


def test_augmentations_work_inside_the_compiled_run():
    train, validation = digits()
    pictures = tuple((x.reshape(-1, 8, 8, 1), y) for x, y in (train, validation))
    net = ja.layers.sequential({"flatten": ja.layers.flatten(), "dense": ja.layers.dense(10)})
    result = small_fit(
        model=net, train=pictures[0], validation=pictures[1], optimizer=ja.optimizers.adam(1e-2), epochs=4,
        augment=(cutmix(), cutout(2)),
    )  # fmt: skip
    assert result.history["validation_accuracy"][-1] > 0.6
