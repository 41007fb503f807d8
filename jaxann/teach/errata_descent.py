"""Commonly printed mistakes about descent, optimizers and penalties."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxann import optimizers, regularizers
from jaxann.core.products import Optimizer
from jaxann.teach.erratum import Check, Erratum, check

__all__ = ["ROWS"]


def _path(optimizer: Optimizer, slope: Callable, start: float, steps: int) -> np.ndarray:
    """Where an optimizer goes from `start`, each step with the gradient `slope(w, step)`: `(steps + 1,)`."""

    def one(carry, step):
        w, opt_state = carry
        updates, opt_state = optimizer.update({"w": slope(w, step)}, opt_state, {"w": w})
        w = optimizers.apply_updates({"w": w}, updates)["w"]
        return (w, opt_state), w

    def run(w):
        return jax.lax.scan(one, (w, optimizer.init({"w": w})), jnp.arange(steps, dtype=jnp.int32))[1]

    first = jnp.asarray(start)
    return np.concatenate([[start], np.asarray(jax.jit(run)(first))])


def _constant(g: float) -> Callable:
    return lambda w, step: jnp.full_like(w, g)


def _ascent() -> Check:
    down = float(_path(optimizers.sgd(0.1), lambda w, _: 2 * w, 1.0, 1)[1])
    up = float(_path(optimizers.sgd(0.1), lambda w, _: -2 * w, 1.0, 1)[1])
    return check(
        down**2 < 1 < up**2,
        ("x with plus", up),
        ("f with plus", up**2),
        ("x with minus", down),
        ("f with minus", down**2),
    )


def _momentum() -> Check:
    steps = np.diff(_path(optimizers.sgd(0.1, momentum=0.9), _constant(1.0), 0.0, 3))
    last = float(np.diff(_path(optimizers.sgd(0.1, momentum=0.9), _constant(1.0), 0.0, 200))[-1])
    return check(
        (steps < 0).all(), ("first three steps along a slope of 1", steps), ("amplified in the end", last / -0.1)
    )


def _bias_correction() -> Check:
    b1, b2 = 0.9, 0.999
    right = -float(_path(optimizers.adam(1.0), _constant(1e-2), 0.0, 1)[1])
    without = (1 - b1) / math.sqrt(1 - b2)
    return check(
        abs(right - 1) < 1e-5 < without - 1, ("first step over eta", right), ("without the correction", without)
    )


def _adagrad() -> Check:
    def steps(rate: float) -> np.ndarray:
        rule = optimizers.adagrad(rate, initial_accumulator_value=0.0, eps=0.0)
        return -np.diff(_path(rule, _constant(3.0), 0.0, 9)) / rate

    one, ten = steps(1.0), steps(10.0)
    decayed = 1 / np.sqrt(np.arange(1, 10))
    return check(
        np.allclose(one, decayed) and np.allclose(one, ten),
        ("steps 1, 4 and 9 over eta", one[[0, 3, 8]]),
        ("the same with ten times the rate", ten[[0, 3, 8]]),
    )


def _too_long() -> Check:
    path = _path(optimizers.sgd(0.3), lambda w, _: 10 * w, 1.0, 10)
    calm = _path(optimizers.sgd(0.15), lambda w, _: 10 * w, 1.0, 10)
    return check(
        abs(path[-1]) > 1 > abs(calm[-1]), ("after 10 steps with eta = 0.3", path[-1]), ("with eta = 0.15", calm[-1])
    )


def _decay() -> Check:
    penalty = jax.grad(regularizers.l2_penalty(0.5, mask=None))
    shrunk = float(_path(optimizers.sgd(0.1), lambda w, _: penalty({"w": w})["w"], 1.0, 1)[1])

    def alternating(w, step):
        return jnp.where(step % 2 == 0, 100.0, -100.0).astype(w.dtype)

    inside = optimizers.chain(optimizers.add_decayed_weights(0.1, mask=None), optimizers.adam(0.01))
    apart = optimizers.adamw(0.01, weight_decay=0.1, mask=None)
    coupled, decoupled = (float(_path(rule, alternating, 1.0, 100)[-1]) for rule in (inside, apart))
    return check(
        math.isclose(shrunk, 1 - 2 * 0.1 * 0.5, rel_tol=1e-12) and coupled - decoupled > 0.05,
        ("factor under SGD", shrunk),
        ("weight after 100 steps of Adam with L2", coupled),
        ("of AdamW", decoupled),
    )


_FEATURES, _USED, _STRENGTH = 20, 3, 0.1


def _regression() -> tuple[jax.Array, jax.Array]:
    """20 features of which 3 count, and a little noise."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(100, _FEATURES))
    truth = np.zeros(_FEATURES)
    truth[:_USED] = 2.0, -1.5, 1.0
    return jnp.asarray(x), jnp.asarray(x @ truth + 0.1 * draw.normal(size=100))


def _zeros(optimizer: Optimizer, strength: float, steps: int) -> int:
    """How many of the 20 weights are exactly 0 after so many steps with the slope of an L1 penalty."""
    x, y = _regression()
    penalty = jax.grad(regularizers.l1_penalty(strength, mask=None))

    def one(carry, _):
        w, opt_state = carry
        g = x.T @ (x @ w - y) / len(y) + penalty({"w": w})["w"]
        updates, opt_state = optimizer.update({"w": g}, opt_state, {"w": w})
        return (optimizers.apply_updates({"w": w}, updates)["w"], opt_state), None

    def run(w):
        return jax.lax.scan(one, (w, optimizer.init({"w": w})), None, length=steps)[0][0]

    start = jnp.asarray(np.random.default_rng(1).normal(size=_FEATURES))
    return int((np.asarray(jax.jit(run)(start)) == 0).sum())


def _exact_zeros() -> Check:
    slope = _zeros(optimizers.sgd(0.05), _STRENGTH, 5000)
    proximal = _zeros(optimizers.proximal_l1(optimizers.sgd(0.05), _STRENGTH, mask=None), 0.0, 5000)
    return check(
        slope == 0 < proximal, ("zeros by the slope of the penalty", slope), ("by the proximal step", proximal)
    )


def _epsilon() -> Check:
    inside = float(_path(optimizers.rmsprop(1.0, decay=0.9), _constant(1e-4), 0.0, 1)[1])
    outside = float(_path(optimizers.rmsprop(1.0, decay=0.9, eps_in_sqrt=False), _constant(1e-4), 0.0, 1)[1])
    return check(
        abs(inside) < 1 < abs(outside), ("first step with eps in the root", inside), ("with eps outside", outside)
    )


def _nothing_by_itself() -> Check:
    zeros = _zeros(optimizers.sgd(0.05), 0.0, 500)
    return check(zeros == 0, ("weights", _FEATURES), ("that count", _USED), ("exact zeros without a penalty", zeros))


ROWS = (
    Erratum("E1", "S", "Descent as x <- x + alpha df/dx.", "Minus.", _ascent),
    Erratum("E5", "S", "Momentum as w - eta delta a + alpha (last change), with the delta whose sign is turned around.",
            "change = -eta dC/dw + alpha (last change); w <- w + change. A wrong sign grows 1/(1 - alpha) times.",
            _momentum),
    Erratum("E34", "N", "Adam written with m-hat and v-hat, which are not defined.",
            "m/(1 - b1^t) and v/(1 - b2^t); without them the first step is 3.162 eta.", _bias_correction),
    Erratum("E35", "I", "Adagrad needs no learning rate and cannot do non-convex problems.",
            "It scales each coordinate; eta still counts, and the steps shrink as 1/sqrt(t) along a constant slope.",
            _adagrad),
    Erratum("E36", "I", "Batch descent finds the optimum of a convex problem, with any fixed rate.",
            "With eta < 2/L, L the largest curvature.", _too_long),
    Erratum("E42", "S", "An L2 penalty lambda sum w^2 is called weight decay and put on all layers.",
            "Under SGD it shrinks by 1 - 2 eta lambda; under Adam it is another thing; biases and norms are left out.",
            _decay),
    Erratum("E43", "I", "An L1 penalty makes some weights exactly 0.", "A proximal step does; its slope does not.",
            _exact_zeros),
    Erratum("E60", "I", "Momentum escapes local minima; the squared loss has one solution; a small rate gets stuck.",
            "Rules of thumb; one solution for linear models of full rank alone."),
    Erratum("E63", "N", "RMSprop, Adagrad, Adadelta without what their sums begin at; eps inside the root or outside.",
            "State both: with a gradient of 1e-4 it makes a factor of three.", _epsilon),
    Erratum("E68", "I", "Deep nets do ridge and lasso, tuning and the encoding of categories by themselves.",
            "Penalties, tuning and encodings have to be added.", _nothing_by_itself),
)  # fmt: skip
