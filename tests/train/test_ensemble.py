"""The doubt of an ensemble against closed forms and numpy in double precision."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.train import ensemble
from tests.contract import assert_input_error

RANDOM = np.random.default_rng(4)
classify = jax.jit(ensemble.classify, static_argnames="axis")
LOGITS = RANDOM.normal(size=(5, 20, 3)) * 3


def _numpy(z):
    p = np.exp(z - z.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    mean = p.mean(0)
    entropy = -(mean * np.log(mean)).sum(-1)
    aleatoric = -(p * np.log(p)).sum(-1).mean(0)
    agreement = (p.argmax(-1) == mean.argmax(-1)).mean(0)
    return mean, entropy, aleatoric, entropy - aleatoric, agreement


@pytest.mark.usefixtures("x64")
def test_classify_matches_numpy():
    found = classify(LOGITS)
    for name, value, expected in zip(found._fields, found, _numpy(LOGITS), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-13, err_msg=name)


@pytest.mark.usefixtures("x64")
def test_classify_in_closed_form():
    one = classify(np.log([[[0.5, 0.25, 0.25]]]))
    np.testing.assert_allclose(one.entropy, [1.5 * np.log(2)], rtol=1e-14)
    assert one.epistemic == 0 and one.agreement == 1
    apart = classify(np.array([[[1e4, 0.0]], [[0.0, 1e4]]]))  # sure, and of two minds
    np.testing.assert_allclose(apart.probabilities, [[0.5, 0.5]], rtol=1e-14)
    np.testing.assert_allclose([apart.entropy[0], apart.epistemic[0]], np.log(2), rtol=1e-14)
    assert apart.aleatoric[0] == 0 and apart.agreement[0] == 0.5
    even = classify(np.zeros((4, 2, 10)))  # all of them without a clue
    np.testing.assert_allclose([even.entropy, even.aleatoric], np.log(10), rtol=1e-14)
    assert (np.asarray(even.epistemic) < 1e-15).all() and (even.agreement == 1).all()


@pytest.mark.usefixtures("x64")
def test_disagreement_keeps_its_digits_where_a_difference_of_entropies_loses_them():
    z, d = np.array([0.3, -0.2, 0.9]), 1e-6 * np.array([1.0, -2.0, 0.5])
    p = np.exp(z) / np.exp(z).sum()
    variance = (p * d**2).sum() - (p * d).sum() ** 2  # mean KL of members at z +- d, to second order
    wide = classify(np.stack([z + d, z - d])[:, None])
    np.testing.assert_allclose(wide.epistemic, [variance / 2], rtol=1e-3)


def test_classify_is_finite_and_in_range_for_huge_logits():
    signs = np.array(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3)).reshape(3, -1).T
    pairs = np.stack([np.repeat(signs, 27, 0), np.tile(signs, (27, 1))]).astype(np.float32) * 1e4
    for dtype in (jnp.float32, jnp.bfloat16):
        found = classify(jnp.asarray(pairs, dtype))
        assert all(np.isfinite(v).all() and v.dtype == jnp.float32 and (v >= 0).all() for v in found)
        assert (found.entropy <= np.log(3) * 1.0001).all() and (found.epistemic <= np.log(2) * 1.0001).all()
        np.testing.assert_allclose(found.entropy, found.aleatoric + found.epistemic, atol=1e-6)
    slope = jax.jit(jax.grad(lambda z: jnp.sum(ensemble.classify(z).epistemic)))(jnp.asarray(pairs))
    assert np.isfinite(slope).all()


def test_a_class_that_is_ruled_out_adds_nothing():
    z = np.array([[[0.0, 1.0, -np.inf]], [[2.0, 0.0, -np.inf]]], np.float32)
    found, two = classify(z), classify(z[..., :2])
    for value, expected in zip(found[1:], two[1:], strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert found.probabilities[0, 2] == 0


def test_members_may_stand_on_another_axis_and_rows_in_any_shape():
    first = classify(jnp.asarray(LOGITS, jnp.float32))
    inside = functools.partial(classify, axis=1)(jnp.asarray(LOGITS, jnp.float32).swapaxes(0, 1))
    for a, b in zip(first, inside, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    grid = classify(jnp.asarray(LOGITS, jnp.float32).reshape(5, 4, 5, 3))
    np.testing.assert_allclose(grid.epistemic.reshape(-1), first.epistemic, rtol=1e-6)
    assert ensemble.regress(LOGITS.astype(np.float32), axis=-1).std.shape == (5, 20)


@pytest.mark.usefixtures("x64")
def test_regress_is_mean_and_sample_deviation():
    y = RANDOM.normal(size=(6, 8, 2)) + 100
    found = ensemble.regress(y)
    np.testing.assert_allclose(found.mean, y.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.std, y.std(0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(ensemble.regress([[1.0], [3.0]]).std, [np.sqrt(2)], rtol=1e-15)


@pytest.mark.usefixtures("x64")
def test_mixture_obeys_the_law_of_total_variance():
    means, variances = RANDOM.normal(size=(4, 7)), RANDOM.uniform(0.1, 2, (4, 7))
    found = ensemble.mixture(means, variances)
    np.testing.assert_allclose(found.mean, means.mean(0), rtol=1e-13)
    second = (variances + means**2).mean(0)  # E y^2 of the mixture
    np.testing.assert_allclose(found.aleatoric + found.epistemic, second - means.mean(0) ** 2, rtol=1e-10)
    np.testing.assert_allclose(found.aleatoric, variances.mean(0), rtol=1e-14)
    one = ensemble.mixture(means[:1], variances[:1])
    assert (one.epistemic == 0).all()


def test_ensemble_functions_refuse_what_does_not_fit():
    f32 = lambda *shape: np.zeros(shape, np.float32)  # noqa: E731
    assert_input_error(lambda: ensemble.classify(np.zeros((2, 3), np.int32)), "logits", given="int32")
    assert_input_error(lambda: ensemble.classify(f32(3)), "logits", given="(3,)")
    assert_input_error(lambda: ensemble.classify(f32(3, 4), axis=2), "logits", expected="axis 2")
    assert_input_error(lambda: ensemble.classify(f32(0, 4)), "logits", given="0")
    assert_input_error(lambda: ensemble.regress(f32(1, 4)), "predictions", given="1 at axis 0")
    assert_input_error(lambda: ensemble.mixture(f32(2, 4), f32(2, 4, 1)), "variances", given="(2, 4, 1)")
