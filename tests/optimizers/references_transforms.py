"""The documented formulas of the transformations in plain NumPy: one gradient after the other, leaf by leaf.

A reference is called with the weights and the gradients by name and returns the updates; what it remembers are its
attributes. `evaluated` gives the weights to be evaluated.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = [
    "Accumulated",
    "Around",
    "Averaged",
    "Decayed",
    "Descent",
    "Finite",
    "Frozen",
    "Grouped",
    "Held",
    "Lookahead",
    "PerLeaf",
    "Shrunk",
    "Through",
    "Unfreezing",
    "by_block_rms",
    "by_global_norm",
    "by_norm",
    "by_unit",
    "without_mean",
]

Tree = dict[str, np.ndarray]


class Descent:
    """v = momentum v + g, update = -rate v; the rate a number or a function of the updates made before."""

    def __init__(self, rate: float | Callable[[int], float], momentum: float = 0.0):
        self.rate = rate if callable(rate) else lambda count: rate
        self.momentum, self.count, self.velocity = momentum, 0, {}

    def __call__(self, w: Tree, g: Tree) -> Tree:
        self.velocity = {n: self.momentum * self.velocity.get(n, 0.0) + g[n] for n in g}
        self.count += 1
        return {n: -self.rate(self.count - 1) * self.velocity[n] for n in g}

    def evaluated(self, w: Tree) -> Tree:
        return w


class Decayed:
    """Adam with decoupled decay of some leaves, at the defaults b1 = 0.9, b2 = 0.999, eps = 1e-8."""

    def __init__(self, rate: float, decay: float, decays: Callable[[str], bool]):
        self.rate, self.decay, self.decays, self.t, self.m, self.v = rate, decay, decays, 0, {}, {}

    def __call__(self, w: Tree, g: Tree) -> Tree:
        self.t += 1
        self.m = {n: 0.9 * self.m.get(n, 0.0) + 0.1 * g[n] for n in g}
        self.v = {n: 0.999 * self.v.get(n, 0.0) + 0.001 * g[n] ** 2 for n in g}
        step = {
            n: self.m[n] / (1 - 0.9**self.t) / (np.sqrt(self.v[n] / (1 - 0.999**self.t)) + 1e-8) for n in g
        }  # fmt: skip
        return {n: -self.rate * (step[n] + (self.decay * w[n] if self.decays(n) else 0.0)) for n in g}

    def evaluated(self, w: Tree) -> Tree:
        return w


class Through:
    """A function of weights and gradients before a rule."""

    def __init__(self, function: Callable[[Tree, Tree], Tree], inner):
        self.function, self.inner = function, inner

    def __call__(self, w: Tree, g: Tree) -> Tree:
        return self.inner(w, self.function(w, g))

    def evaluated(self, w: Tree) -> Tree:
        return self.inner.evaluated(w)


def by_norm(w: Tree, g: Tree, limit: float = 0.5) -> Tree:
    return {n: a * min(1.0, limit / np.sqrt((a**2).sum())) for n, a in g.items()}


def by_global_norm(w: Tree, g: Tree, limit: float = 1.0) -> Tree:
    norm = np.sqrt(sum((a**2).sum() for a in g.values()))
    return {n: a * min(1.0, limit / norm) for n, a in g.items()}


def by_block_rms(w: Tree, g: Tree, limit: float = 0.5) -> Tree:
    return {n: a / max(1.0, np.sqrt((a**2).mean()) / limit) for n, a in g.items()}


def by_unit(w: Tree, g: Tree, clipping: float = 0.3, eps: float = 0.2) -> Tree:
    clipped = {n: a.copy() for n, a in g.items()}
    for n, a in clipped.items():
        units = [(..., j) for j in range(a.shape[-1])] if a.ndim > 1 else [...]
        for unit in units:
            size, length = np.sqrt((w[n][unit] ** 2).sum()), np.sqrt((a[unit] ** 2).sum())
            a[unit] *= min(1.0, clipping * max(size, eps) / length)
    return clipped


def without_mean(w: Tree, g: Tree) -> Tree:
    return {n: a if a.ndim < 2 else a - a.mean(tuple(range(a.ndim - 1)), keepdims=True) for n, a in g.items()}


class Around:
    """A rule that has another inside."""

    def __init__(self, inner):
        self.inner = inner

    def evaluated(self, w: Tree) -> Tree:
        return self.inner.evaluated(w)


class Accumulated(Around):
    """A step on the mean of every `steps` gradients."""

    def __init__(self, inner, steps: int):
        super().__init__(inner)
        self.steps, self.gathered = steps, []

    def __call__(self, w: Tree, g: Tree) -> Tree:
        self.gathered.append(g)
        if len(self.gathered) < self.steps:
            return {n: np.zeros_like(a) for n, a in g.items()}
        mean = {n: np.mean([one[n] for one in self.gathered], 0) for n in g}
        self.gathered = []
        return self.inner(w, mean)


class Finite(Around):
    """No step where a gradient is not finite, `most` times in a row."""

    def __init__(self, inner, most: int):
        super().__init__(inner)
        self.most, self.bad = most, 0

    def __call__(self, w: Tree, g: Tree) -> Tree:
        self.bad = 0 if all(np.isfinite(a).all() for a in g.values()) else self.bad + 1
        if 0 < self.bad <= self.most:
            return {n: np.zeros_like(a) for n, a in g.items()}
        return self.inner(w, g)


class Averaged(Around):
    """All weights are kept; `average(list of weights, oldest first)` is taken when it is asked for."""

    def __init__(self, inner, average: Callable[[list[np.ndarray]], np.ndarray]):
        super().__init__(inner)
        self.average, self.path = average, {}

    def __call__(self, w: Tree, g: Tree) -> Tree:
        updates = self.inner(w, g)
        for n in g:
            self.path.setdefault(n, [w[n]]).append(w[n] + updates[n])
        return updates

    def evaluated(self, w: Tree) -> Tree:
        return {n: self.average(self.path[n]) for n in w}


class Lookahead(Around):
    """The two nested loops of the paper, undone into single steps."""

    def __init__(self, inner, period: int = 5, share: float = 0.5):
        super().__init__(inner)
        self.period, self.share, self.count, self.slow = period, share, 0, {}

    def __call__(self, w: Tree, g: Tree) -> Tree:
        self.slow = self.slow or dict(w)
        updates = self.inner(w, g)
        self.count += 1
        if self.count == self.period:
            self.count = 0
            self.slow = {n: self.slow[n] + self.share * (w[n] + updates[n] - self.slow[n]) for n in w}
            return {n: self.slow[n] - w[n] for n in w}
        return updates

    def evaluated(self, w: Tree) -> Tree:
        return self.slow


class Frozen(Around):
    """The rule is not even shown the leaves that are frozen."""

    def __init__(self, inner, frozen: Callable[[str], bool]):
        super().__init__(inner)
        self.frozen = frozen

    def __call__(self, w: Tree, g: Tree) -> Tree:
        seen = [n for n in g if not self.frozen(n)]
        updates = self.inner({n: w[n] for n in seen}, {n: g[n] for n in seen})
        return {n: updates.get(n, np.zeros_like(g[n])) for n in g}


class Grouped:
    """A rule of its own for each leaf: None lets the gradient through, 0 keeps the leaf where it is."""

    def __init__(self, rules: dict):
        self.rules = rules

    def __call__(self, w: Tree, g: Tree) -> Tree:
        new = {}
        for n, a in g.items():
            rule = self.rules[n]
            new[n] = a if rule is None else 0 * a if rule == 0 else rule({n: w[n]}, {n: a})[n]
        return new

    def evaluated(self, w: Tree) -> Tree:
        return w


class PerLeaf(Around):
    """Updates times a factor for each leaf."""

    def __init__(self, inner, factor: Callable[[str], float]):
        super().__init__(inner)
        self.factor = factor

    def __call__(self, w: Tree, g: Tree) -> Tree:
        return {n: self.factor(n) * u for n, u in self.inner(w, g).items()}


class Unfreezing:
    """One rule for each layer, from its update on."""

    def __init__(self, make: Callable[[], Descent], begins: dict[str, int]):
        self.rules, self.begins, self.count = {n: make() for n in begins}, begins, 0

    def __call__(self, w: Tree, g: Tree) -> Tree:
        self.count += 1
        return {
            n: self.rules[n]({n: w[n]}, {n: g[n]})[n] if self.count > self.begins[n] else np.zeros_like(g[n])
            for n in g
        }  # fmt: skip

    def evaluated(self, w: Tree) -> Tree:
        return w


class Shrunk(Around):
    """Soft thresholding after the step; `threshold(name, count)`."""

    def __init__(self, inner, threshold: Callable[[str, int], float]):
        super().__init__(inner)
        self.threshold, self.count = threshold, 0

    def __call__(self, w: Tree, g: Tree) -> Tree:
        updates, new = self.inner(w, g), {}
        for n in w:
            u = w[n] + updates[n]
            new[n] = np.sign(u) * np.maximum(np.abs(u) - self.threshold(n, self.count), 0.0) - w[n]
        self.count += 1
        return new


class Held(Around):
    """The columns of every matrix pulled into a ball."""

    def __init__(self, inner, limit: float):
        super().__init__(inner)
        self.limit = limit

    def __call__(self, w: Tree, g: Tree) -> Tree:
        new = self.inner(w, g)
        for n in w:
            if w[n].ndim > 1:
                u = w[n] + new[n]
                for j in range(u.shape[-1]):
                    u[..., j] *= min(1.0, self.limit / np.sqrt((u[..., j] ** 2).sum()))
                new[n] = u - w[n]
        return new
