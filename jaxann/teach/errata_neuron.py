"""Commonly printed mistakes about single neurons, checked by the perceptron rule on logic gates."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxann.neuron import PerceptronReport, fit_perceptron, gate, perceptron
from jaxann.teach.erratum import Check, Erratum, check

__all__ = ["ROWS"]

_ALLOWED = 100


def _train(name: str, rate: float = 0.25, bias_input: float = -1.0) -> tuple[np.ndarray, PerceptronReport]:
    x, targets = (jnp.asarray(part) for part in gate(name))
    weights, report = fit_perceptron(x, targets, learning_rate=rate, bias_input=bias_input, epochs=_ALLOWED)
    return np.asarray(weights), report


def _shape() -> Check:
    weights, _ = _train("and")
    return check(weights.size == 3, ("samples", 4), ("numbers in W", weights.size))


def _bias_zero() -> Check:
    ends = {name: _train(name, bias_input=0.0) for name in ("and", "nand")}
    never = not any(bool(report.converged) for _, report in ends.values())
    x, targets = gate("nand")
    score = float(np.append(x[0], 0.0) @ ends["nand"][0])
    right, report = _train("nand")

    def answer(weights: np.ndarray, bias_input: float) -> float:
        """At (0, 0), where NAND is 1."""
        return float(perceptron(jnp.asarray(x[0]), jnp.asarray(weights), bias_input=bias_input))

    any_weights = (ends["nand"][0], right, -right)  # without a bias they all answer alike
    same = all(answer(weights, 0.0) == 0 for weights in any_weights)
    return check(
        never and same and bool(report.converged) and answer(right, -1.0) == targets[0] == 1,
        ("h at (0, 0)", score),
        ("AND converged", bool(ends["and"][1].converged)),
        ("NAND converged", bool(ends["nand"][1].converged)),
        ("NAND converged with -1", bool(report.converged)),
    )


def _cost() -> Check:
    """The rule by hand, example by example, counted; and that it went as the training did."""
    x, targets = gate("and")
    end, report = _train("and")
    weights, steps, passes, mistakes = np.zeros(3), 0, 0, -1
    counted = []
    while mistakes != 0 and passes < _ALLOWED:
        mistakes = 0
        for row, target in zip(x, targets, strict=True):
            given = np.append(row, -1.0)
            error = target - (given @ weights > 0)
            weights = weights + 0.25 * error * given
            mistakes += int(error != 0)
            steps += 1
        passes += 1
        counted.append(mistakes)
    alike = passes == int(report.epochs) and counted == np.asarray(report.mistakes_by_epoch)[:passes].tolist()
    return check(
        alike and np.allclose(weights, end) and steps == passes * len(x),
        ("steps in one pass", steps / passes),
        ("passes", passes),
        ("steps in all", steps),
    )


def _rate() -> Check:
    slow, fast = (int(_train("and", rate)[1].epochs) for rate in (0.25, 10.0))
    _, xor = _train("xor")
    ends = np.asarray(xor.history)[1:]
    same = (ends[1:] == ends[1]).all() and not bool(xor.converged)
    return check(
        slow == fast and same,
        ("epochs of AND with eta = 0.25", slow),
        ("with eta = 10", fast),
        ("XOR after each epoch", ends[-1]),
    )


ROWS = (
    Erratum("E7", "S", "The weights of a layer of perceptrons are a table of N observations by K neurons.",
            "Of m + 1 inputs by n neurons, whatever the number of observations.", _shape),
    Erratum("E8", "S", "The constant input of the bias may be -1, 0 or 1.", "Any constant but 0.", _bias_zero),
    Erratum("E9", "I", "Training costs O(T m n).", "O(T N m n) for T passes over N examples.", _cost),
    Erratum("E10", "I", "A rate below 1 steadies the perceptron rule; repeat until nothing improves.",
            "From zero weights the rate changes no answer; it stops for sure only on separable data, else it cycles.",
            _rate),
    Erratum("E64", "I", "A logistic output attributed to the unit of 1943.",
            "That one has a threshold; the logistic neuron came later."),
)  # fmt: skip
