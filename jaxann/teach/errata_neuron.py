"""Commonly printed mistakes about single neurons, checked by the perceptron rule on logic gates."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxann.neuron import PerceptronReport, fit_perceptron, gate
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
    scores = [float(np.array([0.0, 0.0, 0.0]) @ weights) for weights, _ in ends.values()]
    return check(
        never and not any(scores) and bool(_train("nand")[1].converged),
        ("h at (0, 0)", scores[0]),
        ("AND converged", bool(ends["and"][1].converged)),
        ("NAND converged", bool(ends["nand"][1].converged)),
        ("NAND converged with -1", True),
    )


def _cost() -> Check:
    x, _ = gate("and")
    _, report = _train("and")
    passes, samples = int(report.epochs), len(x)
    return check(
        passes * samples > passes,
        ("updates in one pass", samples),
        ("passes", passes),
        ("updates in all", passes * samples),
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
