"""Losses against PyTorch in float64, their gradients against central differences, and their edges by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import losses
from tests.catalogue import LOSSES, LossRow
from tests.contract import assert_input_error
from tests.tolerances import close

RANDOM = np.random.default_rng(3)
LOGITS = RANDOM.normal(size=(50, 7)) * 5
LABELS = RANDOM.integers(0, 7, 50)
DENSE = RANDOM.dirichlet(np.ones(7), 50)
BITS = RANDOM.uniform(size=(50, 7))


def _torch(name: str) -> Any:
    torch = pytest.importorskip("torch")
    functional, p = torch.nn.functional, torch.tensor(LOGITS, requires_grad=True)
    weight = torch.tensor(2.5, dtype=torch.float64)
    value = {
        "squared_error": lambda: functional.mse_loss(p, torch.tensor(BITS), reduction="none"),
        "sigmoid": lambda: functional.binary_cross_entropy_with_logits(p, torch.tensor(BITS), reduction="none"),
        "sigmoid weighted": lambda: functional.binary_cross_entropy_with_logits(
            p, torch.tensor(BITS), reduction="none", pos_weight=weight
        ),
        "softmax": lambda: functional.cross_entropy(p, torch.tensor(LABELS), reduction="none"),
        "softmax smoothed": lambda: functional.cross_entropy(
            p, torch.tensor(LABELS), reduction="none", label_smoothing=0.3
        ),
        "dense": lambda: functional.cross_entropy(p, torch.tensor(DENSE), reduction="none"),
    }[name]()
    value.sum().backward()
    return value.detach().numpy(), p.grad.numpy()


CASES: dict[str, tuple[Callable[..., jax.Array], np.ndarray]] = {
    "squared_error": (losses.squared_error, BITS),
    "sigmoid": (losses.sigmoid_cross_entropy, BITS),
    "sigmoid weighted": (lambda p, t: losses.sigmoid_cross_entropy(p, t, positive_weight=2.5), BITS),
    "softmax": (losses.softmax_cross_entropy, LABELS),
    "softmax smoothed": (lambda p, t: losses.softmax_cross_entropy(p, t, label_smoothing=0.3), LABELS),
    "dense": (losses.softmax_cross_entropy_dense, DENSE),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_match_torch(name: str):
    loss, targets = CASES[name]
    expected, slope = _torch(name)
    values, back = jax.vjp(lambda p: loss(p, jnp.asarray(targets)), jnp.asarray(LOGITS))
    np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(back(jnp.ones_like(values))[0], slope, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_loss_in_single_precision_is_near_double(name: str):
    loss, targets = CASES[name]
    expected, _ = _torch(name)
    targets = jnp.asarray(targets, jnp.int32 if targets.ndim == 1 else jnp.float32)
    values = loss(jnp.asarray(LOGITS, jnp.float32), targets)
    np.testing.assert_allclose(values, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("row", LOSSES, ids=str)
def test_loss_gradient_and_curvature_match_differences(row: LossRow):
    predictions = jax.random.normal(jax.random.key(0), (4, 3)) * 2
    targets = row.targets(jax.random.key(1), (4, 3))

    def total(p):
        return jnp.sum(row.build(p, targets))

    direction = jax.random.normal(jax.random.key(2), (4, 3))

    def along(t):
        return total(predictions + t * direction)

    h = 1e-5
    numeric = (along(h) - along(-h)) / (2 * h)
    exact = jax.grad(along)(0.0)
    np.testing.assert_allclose(exact, numeric, rtol=close("float64", "gradient"))
    curvature = (jax.grad(along)(h) - jax.grad(along)(-h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(jax.grad(along))(0.0), curvature, rtol=close("float64", "second"))
    forward = jax.jvp(total, (predictions,), (direction,))[1]
    np.testing.assert_allclose(forward, exact, rtol=1e-12)


def test_loss_is_not_averaged_and_has_no_half():
    values = losses.squared_error(jnp.array([3.0, 0.0]), jnp.array([1.0, -1.0]))
    np.testing.assert_array_equal(values, [4.0, 1.0])
    slope = jax.grad(lambda p: losses.squared_error(p, jnp.zeros(1)).sum())(jnp.array([3.0]))
    np.testing.assert_array_equal(slope, [6.0])


def test_softmax_cross_entropy_is_the_logarithm_of_the_classes_for_even_logits():
    values = losses.softmax_cross_entropy(jnp.full((2, 10), 3.0), jnp.array([0, 9]))
    np.testing.assert_allclose(values, np.log(10.0), rtol=1e-6)


@pytest.mark.parametrize("label", [-1, 3, 10**6, -(2**31), 2**31 - 1])
def test_label_outside_the_classes_gives_nan_in_its_own_place(label: int):
    logits = jnp.zeros((3, 3))
    labels = jnp.array([0, label, 2], jnp.int32)
    values = losses.softmax_cross_entropy(logits, labels)
    assert np.isnan(values).tolist() == [False, True, False]
    assert np.isnan(losses.softmax_cross_entropy(logits, labels, label_smoothing=0.1)).tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32"])
@pytest.mark.parametrize("classes", [5, 256, 300])
def test_labels_of_any_integer_type_name_the_same_class(dtype: str, classes: int):
    logits = jax.random.normal(jax.random.key(0), (4, classes))
    labels = np.array([0, 1, 3, 4])
    expected = losses.softmax_cross_entropy(logits, jnp.asarray(labels, jnp.int32))
    np.testing.assert_array_equal(losses.softmax_cross_entropy(logits, jnp.asarray(labels, dtype)), expected)


def test_label_smoothing_mixes_with_the_even_distribution():
    logits, labels = jax.random.normal(jax.random.key(0), (6, 4)), jnp.array([0, 1, 2, 3, 0, 1])
    smooth = 0.7 * jax.nn.one_hot(labels, 4) + 0.3 / 4
    expected = losses.softmax_cross_entropy_dense(logits, smooth)
    actual = losses.softmax_cross_entropy(logits, labels, label_smoothing=0.3)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    traced = jax.jit(lambda e: losses.softmax_cross_entropy(logits, labels, label_smoothing=e))
    np.testing.assert_allclose(traced(0.3), actual, rtol=1e-6)
    plain = losses.softmax_cross_entropy(logits, labels)
    np.testing.assert_allclose(traced(0.0), plain, rtol=1e-6)
    for bad in (1.0, -0.1, "0.1"):
        assert_input_error(
            lambda bad=bad: losses.softmax_cross_entropy(logits, labels, label_smoothing=bad), "label_smoothing"
        )


def test_class_of_no_weight_may_have_any_logit():
    logits = jnp.array([[0.0, 0.0, -jnp.inf]])
    targets = jnp.array([[0.5, 0.5, 0.0]])
    value, slope = jax.value_and_grad(lambda p: losses.softmax_cross_entropy_dense(p, targets).sum())(logits)
    np.testing.assert_allclose(value, np.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(slope, [[0.0, 0.0, 0.0]], atol=1e-7)
    label = losses.softmax_cross_entropy(logits, jnp.array([0]))
    np.testing.assert_allclose(label, [np.log(2.0)], rtol=1e-6)


def test_targets_of_the_wrong_kind_are_refused():
    logits = jnp.zeros((2, 3))
    message = assert_input_error(
        lambda: losses.softmax_cross_entropy(logits, logits), "targets", given="float32", expected="integer labels"
    )
    assert "softmax_cross_entropy_dense" in message
    flags = np.zeros(2, bool)
    assert_input_error(lambda: losses.softmax_cross_entropy(logits, flags), "targets", given="bool")
    one_hot = np.zeros((2, 3), np.int32)
    assert_input_error(lambda: losses.softmax_cross_entropy(logits, one_hot), "targets", given="(2, 3)")
    assert_input_error(
        lambda: losses.sigmoid_cross_entropy(logits, logits, positive_weight=-1.0), "positive_weight", given="-1.0"
    )
