"""Derivatives of softmax and its kin, of any order, direction and precision, and what they make of infinity and NaN."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxann import activations
from jaxann.core import logits
from tests.programs import quick_jit

RANDOM = np.random.default_rng(2)
Z = RANDOM.normal(size=(3, 4)) * 3
V = RANDOM.normal(size=(3, 4))
FUNCTIONS = {
    "softmax": logits.softmax,
    "log_softmax": logits.log_softmax,
    "log_sum_exp": logits.log_sum_exp,
    "log_mean_exp": logits.log_mean_exp,
    "below_greatest": logits.below_greatest,
}


def _jacobians(p: np.ndarray) -> dict[str, np.ndarray]:
    """By the logits of one row."""
    eye = np.eye(len(p))
    return {
        "softmax": np.diag(p) - np.outer(p, p),
        "log_softmax": eye - p,
        "log_sum_exp": p,
        "log_mean_exp": p,
        "below_greatest": eye,  # the greatest as if it were a constant
    }


def _hessians(p: np.ndarray) -> dict[str, np.ndarray]:
    of_sum = np.diag(p) - np.outer(p, p)
    one = np.eye(len(p)) - p
    of_softmax = np.einsum("i,ij,ik->ijk", p, one, one) - np.einsum("i,jk->ijk", p, of_sum)
    return {
        "softmax": of_softmax,
        "log_softmax": np.broadcast_to(-of_sum, (len(p), len(p), len(p))),
        "log_sum_exp": of_sum,
        "log_mean_exp": of_sum,
        "below_greatest": np.zeros((len(p),) * 3),
    }


@pytest.mark.usefixtures("x64")
def test_first_and_second_derivatives_both_ways_and_mapped():
    @quick_jit
    def program(z):
        found = {}
        for name, f in FUNCTIONS.items():
            ways = jax.jacfwd(f), jax.jacrev(f), jax.hessian(f), jax.jacrev(jax.jacrev(f)), jax.jacrev(jax.jacfwd(f))
            found[name] = [jax.vmap(way)(z) for way in ways]
        return found

    for name, (forward, reverse, *seconds) in program(Z).items():
        for row, z in enumerate(Z):
            p = special.softmax(z)
            for first in (forward, reverse):
                np.testing.assert_allclose(first[row], _jacobians(p)[name], atol=1e-14, err_msg=name)
            for second in seconds:
                np.testing.assert_allclose(second[row], _hessians(p)[name], atol=1e-13, err_msg=name)


@pytest.mark.usefixtures("x64")
def test_derivatives_along_another_axis_by_a_temperature_and_under_a_mask():
    mask = np.asarray([[True, True, False, True]] * 2 + [[False] * 4])

    def by_temperature(t):
        return jnp.sum(logits.softmax(Z, temperature=t) * V)

    def under_mask(z):
        return jnp.sum(logits.softmax(z, where=mask) * V)

    across, turned, slope, curvature, masked = quick_jit(
        lambda t: (
            jax.jvp(lambda z: logits.softmax(z, 0), (Z,), (V,))[1],
            jax.jvp(lambda z: logits.softmax(z.T, 1).T, (Z,), (V,))[1],
            jax.grad(by_temperature)(t),
            jax.grad(jax.grad(by_temperature))(t),
            jax.grad(under_mask)(Z),
        )
    )(1.3)
    p = special.softmax(Z, 0)
    np.testing.assert_allclose(across, p * (V - (p * V).sum(0)), atol=1e-14)
    np.testing.assert_allclose(across, turned, atol=1e-15)
    value = lambda t: (special.softmax(Z / t, -1) * V).sum()  # noqa: E731
    np.testing.assert_allclose(slope, (value(1.3 + 1e-6) - value(1.3 - 1e-6)) / 2e-6, rtol=1e-8)
    np.testing.assert_allclose(curvature, (value(1.301) - 2 * value(1.3) + value(1.299)) / 1e-6, rtol=1e-5)
    p = special.softmax(np.where(mask, Z, -np.inf)[:2], -1)
    want = np.concatenate([p * (V[:2] - (p * V[:2]).sum(-1, keepdims=True)), np.zeros((1, 4))])
    np.testing.assert_allclose(masked, want, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_the_farthest_logits_of_every_precision(dtype: str, request: pytest.FixtureRequest):
    if dtype == "float64":
        request.getfixturevalue("x64")
    most = float(jnp.finfo(dtype).max)
    rows = np.asarray([[most, -most, 0], [-most, -most, -most], [most, most, -most], [most / 2, most / 3, -np.inf]])
    rows = rows.astype(jnp.dtype(dtype))

    @jax.jit
    def program(z, c):
        found = {}
        for name in ("softmax", "log_softmax", "log_sum_exp"):
            function = getattr(activations, name)
            value, vjp = jax.vjp(lambda z, f=function: f(z * c), z)
            found[name] = value, vjp(jnp.ones_like(value))[0], jax.jvp(vjp, (value,), (value * 0 + 1,))[1][0]
        return found

    found = jax.tree.map(lambda a: np.asarray(a).astype(np.float64), program(rows, np.ones((), jnp.dtype(dtype))))
    p = np.asarray([[1, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0], [1, 0, 0]])
    tolerance = {"rtol": 4 * float(jnp.finfo(dtype).eps), "atol": float(jnp.finfo(dtype).eps)}
    value, slope, _ = found["softmax"]
    np.testing.assert_allclose(value, p, **tolerance)
    np.testing.assert_allclose(slope, 0, atol=tolerance["atol"])
    value, slope, _ = found["log_softmax"]
    assert np.isneginf(value[3, 2]) and np.isfinite(np.delete(value.ravel(), 11)).all() and (value <= 0).all()
    np.testing.assert_allclose(slope, 1 - 3 * p, **tolerance)
    assert value[0, 1] == -most and value[2, 2] == -most  # as far as there are numbers
    value, slope, again = found["log_sum_exp"]
    np.testing.assert_allclose(value, rows.astype(np.float64).max(-1), rtol=tolerance["rtol"])
    np.testing.assert_allclose(slope, p, **tolerance)
    np.testing.assert_allclose(again, p, **tolerance)


def test_infinity_and_nan_are_handed_on_in_values_and_slopes():
    rows = np.float32([[np.inf, 0, 1], [np.nan, 0, 1], [-np.inf, 0, np.log(3)], [-np.inf] * 3])
    found = quick_jit(
        lambda z: {name: (f(z), jax.vjp(f, z)[1](jnp.ones_like(f(z)))[0]) for name, f in FUNCTIONS.items()}
    )(rows)
    for name in ("log_sum_exp", "log_mean_exp"):
        value, slope = (np.asarray(a) for a in found[name])
        assert value[0] == np.inf and np.isnan(value[1]) and np.isneginf(value[3]), name
        np.testing.assert_allclose(slope[2], [0, 0.25, 0.75], rtol=1e-6)
        assert slope[3].tolist() == [0, 0, 0]
    np.testing.assert_allclose(found["log_mean_exp"][0][2], np.log(4 / 3), rtol=1e-6)
    for name in ("softmax", "log_softmax"):
        value, slope = (np.asarray(a) for a in found[name])
        assert np.isnan(value[[0, 1, 3]]).all() and not np.isnan(value[2]).any(), name
        assert not np.isnan(slope[2]).any()
