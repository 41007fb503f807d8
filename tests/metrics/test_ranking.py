"""Areas and precisions by brute force, their edges, and how far a histogram is off."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import metrics
from jaxann.metrics import streaming
from tests.tolerances import assert_close

DRAW = np.random.default_rng(11)
_auc = jax.jit(metrics.roc_auc)
_precision = jax.jit(metrics.average_precision)


def _pairs(scores, own, other):
    """Share of pairs won, each weighing the product, by comparing all of them."""
    apart = np.sign(scores[:, None] - scores[None])
    weight = own[:, None] * other[None]
    return np.sum(weight * (apart + 1) / 2) / np.sum(weight)


def test_the_textbook_example():
    scores, labels = jnp.asarray([0.1, 0.4, 0.35, 0.8]), jnp.asarray([0, 0, 1, 1])
    assert float(_auc(scores, labels)) == 0.75
    assert_close(_precision(scores, labels), 5 / 6, "reduction")


@pytest.mark.usefixtures("x64")
def test_areas_by_comparing_every_pair():
    scores = DRAW.integers(-3, 4, (40, 3)).astype(float)  # many ties
    labels, weights = DRAW.integers(0, 3, 40), DRAW.uniform(0, 2, 40)
    own = np.eye(3)[labels] * weights[:, None]
    ovr = [_pairs(scores[:, k], own[:, k], weights - own[:, k]) for k in range(3)]
    given = jnp.asarray(scores), jnp.asarray(labels), jnp.asarray(weights)
    each = jax.jit(lambda *a: metrics.roc_auc(*a, average="none", from_logits=False))(*given)
    assert_close(each, ovr, "reduction")
    pairs = [[_pairs(scores[:, a], own[:, a], own[:, b]) for b in range(3)] for a in range(3)]
    both = [((pairs[a][b] + pairs[b][a]) / 2, own[:, [a, b]].sum()) for a, b in ((0, 1), (0, 2), (1, 2))]
    even, shares = np.asarray(both).T
    ovo = jax.jit(
        lambda *a: [metrics.roc_auc(*a, multi_class="ovo", average=h, from_logits=False) for h in ("macro", "weighted")]
    )
    assert_close(jnp.stack(ovo(*given)), [even.mean(), np.average(even, weights=shares)], "reduction")


def test_one_class_no_scores_and_equal_scores():
    scores = jnp.asarray([0.1, 0.9, 0.4])
    ones, zeros = jnp.ones(3, jnp.int32), jnp.zeros(3, jnp.int32)
    assert np.isnan(_auc(scores, ones)) and np.isnan(_auc(scores, zeros))
    assert float(_precision(scores, zeros)) == 0.0 and float(_precision(scores, ones)) == 1.0
    mixed = jnp.asarray([0, 1, 1])
    assert float(_auc(scores * 0, mixed)) == 0.5
    assert_close(_precision(scores * 0, mixed), 2 / 3, "reduction")
    assert float(_auc(jnp.asarray([-jnp.inf, jnp.inf, 0.0]), mixed)) == 1.0
    assert np.isnan(_auc(scores.at[0].set(jnp.nan), mixed)) and np.isnan(_precision(scores.at[0].set(jnp.nan), mixed))
    absent = np.eye(3, dtype=np.float32)[[0, 1, 0, 1]]  # class 2 does not occur
    labels, settings = np.asarray([0, 1, 1, 0], np.int32), ({}, {"average": "weighted"}, {"multi_class": "ovo"})
    found = jax.jit(lambda p, y: [metrics.roc_auc(p, y, **setting) for setting in settings])(absent, labels)
    assert np.isnan(found[0]) and np.isfinite(found[1:]).all()


def test_probabilities_that_round_to_one_keep_their_order():
    logits = jnp.asarray([40.0, 60.0, 80.0, 50.0])
    labels = jnp.asarray([0, 1, 1, 0])
    assert float(_auc(logits, labels)) == 1.0
    three = jnp.stack([logits, -logits, -logits], 1)
    found = jax.jit(lambda p, y: metrics.roc_auc(p, y, average="none"))(three, jnp.asarray([1, 0, 0, 2]))
    assert float(found[0]) == 1.0


def test_a_full_buffer_gives_nan_and_weight_zero_takes_no_place():
    scores, labels = DRAW.normal(size=30).astype(np.float32), np.arange(30) % 2
    weights = (np.arange(30) < 20).astype(np.float32)
    figure = jax.jit(lambda m, *data: m(*data))
    for make, plain in ((streaming.roc_auc, _auc), (streaming.average_precision, _precision)):
        assert_close(figure(make(capacity=20), scores, labels, weights), plain(scores[:20], labels[:20]), "reduction")
        assert np.isnan(figure(make(capacity=29), scores, labels, np.ones(30, np.float32)))


def test_a_histogram_is_off_by_at_most_half_the_pairs_that_share_a_bin():
    bins = 50
    settings = {"bins": bins, "from_logits": False}
    rough = jax.jit(lambda p, y: (streaming.roc_auc(**settings)(p, y), streaming.average_precision(**settings)(p, y)))
    y = np.repeat([0, 1], 2000)
    for a, b, smooth in ((2, 3, True), (60, 70, False)):
        low, high = DRAW.beta(a, b, 2000).astype(np.float32), DRAW.beta(b, a, 2000).astype(np.float32)
        p = np.concatenate([low, high])
        shares = [np.bincount((part * bins).astype(int), minlength=bins) / 2000 for part in (low, high)]
        most = np.sum(shares[0] * shares[1]) / 2
        area, precise = rough(p, y)
        off = abs(float(area) - float(_auc(p, y)))
        assert off <= most + 1e-5  # and a little for float32
        if smooth:
            assert off <= 1 / bins and most <= 1 / bins
            assert abs(float(precise) - float(_precision(p, y))) <= 1 / bins
    assert np.isnan(rough(np.where(p == p[7], np.float32(1.5), p), y)).all()
