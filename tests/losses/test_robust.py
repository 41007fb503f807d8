"""Barron's loss: its table, its values and slopes in 30 digits, and its density against a quadrature by SciPy."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from jaxann import losses

TABLE = {2.0: 2.0, 1.0: 1.2360679774997898, 0.0: math.log(3), -2.0: 1.0, -math.inf: 1 - math.exp(-2)}


@pytest.mark.usefixtures("x64")
def test_barron_has_the_values_of_its_table_plain_and_traced():
    two, zero = jnp.float64(2), jnp.float64(0)
    traced = jax.jit(lambda a: losses.barron(two, zero, alpha=a))
    for alpha, value in TABLE.items():
        np.testing.assert_allclose(losses.barron(two, zero, alpha=alpha), value, rtol=1e-14)
        np.testing.assert_allclose(traced(alpha), value, rtol=1e-14)
    each = jnp.asarray(list(TABLE))
    np.testing.assert_allclose(
        losses.barron(jnp.full(5, 2.0), jnp.zeros(5), alpha=each), list(TABLE.values()), rtol=1e-14
    )


def _rho(x, a):
    """The formula in 40 digits."""
    import mpmath

    u, b = x * x, abs(a - 2)
    if a == 2:
        return u / 2
    return mpmath.log(u / 2 + 1) if a == 0 else b / a * ((u / b + 1) ** (a / 2) - 1)


@pytest.mark.usefixtures("x64")
def test_barron_is_precise_near_its_limits():
    mpmath = pytest.importorskip("mpmath")
    alphas = [2.0, 2 - 1e-12, 2 + 1e-9, 1.999, 1.5, 1.0, 1e-3, 1e-8, 1e-15, 0.0, -1e-8, -0.1, -2.0, -10.0, -1e6, 3.0]
    sizes = [1e-6, 1e-2, 0.7, 1.0, 2.0, 30.0, 1e4]
    a, x = (jnp.asarray(v.ravel()) for v in np.meshgrid(alphas, sizes))

    @jax.jit
    def program(x, a):
        def total(x, a):
            return jnp.sum(losses.barron(x, jnp.zeros_like(x), alpha=a))

        return losses.barron(x, jnp.zeros_like(x), alpha=a), *jax.grad(total, (0, 1))(x, a)

    values, gradients, by_alpha = program(x, a)
    assert np.isfinite(by_alpha).all()
    with mpmath.workdps(40):
        for i in range(len(x)):
            m, n = mpmath.mpf(float(x[i])), mpmath.mpf(float(a[i]))
            power = 1 if n == 2 else (m * m / abs(n - 2) + 1) ** (n / 2 - 1)
            where = f"x={float(x[i])}, alpha={float(a[i])}"
            np.testing.assert_allclose(values[i], float(_rho(m, n)), rtol=1e-13, err_msg=where)
            np.testing.assert_allclose(gradients[i], float(m * power), rtol=1e-11, atol=1e-300, err_msg=where)
            if n not in (0, 2) and 0.1 < m < 100 and abs(n - 2) > 1e-6:
                numeric = mpmath.diff(lambda n, m=m: _rho(m, n), n, h=mpmath.mpf(10) ** -15)
                np.testing.assert_allclose(by_alpha[i], float(numeric), rtol=1e-8, atol=1e-10, err_msg=where)


@pytest.mark.usefixtures("x64")
def test_density_of_barron_integrates_to_one():
    alphas = np.array([0.0, 0.001, 0.05, 0.3, 0.7, 1.0, 1.3, 1.7, 1.95, 1.999, 2.0])

    @jax.jit
    def program(a):
        def at_zero(a):
            return losses.barron_nll(jnp.zeros_like(a), jnp.zeros_like(a), alpha=a)

        return at_zero(a), jax.grad(lambda a: jnp.sum(at_zero(a)))(a)

    values, gradients = program(alphas)

    def rho(x: np.ndarray, a: float) -> np.ndarray:
        if a in (0, 2):
            return np.log1p(x * x / 2) if a == 0 else x * x / 2
        return (2 - a) / a * np.expm1(a / 2 * np.log1p(x * x / (2 - a)))

    def log_z(a: float) -> float:
        ends = [-40.0, -20.0, -10.0, -5.0, -3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0]
        spans = zip(ends, ends[1:], strict=False)
        pieces = [integrate.fixed_quad(lambda w: np.exp(w - rho(np.exp(w), a)), s, e, n=60)[0] for s, e in spans]
        return math.log(2 * math.fsum(pieces))

    np.testing.assert_allclose(values, [log_z(a) for a in alphas], rtol=1e-10)
    np.testing.assert_allclose(
        values[np.array([0, -1])], [math.log(math.pi * math.sqrt(2)), math.log(2 * math.pi) / 2], rtol=1e-11
    )
    for a, slope in zip(alphas[1:-1], gradients[1:-1], strict=True):
        h = 1e-4 * min(a, 2 - a)
        numeric = (log_z(a + h) - log_z(a - h)) / (2 * h)
        np.testing.assert_allclose(slope, numeric, rtol=1e-6, err_msg=str(a))
    single = jax.jit(losses.barron_nll)(
        jnp.zeros(11, jnp.float32), jnp.zeros(11, jnp.float32), alpha=jnp.asarray(alphas, jnp.float32)
    )
    np.testing.assert_allclose(single, values, rtol=2e-6)


@pytest.mark.usefixtures("x64")
def test_learned_alpha_and_scale_find_the_tails_of_the_data():
    random = np.random.default_rng(0)

    @jax.jit
    def learn(data):
        def mean(raw):
            alpha, scale = losses.barron_parameters(raw[0], raw[1])
            both = losses.barron_nll(data - raw[2], jnp.zeros_like(data), alpha=alpha, scale=scale)
            own = jnp.stack([jnp.full_like(data, raw[2]), *(jnp.full_like(data, r) for r in raw[:2])], -1)
            return jnp.mean(both), jnp.mean(losses.adaptive_barron(own, data))

        def step(raw, _):
            return raw - 0.3 * jax.grad(lambda r: mean(r)[0])(raw), None

        raw = jax.lax.scan(step, jnp.zeros(3), None, length=300)[0]
        return losses.barron_parameters(raw[0], raw[1]), mean(raw)

    (thin, _), (one, other) = learn(random.normal(size=300) * 0.5)
    np.testing.assert_allclose(one, other, rtol=1e-12)
    (heavy, scale), _ = learn(random.standard_cauchy(size=300) * 0.5)
    assert heavy < 0.5 < 1.3 < thin and abs(scale - 0.5 / math.sqrt(2)) < 0.1
