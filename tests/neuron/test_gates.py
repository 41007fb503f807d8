"""The logic gates learned by the perceptron rule, number for number, and the one that cannot be learned."""

from __future__ import annotations

from itertools import product

import jax
import numpy as np
import pytest

from jaxann.neuron import fit_perceptron, gate, perceptron, threshold_net, threshold_unit, xor_net
from tests.contract import assert_input_error

# name: epochs with the clean one, final weights of x1, x2 and the bias node
LEARNED = {
    "and": (6, (0.5, 0.25, 0.5)),
    "or": (4, (0.25, 0.25, 0.0)),
    "nand": (6, (-0.5, -0.25, -0.75)),
}


@pytest.mark.parametrize("name", sorted(LEARNED))
def test_a_gate_is_learned_exactly_as_by_hand(name: str):
    x, targets = gate(name)
    weights, report = fit_perceptron(x, targets, learning_rate=0.25, bias_input=-1.0, epochs=100)
    epochs, final = LEARNED[name]
    assert report.converged and int(report.epochs) == epochs
    assert weights.tolist() == list(final) == report.pocket.tolist() and report.pocket_mistakes == 0
    assert perceptron(x, weights).tolist() == targets.tolist()
    counts = report.mistakes_by_epoch
    assert counts.shape == (100,) and int(counts.sum()) == int(report.mistakes)
    assert (counts[: epochs - 1] > 0).all() and not counts[epochs - 1 :].any()
    assert report.history.shape == (101, 3) and not report.history[0].any()
    history = np.asarray(report.history)
    assert (history[epochs - 1 :] == final).all() and (history[epochs - 2] != final).any()


def test_exclusive_or_goes_round_in_circles():
    x, targets = gate("xor")
    weights, report = fit_perceptron(x, targets)
    assert not report.converged and int(report.epochs) == 100
    assert report.history[1].tolist() == [-0.25, 0.0, 0.0]
    assert (np.asarray(report.history)[2:] == [-0.25, 0.0, -0.25]).all()  # and so on for ever
    assert weights.tolist() == [-0.25, 0.0, -0.25]
    assert report.mistakes_by_epoch.tolist() == [2, 3] + 98 * [4]
    assert int(report.pocket_mistakes) == 2
    # In another order each epoch the rule comes past weights that are wrong once only; no unit is better.
    shuffled = fit_perceptron(x, targets, shuffle=True, key=jax.random.key(1))[1]
    assert int(shuffled.pocket_mistakes) == 1 == int(np.sum(perceptron(x, shuffled.pocket) != targets))
    assert not shuffled.converged


def test_without_a_bias_only_or_is_learned():
    for name in ("and", "or", "nand", "xor"):
        report = fit_perceptron(*gate(name), bias_input=0.0)[1]
        assert bool(report.converged) == (name == "or"), name
        assert int(report.epochs) == (2 if name == "or" else 100)
        assert not report.history[:, 2].any()


def test_no_threshold_unit_is_an_exclusive_or_and_two_layers_are():
    x, targets = gate("xor")
    grid = np.linspace(-1, 1, 9)
    every = np.array(list(product(grid, grid, grid))).T
    for name, learnable in (("xor", False), ("xnor", False), ("nor", True), ("and", True)):
        answers = threshold_unit(x, every[:2], every[2])
        assert (answers == gate(name)[1][:, None]).all(0).any() == learnable, name
    assert threshold_net(x, xor_net()).tolist() == targets.tolist()
    either, both = threshold_unit(x, *xor_net()[0]).T
    assert either.tolist() == gate("or")[1].tolist() and both.tolist() == gate("and")[1].tolist()


def test_an_unknown_gate_is_refused():
    assert "Did you mean 'nand'" in assert_input_error(lambda: gate("nan"), "name", given="nan")
