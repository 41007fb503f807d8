"""The test of learning rates is a plain loop of growing steps, and reads its losses as planted."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann.diagnose import LearningRateRange, learning_rate_range
from jaxann.diagnose.rate_range import read_losses
from tests.contract import assert_input_error

KEY = jax.random.key(3)
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3))
Y = X @ np.array([[1.0], [-2.0], [0.5]])
LINE = ja.layers.dense(1, kernel_init=ja.initializers.zeros())


def line(optimizer: ja.core.Optimizer, **settings: object) -> ja.train.Recipe:
    """A linear model that begins at 0."""
    return ja.recipe(LINE, ja.losses.squared_error, optimizer, batch_size=40, **settings)


@pytest.mark.parametrize("momentum", [0.0, 0.9], ids=["plain", "momentum"])
def test_losses_are_those_of_a_plain_loop(x64: None, momentum: float):
    recipe = line(ja.optimizers.sgd(ja.schedules.cosine(0.3, 10), momentum=momentum))
    found = learning_rate_range(recipe, (X, Y), KEY, low=1e-3, high=1.0, steps=30)
    weight, bias, losses, speed = np.zeros((3, 1)), np.zeros(1), [], [0.0, 0.0]
    for rate in 1e-3 * 1e3 ** (np.arange(30) / 29):
        error = X @ weight + bias - Y
        losses.append((error**2).mean())
        speed = [
            momentum * old + new for old, new in zip(speed, (2 * X.T @ error / 40, 2 * error.mean(0)), strict=True)
        ]
        weight, bias = weight - rate * speed[0], bias - rate * speed[1]
    np.testing.assert_allclose(found.losses, losses[: len(found.losses)], rtol=1e-10)
    np.testing.assert_allclose(found.rates, 1e-3 * 1e3 ** (np.arange(len(found.rates)) / 29), rtol=1e-12)


def test_the_steepest_place_and_the_lowest_are_those_of_the_curve():
    rates = 1e-6 * 1e6 ** (np.arange(121) / 120)
    curve = 1 / (1 + (rates / 1e-3) ** 2) + np.where(rates > 3e-2, (rates / 3e-2 - 1), 0)  # steepest at 1e-3
    found = read_losses(rates, curve, 0.0)
    assert found.steepest == pytest.approx(1e-3, rel=0.15) and 1e-2 < found.lowest < 4e-2
    assert found.suggested == min(found.steepest, found.lowest / 10) and not found.is_open
    assert (found.losses <= 4 * found.losses.min() + 1e-12).all() or found.losses[0] > 4 * found.losses.min()
    assert f"about {found.suggested:.1e}" in str(found)
    np.testing.assert_array_equal(found.smoothed, found.losses)


def test_the_mean_of_the_past_is_without_its_bias():
    rates, losses = np.geomspace(1e-3, 1e-1, 12), np.linspace(3.0, 2.0, 12)
    found = read_losses(rates, losses, 0.8)
    weights = 0.8 ** np.arange(12)[::-1]
    assert found.smoothed[-1] == pytest.approx((weights * losses).sum() / weights.sum())
    assert found.is_open and "greater rates" in str(found)  # it fell to the end


def test_it_ends_where_the_loss_has_risen_or_is_no_number():
    rates = np.geomspace(1e-3, 1e2, 14)
    falling = [3.0, 2.9, 2.8, 2.5, 2.0, 1.5, 1.2, 1.0, 0.9, 0.8]
    assert len(read_losses(rates, np.array([*falling, 3.1, 3.3, 9.0, 1.0]), 0.5).rates) == 11  # 3.3 > 4 x 0.8
    assert len(read_losses(rates, np.array([*falling, 0.7, math.nan, 0.1, 0.1]), 0.5).rates) == 11
    below = read_losses(
        rates, np.array([-1.0, -1.1, -1.3, -1.6, -2.0, -2.4, -2.6, -2.8, -2.9, -3.0, 1, 5.9, 6.1, 9]), 0.5
    )
    assert len(below.rates) == 12  # of a loss below 0: three times its size above
    rising = read_losses(rates, np.linspace(1.0, 2.0, 14), 0.5)
    assert math.isnan(rising.suggested) and "does not fall" in str(rising)


def test_rates_of_groups_keep_their_proportions_and_what_is_frozen_rests(x64: None):
    inside = ja.optimizers.sgd(ja.schedules.warmup(0.1, 5))  # which begins at 0
    groups = ja.optimizers.partition({"weight": ja.optimizers.sgd(0.2), "bias": inside})
    doubled = learning_rate_range(line(groups), (X, Y + 1), KEY, low=1e-3, high=0.1, steps=20)
    frozen = ja.optimizers.freeze(ja.optimizers.chain(ja.optimizers.clip_by_global_norm(1e9), inside), "bias")
    held = learning_rate_range(line(frozen), (X, Y + 1), KEY, low=1e-3, high=0.1, steps=20)
    for found, shares in ((doubled, (2.0, 1.0)), (held, (1.0, 0.0))):
        weight, bias, losses = np.zeros((3, 1)), np.zeros(1), []
        for rate in 1e-3 * 1e2 ** (np.arange(20) / 19):
            error = X @ weight + bias - Y - 1
            losses.append((error**2).mean())
            weight, bias = weight - rate * shares[0] * 2 * X.T @ error / 40, bias - rate * shares[1] * 2 * error.mean(0)
        np.testing.assert_allclose(found.losses, losses, rtol=1e-9)


def test_batches_are_drawn_anew_and_no_data_are_lost():
    recipe = ja.recipe(LINE, ja.losses.squared_error, ja.optimizers.sgd(1.0))
    found = learning_rate_range(recipe, (X, Y), KEY, low=1e-12, high=1e-11, steps=15, batch_size=8)
    rows = (Y**2).ravel()
    assert len({round(loss, 5) for loss in found.losses}) > 10  # weights stay at 0, so only the rows differ
    assert np.mean(found.losses[:5]) == pytest.approx(rows.mean(), rel=1e-4)  # five batches are all rows
    again = learning_rate_range(recipe, (X, Y), KEY, low=1e-12, high=1e-11, steps=15, batch_size=8)
    np.testing.assert_array_equal(again.losses, found.losses)


def test_bad_input_is_refused():
    good = line(ja.optimizers.sgd(0.1))
    assert_input_error(lambda: learning_rate_range(line(ja.optimizers.lbfgs()), (X, Y), KEY), "recipe")
    assert_input_error(lambda: learning_rate_range(good, (X, Y), KEY, low=0.1, high=0.1), "high", given="0.1")
    assert_input_error(lambda: learning_rate_range(good, (X, Y), KEY, low=0.0), "low", given="0.0")
    assert_input_error(lambda: learning_rate_range(good, (X, Y), KEY, steps=3), "steps", given="3")
    assert_input_error(lambda: learning_rate_range(good, (X, Y), KEY, smoothing=1.0), "smoothing", given="1.0")
    assert_input_error(lambda: learning_rate_range(good, (X, Y[:5]), KEY), "data y", given="5")
    assert_input_error(lambda: learning_rate_range(good, (X, Y), 3), "key")


def test_the_picture_has_the_curves_and_the_suggestion():
    rates, losses = np.geomspace(1e-4, 1e-1, 12), np.linspace(3.0, 2.0, 12)
    found = read_losses(rates, losses, 0.5)
    axes = ja.plot.learning_rate_range(found)
    raw, smooth, dot = axes.lines
    np.testing.assert_array_equal(raw.get_ydata(), losses)
    np.testing.assert_array_equal(smooth.get_ydata(), found.smoothed)
    assert dot.get_xdata()[0] == found.suggested and axes.get_xscale() == "log"
    low, high = axes.get_ylim()
    assert low < dot.get_ydata()[0] < high
    nothing = LearningRateRange(rates, losses, losses, math.nan, math.nan, math.nan, False)
    assert len(ja.plot.learning_rate_range(nothing, axes=ja.plot.learning_rate_range(found)).lines) == 5
    assert_input_error(lambda: ja.plot.learning_rate_range(rates), "found")
