"""Targets that rounding has put next to what a loss asks for are taken, other ones never, in every precision."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import losses, metrics
from jaxann.losses.domains import check_domain
from tests.contract import assert_input_error

FLOATS = ["float64", "float32", "float16", "bfloat16"]
SIGNS = ("hinge", "perceptron", "squared_hinge", "cosine_embedding")
BETWEEN = ("binary_cross_entropy_probs", "contrastive", "dice", "sigmoid_cross_entropy", "sigmoid_focal")
DISTRIBUTIONS = ("jensen_shannon_divergence", "kl_divergence", "reverse_kl_divergence")


def _check(name: str, targets: np.ndarray) -> None:
    check_domain("fit", "train y", getattr(losses, name), targets)


def _next_to(values: list[float], dtype: str) -> np.ndarray:
    """Two of the dtype's own steps on either side; of float64 those of float32, in which it was once computed."""
    eps = max(float(jnp.finfo(dtype).eps), float(np.finfo(np.float32).eps))
    return np.asarray([v + k * eps for v in values for k in (-2, -1, 0, 1, 2)]).astype(jnp.dtype(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_two_steps_of_the_dtype_beside_a_value_or_an_end_are_taken(dtype: str):
    for name in SIGNS:
        _check(name, _next_to([-1, 1], dtype))
    _check("cosine_embedding", _next_to([-1, 0, 1], dtype))
    for name in BETWEEN:
        _check(name, _next_to([0, 1], dtype))
    for name in DISTRIBUTIONS:
        rows = np.random.default_rng(0).dirichlet(np.ones(1000), 3).astype(jnp.dtype(dtype))
        _check(name, rows)
        _check(name, _next_to([0, 1], dtype).reshape(2, 5).T)
    for name in ("poisson_nll", "cross_entropy_probs", "softmax_cross_entropy_dense"):
        _check(name, _next_to([0, 3], dtype))
    metrics.streaming.accuracy().update(
        metrics.streaming.accuracy().init(), np.zeros(10, np.float32), _next_to([0, 1], dtype), None
    )


@pytest.mark.parametrize("dtype", [*FLOATS, "int8", "uint8", "int64"])
def test_labels_of_another_kind_are_refused_in_every_dtype(dtype: str):
    def refused(name: str, *numbers: float) -> None:
        rows = np.asarray(numbers).astype(jnp.dtype(dtype))
        shown = f"{float(rows[-1]):.4g}"[:4]
        assert_input_error(lambda: _check(name, rows), "train y", given=shown)

    for name in SIGNS:
        refused(name, 1, 1, 2)
        refused(name, 1, 1, 100)
    for name in ("hinge", "perceptron", "squared_hinge"):
        refused(name, 1, 0)
    for name in BETWEEN:
        refused(name, 0, 1, 2)
        refused(name, 0, 1, 100)
    if dtype.startswith("u"):
        return
    for name in (*BETWEEN, "poisson_nll", "cross_entropy_probs", "softmax_cross_entropy_dense"):
        refused(name, 0, 1, -1)
    if "float" in dtype:
        for name, wrong in (("hinge", 0.875), ("dice", 1.125), ("dice", -0.125), ("cosine_embedding", 0.125)):
            refused(name, 1, wrong)
        assert_input_error(lambda: _check("hinge", np.asarray([1, np.nan], jnp.dtype(dtype))), "train y", given="nan")
        for name in DISTRIBUTIONS:
            rows = np.asarray([[0.25, 0.5]]).astype(jnp.dtype(dtype))
            assert_input_error(lambda name=name, y=rows: _check(name, y), "train y", given="a sum of 0.75 at row 0")


def test_slack_is_a_share_of_the_numbers_that_are_asked_for():
    large = losses.targets_in(values=(1000, 2000))(lambda p, t: p - t)
    check_domain("fit", "train y", large, np.float32([1000.0001, 1999.9999]))
    assert_input_error(lambda: check_domain("fit", "train y", large, np.float32([1000.1])), "train y", given="1000.1")
    small = losses.targets_in(low=0, high=1e-6)(lambda p, t: p - t)
    check_domain("fit", "train y", small, np.float32([1e-6]))
    assert_input_error(lambda: check_domain("fit", "train y", small, np.float32([1.5e-6])), "train y", given="1.5e-06")


def test_a_pair_whose_label_is_nearly_0_does_not_belong_together():
    a = np.float32([[1, 0], [1, 0]])
    near = losses.cosine_embedding(np.stack([a, a]), np.float32([1e-7, 1]))
    np.testing.assert_allclose(near, [1, 0], atol=1e-6)
