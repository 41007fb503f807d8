"""Edges of single losses: kinks, zeros, limits, labels out of range, sums done by hand."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import losses
from tests.contract import assert_input_error
from tests.programs import quick_jit


def _slope(loss, p, t, **keywords):
    t = np.asarray(t)
    t = t.astype(np.int32 if t.dtype.kind == "i" else np.float32)

    @quick_jit
    def program(p, t):
        values, back = jax.vjp(lambda p: loss(p, t, **keywords), p)
        return values, back(jnp.ones_like(values))[0]

    return tuple(np.asarray(a) for a in program(np.float32(p), t))


@pytest.mark.parametrize(
    ("name", "p", "t", "value", "slope"),
    [
        ("absolute_error", [1.0, 3.0], [1.0, 1.0], [0, 2], [0, 1]),
        ("squared_error", [3.0, 0.0], [1.0, -1.0], [4, 1], [4, 2]),
        ("half_squared_error", [3.0, 0.0], [1.0, -1.0], [2, 0.5], [2, 1]),
        ("huber", [1.0, -1.0, 3.0, 0.0], [0.0] * 4, [0.5, 0.5, 2.5, 0], [1, -1, 1, 0]),
        ("huber", [math.inf, 1e30], [0.0, 0.0], [math.inf, 1e30], [1, 1]),
        ("log_cosh", [0.0, 1000.0, -1000.0], [0.0] * 3, [0, 1000 - math.log(2), 1000 - math.log(2)], [0, 1, -1]),
        ("quantile", [1.0, 0.0, 2.0], [1.0] * 3, [0, 0.5, 0.5], [0, -0.5, 0.5]),
        ("hinge", [1.0, -1.0, 0.5, 3.0], [1, -1, -1, 1], [0, 0, 1.5, 0], [0, 0, 1, 0]),
        ("squared_hinge", [1.0, 0.0], [1, -1], [0, 1], [0, 2]),
        ("perceptron", [0.0, 0.0, 2.0, -1.0], [1, -1, 1, 1], [0, 0, 0, 1], [-1, 1, 0, -1]),
        ("sigmoid_cross_entropy", [-20.0], [1.0], [20], [-1]),
        ("multiclass_hinge", [[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [0, 1], [0, 1], [[0, 0, 0], [0.5, -1, 0.5]]),
        ("cross_entropy_probs", [[0.0, 1.0]], [[0.0, 1.0]], [0], [[0, -1]]),
        ("binary_cross_entropy_probs", [0.0, 1.0], [0.0, 1.0], [0, 0], [1, -1]),
        ("binary_cross_entropy_probs", [0.0, 1.0], [1.0, 0.0], [-math.log(1e-7)] * 2, [0, 0]),
        ("kl_divergence", [[-math.inf, 0.0]], [[0.0, 1.0]], [0], [[0, -1]]),
        ("reverse_kl_divergence", [[-math.inf, 0.0]], [[0.0, 1.0]], [0], [[0, 1]]),
        ("jensen_shannon_divergence", [[-math.inf, 0.0]], [[1.0, 0.0]], [math.log(2)], [[0, math.log(2) / 2]]),
        ("softmax_focal", [[-math.inf, 0.0]], [1], [0], [[0, 0]]),
        ("contrastive", [[[1.0, 2.0], [1.0, 2.0]]], [0.0], [0.5], [[[0, 0], [0, 0]]]),
        ("cosine_distance", [[0.0, 0.0]], [[1.0, 0.0]], [1], [[-1e8, 0]]),
        ("cosine_distance", [[1e30, 0.0], [1.0, 1.0]], [[1e-6, 0.0], [1e30, 1e30]], [0, 0], [[0, 0], [0, 0]]),
        ("triplet", [[[0.0], [1.0], [2.0]]], [1.0], [0], [[[0], [0], [0]]]),
        ("dice", [[-1e4, 1e4]], [[0.0, 1.0]], [0], [[0, 0]]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_value_and_slope_by_hand(name: str, p, t, value, slope):
    values, gradients = _slope(getattr(losses, name), p, t)
    np.testing.assert_allclose(values, value, rtol=2e-6, atol=2e-7)
    np.testing.assert_allclose(gradients, slope, rtol=2e-6, atol=1e-6)


def test_log_cosh_keeps_its_digits_near_zero():
    r = np.float32([1e-4, 1e-3, 1e-2, 0.1, 0.9, 1.1])
    values = quick_jit(losses.log_cosh)(r, np.zeros_like(r))
    np.testing.assert_allclose(values, np.log(np.cosh(np.float64(r))), rtol=3e-7, atol=1e-14)
    curvature = quick_jit(jax.grad(jax.grad(lambda x: losses.log_cosh(x, np.float32(0)))))
    assert curvature(np.float32(0)) == 1


def test_a_maximum_of_many_does_not_lose_nan():
    scores = np.ones((81, 81), np.float32)
    scores[0, 1:] = np.nan
    labels = np.arange(81, dtype=np.int32)
    assert np.isnan(_slope(losses.multiclass_hinge, scores, labels)[0][0])
    assert np.isnan(_slope(losses.triplet_hard, scores, labels % 3)[0][0])
    assert np.isnan(_slope(losses.cosine_distance, scores, scores)[0]).tolist() == [True] + 80 * [False]


def test_several_quantiles_have_an_output_each():
    predictions, targets = np.float32([[0.0, 1.0], [2.0, -1.0]]), np.float32([1.0, 0.0])
    expected = [[0.1, 0.0], [1.8, 0.9]]
    for q in ((0.1, 0.9), [0.1, 0.9], jnp.array([0.1, 0.9])):
        np.testing.assert_allclose(losses.quantile(predictions, targets, q=q), expected, rtol=1e-6)
    traced = jax.jit(lambda q: losses.quantile(predictions, targets, q=q))
    np.testing.assert_allclose(traced((0.1, 0.9)), expected, rtol=1e-6)
    for bad in (np.zeros((2, 2), np.float32), np.zeros((2, 1), np.float32), np.zeros(3, np.float32)):
        assert_input_error(lambda bad=bad: losses.quantile(predictions, bad, q=(0.1, 0.9)), "targets")
    assert_input_error(lambda: losses.quantile(predictions, targets, q=np.full((1, 2), 0.5)), "q")


def test_gaussian_nll_stops_at_its_floor_and_comes_back():
    values, slope = _slope(losses.gaussian_nll, [[1.0, -30.0], [0.0, 0.0]], [0.0, 0.0], eps=0.5)
    np.testing.assert_allclose(values, [(math.log(0.5) + 2) / 2, 0], rtol=1e-6)
    np.testing.assert_allclose(slope, [[2, -0.5], [0, 0.5]], rtol=1e-6)


def test_dense_targets_leave_out_a_class_of_no_weight():
    value, slope = _slope(losses.softmax_cross_entropy_dense, [[0.0, 0.0, -math.inf]], [[0.5, 0.5, 0.0]])
    np.testing.assert_allclose(value, [math.log(2)], rtol=1e-6)
    np.testing.assert_allclose(slope, [[0, 0, 0]], atol=1e-7)
    label, _ = _slope(losses.softmax_cross_entropy, [[0.0, 0.0, -math.inf]], [0])
    np.testing.assert_allclose(label, [math.log(2)], rtol=1e-6)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_focal", "poly1", "multiclass_hinge"])
def test_label_outside_the_classes_gives_nan_in_its_own_place(name: str):
    labels = np.array([0, -1, 3, 10**6, -(2**31), 2**31 - 1, 2], np.int32)
    values = quick_jit(getattr(losses, name))(np.zeros((7, 3), np.float32), labels)
    assert np.isnan(values).tolist() == [False, True, True, True, True, True, False]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32"])
@pytest.mark.parametrize("classes", [5, 256, 300])
def test_labels_of_any_integer_type_name_the_same_class(dtype: str, classes: int):
    logits = np.random.default_rng(0).normal(size=(4, classes)).astype(np.float32)
    labels = np.array([0, 1, 3, 4])
    program = quick_jit(losses.softmax_cross_entropy)
    expected = program(logits, labels.astype(np.int32))
    np.testing.assert_array_equal(program(logits, labels.astype(dtype)), expected)


def test_targets_of_the_wrong_kind_are_refused():
    logits = np.zeros((2, 3), np.float32)
    message = assert_input_error(
        lambda: losses.softmax_cross_entropy(logits, logits), "targets", given="float32", expected="integer labels"
    )
    assert "softmax_cross_entropy_dense" in message
    for bad, given in ((np.zeros(2, bool), "bool"), (np.zeros((2, 3), np.int32), "(2, 3)")):
        hint = assert_input_error(lambda bad=bad: losses.softmax_cross_entropy(logits, bad), "targets", given=given)
        assert ("y.astype('int32')" in hint) == (given == "bool")
    labels = np.zeros(2, np.int32)
    for bad in ((1.0, 2.0), np.ones((3, 1), np.float32)):
        keywords = {"class_weights": bad}
        assert_input_error(lambda k=keywords: losses.softmax_cross_entropy(logits, labels, **k), "class_weights")
    alone = np.zeros((2, 1), np.float32)
    assert_input_error(lambda: losses.softmax_focal(alone, labels), "predictions")
    for bad in (np.ones(2, np.float32), np.ones((2, 3), np.float32)):
        keywords = {"positive_weight": bad}
        assert_input_error(lambda k=keywords: losses.sigmoid_cross_entropy(logits, logits, **k), "positive_weight")
    assert_input_error(lambda: losses.barron(logits, logits, alpha=np.zeros(3, np.float32)), "alpha", given="(3,)")


def _every_path(probabilities: np.ndarray, labels: list[int], blank: int) -> float:
    frames, classes = probabilities.shape
    total = 0.0
    for path in itertools.product(range(classes), repeat=frames):
        kept = [k for k, _ in itertools.groupby(path)]
        if [k for k in kept if k != blank] == labels:
            total += float(np.prod(probabilities[np.arange(frames), path]))
    return -math.log(total) if total else math.inf


@pytest.mark.usefixtures("x64")
def test_ctc_is_the_sum_over_all_paths():
    random = np.random.default_rng(0)
    words = np.array([[0, 1, -1], [1, 1, -1], [-1, -1, -1], [0, 0, 0], [1, 3, 0], [3, -1, -1], [0, 2, 2]])
    logits = random.normal(size=(len(words), 4, 4)) * 2
    lengths = np.array([4, 4, 3, 4, 4, 1, 3])
    odds = np.exp(logits)
    odds /= odds.sum(-1, keepdims=True)

    @jax.jit
    def program(logits):
        def values(logits, **keywords):
            return losses.ctc(logits, words, blank=2, lengths=lengths, **keywords)

        zeroed, back = jax.vjp(lambda z: values(z, zero_infinity=True), logits)
        silenced = jnp.where(
            np.arange(4)[:, None] < lengths[:, None, None], logits, jnp.where(np.arange(4) == 2, 0.0, -jnp.inf)
        )
        return values(logits), zeroed, back(jnp.ones_like(zeroed))[0], losses.ctc(silenced, words, blank=2)

    values, zeroed, slope, silenced = program(logits)
    expected = [
        _every_path(odds[i, : lengths[i]], [int(k) for k in words[i] if k not in (-1, 2)], 2) for i in range(len(words))
    ]
    assert np.isinf(expected).tolist() == [False, False, False, True, False, False, False]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    np.testing.assert_allclose(silenced, expected, rtol=1e-12)
    np.testing.assert_allclose(zeroed, np.where(np.isinf(expected), 0, expected), rtol=1e-12)
    assert np.isfinite(slope).all() and (slope[3] == 0).all() and np.abs(slope[0]).max() > 0.1
    assert (slope[5, 1:] == 0).all()


def test_ctc_of_no_frames_or_no_labels():
    quick = quick_jit(losses.ctc)
    words = np.array([[1], [-1]], np.int32)
    assert quick(np.zeros((2, 0, 3), np.float32), words).tolist() == [math.inf, 0]
    even = np.zeros((3, 3), np.float32)
    np.testing.assert_allclose(quick(even, np.zeros(0, np.int32)), 3 * math.log(3), rtol=1e-6)
    assert np.isnan(quick(even, np.array([3], np.int32)))
    bad = np.zeros(3, np.int32)
    assert_input_error(lambda: losses.ctc(np.zeros((2, 3, 3), np.float32), words, lengths=bad), "lengths")


def test_mined_triplets_leave_out_who_has_no_partner():
    points, labels = np.float32([[0.0], [1.0], [5.0]]), np.array([0, 0, 1], np.int32)
    for loss in (losses.triplet_hard, losses.triplet_semi_hard):
        np.testing.assert_allclose(_slope(loss, points, labels, margin=4.5)[0], [0.5, 1.5, 0.0], rtol=1e-6)
        assert losses.target_weights(loss, labels).tolist() == [1, 1, 0]
        assert losses.target_weights(loss, np.zeros(3, np.int32)).tolist() == [0, 0, 0]
        alone, slope = _slope(loss, points, np.zeros(3, np.int32))
        assert (alone == 0).all() and (slope == 0).all()


def test_a_label_after_padding_is_refused_and_not_lost():
    logits = np.zeros((1, 5, 3), np.float32)
    for labels in ([[1, -1, 2]], [[0, 1]]):
        assert_input_error(lambda labels=labels: losses.ctc(logits, np.int32(labels)), "targets")
    assert np.isfinite(losses.ctc(logits, np.int32([[1, 2, -1]]))).all()
    assert np.isfinite(losses.ctc(logits, np.int32([[0, 1]]), blank=2)).all()


def test_a_label_beyond_32_bits_is_refused_and_no_other_class():
    for label in (2**32 + 1, -(2**32) + 1):
        assert_input_error(lambda n=label: losses.softmax_cross_entropy(np.float32([[0, 1]]), np.int64([n])), "targets")
    assert_input_error(lambda: losses.ctc(np.zeros((1, 5, 3), np.float32), np.int64([[2**32 + 1]])), "targets")
