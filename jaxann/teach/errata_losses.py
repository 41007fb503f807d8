"""Commonly printed mistakes about losses and outputs."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxann import activations, losses
from jaxann.teach.erratum import Check, Erratum, check

__all__ = ["ROWS"]


def _label_zero() -> Check:
    scores = jnp.asarray([-3.0, 0.0, 5.0])
    values = np.asarray(losses.hinge(scores, jnp.zeros(3)))
    three = jax.jit(losses.multiclass_hinge)(jnp.asarray([[0.2, 1.5, -1.0]]), jnp.asarray([0]))
    return check(
        (values == 1).all() and float(three[0]) > 0,
        ("hinge of scores -3, 0, 5, label 0", values),
        ("multiclass hinge of three classes", three[0]),
    )


def _from_logits() -> Check:
    z, y = jnp.asarray(-20.0), jnp.asarray(1.0)

    def derivatives(z):
        from_logits = jax.grad(losses.sigmoid_cross_entropy)(z, y)
        return from_logits, jax.grad(lambda z: losses.half_squared_error(activations.sigmoid(z), y))(z)

    entropy, squared = map(float, jax.jit(derivatives)(z))
    return check(
        entropy < -0.99 and abs(squared) < 1e-8,
        ("slope of the cross entropy", entropy),
        ("of the squared error", squared),
    )


def _adaptive() -> Check:
    def printed(x: float) -> float:
        p = 2 - 2 / (1 + x * x)
        return abs(x) ** p / p

    near, far = printed(1e-3), printed(100.0)
    cauchy_loss = jax.jit(lambda r: losses.barron(r, jnp.zeros_like(r), alpha=0.0))
    here, cauchy = (float(v) for v in cauchy_loss(jnp.asarray([1e-3, 100.0])))
    return check(
        near > far > cauchy and here < 1e-6,
        ("printed form at 0.001", near),
        ("printed form at 100", far),
        ("Cauchy's at 100", cauchy),
    )


def _any_number() -> Check:
    values = np.asarray(jax.jit(losses.softmax_cross_entropy)(np.zeros((40, 3)), np.zeros(40, np.int32)))
    few, many = float(values[:4].mean()), float(values.mean())
    return check(
        math.isclose(few, many, rel_tol=1e-12), ("mean of 4 examples", few), ("of 40", many), ("ln 3", math.log(3))
    )


def _relu_output() -> Check:
    y, z = jnp.asarray(-1.0), jnp.asarray(-0.5)

    def cost(z):
        return losses.squared_error(activations.relu(z), y)

    grid = np.linspace(-3, 3, 601)
    lowest = float(np.min(np.asarray(jax.jit(jax.vmap(cost))(jnp.asarray(grid)))))
    best = float(activations.relu(z))
    slope = float(jax.jit(jax.grad(cost))(z))
    holds = best == 0 and lowest == 1 and slope == 0
    return check(holds, ("best prediction", best), ("error", lowest), ("slope", slope))


ROWS = (
    Erratum("E29", "S", "Hinge loss is for two classes alone; which labels it takes is left open.",
            "There are forms for many classes; the labels are -1 and 1.", _label_zero),
    Erratum("E30", "S", "The cross-entropy of a sigmoid can suffer from vanishing gradients.",
            "From logits its slope is sigmoid(z) - y; that of the squared error vanishes.", _from_logits),
    Erratum("E31", "S", "An adaptive loss |x|^p/p with p = 2 - 2/(1 + (x/c)^2).",
            "The general robust loss of Barron: small errors cost little, large ones are held down.", _adaptive),
    Erratum("E32", "N", "n counts examples in one row of a table and classes in the next; sums here, means there.",
            "One value for each example, and one mean over the examples.", _any_number),
    Erratum("E54", "S", "The output of a regression: none or relu, hidden and output activations in one column.",
            "Identity; relu where targets are never negative.", _relu_output),
)  # fmt: skip
