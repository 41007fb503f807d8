"""Logic gates as data, and the smallest net of threshold units that is an exclusive or."""

from __future__ import annotations

import numpy as np

from jaxann.core.checks import check_choice

__all__ = ["gate", "xor_net"]

# What each gate answers to (0, 0), (0, 1), (1, 0), (1, 1).
_ANSWERS = {
    "and": (0, 0, 0, 1),
    "nand": (1, 1, 1, 0),
    "nor": (1, 0, 0, 0),
    "or": (0, 1, 1, 1),
    "xnor": (1, 0, 0, 1),
    "xor": (0, 1, 1, 0),
}


def gate(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The truth table of a logic gate with two inputs: `(x, targets)`, of shapes `(4, 2)` and `(4,)`, float32.

    The rows of x are (0, 0), (0, 1), (1, 0), (1, 1). One threshold unit can be "and", "or", "nand" or "nor". It cannot
    be "xor", which would need

        w1 > thr,  w2 > thr,  w1 + w2 <= thr  and  0 <= thr:

    the first two give w1 + w2 > 2 thr >= thr, against the third. Nor can it be "xnor", by the same lines with all signs
    turned. `xor_net` can.

    Source: Minsky and Papert 1969.

    Raises:
        InputError: no gate has that name.
    """
    check_choice("gate", "name", name, _ANSWERS)
    return np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array(_ANSWERS[name], np.float32)


def xor_net() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """h1 = 1[x1 + x2 > 0.5], h2 = 1[x1 + x2 > 1.5], y = 1[h1 - h2 > 0.5]: "or" but not "and".

    Returns:
        `(weights, threshold)` of the two layers, float32, for `threshold_net`: shapes `(2, 2)` and `(2,)`, then
        `(2,)` and `()`.

    Source: Minsky and Papert 1969.
    """
    hidden = np.ones((2, 2), np.float32), np.array([0.5, 1.5], np.float32)
    return hidden, (np.array([1, -1], np.float32), np.array(0.5, np.float32))
