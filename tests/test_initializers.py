"""Initializers: mean, variance and bounds of a million draws, fans, and the law for each activation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import initializers
from jaxann.activations import relu, tanh
from jaxann.initializers import fans, for_activation, variance_scaling
from tests.contract import assert_input_error

SHAPE = (1600, 625)  # a million
CUT = 2 / 0.87962566103423978
LAWS = {  # variance, greatest magnitude in deviations (None: unbounded), fourth moment in variance^2
    "glorot_uniform": (initializers.glorot_uniform(), 2 / 2225, np.sqrt(3), 1.8),
    "glorot_uniform gain": (initializers.glorot_uniform(gain=3.0), 9 * 2 / 2225, np.sqrt(3), 1.8),
    "glorot_normal": (initializers.glorot_normal(), 2 / 2225, CUT, 2.37),
    "he_uniform": (initializers.he_uniform(), 2 / 1600, np.sqrt(3), 1.8),
    "he_normal": (initializers.he_normal(), 2 / 1600, CUT, 2.37),
    "he_normal leaky": (initializers.he_normal(negative_slope=0.5), 2 / 1.25 / 1600, CUT, 2.37),
    "lecun_normal": (initializers.lecun_normal(), 1 / 1600, CUT, 2.37),
    "normal": (initializers.normal(0.3), 0.09, None, 3.0),
    "plain normal": (variance_scaling(2.0, mode="fan_out", distribution="normal"), 2 / 625, None, 3.0),
}


@pytest.mark.parametrize("name", LAWS)
def test_draws_have_the_stated_mean_variance_and_bounds(name: str):
    law, variance, bound, fourth = LAWS[name]
    draws = np.asarray(law(jax.random.key(7), SHAPE), np.float64).ravel()
    n = draws.size
    assert abs(draws.mean()) < 4 * np.sqrt(variance / n)
    assert abs(draws.var() - variance) < 4 * variance * np.sqrt((fourth - 1) / n)
    assert abs((draws**4).mean() / variance**2 - fourth) < 0.05
    greatest = np.abs(draws).max() / np.sqrt(variance)
    if bound is None:
        assert greatest > 4
    else:
        assert 0.995 * bound < greatest <= bound * (1 + 1e-6)
    assert len(np.unique(draws)) > 0.5 * n


def test_zeros_are_zero():
    assert not np.asarray(initializers.zeros()(jax.random.key(0), (3,))).any()


def test_fans_count_the_receptive_field():
    assert fans((5, 7)) == (5, 7)
    assert fans((3, 3, 16, 32)) == (144, 288)
    for shape in ((), (4,)):
        assert_input_error(lambda shape=shape: fans(shape), "shape", given=str(shape))
        assert_input_error(lambda shape=shape: initializers.he_normal()(jax.random.key(0), shape), "shape")


def test_law_in_half_precision_is_that_of_single():
    key = jax.random.key(0)
    half = initializers.he_normal()(key, (200, 100), jnp.bfloat16)
    np.testing.assert_allclose(np.asarray(half, np.float64).std(), np.sqrt(2 / 200), rtol=0.03)  # 4 sigma and bfloat16


def test_empty_weights_are_empty():
    assert initializers.lecun_normal()(jax.random.key(0), (0, 3)).shape == (0, 3)


def test_each_activation_has_its_law():
    assert for_activation("relu") == for_activation(relu) == initializers.he_normal()
    assert for_activation("tanh") == for_activation(tanh) == initializers.glorot_uniform()
    assert for_activation("identity") == initializers.lecun_normal()
    assert for_activation(lambda x: x) == initializers.he_normal()
    assert_input_error(lambda: for_activation("rellu"), "activation", given="'rellu'")
