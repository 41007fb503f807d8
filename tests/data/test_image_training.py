"""Augmentations of pictures inside compiled runs, alone and in populations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import data
from jaxann.core.augmentation import Augment
from tests.train.problems import digits, equal_bits, small_fit

NET = ja.layers.sequential({"flatten": ja.layers.flatten(), "dense": ja.layers.dense(10)})
RANGE = {"value_range": (0, 1)}
CHAIN = (
    data.pad_and_crop(1),
    data.rotate(10.0),
    data.color_jitter(0.2, 0.2, 0.2, **RANGE),
    data.rand_augment(1, 2.0, **RANGE),
    data.cutmix(),
)


def pictures() -> dict[str, Any]:
    train, validation = (((x - x.min()) / (x.max() - x.min()), y) for x, y in digits())
    train, validation = ((x.reshape(-1, 8, 8, 1).astype(np.float32), y) for x, y in (train, validation))
    return {"model": NET, "train": train, "validation": validation, "optimizer": ja.optimizers.adam(5e-2)}


def test_a_chain_of_augmentations_trains_and_goes_on_bit_for_bit():
    whole = small_fit(**pictures(), epochs=5, augment=CHAIN)
    assert whole.history["validation_accuracy"][-1] > 0.6
    part = small_fit(**pictures(), epochs=2, augment=CHAIN)
    rest = small_fit(**pictures(), epochs=5, augment=CHAIN, resume=part)
    assert equal_bits((whole.params, whole.history), (rest.params, rest.history))


def test_members_have_their_own_numbers():
    setting = pictures()
    setting["train"] = tuple(a[:384] for a in setting["train"])  # six whole batches: a program without a shorter step

    def build(hyper: Any) -> Any:
        strength = hyper["strength"]
        augment = (
            data.pad_and_crop(jnp.asarray(4 * strength).astype(jnp.int32)),
            data.horizontal_flip(strength),
            data.affine(90.0 * strength, translate=(0.0, 0.0), scale=(1.0, 1.0)),
            data.color_jitter(strength, strength, strength, **RANGE),
        )
        return ja.recipe(NET, ja.losses.softmax_cross_entropy, setting["optimizer"], augment=augment)

    keys = jax.random.split(jax.random.key(0), 2)
    many = ja.train.fit_population(
        build, {"strength": [0.0, 0.5]}, setting["train"], validation=setting["validation"], keys=keys, epochs=2,
        batch_size=64,
    )  # fmt: skip
    one = ja.fit(
        many.recipe(1), setting["train"], validation=setting["validation"], key=keys[1], epochs=2, batch_size=64
    )
    np.testing.assert_allclose(many.history["loss"][1], one.history["loss"], rtol=1e-4)
    assert many.history["loss"][1, -1] > many.history["loss"][0, -1] + 0.1


CONV = ja.layers.sequential({"pixel": ja.layers.dense(1)})


def error(predictions, targets):  # a function of whole arrays, which sees the predictions in their order
    return jnp.mean((predictions - targets) ** 2)


@pytest.mark.parametrize("batch_size", [16, 7])
def test_targets_that_are_pictures_are_compared_as_they_were_moved(batch_size: int):
    """Each pixel is its own target: only where both were moved alike is the loss 0, and the metrics with it."""
    x = np.random.default_rng(0).normal(size=(16, 4, 5, 1)).astype(np.float32)
    initial = {"pixel": {"weight": jnp.ones((1, 1)), "bias": jnp.zeros(1)}}
    augment = (data.vertical_flip(targets="same"), data.rotate(40.0, targets="same"))

    def figures(augment: Any) -> Any:
        recipe = ja.recipe(
            CONV, ja.losses.squared_error, ja.optimizers.sgd(0.0), augment=augment,
            metrics={"error": error, "mse": ja.metrics.mse},
        )  # fmt: skip
        result = ja.fit(recipe, (x, x), key=jax.random.key(0), epochs=1, batch_size=batch_size, initial=(initial, {}))
        return [float(result.history[name][0]) for name in ("loss", "error", "mse")]

    assert figures(augment) == [0, 0, 0]
    assert min(figures(tuple(one.replace(targets="keep") for one in augment))) > 0.1


def test_labels_are_exchanged_before_examples_are_mixed():
    train = (np.random.default_rng(0).normal(size=(8, 3, 3, 1)).astype(np.float32), np.arange(8, dtype=np.int32) % 2)
    flips = data.horizontal_flip(1.0, swap=((0, 1),))

    def fit(augment: tuple[Augment, ...]) -> Any:
        net = ja.layers.sequential({"flatten": ja.layers.flatten(), "dense": ja.layers.dense(2)})
        recipe = ja.recipe(net, ja.losses.softmax_cross_entropy, ja.optimizers.sgd(0.5), augment=augment)
        return ja.fit(recipe, train, key=jax.random.key(0), epochs=3, batch_size=8)

    assert fit((flips, data.mixup())).epochs_run == 3
    with pytest.raises(ja.InputError, match="changes targets comes before what mixes"):
        fit((data.mixup(), flips))
    turned = (train[0][:, :, ::-1], 1 - train[1])
    net = ja.layers.sequential({"flatten": ja.layers.flatten(), "dense": ja.layers.dense(2)})
    recipe = ja.recipe(net, ja.losses.softmax_cross_entropy, ja.optimizers.sgd(0.5))
    by_hand = ja.fit(recipe, turned, key=jax.random.key(0), epochs=3, batch_size=8)
    np.testing.assert_allclose(fit((flips,)).history["loss"], by_hand.history["loss"], rtol=1e-5)


def test_weights_of_single_places_are_refused_where_targets_move():
    x = np.ones((8, 3, 3, 1), np.float32)
    recipe = ja.recipe(CONV, ja.losses.squared_error, ja.optimizers.sgd(0.1), augment=data.rotate(targets="same"))
    with pytest.raises(ja.InputError, match="weights must be one an example where an augmentation changes targets"):
        ja.fit(recipe, (x, x, np.ones((8, 3, 3, 1), np.float32)), key=jax.random.key(0), epochs=1, batch_size=8)


def test_gradients_reach_the_numbers_of_augmentations():
    x, y = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype(np.float32), np.zeros(4)

    def total(strength: jax.Array) -> jax.Array:
        changed = data.rotate(20.0 * strength)(jax.random.key(1), x, y)[0]
        return jnp.sum(data.gaussian_noise(strength)(jax.random.key(0), changed, y)[0] ** 2)

    value = jax.jit(jax.value_and_grad(total))
    slope = (value(jnp.float32(0.502))[0] - value(jnp.float32(0.498))[0]) / 0.004
    np.testing.assert_allclose(value(jnp.float32(0.5))[1], slope, rtol=2e-2)  # of a central difference in float32
