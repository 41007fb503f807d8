"""What targets each loss takes: declared, true of what its row draws, and refused outside, over the catalogue."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import losses
from jaxann.core import Padded
from jaxann.losses.domains import check_domain, domain_of
from tests.catalogue import LOSSES
from tests.contract import assert_input_error

# From the formulas: what lies just inside of the domain, and what lies outside.
BETWEEN, AT_LEAST_0, SIGNS = ((0, 0.5, 1), (-0.1, 1.1, 2, 255)), ((0, 0.5, 7, 1e6), (-0.1, -1)), ((-1, 1), (0, 0.5, 2))
DOMAINS = {
    "binary_cross_entropy_probs": BETWEEN,
    "contrastive": BETWEEN,
    "cosine_embedding": ((-1, 0, 1), (2, 0.5)),
    "cross_entropy_probs": AT_LEAST_0,
    "dice": BETWEEN,
    "hinge": SIGNS,
    "perceptron": SIGNS,
    "poisson_nll": AT_LEAST_0,
    "sigmoid_cross_entropy": BETWEEN,
    "sigmoid_focal": BETWEEN,
    "softmax_cross_entropy_dense": AT_LEAST_0,
    "squared_hinge": SIGNS,
}
DISTRIBUTIONS = ("jensen_shannon_divergence", "kl_divergence", "reverse_kl_divergence")
ANY_NUMBER = (  # and what is not looked at
    "absolute_error", "adaptive_barron", "barron", "barron_nll", "cosine_distance", "gaussian_nll",
    "half_squared_error", "huber", "info_nce", "log_cosh", "nt_xent", "quantile", "squared_error", "triplet",
    "triplet_hard", "triplet_semi_hard",
)  # fmt: skip
LABELS = ("ctc", "multiclass_hinge", "poly1", "softmax_cross_entropy", "softmax_focal")  # against the model's outputs


def _check(loss, targets, weights=None):
    check_domain("fit", "train y", loss, targets, weights)


def test_every_loss_has_said_what_it_takes():
    said = {*DOMAINS, *DISTRIBUTIONS, *ANY_NUMBER, *LABELS}
    assert {row.name.removeprefix("losses.") for row in LOSSES} == said
    for row in LOSSES:
        name = row.name.removeprefix("losses.")
        assert (domain_of(row.build) is not None) == (name in {*DOMAINS, *DISTRIBUTIONS}), name
        assert (losses.labels_to_check(row.build, np.zeros(2, np.int32)) is not None) == (name in LABELS), name


@pytest.mark.parametrize("row", LOSSES, ids=str)
def test_what_a_row_draws_is_taken(row):
    for make in filter(None, (row.targets, row.extreme)):
        targets = make(np.random.default_rng(0), (7, *row.event))
        _check(row.build, targets)
        _check(row.build, jnp.asarray(targets))


@pytest.mark.parametrize("name", DOMAINS)
def test_numbers_outside_are_refused_with_their_row(name: str):
    loss, (inside, outside) = getattr(losses, name), DOMAINS[name]
    rows = np.resize(np.asarray(inside, np.float64), (6, 2))
    _check(loss, rows)
    for value in outside:
        for dtype in (np.float32, np.float64, np.int32) if value == int(value) else (np.float32,):
            spoilt = np.resize(np.asarray([v for v in inside if v == int(v)]), (6, 2)).astype(dtype)
            spoilt[4, 1] = value
            for one in (loss, losses.each_member(loss), functools.partial(loss)):
                assert_input_error(lambda one=one, y=spoilt: _check(one, y), "train y", given="at row 4, column 1")
            assert_input_error(lambda y=spoilt: _check(losses.by_head({"a": loss}), {"a": y}), "y['a']", given="row 4")
            weights = np.where(np.arange(6) == 4, 0.0, 1.0)
            _check(loss, spoilt, weights)  # what counts for nothing may be anything
            _check(loss, spoilt, np.broadcast_to(weights[:, None], (6, 2)))
            _check(losses.by_head({"a": loss}), {"a": spoilt}, weights)
            _check(loss, Padded(spoilt, np.arange(12).reshape(6, 2) < 9))
            assert_input_error(
                lambda y=spoilt: _check(loss, Padded(y, np.arange(12).reshape(6, 2) < 10)), "train y", given="row 4"
            )


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_rows_of_a_divergence_sum_to_one(name: str):
    loss, rows = getattr(losses, name), np.asarray([[0.25, 0.75], [1, 0], [0, 0]], np.float32)
    _check(loss, rows)
    _check(loss, rows.astype(np.float16))
    assert_input_error(lambda: _check(loss, 100 * rows), "train y", given="a sum of 100 at row 0")
    assert_input_error(lambda: _check(loss, rows - 0.5), "train y", given="-0.25 at row 0")
    _check(loss, 100 * rows, np.zeros(3))
    _check(loss, 100 * rows, np.zeros((3, 2)))


def test_rounding_at_the_ends_is_no_fault_and_flags_and_traced_targets_are_taken():
    _check(losses.dice, np.asarray([[1 + 2e-7, -2e-7]]))
    _check(losses.sigmoid_cross_entropy, np.asarray([True, False]))
    jax.eval_shape(lambda y: _check(losses.hinge, y), np.zeros(3, np.float32))
    assert_input_error(lambda: _check(losses.dice, np.asarray([[np.nan]])), "train y", given="nan")


def test_a_loss_of_your_own_declares_as_ours_do():
    @losses.targets_in(low=0, high=10)
    def own(predictions, targets):
        return (predictions - targets) ** 2

    _check(own, np.asarray([0.0, 10.0]))
    assert_input_error(lambda: _check(own, np.asarray([0.0, 11.0])), "train y", expected="in [0, 10]", given="11")
    pairs = losses.targets_in(values=(2, 4))(lambda p, t: p - t)
    assert_input_error(lambda: _check(pairs, np.asarray([3.0])), "train y", expected="2 or 4", given="3")
    assert_input_error(lambda: losses.targets_in(), "domain", given="neither")
    assert_input_error(lambda: losses.targets_in(low=0, values=(1,)), "domain", given="both")
    assert_input_error(lambda: losses.targets_in(low="a"), "low", given="'a'")
    assert_input_error(lambda: losses.targets_in(low=2, high=1), "high", given="1")
    assert_input_error(lambda: losses.targets_in(values=3), "values", given="3")
    assert_input_error(lambda: losses.targets_in(values=[np.nan]), "values", given="nan")
    assert_input_error(lambda: losses.targets_in(low=0)(5), "loss", given="5")


def test_a_class_of_weight_0_adds_nothing_whatever_its_logit_is():
    logits, labels, weights = (
        np.asarray([[-np.inf, 1, 2], [0.3, 1, 2]], np.float32),
        np.asarray([0, 2]),
        (0.0, 1.0, 2.0),
    )

    def mean(z, smoothing):
        loss = functools.partial(losses.softmax_cross_entropy, class_weights=weights, label_smoothing=smoothing)
        return jnp.sum(loss(z, labels)), jnp.sum(
            losses.softmax_cross_entropy_dense(
                z, np.eye(3, dtype=np.float32)[labels], class_weights=weights, label_smoothing=smoothing
            )
        )

    for smoothing in (0.0, 0.2):
        exact = logits.astype(np.float64)
        log_p = exact - np.log(np.exp(exact).sum(1, keepdims=True))
        shares = ((1 - smoothing) * np.eye(3)[labels] + smoothing / 3) * np.asarray(weights)
        terms = -np.multiply(shares, log_p, out=np.zeros((2, 3)), where=shares > 0)
        slope = np.exp(log_p) * shares.sum(1, keepdims=True) - shares
        (value, dense), gradients = jax.jit(
            lambda z, smoothing=smoothing: (mean(z, smoothing), jax.jacobian(mean)(z, smoothing))
        )(logits)
        np.testing.assert_allclose([value, dense], terms.sum(), rtol=1e-6)
        for gradient in gradients:
            np.testing.assert_allclose(gradient, slope, atol=1e-6)


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ({"high": 0}, "at most 0"),
        ({"low": 1}, "at least 1"),
        ({"low": 0, "high": 1}, "in [0, 1]"),
        ({"values": (5,)}, "5"),
    ],
)
def test_what_is_expected_is_told_whatever_ends_are_given(ends: dict, words: str):
    loss = losses.targets_in(**ends)(lambda predictions, targets: (predictions - targets) ** 2)
    assert_input_error(lambda: _check(loss, np.float32([-7, 7])), "train y", expected=words)
