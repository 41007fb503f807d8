"""A recurrent layer once more in plain NumPy, every gate and every delta of every position kept by its letter.

Nothing of it is shown before it has met the net's own numbers: `met`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxann import layers
from jaxann.teach.walk import Item

__all__ = ["GATES", "Unrolled", "gates_of", "met", "unrolled"]

GATES: dict[Callable, str] = {
    layers.rnn: "h",
    layers.lstm: "ifgo",
    layers.gru: "run",
}  # in the order that the parameters have them in


class Unrolled(NamedTuple):
    """All positions of all examples, `(batch, time, units)` each.

    Attributes:
        before, h: the state before each position and after it.
        z, gates: what goes into the activation of each gate, and what comes out.
        cell_before, cell, hidden: of an LSTM c before and after, and o tanh(c), which a projection makes h of.
        inner: of a GRU h U + d in the part of n.
        of_h, of_cell, of_hidden: dJ/dh, dJ/dc and dJ/d(o tanh(c)), with all that comes from later positions.
        of_z: dJ/dz of each gate.
        real: `(batch, time)`, which positions count.
        keep: `(batch, features)`, what dropout multiplies h by in h U; None for no dropout.
    """

    before: np.ndarray
    h: np.ndarray
    z: dict[str, np.ndarray]
    gates: dict[str, np.ndarray]
    cell_before: np.ndarray
    cell: np.ndarray
    hidden: np.ndarray
    inner: np.ndarray
    of_h: np.ndarray
    of_cell: np.ndarray
    of_hidden: np.ndarray
    of_z: dict[str, np.ndarray]
    real: np.ndarray
    keep: np.ndarray | None

    def of_product(self, gates: str) -> np.ndarray:
        """dJ/d(h U + d): the deltas side by side, of a GRU those of n times r."""
        each = {**self.of_z, "n": self.gates["r"] * self.of_z["n"]} if "n" in gates else self.of_z
        return np.concatenate([each[gate] for gate in gates], -1)


def gates_of(item: Item) -> str:
    """The letters of a recurrent layer's gates."""
    like = item.formula.like
    assert like is not None
    return GATES[like]


def met(item: Item, what: str, ours: np.ndarray, theirs: Any) -> None:
    """Hold what is to be shown against the net's own numbers.

    Raises:
        ArithmeticError: they differ by more than rounding.
    """
    wanted = np.asarray(theirs)
    scale = float(np.abs(wanted).max(initial=0.0))
    if ours.shape != wanted.shape or not np.allclose(ours, wanted, rtol=1e-9, atol=1e-9 * scale):
        raise ArithmeticError(f"explain: {item.name}: {what}, written out, is not the net's own.")


def unrolled(item: Item) -> Unrolled:
    """Forward through all positions, and back.

    Raises:
        ArithmeticError: what comes out, or a gradient, is not the net's own.
    """
    gates = gates_of(item)
    params = {name: np.asarray(value) for name, value in item.params.items()}
    x = np.asarray(item.trace.x)
    mask = item.trace.sequence_mask
    real = np.ones(x.shape[:2], bool) if mask is None else np.asarray(mask).astype(bool)
    x = np.where(real[..., None], x, 0)
    keep = None if item.trace.drawn is None else np.asarray(item.trace.drawn)
    found = _forward(item, gates, params, x, real, keep)
    met(item, "the output", np.where(real[..., None], found.h, 0), item.output)
    found = _backward(item, gates, params, found)
    of_z = np.concatenate([found.of_z[gate] for gate in gates], -1)
    met(item, "the delta of the gates", of_z, item.trace.delta)
    before = found.before if keep is None else found.before * keep[:, None]
    of_product = found.of_product(gates)
    wanted = {
        "weight": np.einsum("bti,btj->ij", x, of_z),
        "recurrent": np.einsum("bti,btj->ij", before, of_product),
        "bias": of_z.sum((0, 1)),
        "recurrent_bias": of_product.sum((0, 1)),
        "projection": np.einsum("bti,btj->ij", found.hidden, np.where(real[..., None], found.of_h, 0)),
    }
    for name, grad in item.trace.grads.items():
        met(item, f"the gradient of {name}", wanted[name], grad)
    return found


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -z))


def _forward(item: Item, gates: str, params: dict[str, np.ndarray], x: np.ndarray, real: np.ndarray, keep: Any):
    batch, time = x.shape[:2]
    units = params["bias"].size // len(gates)
    h, c = np.zeros((batch, params["recurrent"].shape[0])), np.zeros((batch, units))
    rounds: list[dict[str, np.ndarray]] = []
    for t in range(time):
        there = real[:, t, None]
        s = (h if keep is None else h * keep) @ params["recurrent"] + params["recurrent_bias"]
        z, product = (_split(v, gates) for v in (x[:, t] @ params["weight"] + params["bias"], s))
        kept = {"before": h, "cell_before": c, "inner": product[gates[-1]], "hidden": c}
        if gates == "run":
            r, u = (_sigmoid(z[gate] + product[gate]) for gate in "ru")
            into = {"r": z["r"] + product["r"], "u": z["u"] + product["u"], "n": z["n"] + r * product["n"]}
            out = {"r": r, "u": u, "n": np.tanh(into["n"])}
            after = (1 - u) * out["n"] + u * h
        else:
            into = {gate: z[gate] + product[gate] for gate in gates}
            if gates == "h":
                relu = item.layer.arguments["activation"] == "relu"
                out = {"h": np.maximum(into["h"], 0) if relu else np.tanh(into["h"])}
                after = out["h"]
            else:
                out = {gate: (np.tanh if gate == "g" else _sigmoid)(into[gate]) for gate in gates}
                c = np.where(there, out["f"] * c + out["i"] * out["g"], c)
                after = kept["hidden"] = out["o"] * np.tanh(c)
                after = after @ params["projection"] if "projection" in params else after
        h = np.where(there, after, h)
        rounds.append({**kept, "h": h, "cell": c, **{f"z{gate}": into[gate] for gate in gates},
                       **{f"gate {gate}": out[gate] for gate in gates}})  # fmt: skip
    whole = {name: np.stack([one[name] for one in rounds], 1) for name in rounds[0]}
    empty = np.zeros_like(whole["h"])
    return Unrolled(
        whole["before"],
        whole["h"],
        {gate: whole[f"z{gate}"] for gate in gates},
        {gate: whole[f"gate {gate}"] for gate in gates},
        whole["cell_before"],
        whole["cell"],
        whole["hidden"],
        whole["inner"],
        empty,
        empty,
        empty,
        {},
        real,
        keep,
    )


def _split(values: np.ndarray, gates: str) -> dict[str, np.ndarray]:
    return dict(zip(gates, np.split(values, len(gates), -1), strict=True))


def _backward(item: Item, gates: str, params: dict[str, np.ndarray], run: Unrolled) -> Unrolled:
    g = np.where(run.real[..., None], np.asarray(item.slope), 0)
    later_h, later_c = np.zeros_like(run.h[:, 0]), np.zeros_like(run.cell[:, 0])
    rounds: list[dict[str, np.ndarray]] = []
    for t in reversed(range(g.shape[1])):
        there = run.real[:, t, None]
        e, of_c = later_h + g[:, t], later_c
        gate = {name: values[:, t] for name, values in run.gates.items()}
        of_hidden, straight = e, 0.0
        if gates == "h":
            relu = item.layer.arguments["activation"] == "relu"
            delta = {"h": e * ((gate["h"] > 0) if relu else 1 - gate["h"] ** 2)}
        elif gates == "run":
            r, u, n = gate["r"], gate["u"], gate["n"]
            of_n = e * (1 - u) * (1 - n * n)
            delta = {
                "r": of_n * run.inner[:, t] * r * (1 - r),
                "u": e * (run.before[:, t] - n) * u * (1 - u),
                "n": of_n,
            }
            straight = e * u
        else:
            i, f, new, o = (gate[name] for name in gates)
            squashed = np.tanh(run.cell[:, t])
            of_hidden = e @ params["projection"].T if "projection" in params else e
            of_c = of_c + of_hidden * o * (1 - squashed**2)
            delta = {
                "i": of_c * new * i * (1 - i),
                "f": of_c * run.cell_before[:, t] * f * (1 - f),
                "g": of_c * i * (1 - new * new),
                "o": of_hidden * squashed * o * (1 - o),
            }
            later_c = np.where(there, of_c * f, later_c)
        delta = {name: np.where(there, values, 0) for name, values in delta.items()}
        into = {**delta, "n": gate["r"] * delta["n"]} if gates == "run" else delta
        back = np.concatenate([into[name] for name in gates], -1) @ params["recurrent"].T
        later_h = np.where(there, (back if run.keep is None else back * run.keep) + straight, e)
        rounds.append({"of_h": e, "of_cell": of_c, "of_hidden": of_hidden, **delta})
    whole = {name: np.stack([one[name] for one in reversed(rounds)], 1) for name in rounds[0]}
    return run._replace(
        of_h=whole["of_h"],
        of_cell=whole["of_cell"],
        of_hidden=whole["of_hidden"],
        of_z={gate: whole[gate] for gate in gates},
    )
