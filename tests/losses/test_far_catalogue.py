"""Every loss at both ends of the numbers, of predictions that are a product: finite, never below 0, and right."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxann import losses
from tests.catalogue import LOSSES
from tests.programs import quick_jit

# Squares, exponentials and logarithms of probabilities leave float32 by themselves, or start from something else.
OTHERS = (
    "adaptive_barron", "barron_nll", "binary_cross_entropy_probs", "contrastive", "cross_entropy_probs", "ctc",
    "gaussian_nll", "half_squared_error", "jensen_shannon_divergence", "kl_divergence", "poisson_nll",
    "reverse_kl_divergence", "squared_error", "squared_hinge",
)  # fmt: skip
LINEAR = [row for row in LOSSES if row.name.removeprefix("losses.") not in OTHERS]
CASES, BATCH = 60, 3


def _extremes(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Numbers of one size, and of three, from the greatest to those that are no longer normal."""
    random, info = np.random.default_rng(0), jnp.finfo(dtype)
    most, tiny = float(info.max), float(info.tiny)
    sizes = np.asarray([most / 2, most / 30, 3 * most**0.5, most**0.25, 1, 1.1 * tiny, tiny / 4, 0])
    drawn = [random.choice(sizes[random.integers(0, len(sizes), 1 + 2 * (i % 2))], shape) for i in range(CASES)]
    return (np.stack(drawn) * random.choice([-1, -0.5, 0.99, 1], (CASES, *shape))).astype(jnp.dtype(dtype))


@pytest.mark.parametrize("row", LINEAR, ids=str)
def test_a_loss_that_grows_like_its_predictions_is_finite_at_both_ends(row: Any):
    dtypes = ("float32", "float16", "bfloat16")
    shape = (BATCH, *row.event)
    targets = np.stack([row.targets(np.random.default_rng(i), shape) for i in range(CASES)])

    def figures(given, scale):
        found = {}
        for dtype, p in given.items():
            one = jax.vmap(lambda p, t: row.build(p * scale.astype(p.dtype), t))
            found[dtype], vjp = jax.vjp(lambda p, one=one: one(p, targets), p)
            found[f"slope in {dtype}"] = vjp(jnp.ones_like(found[dtype]))[0]
        return found

    given = {dtype: _extremes(shape, dtype) for dtype in (dtypes if row.name in GRADIENTS_OF_LOGITS else dtypes[:1])}
    for name, found in quick_jit(figures)(given, np.float32(0.97)).items():
        values = np.asarray(found).astype(np.float64)
        if name == "float32" or name.startswith("slope"):  # a loss of float16 may be more than float16 holds
            assert np.isfinite(values).all(), (name, np.argwhere(~np.isfinite(values))[:3])
        assert not np.isnan(values).any(), name
        assert name.startswith("slope") or (values >= 0).all(), (name, values.min())


GRADIENTS_OF_LOGITS = {
    f"losses.{name}" for name in ("poly1", "sigmoid_cross_entropy", "sigmoid_focal", "softmax_cross_entropy",
                                  "softmax_cross_entropy_dense", "softmax_focal", "multiclass_hinge", "hinge")
}  # fmt: skip


def _of_product(loss: Any, p: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and slope of a loss of 1 times p, compiled."""
    program = jax.jit(lambda p, c: jax.vjp(lambda p: loss(c * p, targets), p))
    value, vjp = program(p, np.ones_like(p))
    return np.asarray(value), np.asarray(jax.jit(lambda v, g: v(g))(vjp, np.ones_like(value))[0])


def test_directions_of_the_longest_and_the_shortest_vectors():
    random = np.random.default_rng(1)
    a, b = (random.normal(size=(6, 4)) for _ in range(2))
    size = np.asarray([[3e38], [1e38], [1e20], [1e-6], [1e-3], [1.0]]) / np.abs(a).max(-1, keepdims=True)
    a32, b32 = (a * size).astype(np.float32), b.astype(np.float32)
    x, y = (v.astype(np.float64) / np.linalg.norm(v.astype(np.float64), axis=-1, keepdims=True) for v in (a32, b32))
    want = 1 - (x * y).sum(-1)
    value, slope = _of_product(losses.cosine_distance, a32, b32)
    np.testing.assert_allclose(value, want, rtol=1e-5)
    across = -(y - x * (x * y).sum(-1, keepdims=True)) / np.linalg.norm(a32.astype(np.float64), axis=-1, keepdims=True)
    np.testing.assert_allclose(slope[2:], across[2:], rtol=2e-5, atol=1e-38)
    assert np.isfinite(slope).all()
    pairs = np.stack([a32, b32], 1)
    scores = x @ y.T / 0.07
    want = special.logsumexp(scores, -1) - np.diagonal(scores)
    np.testing.assert_allclose(
        _of_product(losses.info_nce, pairs, np.ones(6, np.float32))[0], want, rtol=1e-4, atol=2e-7
    )


def test_distances_of_what_is_farther_apart_than_any_number():
    far = np.float32([[[3e38, 0], [-3e38, 1]], [[1e30, 1e30], [0, 0]]])
    value, slope = _of_product(losses.contrastive, far, np.zeros(2, np.float32))
    assert value.tolist() == [0, 0] and not slope.any()
    three = np.float32([[[3e38, 0], [-3e38, 1], [-3e38, 0]], [[1e30, 0], [1e30, 0], [-1e30, 0]]])
    value, slope = _of_product(losses.triplet, three, np.ones(2, np.float32))
    assert np.isfinite(value).all() and value[1] == 0 and np.isfinite(slope).all()
    batch = np.float32([[3e38, 0], [3e38, 1], [-3e38, 0], [-3e38, 3]])
    for loss in (losses.triplet_hard, losses.triplet_semi_hard):
        value, slope = _of_product(loss, batch, np.asarray([0, 0, 1, 1]))
        assert value.tolist() == [0, 0, 0, 0] and not slope.any()


def test_densities_and_squares_whose_square_alone_overflows():
    p = np.float32([[1e30, 140], [3e38, 1e37], [-2e25, 110.0]])
    value, slope = _of_product(losses.gaussian_nll, p, np.zeros(3, np.float32))
    m, s = p.astype(np.float64).T
    ratio = (m * np.exp(-s / 2)) ** 2
    np.testing.assert_allclose(value, (s + ratio) / 2, rtol=2e-5)
    np.testing.assert_allclose(slope, np.stack([m * np.exp(-s), (1 - ratio) / 2], -1), rtol=3e-5, atol=1e-38)
    _, slope = _of_product(losses.half_squared_error, np.float32([3e38, -2e38]), np.zeros(2, np.float32))
    np.testing.assert_allclose(slope, [3e38, -2e38], rtol=1e-6)


def test_a_margin_counts_beside_scores_of_any_size():
    scores = np.float32([[4e9, 4e9, 0], [1e37, 1e37, -1e37], [0.3, 0.7, 0.7]])
    for kind, want in (("crammer_singer", [1, 1, 1.4]), ("weston_watkins", [1, 1, 2.8])):
        loss = functools.partial(losses.multiclass_hinge, kind=kind)
        value, _ = _of_product(lambda s, t, loss=loss: loss(s * np.float32(0.7) / np.float32(0.7), t), scores,
                               np.asarray([0, 1, 0]))  # fmt: skip
        np.testing.assert_allclose(value, want, rtol=1e-6)
    tied = jax.jit(lambda s, c: losses.multiclass_hinge(s * c, np.asarray([0, 1])))
    assert tied(scores[:2], np.full((2, 3), 0.97, np.float32)).tolist() == [1, 1]


def test_focal_losses_of_the_surest_mistakes_have_the_slope_of_the_cross_entropy():
    z = np.float32([3.3e38, -3.3e38, 200, -200])
    for gamma in (2.0, 0.5, 1e-3):
        loss = functools.partial(losses.sigmoid_focal, gamma=gamma)
        value, slope = _of_product(loss, z, np.float32([0, 1, 0, 1]))
        np.testing.assert_allclose(value, np.abs(z), rtol=1e-6)
        np.testing.assert_allclose(slope, np.sign(z), rtol=1e-6)
        rows = np.stack([z, -z / 2], -1) / 2
        value, slope = _of_product(functools.partial(losses.softmax_focal, gamma=gamma), rows, np.asarray([1, 0, 1, 0]))
        np.testing.assert_allclose(value, np.abs(z) * 0.75, rtol=1e-6)
        np.testing.assert_allclose(slope, np.stack([np.sign(z), -np.sign(z)], -1), rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_the_focal_loss_has_the_derivatives_of_its_formula():
    z, g = np.linspace(-4, 4, 9), 1.7
    p = special.expit(z)
    by_z = (1 - p) ** g * (g * p * np.log(p) - (1 - p))
    by_g = np.log1p(-p) * (1 - p) ** g * -np.log(p)
    loss = lambda z, g: losses.sigmoid_focal(z, jnp.ones_like(z), gamma=g)  # noqa: E731
    total = lambda z, g: jnp.sum(loss(z, g))  # noqa: E731
    (found_z, found_g), second = jax.jit(
        lambda z, g: (
            jax.grad(total, (0, 1))(z, g),
            jax.jvp(lambda z: jax.grad(total)(z, g), (z,), (jnp.ones_like(z),))[1],
        )
    )(z, g)
    np.testing.assert_allclose(found_z, by_z, rtol=1e-12)
    np.testing.assert_allclose(found_g, by_g.sum(), rtol=1e-12)

    def formula(z):
        p = special.expit(z)
        return (1 - p) ** g * (g * p * np.log(p) - (1 - p))

    np.testing.assert_allclose(second, (formula(z + 1e-5) - formula(z - 1e-5)) / 2e-5, rtol=1e-7, atol=1e-9)


def test_what_is_no_logarithm_of_a_probability_gives_no_nan():
    log_q = np.float32([[1e37, -1e37, 0], [3e38, 3e38, 3e38]])
    p = np.float32([[0.2, 0.3, 0.5], [0, 0, 1]])
    for name in ("jensen_shannon_divergence", "kl_divergence", "reverse_kl_divergence"):
        value, slope = _of_product(getattr(losses, name), log_q, p)
        assert (value >= 0).all() and not np.isnan(slope).any(), name
