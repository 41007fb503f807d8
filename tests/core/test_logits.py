"""Softmax and all that is made of it, of logits that are a product: compiled, they are what float64 says."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from scipy import special

from jaxann import activations, losses
from jaxann.core import logits

RANDOM = np.random.default_rng(0)
ROWS, CLASSES = 64, 7
X = RANDOM.normal(size=(ROWS, CLASSES)).astype(np.float32)
LABELS = RANDOM.integers(0, CLASSES, ROWS).astype(np.int32)
DENSE = RANDOM.dirichlet(np.ones(CLASSES), ROWS).astype(np.float32)
SCALES = [1.0, 0.7, 3e3, 1e6, 1e10, 1e30, 7e37]
ROOM = Path(logits.__file__).parent.parent

FUNCTIONS = {
    "softmax": activations.softmax,
    "softmax at a temperature": functools.partial(activations.softmax, temperature=0.7),
    "log_softmax": activations.log_softmax,
    "log_sum_exp": activations.log_sum_exp,
    "sparsemax": activations.sparsemax,
    "gumbel_softmax": lambda z: activations.gumbel_softmax(z, key=jax.random.key(0), temperature=0.5),
    "softmax_cross_entropy": lambda z: losses.softmax_cross_entropy(z, LABELS),
    "smoothed": lambda z: losses.softmax_cross_entropy(z, LABELS, label_smoothing=0.1),
    "softmax_cross_entropy_dense": lambda z: losses.softmax_cross_entropy_dense(z, DENSE),
    "poly1": lambda z: losses.poly1(z, LABELS),
    "poly1 of the surest": lambda z: losses.poly1(z, LABELS, epsilon=-1.0),
    "softmax_focal": lambda z: losses.softmax_focal(z, LABELS),
    "ctc": lambda z: losses.ctc(z.reshape(8, 8, CLASSES), LABELS.reshape(8, 8)[:, :3] % 6 + 1),
    "info_nce": lambda z: losses.info_nce(z.reshape(32, 2, CLASSES), np.ones(32, np.float32), temperature=1e-3),
    "nt_xent": lambda z: losses.nt_xent(z.reshape(32, 2, CLASSES), np.ones(32, np.float32), temperature=1e-3),
}
SHARES = ("softmax", "softmax at a temperature", "sparsemax", "gumbel_softmax")
ANY_SIGN = ("log_sum_exp", "log_softmax")
SUMS = ("ctc",)  # of several frames: more than float32 holds of the greatest


def _figures(x, scale):
    """Every function of the product, and the slope of its mean."""
    values, gradients = {}, {}
    for name, function in FUNCTIONS.items():
        values[name], vjp = jax.vjp(lambda x, f=function: f(jnp.broadcast_to(scale, x.shape) * x), x)
        gradients[name] = vjp(jnp.ones_like(values[name]) / 1e3)[0]
    return values, gradients


@functools.cache
def _program():
    return jax.jit(_figures).lower(X, np.float32(1)).compile({"xla_backend_optimization_level": 3})


@pytest.mark.parametrize("scale", SCALES)
def test_logits_that_are_a_product_are_never_below_zero_and_finite(scale: float):
    """7e37 times 3 is nearly the greatest float32: two such logits are farther apart than it."""
    x = np.clip(X, -3, 3)
    values, gradients = jax.tree.map(np.asarray, _program()(x, np.float32(scale)))
    for name, value in values.items():
        if scale > 1e30 and name in SUMS:
            continue
        assert np.isfinite(value).all() and np.isfinite(gradients[name]).all(), name
        assert name in ANY_SIGN or (value >= 0).all(), (name, value.min())
    assert (values["log_softmax"] <= 0).all()
    for name in SHARES:
        np.testing.assert_allclose(values[name].sum(-1), 1, rtol=1e-6, err_msg=name)
    z = (x * np.float32(scale)).astype(np.float64)
    log_p = np.maximum(special.log_softmax(z, -1), -np.finfo(np.float32).max)
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(values["log_softmax"], log_p, **tolerance)
    np.testing.assert_allclose(values["softmax"], special.softmax(z, -1), **tolerance)
    np.testing.assert_allclose(values["log_sum_exp"], special.logsumexp(z, -1), rtol=1e-6)
    own = -np.take_along_axis(log_p, LABELS[:, None], -1)[:, 0]
    np.testing.assert_allclose(values["softmax_cross_entropy"], own, **tolerance)
    np.testing.assert_allclose(values["poly1"], own + 2 * (1 - np.exp(-own)), **tolerance)


def test_softmax_takes_the_greatest_off_before_it_divides():
    x = np.array([1e36, 0, -np.inf], np.float32)
    found, by_x, by_t = jax.jit(
        lambda x, t: (
            activations.softmax(x, temperature=t),
            jax.grad(lambda x: activations.softmax(x, temperature=t)[1])(x),
            jax.grad(lambda t: activations.softmax(x, temperature=t)[1])(t),
        )
    )(x, np.float32(1e-3))
    assert found.tolist() == [1, 0, 0] and by_x.tolist() == [0, 0, 0] and by_t == 0
    x = np.array([1.0, 0, -np.inf], np.float32)
    slope = jax.grad(lambda t: activations.softmax(x, temperature=t)[1])(np.float32(0.5))
    p = special.softmax(np.array([2.0, 0]))
    np.testing.assert_allclose(slope, p[1] * p[0] * 1 / 0.25, rtol=1e-6)


def test_softmax_keeps_what_infinity_means():
    rows = np.array([[np.inf, 0], [-np.inf, -np.inf], [-np.inf, 1]], np.float32)
    softmax, total = np.asarray(logits.softmax(rows)), np.asarray(logits.log_sum_exp(rows))
    assert np.isnan(softmax[:2]).all() and softmax[2].tolist() == [0, 1]
    assert total.tolist() == [np.inf, -np.inf, 1]
    assert np.asarray(logits.log_softmax(rows))[2].tolist() == [-np.inf, 0]
    mask = np.array([[False, False], [False, True], [True, True]])
    assert np.asarray(logits.softmax(rows, where=mask)).tolist()[0] == [0, 0]
    np.testing.assert_allclose(logits.log_mean_exp(np.zeros(3, np.float32)), 0, atol=0)


@pytest.mark.usefixtures("x64")
def test_second_derivatives_within_a_scan():
    """Where the greatest is part of what is carried on, forward over reverse."""
    x = RANDOM.normal(size=(4, 3))

    def total(a):
        step = lambda c, row: (jnp.stack([c[0] * a, c[1] * c[0], logits.log_sum_exp(c * a)]) + row, None)  # noqa: E731
        return jnp.sum(jax.lax.scan(step, jnp.ones(3), x)[0])

    slope = jax.jit(jax.grad(total))
    curvature = jax.jvp(slope, (1.1,), (1.0,))[1]
    np.testing.assert_allclose(curvature, (slope(1.1 + 1e-5) - slope(1.1 - 1e-5)) / 2e-5, rtol=1e-6)


def test_cross_entropy_is_mapped_pushed_forward_and_exported():
    scaled = jax.jit(lambda x: losses.softmax_cross_entropy(x * np.float32(3e3), LABELS))
    want = np.asarray(scaled(X))
    again = export.deserialize(export.export(scaled)(X).serialize()).call(X)
    mapped = jax.jit(jax.vmap(lambda x, y: losses.softmax_cross_entropy(x * np.float32(3e3), y)))(X, LABELS)
    np.testing.assert_array_equal(again, want)
    np.testing.assert_allclose(mapped, want, rtol=1e-6, atol=1e-3)
    tangent = jax.jvp(scaled, (X,), (X,))[1]
    np.testing.assert_allclose(tangent, want, rtol=1e-4, atol=1e-2)  # of degree 1 in logits far apart


def test_nothing_else_takes_a_softmax_of_its_own():
    """One place where the greatest is taken off, or the next loss forgets how."""
    pattern = re.compile(r"(nn|special)\.(softmax|log_softmax|logsumexp)\(")
    found = [path.name for path in sorted(ROOM.rglob("*.py")) if pattern.search(path.read_text())]
    assert found == []


def test_as_many_logits_as_float16_cannot_count():
    """Each of 70,000 shares is exp(0) / 70,000, though float16 ends at 65,504."""
    even = jnp.zeros(70_000, jnp.float16)
    assert np.allclose(logits.softmax(even), 1 / 70_000, rtol=5e-2, atol=0)
    assert np.allclose(logits.log_softmax(even), -np.log(70_000), rtol=1e-3)
    assert np.allclose(logits.log_sum_exp(even), np.log(70_000), rtol=1e-3)
    assert logits.log_mean_exp(even) == 0
    assert {f(even).dtype for f in (logits.softmax, logits.log_softmax, logits.log_sum_exp)} == {jnp.dtype("float16")}
