"""The rules that treat every number by itself (or every leaf), written from their formulas in plain NumPy, float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxann import optimizers, schedules

__all__ = ["CASES"]

Rule = Callable[..., np.ndarray]


class LeafState(dict):
    """What a rule keeps of a leaf; what it has not set yet is 0."""

    def __missing__(self, name: str) -> Any:
        return 0.0


def by_leaf(rule: Rule) -> Callable[..., list[dict[str, np.ndarray]]]:
    """`rule(memory, t, w, g) -> update` over all leaves; t = 1 for the first step."""

    def reference(start, grads, values):
        params, updates = dict(start), []
        state = {name: LeafState() for name in params}
        for t, g in enumerate(grads, 1):
            updates.append({n: rule(state[n], t, w, g[n]) for n, w in params.items()})
            params = {n: w + updates[-1][n] for n, w in params.items()}
        return updates

    return reference


def decays(w: np.ndarray, decay: float, matrices: bool) -> np.ndarray | float:
    return decay * w if w.ndim > 1 or not matrices else 0.0


def sgd(rate: Callable[[int], float], mu=0.0, nesterov=False, tau=0.0, ema=False, inside=False) -> Rule:
    def rule(state, t, w, g):
        share = 1 - mu if ema else (1.0 if t == 1 else 1 - tau)
        new = share * g * (rate(t) if inside else 1.0)
        v = state["v"] = mu * state["v"] + new
        step = new + mu * v if nesterov else v
        return -step if inside else -rate(t) * step

    return rule


def adagrad(rate: float, start=0.1, eps=1e-7, in_sqrt=True) -> Rule:
    def rule(state, t, w, g):
        if t == 1:
            state["G"] = np.full_like(w, start)
        total = state["G"] = state["G"] + g**2
        divisor = np.sqrt(total + eps) if in_sqrt else np.sqrt(total) + eps
        return np.where(total > 0, -rate * g / np.where(total > 0, divisor, 1.0), 0.0)

    return rule


def adadelta(rate=1.0, rho=0.9, eps=1e-6, decay=0.0) -> Rule:
    def rule(state, t, w, g):
        mean = state["E"] = rho * state["E"] + (1 - rho) * g**2
        u = g * np.sqrt(state["D"] + eps) / np.sqrt(mean + eps)
        state["D"] = rho * state["D"] + (1 - rho) * u**2
        return -rate * (u + decay * w)

    return rule


def rmsprop(
    rate, rho=0.9, eps=1e-8, start=0.0, in_sqrt=True, centered=False, mu=None, nesterov=False, correct=False
) -> Rule:
    def rule(state, t, w, g):
        if t == 1:
            state["v"] = np.full_like(w, start)
        v = state["v"] = rho * state["v"] + (1 - rho) * g**2
        m = state["m"] = rho * state["m"] + (1 - rho) * g
        fix = 1 - rho**t if correct else 1.0
        variance = np.maximum(v / fix - (m / fix) ** 2, 0.0) if centered else v / fix
        u = rate * g / (np.sqrt(variance + eps) if in_sqrt else np.sqrt(variance) + eps)
        if mu is None:
            return -u
        b = state["b"] = mu * state["b"] + u
        return -(u + mu * b) if nesterov else -b

    return rule


def adam(rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, nesterov=False, decay=0.0, matrices=False) -> Rule:
    def rule(state, t, w, g):
        m = state["m"] = b1 * state["m"] + (1 - b1) * g
        v = state["v"] = b2 * state["v"] + (1 - b2) * g**2
        ahead = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        step = (ahead if nesterov else m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        return -rate * (step + decays(w, decay, matrices))

    return rule


def amsgrad(rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, corrected=True) -> Rule:
    def rule(state, t, w, g):
        m = state["m"] = b1 * state["m"] + (1 - b1) * g
        v = state["v"] = b2 * state["v"] + (1 - b2) * g**2
        most = state["most"] = np.maximum(state["most"], v / (1 - b2**t) if corrected else v)
        most = most if corrected else most / (1 - b2**t)
        return -rate * m / (1 - b1**t) / (np.sqrt(most + eps_root) + eps)

    return rule


def adamax(rate, b1=0.9, b2=0.999, eps=1e-8, decay=0.0, matrices=False) -> Rule:
    def rule(state, t, w, g):
        m = state["m"] = b1 * state["m"] + (1 - b1) * g
        u = state["u"] = np.maximum(b2 * state["u"], np.abs(g) + eps)
        return -rate * (m / (1 - b1**t) / u + decays(w, decay, matrices))

    return rule


def radam(rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, threshold=5.0) -> Rule:
    most = 2 / (1 - b2) - 1

    def rule(state, t, w, g):
        m = state["m"] = b1 * state["m"] + (1 - b1) * g
        v = state["v"] = b2 * state["v"] + (1 - b2) * g**2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        rho = most - 2 * t * b2**t / (1 - b2**t)
        if rho < threshold:
            return -rate * m_hat
        r = np.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
        return -rate * r * m_hat / (np.sqrt(v_hat + eps_root) + eps)

    return rule


def adabelief(rate, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16) -> Rule:
    def rule(state, t, w, g):
        m = state["m"] = b1 * state["m"] + (1 - b1) * g
        s = state["s"] = b2 * state["s"] + (1 - b2) * (g - m) ** 2 + eps_root
        return -rate * m / (1 - b1**t) / (np.sqrt(s / (1 - b2**t)) + eps)

    return rule


def yogi(rate, b1=0.9, b2=0.999, eps=1e-3, start=1e-6) -> Rule:
    def rule(state, t, w, g):
        if t == 1:
            state["m"] = state["v"] = np.full_like(w, start)
        m = state["m"] = b1 * state["m"] + (1 - b1) * g
        v = state["v"] = state["v"] - (1 - b2) * np.sign(state["v"] - g**2) * g**2
        return -rate * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)

    return rule


def lion(rate, b1=0.9, b2=0.99, decay=1e-3, matrices=False) -> Rule:
    def rule(state, t, w, g):
        c = b1 * state["m"] + (1 - b1) * g
        state["m"] = b2 * state["m"] + (1 - b2) * g
        return -rate * (np.sign(c) + decays(w, decay, matrices))

    return rule


def rprop(start, minus=0.5, plus=1.2, min_size=1e-6, most=50.0) -> Rule:
    def rule(state, t, w, g):
        if t == 1:
            state["size"], state["g"] = np.full(w.size, start), np.zeros(w.size)
        size, last, update = state["size"], state["g"], np.zeros(w.size)
        for i, slope in enumerate(g.flat):
            if slope * last[i] > 0:
                size[i] = min(size[i] * plus, most)
            elif slope * last[i] < 0:
                size[i] = max(size[i] * minus, min_size)
                slope = 0.0
            update[i] = -size[i] * np.sign(slope)
            last[i] = slope
        return update.reshape(w.shape)

    return rule


def novograd(rate, b1=0.9, b2=0.25, eps=1e-6, eps_root=0.0, decay=0.0, matrices=False) -> Rule:
    def rule(state, t, w, g):
        square = np.sum(g**2)
        v = state["v"] = square if t == 1 else b2 * state["v"] + (1 - b2) * square
        m = state["m"] = b1 * state["m"] + g / (np.sqrt(v + eps_root) + eps) + decays(w, decay, matrices)
        return -rate * m

    return rule


def adan(rate, b1=0.98, b2=0.92, b3=0.99, eps=1e-8, eps_root=1e-8, decay=0.0, matrices=False) -> Rule:
    def rule(state, t, w, g):
        d = g - state["g"] if t > 1 else 0.0 * g
        state["g"] = g
        m = state["m"] = b1 * state["m"] + (1 - b1) * g
        c = state["c"] = b2 * state["c"] + (1 - b2) * d
        n = state["n"] = b3 * state["n"] + (1 - b3) * (g + (1 - b2) * d) ** 2
        top = m / (1 - b1**t) + (1 - b2) * c / (1 - b2**t)
        return -rate * (top / (np.sqrt(n / (1 - b3**t) + eps_root) + eps) + decays(w, decay, matrices))

    return rule


def sm3(rate, momentum=0.9, eps=1e-8) -> Rule:
    def rule(state, t, w, g):
        if w.ndim == 1:
            a = state["a"] = state["a"] + g**2
        else:
            rows, columns = state["rows"] + np.zeros(len(w)), state["columns"] + np.zeros(len(w[0]))
            a = np.array([[min(r, c) for c in columns] for r in rows]) + g**2
            state["rows"], state["columns"] = a.max(axis=1), a.max(axis=0)
        scaled = np.where(a > 0, g / np.sqrt(a + eps), 0.0)
        m = state["m"] = momentum * state["m"] + (1 - momentum) * scaled
        return -rate * m

    return rule


def adopt(rate, b1=0.9, b2=0.9999, eps=1e-6, clipping=True) -> Rule:
    def rule(state, t, w, g):
        if t == 1:
            state["v"], state["m"] = g**2, 0.0 * g
            return 0.0 * g
        c = (t - 1) ** 0.25 if clipping else np.inf
        ratio = np.clip(g / np.maximum(np.sqrt(state["v"]), eps), -c, c)
        m = state["m"] = b1 * state["m"] + (1 - b1) * ratio
        state["v"] = b2 * state["v"] + (1 - b2) * g**2
        return -rate * m

    return rule


def ademamix(
    rate, b1=0.9, b2=0.999, b3=lambda t: 0.9999, alpha=lambda t: 5.0, eps=1e-8, eps_root=0.0, decay=0.0, matrices=False
) -> Rule:
    def rule(state, t, w, g):
        m = state["m"] = b1 * state["m"] + (1 - b1) * g
        v = state["v"] = b2 * state["v"] + (1 - b2) * g**2
        s = state["s"] = b3(t) * state["s"] + (1 - b3(t)) * g
        step = (m / (1 - b1**t) + alpha(t) * s) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        return -rate * (step + decays(w, decay, matrices))

    return rule


def polyak_sgd(most=1.0, scaling=1.0, f_min=0.0, eps=0.0, plus=False) -> Callable[..., list[dict[str, np.ndarray]]]:
    def reference(start, grads, values):
        updates = []
        for g, f in zip(grads, values, strict=True):
            gap = max(f - f_min, 0.0) if plus else f - f_min
            size = scaling * min(gap / (sum(np.sum(a**2) for a in g.values()) + eps), most)
            updates.append({n: -size * a for n, a in g.items()})
        return updates

    return reference


def falling(t: int) -> float:
    return 0.05 / (1 + 0.01 * (t - 1))


def rising(t: int) -> float:
    return 3.0 * min((t - 1) / 100, 1.0)


R, SLOWER = 0.03, schedules.inverse_time(0.05, 1, 0.01)
MATRICES = {"mask": optimizers.matrices}
RULES: dict[str, tuple[Any, Rule]] = {
    "sgd": (optimizers.sgd(R), sgd(lambda t: R)),
    "sgd by a schedule": (optimizers.sgd(SLOWER), sgd(falling)),
    "sgd momentum": (optimizers.sgd(SLOWER, momentum=0.8), sgd(falling, 0.8)),
    "sgd nesterov": (optimizers.sgd(SLOWER, momentum=0.8, nesterov=True), sgd(falling, 0.8, nesterov=True)),
    "sgd dampening": (optimizers.sgd(SLOWER, momentum=0.8, dampening=0.3), sgd(falling, 0.8, tau=0.3)),
    "sgd ema": (optimizers.sgd(SLOWER, momentum=0.8, ema=True), sgd(falling, 0.8, ema=True)),
    "sgd heavy ball": (
        optimizers.sgd(SLOWER, momentum=0.8, rate_in_velocity=True),
        sgd(falling, 0.8, inside=True),
    ),
    "sgd all inside": (
        optimizers.sgd(SLOWER, momentum=0.8, rate_in_velocity=True, nesterov=True, ema=True),
        sgd(falling, 0.8, inside=True, nesterov=True, ema=True),
    ),
    "adagrad": (optimizers.adagrad(R), adagrad(R)),
    "adagrad from 0": (
        optimizers.adagrad(R, initial_accumulator_value=0.0, eps=0.0, eps_in_sqrt=False),
        adagrad(R, 0.0, 0.0, in_sqrt=False),
    ),
    "adadelta": (optimizers.adadelta(), adadelta()),
    "adadelta decay": (
        optimizers.adadelta(0.5, rho=0.95, eps=1e-4, weight_decay=0.01),
        adadelta(0.5, 0.95, 1e-4, 0.01),
    ),
    "rmsprop": (optimizers.rmsprop(R), rmsprop(R)),
    "rmsprop outside": (
        optimizers.rmsprop(R, decay=0.99, eps=1e-5, eps_in_sqrt=False, initial_scale=1.0, momentum=0.5),
        rmsprop(R, 0.99, 1e-5, 1.0, in_sqrt=False, mu=0.5),
    ),
    "rmsprop centered": (
        optimizers.rmsprop(R, eps=1e-3, centered=True, momentum=0.5, nesterov=True, bias_correction=True),
        rmsprop(R, eps=1e-3, centered=True, mu=0.5, nesterov=True, correct=True),
    ),
    "adam": (optimizers.adam(R), adam(R)),
    "adam other numbers": (
        optimizers.adam(R, b1=0.4, b2=0.45, eps=1e-3, eps_root=1e-4),
        adam(R, 0.4, 0.45, 1e-3, 1e-4),
    ),
    "adamw": (optimizers.adamw(R, weight_decay=0.1, **MATRICES), adam(R, decay=0.1, matrices=True)),
    "nadam": (optimizers.nadam(R, eps_root=1e-6), adam(R, eps_root=1e-6, nesterov=True)),
    "nadamw": (
        optimizers.nadamw(R, weight_decay=0.1, **MATRICES),
        adam(R, nesterov=True, decay=0.1, matrices=True),
    ),
    "amsgrad": (optimizers.amsgrad(R), amsgrad(R)),
    "amsgrad raw": (
        optimizers.amsgrad(R, eps_root=1e-6, bias_correct_max=False),
        amsgrad(R, eps_root=1e-6, corrected=False),
    ),
    "adamax": (optimizers.adamax(R), adamax(R)),
    "adamaxw": (
        optimizers.adamaxw(R, b2=0.9, weight_decay=0.1, **MATRICES),
        adamax(R, b2=0.9, decay=0.1, matrices=True),
    ),
    "radam": (optimizers.radam(R), radam(R)),
    "radam other numbers": (
        optimizers.radam(R, b1=0.5, b2=0.9, eps=1e-4, eps_root=1e-6, threshold=4.5),
        radam(R, 0.5, 0.9, 1e-4, 1e-6, 4.5),
    ),
    "adabelief": (optimizers.adabelief(R), adabelief(R)),
    "adabelief other numbers": (
        optimizers.adabelief(R, b1=0.5, b2=0.9, eps=1e-4, eps_root=1e-3),
        adabelief(R, 0.5, 0.9, 1e-4, 1e-3),
    ),
    "yogi": (optimizers.yogi(R), yogi(R)),
    "yogi other numbers": (
        optimizers.yogi(R, b2=0.9, eps=1e-4, initial_accumulator_value=0.1),
        yogi(R, b2=0.9, eps=1e-4, start=0.1),
    ),
    "lion": (optimizers.lion(R), lion(R)),
    "lion of matrices": (
        optimizers.lion(R, b1=0.5, b2=0.8, weight_decay=0.1, **MATRICES),
        lion(R, 0.5, 0.8, 0.1, matrices=True),
    ),
    "rprop": (optimizers.rprop(), rprop(0.01)),
    "rprop bounded": (
        optimizers.rprop(0.1, eta_minus=0.8, eta_plus=1.3, min_step_size=0.02, max_step_size=0.15),
        rprop(0.1, 0.8, 1.3, 0.02, 0.15),
    ),
    "novograd": (optimizers.novograd(R), novograd(R)),
    "novograd decay": (
        optimizers.novograd(R, b1=0.5, b2=0.9, eps=1e-3, eps_root=1e-2, weight_decay=0.1, **MATRICES),
        novograd(R, 0.5, 0.9, 1e-3, 1e-2, 0.1, matrices=True),
    ),
    "adan": (optimizers.adan(R), adan(R)),
    "adan decay": (
        optimizers.adan(R, b1=0.9, b2=0.8, b3=0.95, eps=1e-3, eps_root=0.0, weight_decay=0.1, **MATRICES),
        adan(R, 0.9, 0.8, 0.95, 1e-3, 0.0, 0.1, matrices=True),
    ),
    "sm3": (optimizers.sm3(R), sm3(R)),
    "sm3 without momentum": (optimizers.sm3(R, momentum=0.0, eps=1e-3), sm3(R, 0.0, 1e-3)),
    "adopt": (optimizers.adopt(R), adopt(R)),
    "adopt unclipped": (
        optimizers.adopt(R, b1=0.5, b2=0.9, eps=1e-2, clipping=False),
        adopt(R, 0.5, 0.9, 1e-2, clipping=False),
    ),
    "ademamix": (optimizers.ademamix(R), ademamix(R)),
    "ademamix by schedules": (
        optimizers.ademamix(
            R,
            b3=schedules.inverse_time(0.05, 1, 0.01),
            alpha=schedules.linear(0.0, 100, end=3.0),
            weight_decay=0.1,
            **MATRICES,
        ),
        ademamix(R, b3=falling, alpha=rising, decay=0.1, matrices=True),
    ),
}
CASES = {name: (optimizer, by_leaf(rule)) for name, (optimizer, rule) in RULES.items()} | {
    "polyak_sgd": (optimizers.polyak_sgd(), polyak_sgd()),
    "polyak_sgd bounded": (
        optimizers.polyak_sgd(0.004, scaling=2.0, f_min=2.5, eps=10.0, variant="sps+"),
        polyak_sgd(0.004, 2.0, 2.5, 10.0, plus=True),
    ),
}
