"""The perceptron rule against a loop in NumPy, scikit-learn, and Novikoff's theorem."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.neuron import PerceptronReport, fit_perceptron, margin, mistake_bound, perceptron
from tests.contract import assert_input_error

ROWS, INPUTS, EPOCHS = 30, 3, 12


def _loop(
    x: np.ndarray, targets: np.ndarray, first: np.ndarray, rate: float, constant: float, rule: str, key: Any = None
) -> tuple:
    """One neuron, one example after the other: final weights, and what the report must hold."""
    given = np.hstack([x, np.full((len(x), 1), constant)])

    def wrong(weights: np.ndarray) -> int:
        return int(np.sum((given @ weights > 0) != targets))

    weights, pocket, fewest = first.copy(), first.copy(), wrong(first)
    counts, history, every = [], [first.copy()], []
    for epoch in range(EPOCHS):
        order = np.arange(len(x))
        if key is not None:
            order = np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), len(x)))
        mistakes, run, longest, best = 0, 0, 0, weights.copy()
        if rule == "batch":
            error = targets - (given @ weights > 0)
            mistakes = int(np.abs(error).sum())
            weights = best = weights + rate * error @ given
            every.append(weights.copy())
        else:
            for i in order:
                error = targets[i] - float(given[i] @ weights > 0)
                weights = weights + rate * error * given[i]
                mistakes, run = mistakes + (error != 0), 0 if error else run + 1
                if run > longest:
                    longest, best = run, weights.copy()
                every.append(weights.copy())
        for candidate in (best, weights):
            if wrong(candidate) < fewest:
                pocket, fewest = candidate.copy(), wrong(candidate)
        counts.append(mistakes)
        history.append(weights.copy())
        if not mistakes:
            break
    rest = EPOCHS - len(counts)
    return weights, PerceptronReport(
        counts[-1] == 0, len(counts), sum(counts), np.array(counts + [0] * rest),
        np.array(history + [weights] * rest), pocket, fewest, np.mean(every, 0),
    )  # fmt: skip


def _problem(seed: int, neurons: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Points, and for each neuron a plane to learn; the last neuron's answers are noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, INPUTS))
    targets = (x @ rng.normal(size=(INPUTS, neurons)) > 0.3 * rng.normal(size=neurons)).astype(np.float64)
    targets[:, -1] = rng.integers(0, 2, ROWS)
    return x, targets


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("how", ("online", "shuffled", "batch"))
def test_every_number_is_that_of_a_plain_loop(how: str):
    key = jax.random.key(3) if how == "shuffled" else None
    settings = {"rule": "batch" if how == "batch" else "online", "shuffle": key is not None, "epochs": EPOCHS}
    ended = set()
    for seed, rate, constant in ((0, 0.25, -1.0), (1, 0.1, 1.0), (2, 3.0, 0.5)):
        x, targets = _problem(seed)
        first = np.random.default_rng(seed).uniform(-0.05, 0.05, (INPUTS + 1, 3))
        weights, report = fit_perceptron(
            x, targets, learning_rate=rate, bias_input=constant, initial=first, key=key, **settings
        )
        for j in range(3):
            theirs, expected = _loop(x, targets[:, j], first[:, j], rate, constant, settings["rule"], key)
            np.testing.assert_allclose(weights[:, j], theirs, rtol=1e-12, atol=1e-13)
            for field, ours, value in zip(expected._fields, report, expected, strict=True):
                np.testing.assert_allclose(ours[..., j], value, rtol=1e-12, atol=1e-13, err_msg=field)
            ended.add(expected.converged)
            if key is not None:
                continue
            alone, own = fit_perceptron(
                x, targets[:, j], learning_rate=rate, bias_input=constant, initial=first[:, j], key=key, **settings
            )
            assert (alone == weights[:, j]).all()
            assert all((a == b[..., j]).all() for a, b in zip(own, report, strict=True))
    assert ended == {True, False}


@pytest.mark.usefixtures("x64")
def test_weights_are_those_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    for seed in range(3):
        x, targets = _problem(seed)
        first = np.random.default_rng(seed).normal(size=(INPUTS + 1, 3))  # no score is ever exactly 0
        weights, _ = fit_perceptron(x, targets, learning_rate=0.3, bias_input=1.0, epochs=EPOCHS, initial=first)
        for j in range(3):
            peer = linear.Perceptron(eta0=0.3, shuffle=False, tol=None, max_iter=EPOCHS)
            peer.fit(x, targets[:, j], coef_init=first[None, :-1, j], intercept_init=first[-1:, j])
            np.testing.assert_allclose(weights[:-1, j], peer.coef_[0], rtol=1e-10)
            np.testing.assert_allclose(weights[-1:, j], peer.intercept_, rtol=1e-10)
            assert (perceptron(x, weights[:, j], bias_input=1.0) == peer.predict(x)).all()


@pytest.mark.usefixtures("x64")
def test_from_zero_weights_the_rate_scales_and_changes_no_answer():
    x, targets = _problem(5)
    one, slow = fit_perceptron(x, targets, learning_rate=0.25, epochs=EPOCHS)
    other, fast = fit_perceptron(x, targets, learning_rate=10.0, epochs=EPOCHS)
    np.testing.assert_allclose(other, 40 * one, rtol=1e-12)
    assert (slow.mistakes_by_epoch == fast.mistakes_by_epoch).all() and slow.mistakes.tolist() == fast.mistakes.tolist()
    assert (perceptron(x, one) == perceptron(x, other)).all()


@pytest.mark.usefixtures("x64")
def test_no_more_mistakes_than_novikoff_allows():
    rng = np.random.default_rng(4)
    x, planes = rng.normal(size=(ROWS, INPUTS)), rng.normal(size=(INPUTS + 1, 40))
    targets = x @ planes[:-1] > planes[-1:]
    for rate in (0.25, 7.0):
        _, report = fit_perceptron(x, targets, learning_rate=rate, epochs=500)
        bound, gap = np.asarray(mistake_bound(x, targets, planes)), np.asarray(margin(x, targets, planes))
        assert (gap > 0).all() and report.converged[bound < 500].all()
        assert (np.asarray(report.mistakes) <= bound).all()
        assert np.max(np.asarray(report.mistakes) / bound) > 0.02  # the bound is no idle one


def test_one_program_for_all_rates_targets_and_constants():
    x, targets = (a.astype(np.float32) for a in _problem(0, neurons=2))

    def one(x, rate, constant, t):
        return fit_perceptron(x, t, learning_rate=rate, bias_input=constant, epochs=EPOCHS)

    train = jax.jit(jax.vmap(one, (None, 0, 0, 0)))
    rates, constants = np.array([0.25, 0.5], np.float32), np.array([-1.0, 1.0], np.float32)
    together, reports = train(x, rates, constants, targets.T)
    for i in range(2):
        weights, report = one(x, rates[i], constants[i], targets[:, i])
        np.testing.assert_allclose(together[i], weights, rtol=1e-6)
        assert reports.epochs[i] == report.epochs and reports.mistakes[i] == report.mistakes
    assert train(x, 2 * rates, constants, 1 - targets.T)[0].shape == (2, INPUTS + 1)
    odd = x.copy()
    odd[3, 1] = np.nan  # a value inside a program is not looked at: NaN goes in, NaN comes out
    weights, report = train(odd, rates, constants, targets.T)
    assert np.isnan(np.asarray(weights)[:, 1]).all() and not report.converged.any()
    assert train._cache_size() == 1


def test_integers_and_half_precision_are_taken_as_float32():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    for given in (x.astype(bool), jnp.asarray(x, jnp.bfloat16)):
        weights, report = fit_perceptron(given, np.array([False, False, False, True]))
        assert weights.dtype == jnp.float32 and weights.tolist() == [0.5, 0.25, 0.5] and int(report.epochs) == 6


def test_bad_input_is_refused_before_anything_is_compiled():
    x, t = np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1])
    cases: list[tuple[dict, str, str]] = [
        ({"targets": 2 * t - 1}, "targets", "-1"),
        ({"targets": np.array([0.0, 1.0, np.nan, 1.0])}, "targets", "nan"),
        ({"targets": t[:3]}, "targets", "(3,)"),
        ({"targets": t.astype(str)}, "targets", "<U"),
        ({"x": x[0]}, "x", "(2,)"),
        ({"x": x[:0]}, "x", "(0, 2)"),
        ({"x": x + np.array([0, np.nan], np.float32)}, "x", "nan in row 0"),
        ({"x": x.astype(np.complex64)}, "x", "complex64"),
        ({"learning_rate": 0.0}, "learning_rate", "0.0"),
        ({"learning_rate": -1}, "learning_rate", "-1"),
        ({"bias_input": np.inf}, "bias_input", "inf"),
        ({"epochs": 0}, "epochs", "0"),
        ({"epochs": 1.5}, "epochs", "1.5"),
        ({"rule": "onlin"}, "rule", "onlin"),
        ({"shuffle": True}, "key", "None"),
        ({"shuffle": True, "rule": "batch"}, "shuffle", "True"),
        ({"initial": np.zeros(2)}, "initial", "(2,)"),
        ({"initial": np.zeros((3, 2))}, "initial", "(3, 2)"),
    ]
    for change, argument, given in cases:
        settings = {"x": x, "targets": t} | change
        data = settings.pop("x"), settings.pop("targets")
        assert_input_error(lambda d=data, s=settings: fit_perceptron(*d, **s), argument, given=given)
    key = jax.random.key(0)
    assert_input_error(lambda: fit_perceptron(x, t, key=key), "key", expected="None without shuffle")
