"""The mean of values, masks that leak nothing, what labels weigh, and losses with arguments bound to them."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import losses
from jaxann.core.binding import as_partial
from jaxann.losses.reduce import labels_to_check
from tests.contract import assert_input_error

PARTIALS = (functools.partial, jax.tree_util.Partial)


def test_mean_is_weighted_and_masked():
    values, keep = np.float32([[1.0, 2.0], [3.0, 4.0]]), np.array([[True, False], [True, True]])
    weights = np.float32([[1.0, 5.0], [0.5, 2.0]])
    np.testing.assert_allclose(losses.mean(values), 2.5)
    np.testing.assert_allclose(losses.mean(values, where=keep), 8 / 3, rtol=1e-6)
    np.testing.assert_allclose(losses.mean(values, weights=weights), (1 + 10 + 1.5 + 8) / 8.5, rtol=1e-6)
    np.testing.assert_allclose(losses.mean(values, where=keep, weights=weights), 10.5 / 3.5, rtol=1e-6)
    np.testing.assert_allclose(losses.mean(values, weights=np.float32([1.0, 3.0])), (3 + 21) / 8, rtol=1e-6)
    assert losses.mean(values, where=np.zeros((2, 2), bool)) == 0 and losses.mean(values[:0]) == 0
    assert losses.mean(jnp.full(3000, 100.0, jnp.float16)) == 100  # a sum beyond float16
    for name in ("where", "weights"):
        for bad in (np.ones((2, 1)), np.ones(3), np.ones((2, 2, 1))):
            assert_input_error(lambda k={name: bad}: losses.mean(values, **k), name)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_masked_reaches_neither_mean_nor_slope(bad: float):
    predictions, targets = np.float32([1.0, bad, 3.0, 2.0]), np.float32([0.0, 1.0, bad, 0.0])
    keep = np.array([True, False, False, True])

    def of_values(values, **keywords):
        return losses.mean(values, **keywords)

    values = np.float32([1.0, bad, bad, 4.0])
    for keywords in ({"where": keep}, {"weights": keep.astype(np.float32)}):
        mean, slope = jax.value_and_grad(functools.partial(of_values, **keywords))(values)
        assert mean == 2.5 and slope.tolist() == [0.5, 0, 0, 0.5]

    def of_predictions(predictions):
        return losses.mean(losses.squared_error(*losses.masked(predictions, targets, where=keep)), where=keep)

    mean, slope = jax.value_and_grad(of_predictions)(predictions)
    assert mean == 2.5 and slope.tolist() == [1, 0, 0, 2]
    assert_input_error(lambda: losses.masked(predictions, targets, where=keep[:3]), "where")


def test_ignored_places_give_and_take_nothing():
    logits, labels = (
        np.float32([[1.0, 2.0], [np.nan, 0.0], [np.inf, -np.inf], [0.0, 0.0]]),
        np.int32([1, -100, -100, 0]),
    )
    loss = functools.partial(losses.softmax_cross_entropy, ignore_index=-100)

    @jax.jit
    def program(z):
        values, back = jax.vjp(lambda z: loss(z, labels), z)
        zero = functools.partial(losses.softmax_cross_entropy, ignore_index=0)  # a label like any other: padding
        return values, back(jnp.ones_like(values))[0], zero(z, labels), loss(z[1:3], labels[1:3])

    values, slope, zero, none = program(logits)
    assert values[1] == values[2] == 0 and (slope[1:3] == 0).all() and np.isfinite(slope).all()
    np.testing.assert_allclose(values[0], np.log1p(np.exp(-1.0)), rtol=1e-6)
    assert losses.mean(none, weights=losses.target_weights(loss, labels[1:3])) == 0
    assert zero[3] == 0 and np.isnan(zero[1])


@pytest.mark.parametrize(
    ("dtype", "ignored"),
    [("uint8", 255), ("int8", -1), ("uint8", -100), ("uint32", 2**32 - 1), ("uint32", -1), ("int32", -100)],
)
def test_ignored_label_of_any_integer_type(dtype: str, ignored: int):
    info = np.iinfo(dtype)
    fits = info.min <= ignored <= info.max
    labels = np.array([1, ignored if fits else 1], dtype)
    logits = np.zeros((2, 3), np.float32)
    expected = [np.log(3), 0 if fits else np.log(3)]
    loss = functools.partial(losses.softmax_cross_entropy, ignore_index=ignored)
    np.testing.assert_allclose(loss(logits, labels), expected, rtol=1e-6)
    np.testing.assert_array_equal(losses.target_weights(loss, labels), [1, 0 if fits else 1])
    if abs(ignored) < 2**31:
        traced = jax.jit(lambda i: losses.softmax_cross_entropy(logits, labels, ignore_index=i))
        np.testing.assert_allclose(traced(np.int32(ignored)), expected, rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_mean_with_class_weights_is_torchs():
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    logits, labels, weights = random.normal(size=(5, 4, 3)), random.integers(0, 3, (5, 4)), random.uniform(0.1, 2, 3)
    labels[0, :2] = -100
    keywords = {"class_weights": weights, "ignore_index": -100, "label_smoothing": 0.2}
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(logits).reshape(-1, 3),
        torch.tensor(labels).reshape(-1),
        weight=torch.tensor(weights),
        label_smoothing=0.2,
    )
    for partial in PARTIALS:
        loss = partial(losses.softmax_cross_entropy, **keywords)
        for bound in (loss, as_partial(loss), partial(loss, label_smoothing=0.2)):
            counts = losses.target_weights(bound, labels)
            assert counts.shape == labels.shape
            np.testing.assert_allclose(jnp.sum(bound(logits, labels)) / jnp.sum(counts), expected, rtol=1e-12)


def test_losses_without_weights_say_so():
    labels = np.zeros(3, np.int32)
    for loss in (losses.softmax_cross_entropy, losses.squared_error, lambda p, t: p, len):
        assert losses.target_weights(loss, labels) is None
    for partial in PARTIALS:
        assert losses.target_weights(partial(losses.softmax_cross_entropy, label_smoothing=0.1), labels) is None


def test_labels_to_check_leave_out_what_is_ignored_or_no_class():
    labels = np.array([0, -100, 2], np.int32)
    assert labels_to_check(losses.softmax_cross_entropy, labels) is labels
    assert labels_to_check(lambda p, t: p, labels) is None  # numbers, for all one knows
    for partial in PARTIALS:
        ignoring = partial(losses.softmax_cross_entropy, ignore_index=-100)
        assert labels_to_check(ignoring, labels).tolist() == [0, 0, 2]
        assert labels_to_check(losses.each_member(ignoring), labels).tolist() == [0, 0, 2]
    assert labels_to_check(losses.ctc, labels[[0, 2, 1]] + 1).tolist() == [1, 3, 0]  # a negative label is padding
    for loss in (losses.triplet_hard, functools.partial(losses.triplet_semi_hard, margin=0.5)):
        assert labels_to_check(loss, labels) is None


def test_bound_names_and_flags_are_static_and_numbers_are_not():
    def bind(margin):
        return as_partial(functools.partial(losses.multiclass_hinge, kind="weston_watkins", margin=margin))

    assert jax.tree.leaves(bind(0.5)) == [0.5]
    one, two = (jax.tree.structure(bind(m)) for m in (0.5, 0.7))
    assert one == two and hash(one) == hash(two)
    assert one != jax.tree.structure(as_partial(functools.partial(losses.multiclass_hinge, margin=0.5)))
    scores, labels = np.float32([[1.0, 2.0, 0.0]]), np.int32([0])
    values = jax.jit(lambda loss: loss(scores, labels))(bind(0.5))
    np.testing.assert_allclose(values, [1.5], rtol=1e-6)
    member = losses.each_member(functools.partial(losses.multiclass_hinge, kind="weston_watkins", margin=0.5))
    np.testing.assert_allclose(jax.jit(lambda loss: loss(scores[:, None], labels))(member), [[1.5]], rtol=1e-6)


def test_the_mean_of_flags_and_whole_numbers_is_a_fraction():
    assert float(losses.mean(np.array([True, False, False]))) == pytest.approx(1 / 3)
    assert float(losses.mean(np.int8([100, 100, 101]))) == pytest.approx(301 / 3, rel=1e-6)
    assert float(losses.mean(np.int8([100, 101]), weights=np.float32([0.25, 0.75]))) == pytest.approx(100.75)
    for weight in (-1.0, np.nan, np.inf):
        weights = np.array([1.0, weight], np.float32)
        assert_input_error(lambda w=weights: losses.mean(np.float32([1, 2]), weights=w), "weights", given="at row 1")
