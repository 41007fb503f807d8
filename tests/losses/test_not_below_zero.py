"""Losses that are a distance: never below 0, and with their digits where they are small; float64 is the oracle."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxann import losses
from tests.catalogue import LOSSES
from tests.programs import quick_jit

SIGNED = {f"losses.{name}" for name in ("adaptive_barron", "barron_nll", "gaussian_nll", "poisson_nll")}  # of densities
RANDOM = np.random.default_rng(3)
CLASSES = 8


def _pairs(apart: float, rows: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """log q and p, float32, so far apart."""
    p = RANDOM.dirichlet(np.full(CLASSES, 5.0), rows)
    q = p * np.exp(apart * RANDOM.normal(size=p.shape))
    log_q = np.log(q / q.sum(-1, keepdims=True))
    return log_q.astype(np.float32), p.astype(np.float32)


def _exact(log_q: np.ndarray, p: np.ndarray) -> dict[str, np.ndarray]:
    """The divergences of the distributions that are meant, in float64."""
    log_q, p = special.log_softmax(log_q.astype(np.float64), -1), p.astype(np.float64)
    p = p / p.sum(-1, keepdims=True)
    q = np.exp(log_q)
    middle = (p + q) / 2
    kl = special.rel_entr
    return {
        "kl_divergence": kl(p, q).sum(-1),
        "reverse_kl_divergence": kl(q, p).sum(-1),
        "jensen_shannon_divergence": (kl(p, middle) + kl(q, middle)).sum(-1) / 2,
    }


@pytest.mark.parametrize("apart", [0.0, 1e-6, 1e-3, 0.03, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_divergences_of_like_distributions_keep_their_digits(apart: float, dtype: str):
    log_q, p = _pairs(apart)
    for name, want in _exact(log_q, p).items():
        loss = _compiled(name)
        values = np.asarray(loss(log_q.astype(jnp.dtype(dtype)), p)).astype(np.float64)
        assert (values >= 0).all() and not np.isnan(np.sqrt(values)).any()
        if dtype == "float32":
            # each log p and log q is known to 1e-7, so their difference to 1e-7 / apart
            np.testing.assert_allclose(values, want, rtol=1e-6 + 2e-6 / max(apart, 1e-6), atol=3e-14, err_msg=name)


@functools.cache
def _compiled(name: str):
    return quick_jit(getattr(losses, name))


def test_divergences_of_what_sums_to_something_else_are_the_plain_sums():
    log_q, p = RANDOM.normal(size=(50, CLASSES)), RANDOM.uniform(size=(50, CLASSES))
    log_q[0], p[0, :3] = 90, 0
    want = (special.xlogy(p, p) - p * log_q).sum(-1)
    found = np.asarray(_compiled("kl_divergence")(log_q.astype(np.float32), p.astype(np.float32)))
    np.testing.assert_allclose(found, np.maximum(want, 0), rtol=1e-5, atol=1e-5)
    q = np.exp(log_q[1:])
    want = (q * (log_q[1:] - np.log(p[1:]))).sum(-1)
    found = np.asarray(_compiled("reverse_kl_divergence")(log_q[1:].astype(np.float32), p[1:].astype(np.float32)))
    np.testing.assert_allclose(found, np.maximum(want, 0), rtol=1e-5, atol=1e-4)


def test_no_loss_that_is_a_distance_falls_below_zero():
    """All of them in one program, of numbers that are a product, at and near what they ask for."""
    rows = [row for row in LOSSES if row.name not in SIGNED]
    random = np.random.default_rng(1)
    given = {}
    for row in rows:
        shape = (40, *row.event)
        targets = row.targets(random, shape)
        raw = random.normal(size=shape).astype(np.float32)
        if targets.shape == shape:  # half of them met to within rounding
            raw[::2] = targets[::2] * np.float32(1 / 0.7) * (1 + 1e-7 * random.normal(size=raw[::2].shape)).astype("f")
        given[row.name] = raw, targets

    def values(given, scale):
        found = {}
        for row in rows:
            raw, targets = given[row.name]
            p = raw * jnp.broadcast_to(scale, raw.shape)
            found[row.name] = row.build(p if row.domain is None else row.domain(p), targets)
        return found

    program = jax.jit(values)
    for scale in (0.7, 7.0, 70.0):
        for name, found in program(given, np.float32(scale)).items():
            assert not (np.asarray(found) < 0).any(), (name, scale, np.asarray(found).min())


def test_cosine_losses_at_both_ends():
    a = RANDOM.normal(size=(500, 16))
    b = a * RANDOM.uniform(0.1, 9, size=(500, 1)) + 1e-3 * RANDOM.normal(size=a.shape)
    for sign in (1, -1):
        a32, b32 = a.astype(np.float32), (sign * b).astype(np.float32)
        x, y = (v.astype(np.float64) / np.linalg.norm(v.astype(np.float64), axis=-1, keepdims=True) for v in (a32, b32))
        want = np.sum((x - y) ** 2, -1) / 2
        values = np.asarray(_compiled("cosine_distance")(a32, b32))
        np.testing.assert_allclose(values, want, rtol=2e-3 if sign == 1 else 3e-7)
        assert values.min() >= 0 and values.max() <= 2
        paired = np.asarray(_compiled("cosine_embedding")(np.stack([a32, b32], 1), np.ones(500, np.float32)))
        np.testing.assert_allclose(paired, values, rtol=1e-6)
    same = np.asarray(_compiled("cosine_distance")(a.astype(np.float32), a.astype(np.float32)))
    assert (same == 0).all()


def test_dice_without_smoothing_of_what_is_nearly_empty():
    z = np.float32([[-50, -55], [-80, -86], [-30, 2], [3, -4]])
    y = np.float32([[0, 0], [0, 0], [1, 0], [1, 0]])
    value, slope = quick_jit(jax.value_and_grad(lambda z: jnp.sum(losses.dice(z, y, smooth=0.0))))(z)
    wide = z.astype(np.float64)
    p = special.expit(wide)
    total = p.sum(-1) + y.sum(-1)
    want = 1 - 2 * (p * y).sum(-1) / total
    by_p = -2 * y / total[:, None] + 2 * (p * y).sum(-1, keepdims=True) / total[:, None] ** 2
    np.testing.assert_allclose(value, want.sum(), rtol=1e-6)
    np.testing.assert_allclose(slope, by_p * p * (1 - p), rtol=1e-5, atol=1e-7)
    sure = np.asarray(_compiled("dice")(np.float32([[90, -90]]), np.float32([[1, 0]])))
    assert sure.tolist() == [0] or 0 <= sure[0] < 0.6


def test_poly1_from_minus_one_on_keeps_its_digits():
    z = np.float32([[x, 0] for x in (0.0, 1.0, 5.0)])
    x = np.logaddexp(0, -z[:, 0].astype(np.float64))
    with_own = np.asarray(quick_jit(lambda z: losses.poly1(z, np.zeros(3, np.int32), epsilon=-1.0))(z))
    terms = [(-1) ** n * x**n / special.factorial(n) for n in range(2, 20)]
    np.testing.assert_allclose(with_own, sum(terms), rtol=2e-5)


@pytest.mark.parametrize("name", ["kl_divergence", "reverse_kl_divergence", "jensen_shannon_divergence"])
def test_divergences_have_slopes_however_sure_the_prediction_is(name: str):
    loss = getattr(losses, name)
    far = np.concatenate([np.linspace(0, 110, 111), [500, 1e4]]).astype(np.float32)
    log_q = np.stack([-far, np.where(far > 1, 0, -0.5), np.full_like(far, -3)], -1).astype(np.float32)
    gradients = jax.jit(jax.vmap(jax.grad(lambda log_q, p: loss(log_q[None], p[None])[0])))
    for share in (0.0, 1e-30, 0.5, 1.0):
        p = np.tile(np.float32([share, 1 - share, 0]), (len(far), 1))
        assert np.isfinite(gradients(log_q, p)).all(), share
