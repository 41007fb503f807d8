"""The rules that look at whole leaves or trees, written from their formulas in plain NumPy, float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxann import optimizers, schedules

__all__ = ["CASES"]

Tree = dict[str, np.ndarray]


def stepping(make: Callable[[Tree], Callable[[int, Tree, Tree], Tree]]) -> Callable[..., list[Tree]]:
    """`make(start)` gives `rule(t, w, g) -> update` of whole trees; t = 1 for the first step."""

    def reference(start, grads, values):
        rule, w, updates = make(start), dict(start), []
        for t, g in enumerate(grads, 1):
            updates.append(rule(t, w, g))
            w = {n: w[n] + updates[-1][n] for n in w}
        return updates

    return reference


def by_leaf(rule: Callable[..., np.ndarray]) -> Callable[..., list[Tree]]:
    """`rule(memory, t, w, g) -> update` of one leaf; `memory` is a dict of its own, empty at first."""

    def make(start):
        state: dict[str, dict[str, Any]] = {n: {} for n in start}
        return lambda t, w, g: {n: rule(state[n], t, w[n], g[n]) for n in w}

    return stepping(make)


def norm(a: np.ndarray) -> float:
    return float(np.sqrt((a**2).sum()))


def rms(a: np.ndarray) -> float:
    return float(np.sqrt((a**2).mean()))


def ratio(w: np.ndarray, u: np.ndarray, c: float = 1.0, eps: float = 0.0) -> float:
    return 1.0 if norm(w) == 0 or norm(u) == 0 else c * norm(w) / (norm(u) + eps)


def adam_means(state: dict[str, Any], t: int, g: np.ndarray, b1: float, b2: float) -> tuple[np.ndarray, np.ndarray]:
    state["m"] = b1 * state.get("m", 0.0) + (1 - b1) * g
    state["v"] = b2 * state.get("v", 0.0) + (1 - b2) * g**2
    return state["m"] / (1 - b1**t), state["v"] / (1 - b2**t)


def adamw(state, t, w, g, rate, b1=0.9, b2=0.999, eps=1e-8, decay=0.0):
    m, v = adam_means(state, t, g, b1, b2)
    return -rate * (m / (np.sqrt(v) + eps) + decay * w)


def lars(rate, c=1e-3, mu=0.9, decay=0.0, eps=0.0, nesterov=False, matrices=True):
    def rule(state, t, w, g):
        new = rate * g
        if w.ndim > 1 or not matrices:
            u = g + decay * w
            new = rate * ratio(w, u, c, eps) * u
        v = state["v"] = mu * state.get("v", 0.0) + new
        return -(mu * v + new) if nesterov else -v

    return rule


def lamb(rate, b1=0.9, b2=0.999, eps=1e-6, eps_root=0.0, decay=0.0):
    def rule(state, t, w, g):
        m, v = adam_means(state, t, g, b1, b2)
        u = m / (np.sqrt(v + eps_root) + eps) + decay * w
        return -rate * ratio(w, u) * u

    return rule


def adafactor(rate, min_size=128, power=0.8, offset=0, scaled=True, clip: Any = 1.0, mu=None, decay=0.0, eps=1e-30):
    def rule(state, t, w, g):
        b = 1 - float(max(t - offset, 1)) ** -power
        square = g**2 + eps
        if w.ndim == 2 and min(w.shape) >= min_size:
            state["R"] = b * state.get("R", 0.0) + (1 - b) * square.mean(1)
            state["C"] = b * state.get("C", 0.0) + (1 - b) * square.mean(0)
            u = g / np.sqrt(np.outer(state["R"], state["C"]) / state["R"].mean())
        else:
            state["v"] = b * state.get("v", 0.0) + (1 - b) * square
            u = g / np.sqrt(state["v"])
        if clip is not None:
            u = u / max(1.0, rms(u) / clip)
        u = rate * u * (max(rms(w), 1e-3) if scaled else 1.0)
        if mu is not None:
            u = state["m"] = mu * state.get("m", 0.0) + (1 - mu) * u
        return -u - rate * decay * w

    return rule


def muon(rate, other, beta=0.95, nesterov=True, steps=5, coefficients=(3.4445, -4.775, 2.0315), match=False, decay=0.0):
    a, b, c = coefficients

    def rule(state, t, w, g):
        if w.ndim != 2:
            return adamw(state, t, w, g, other)
        m = state["m"] = beta * state.get("m", 0.0) + (1 - beta) * g
        n = m / (1 - beta**t)
        if nesterov:
            n = beta * m / (1 - beta ** (t + 1)) + (1 - beta) * g / (1 - beta**t)
        left, values, right = np.linalg.svd(n / (norm(n) + 1e-8), full_matrices=False)
        for _ in range(steps):
            values = a * values + b * values**3 + c * values**5
        rows, columns = w.shape
        scale = 0.2 * np.sqrt(max(w.shape)) if match else np.sqrt(max(1.0, columns / rows))
        return -rate * (scale * (left * values) @ right + decay * w)

    return rule


def power(c: np.ndarray, exponent: float, eps: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(c)
    return vectors @ np.diag((np.maximum(values, 0) + eps * values[-1]) ** exponent) @ vectors.T


def shampoo(rate, b1, b2, every, size, graft, eps=1e-12, decay=0.0):
    def rule(state, t, w, g):
        m, v = adam_means(state, t, g, b1, b2)
        u = np.zeros_like(w)
        for begin in range(0, len(w), size):  # here only the first axis is longer than a block
            part, own = g[begin : begin + size], state.setdefault(begin, {})
            sides = [part @ part.T, part.T @ part] if w.ndim == 2 else [np.outer(part, part)]
            own["c"] = [b2 * old + (1 - b2) * new for old, new in zip(own.get("c", [0.0, 0.0]), sides, strict=False)]
            if (t - 1) % every == 0:
                own["p"] = [power(c / (1 - b2**t), -0.5 / w.ndim, eps) for c in own["c"]]
            turned = own["p"][0] @ m[begin : begin + size]
            u[begin : begin + size] = turned @ own["p"][1] if w.ndim == 2 else turned
        if graft is not None:
            length = norm(m / (np.sqrt(v) + 1e-8)) if graft == "adam" else norm(m)
            u = u * (length / norm(u) if norm(u) else 0.0)
        return -rate * (u + decay * w)

    return rule


def soap(rate, b1=0.95, b2=0.95, eps=1e-8, decay=0.01, every=10, largest=10000):
    def rule(state, t, w, g):
        if w.ndim != 2:
            return adamw(state, t, w, g, rate, b1, b2, eps, decay)
        keep = [n <= largest for n in w.shape]
        sides = [g @ g.T, g.T @ g]
        update = np.zeros_like(w)
        if t > 1:
            q_l, q_r = state["q"]
            state["m"] = b1 * state.get("m", 0.0) + (1 - b1) * g
            state["v"] = b2 * state.get("v", 0.0) + (1 - b2) * (q_l.T @ g @ q_r) ** 2
            m, v = state["m"] / (1 - b1 ** (t - 1)), state["v"] / (1 - b2 ** (t - 1))
            n = (q_l.T @ m @ q_r) / (np.sqrt(v) + eps)
            update = -rate * (q_l @ n @ q_r.T + decay * w)
        state["c"] = [b2 * old + (1 - b2) * new for old, new in zip(state.get("c", [0.0, 0.0]), sides, strict=True)]
        if t == 1:
            eigen = [np.linalg.eigh(c)[1][:, ::-1] for c in state["c"]]
            state["q"] = [q if kept else np.eye(len(q)) for q, kept in zip(eigen, keep, strict=True)]
        elif (t - 1) % every == 0:
            for axis in (0, 1):
                if keep[axis]:
                    c, q = state["c"][axis], state["q"][axis]
                    order = np.argsort(-np.diag(q.T @ c @ q), kind="stable")
                    state["v"] = np.take(state["v"], order, axis)
                    state["q"][axis] = np.linalg.qr(c @ q[:, order])[0]
        return update

    return rule


def sophia(rate, b1=0.965, b2=0.99, eps=1e-8, gamma=0.01, clip: Any = 1.0, every=10, decay=1e-4):
    def rule(state, t, w, g):
        state["m"] = b1 * state.get("m", 0.0) + (1 - b1) * g
        h = state.get("h", np.zeros_like(w))
        u = state["m"] / (1 - b1**t) / np.maximum(gamma * h, eps)
        if (t - 1) % every == 0:
            state["h"] = b2 * h + (1 - b2) * 1.0  # the second derivative of the objective given is 1
        return -rate * ((u if clip is None else np.clip(u, -clip, clip)) + decay * w)

    return rule


def schedule_free(rate: Callable[[int], float], b1=0.9, exponent=2.0):
    def make(start):
        seen = {"x": dict(start), "z": dict(start), "largest": 0.0, "total": 0.0}

        def rule(t, y, g):
            seen["largest"] = max(seen["largest"], rate(t - 1))
            weight = seen["largest"] ** exponent
            seen["total"] += weight
            c = weight / seen["total"] if seen["total"] else 0.0
            seen["z"] = {n: seen["z"][n] - rate(t - 1) * g[n] for n in y}
            seen["x"] = {n: (1 - c) * seen["x"][n] + c * seen["z"][n] for n in y}
            return {n: b1 * seen["x"][n] + (1 - b1) * seen["z"][n] - y[n] for n in y}

        return rule

    return make


def prodigy(rate, b1=0.9, b2=0.999, b3=None, eps=1e-8, d0=1e-6, coefficient=1.0, decay=0.0, safeguard=False):
    b3 = np.sqrt(b2) if b3 is None else b3

    def make(start):
        zeros = {n: np.zeros_like(w) for n, w in start.items()}
        kept = {"d": d0, "r": 0.0, "m": zeros, "v": zeros, "s": zeros}

        def rule(t, w, g):
            d = kept["d"]
            a = d * rate * np.sqrt(1 - b2**t) / (1 - b1**t)
            kept["m"] = {n: b1 * kept["m"][n] + (1 - b1) * d * g[n] for n in w}
            kept["v"] = {n: b2 * kept["v"][n] + (1 - b2) * (d * g[n]) ** 2 for n in w}
            kept["s"] = {n: b3 * kept["s"][n] + (d if safeguard else a) * d * g[n] / d0 for n in w}
            kept["r"] = b3 * kept["r"] + d / d0 * a * sum((g[n] * (start[n] - w[n])).sum() for n in w)
            size = sum(np.abs(s).sum() for s in kept["s"].values())
            kept["d"] = max(d, coefficient * kept["r"] / size)
            m, v = kept["m"], kept["v"]
            return {n: -a * decay * w[n] - a * m[n] / (np.sqrt(v[n]) + kept["d"] * eps) for n in w}

        return rule

    return make


def sam(rate, mu, rho, adaptive):
    def make(start):
        velocity = {n: np.zeros_like(w) for n, w in start.items()}

        def rule(t, w, g):
            scaled = {n: w[n] * g[n] if adaptive else g[n] for n in w}
            size = np.sqrt(sum((s**2).sum() for s in scaled.values())) + 1e-12
            away = {n: rho * (w[n] * scaled[n] if adaptive else g[n]) / size for n in w}
            for n in w:  # the gradient of the objective given is g + p - w at p
                velocity[n] = mu * velocity[n] + g[n] + away[n]
            return {n: -rate * velocity[n] for n in w}

        return rule

    return make


def lbfgs(rate, memory_size):
    """The two loops over whole vectors, with the steps as they are."""

    def make(start):
        pairs: list[tuple[np.ndarray, np.ndarray]] = []
        before: list[np.ndarray] = []

        def rule(t, w, g):
            x, q = np.concatenate([w[n].ravel() for n in w]), np.concatenate([g[n].ravel() for n in w])
            grad = q
            if before:
                s, y = x - before[0], q - before[1]
                if s @ y > 1e-10 * norm(s) * norm(y):
                    pairs.append((s, y))
                    del pairs[:-memory_size]
            before[:] = [x, q]
            shares = []
            for s, y in reversed(pairs):
                shares.append(s @ q / (s @ y))
                q = q - shares[-1] * y
            gamma = pairs[-1][0] @ pairs[-1][1] / (pairs[-1][1] @ pairs[-1][1]) if pairs else min(1, 1 / norm(grad))
            r = gamma * q
            for (s, y), share in zip(pairs, reversed(shares), strict=True):
                r = r + s * (share - y @ r / (s @ y))
            pieces = np.split(-rate * r, np.cumsum([w[n].size for n in w])[:-1])
            return {n: part.reshape(w[n].shape) for n, part in zip(w, pieces, strict=True)}

        return rule

    return make


RAMP = schedules.linear(0.0, 100, end=0.02)


def ramp(count: int) -> float:
    return 0.02 * min(count / 100, 1)


WEIGHT = "*weight"
CASES: dict[str, Any] = {
    "lars": (optimizers.lars(0.1), by_leaf(lars(0.1))),
    "lars numbers": (
        optimizers.lars(0.1, trust_coefficient=0.02, momentum=0.5, nesterov=True, weight_decay=0.1, eps=0.2, mask=None),
        by_leaf(lars(0.1, 0.02, 0.5, 0.1, 0.2, True, False)),
    ),
    "lamb": (optimizers.lamb(0.01), by_leaf(lamb(0.01))),
    "lamb numbers": (
        optimizers.lamb(0.01, b1=0.8, b2=0.9, eps=1e-3, eps_root=1e-4, weight_decay=0.1),
        by_leaf(lamb(0.01, 0.8, 0.9, 1e-3, 1e-4, 0.1)),
    ),
    "adafactor": (optimizers.adafactor(0.01), by_leaf(adafactor(0.01))),
    "adafactor without a rate": (optimizers.adafactor(clipping_threshold=0.1), by_leaf(adafactor(1.0, clip=0.1))),
    "adafactor factored": (
        optimizers.adafactor(0.01, min_dim_size_to_factor=2, momentum=0.9, weight_decay=0.1, eps=1e-3),
        by_leaf(adafactor(0.01, 2, mu=0.9, decay=0.1, eps=1e-3)),
    ),
    "adafactor absolute": (
        optimizers.adafactor(
            0.01, min_dim_size_to_factor=2, decay_rate=0.5, decay_offset=3, multiply_by_parameter_scale=False,
            clipping_threshold=None,
        ),
        by_leaf(adafactor(0.01, 2, 0.5, 3, False, None)),
    ),
    "muon": (optimizers.muon(0.02, adam_learning_rate=0.01), by_leaf(muon(0.02, 0.01))),
    "muon numbers": (
        optimizers.muon(
            0.02, mask=WEIGHT, beta=0.8, nesterov=False, ns_coeffs=((2.0, -1.5, 0.5),) * 3,
            scaling="match_rms_adamw", weight_decay=0.1,
        ),
        by_leaf(muon(0.02, 0.02, 0.8, False, 3, (2.0, -1.5, 0.5), True, 0.1)),
    ),
    "shampoo": (
        optimizers.shampoo(0.01, weight_decay=0.1, b2=0.99),
        by_leaf(shampoo(0.01, 0.9, 0.99, 10, 1024, "adam", decay=0.1)),
    ),
    "shampoo in blocks": (
        optimizers.shampoo(0.01, b1=0.0, b2=0.9, eps=1e-6, update_interval=3, block_size=2, graft="sgd"),
        by_leaf(shampoo(0.01, 0.0, 0.9, 3, 2, "sgd", 1e-6)),
    ),
    "shampoo alone": (
        optimizers.shampoo(0.01, b2=0.9, eps=1e-6, update_interval=1, graft=None),
        by_leaf(shampoo(0.01, 0.9, 0.9, 1, 1024, None, 1e-6)),
    ),
    "soap": (optimizers.soap(), by_leaf(soap(3e-3))),
    "soap numbers": (
        optimizers.soap(0.01, b1=0.8, b2=0.9, eps=1e-4, weight_decay=0.1, precondition_frequency=3, max_precond_dim=2),
        by_leaf(soap(0.01, 0.8, 0.9, 1e-4, 0.1, 3, 2)),
    ),
    "sophia": (optimizers.sophia(0.01), by_leaf(sophia(0.01))),
    "sophia numbers": (
        optimizers.sophia(0.01, b1=0.8, b2=0.9, eps=1e-3, gamma=0.5, clip_threshold=None, update_interval=3),
        by_leaf(sophia(0.01, 0.8, 0.9, 1e-3, 0.5, None, 3)),
    ),
    "schedule_free": (optimizers.schedule_free(optimizers.sgd(0.01)), stepping(schedule_free(lambda count: 0.01))),
    "schedule_free with a warmup": (
        optimizers.schedule_free(optimizers.sgd(RAMP), RAMP, b1=0.7, weight_lr_power=1.0),
        stepping(schedule_free(ramp, 0.7, 1.0)),
    ),
    "prodigy": (optimizers.prodigy(), stepping(prodigy(1.0))),
    "prodigy numbers": (
        optimizers.prodigy(
            0.5, b1=0.8, b2=0.99, b3=0.9, eps=1e-3, estim_lr0=1e-3, estim_lr_coef=0.5, weight_decay=0.1,
            safeguard_warmup=True,
        ),
        stepping(prodigy(0.5, 0.8, 0.99, 0.9, 1e-3, 1e-3, 0.5, 0.1, True)),
    ),
    "lbfgs": (optimizers.lbfgs(0.1, memory_size=4, line_search=None), stepping(lbfgs(0.1, 4))),
    "sam": (optimizers.sam(optimizers.sgd(0.01)), stepping(sam(0.01, 0.0, 0.05, False))),
    "sam adaptive": (
        optimizers.sam(optimizers.sgd(0.01, momentum=0.9), rho=0.5, adaptive=True),
        stepping(sam(0.01, 0.9, 0.5, True)),
    ),
}  # fmt: skip
