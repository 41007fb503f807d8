"""Commonly printed mistakes about backpropagation, most of them checked on the worked net 2-2-1."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxann import activations
from jaxann.core.errors import InputError
from jaxann.layers import dense
from jaxann.losses import half_squared_error
from jaxann.teach.erratum import Check, Erratum, check, moved, worked
from jaxann.teach.examples import example

__all__ = ["ROWS"]

_H = 1e-6  # half the step of a central difference


def _by_differences(layer: str, name: str) -> np.ndarray:
    """dJ/d(each number of a parameter) of the worked net by central differences, from forward passes alone."""
    start = example().params

    def cost(place: tuple[int, ...], shift: float) -> float:
        leaf = start[layer][name].copy()
        leaf[place] += shift
        return float(worked({**start, layer: {**start[layer], name: leaf}}).loss)

    leaf = start[layer][name]
    derivatives = [(cost(place, _H) - cost(place, -_H)) / (2 * _H) for place in np.ndindex(*leaf.shape)]
    return np.array(derivatives).reshape(leaf.shape)


def _from_hidden(values: np.ndarray, *, active: bool) -> float:
    """J of the worked net from the hidden units on: from their z, or from their a where `active`."""
    end, y = example().params["dense1"], example().y
    a = jnp.asarray(values) if active else activations.sigmoid(jnp.asarray(values))
    out = activations.sigmoid(a @ end["weight"] + end["bias"])
    return float(half_squared_error(out, jnp.asarray(y[0]))[0])


def _sign() -> Check:
    before, wrong, right = (float(worked(moved(rate)).loss) for rate in (0.0, -0.5, 0.5))
    return check(
        right < before < wrong,
        ("J before", before),
        ("J with the printed signs", wrong),
        ("J with the right ones", right),
    )


def _slope() -> Check:
    steep = worked(name="2-2-1-slope-2")
    start, name = example("2-2-1-slope-2").params, "2-2-1-slope-2"

    def cost(shift: float) -> float:
        dense1 = {**start["dense1"], "bias": start["dense1"]["bias"] + shift}
        return float(worked({**start, "dense1": dense1}, name=name).loss)

    difference = (cost(_H) - cost(-_H)) / (2 * _H)
    delta = float(steep.layers["dense1"].delta[0, 0])
    y = float(steep.predictions[0, 0])
    without = (y - 1) * y * (1 - y)
    return check(
        abs(delta - difference) < 1e-9 and abs(without - difference) > 1e-3,
        ("delta with beta", delta),
        ("without", without),
        ("by central differences", difference),
    )


def _cost_slope() -> Check:
    y, a = 1.0, 0.7
    difference = (0.5 * (y - a - _H) ** 2 - 0.5 * (y - a + _H) ** 2) / (2 * _H)
    return check(
        abs(difference - (a - y)) < 1e-9, ("by central differences", difference), ("printed", y - a), ("right", a - y)
    )


def _upper_limit() -> Check:
    layer = dense(3)
    x = np.array([0.5, 0.8])
    asked = jax.eval_shape(lambda key: layer.init(key, x)[0], jax.random.key(0))["weight"].shape
    weight = np.arange(1.0, 7.0).reshape(asked)
    z = np.asarray(layer.apply({"weight": jnp.asarray(weight)}, {}, jnp.asarray(x))[0])
    alone = np.asarray(layer.apply({"weight": jnp.asarray(weight)}, {}, jnp.diag(jnp.asarray(x)))[0])  # x1, then x2
    terms = (alone != 0).sum(0)  # a sum over the units of the layer itself would have three
    return check(
        asked == (2, 3) and (terms == 2).all() and np.allclose(z, alone.sum(0), rtol=1e-12),
        ("shape of W", asked),
        ("terms of each sum", terms[0]),
    )


def _not_zero() -> Check:
    below = worked().layers["act0"].delta[0]
    return check((below != 0).all(), ("dJ/da of the hidden units", below))


def _stray_index() -> Check:
    trace = worked()
    delta, a = trace.layers["dense1"].delta[0], trace.layers["dense1"].x[0]
    whole = np.outer(trace.layers["dense0"].x[0], trace.layers["dense0"].delta[0])
    one = trace.layers["dense0"].delta[0, 0] * trace.layers["dense0"].x[0]
    good = np.allclose(whole, _by_differences("dense0", "weight"), rtol=1e-6) and one.shape != whole.shape
    good = good and np.allclose(np.outer(a, delta), _by_differences("dense1", "weight"), rtol=1e-6)
    return check(
        good and a.size * delta.size == 2, ("one delta times the row", one.shape), ("all of them", whole.shape)
    )


def _jacobian() -> Check:
    jacobian = np.asarray(jax.jit(jax.jacfwd(activations.softmax))(np.zeros(2)))
    return check(
        np.abs(jacobian - np.diag(np.diag(jacobian))).max() > 0, ("Jacobian of softmax at p = (1/2, 1/2)", jacobian)
    )


def _bias_gradient() -> Check:
    trace = worked()
    bias, delta = trace.grads["dense0"]["bias"], trace.layers["dense0"].delta[0]
    good = np.allclose(delta, _by_differences("dense0", "bias"), rtol=1e-6)
    return check(good and np.allclose(bias, delta, rtol=1e-12), ("dJ/db1", bias), ("delta1", delta))


def _not_mse() -> Check:
    trace = worked()
    half, whole = float(trace.loss), float((1 - trace.predictions[0, 0]) ** 2)
    return check(np.isclose(whole, 2 * half), ("half squared error", half), ("mean squared error", whole))


def _column() -> Check:
    layer, column, a = dense(1), np.array([[0.5], [0.6]]), jnp.asarray([[0.627, 0.713]])
    refused = False
    try:
        layer.apply({"weight": column.T}, {}, a)
    except InputError:
        refused = True
    z = np.asarray(layer.apply({"weight": column}, {}, a)[0])
    return check(
        refused and z.shape == (1, 1),
        ("shape of W2", column.shape),
        ("shape of a W2", z.shape),
        ("the other way refused", refused),
    )


def _delta_or_slope() -> Check:
    layers = worked().layers
    above, delta = layers["act0"].delta[0], layers["dense0"].delta[0]
    good = True
    for values, derivatives, active in ((layers["act0"].z[0], above, True), (layers["dense0"].z[0], delta, False)):
        steps = _H * np.eye(2)
        differences = [
            (_from_hidden(values + step, active=active) - _from_hidden(values - step, active=active)) / (2 * _H)
            for step in steps
        ]
        good = good and np.allclose(derivatives, differences, rtol=1e-6)
    return check(good and not np.allclose(above, delta, rtol=0.1), ("dJ/da", above), ("dJ/dz", delta))


def _four_numbers() -> Check:
    gradient = worked().grads["dense0"]["weight"]
    difference = _by_differences("dense0", "weight")
    return check(
        gradient.size == 4 and np.allclose(gradient, difference, rtol=1e-6),
        ("dJ/dW1 from x2", gradient[1]),
        ("by differences", difference[1]),
    )


def _rounded() -> Check:
    trace = worked()
    layers = trace.layers
    a, y = layers["act0"].z[0], layers["act1"].z[0, 0]
    z, loss = layers["dense1"].z[0, 0], float(trace.loss)
    dw, delta = trace.grads["dense0"]["weight"][0, 1], layers["dense0"].delta[0, 1]
    values = (z, loss, y * (1 - y), *(a * (1 - a)), delta, dw)
    rounded = [round(float(value), places) for value, places in zip(values, _PLACES, strict=True)]
    return check(
        rounded == list(_ONCE)
        and not any(np.isclose(rounded, _TWICE, rtol=1e-9))
        and abs(-0.0503 * 0.627 - trace.grads["dense1"]["weight"][0, 0]) > 5e-6,
        ("z out", z),
        ("J", loss),
        ("slope out", y * (1 - y)),
        ("derivatives hidden", a * (1 - a)),
        ("delta of the second unit", delta),
        ("dJ/dW1 from x1 to it", dw),
        (".713 * .287", 0.713 * 0.287),
        ("-.0503 * .627", -0.0503 * 0.627),
        ("-.0503 * .713", -0.0503 * 0.713),
    )


_TWICE = (1.0413, 0.03406, 0.1929, 0.2339, 0.2047, -0.00617, -0.00308)
_ONCE = (1.0414, 0.03403, 0.1928, 0.2338, 0.2046, -0.00618, -0.00309)
_PLACES = (4, 5, 4, 4, 4, 5, 5)


def _not_updates() -> Check:
    before, added, right = (float(worked(moved(rate)).loss) for rate in (0.0, -1.0, 1.0))
    return check(
        added > before > right,
        ("J before", before),
        ("J with the gradients added", added),
        ("J with eta = 1 and minus", right),
    )


def _all_move() -> Check:
    leaves = [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(worked().grads)]
    gradient = np.concatenate(leaves)
    count = int((gradient != 0).sum())
    return check(count == gradient.size, ("parameters", gradient.size), ("that move", count))


def _without_bias() -> Check:
    start = example().params
    bare = {name: {k: v * (k != "bias") for k, v in leaf.items()} for name, leaf in start.items()}
    with_bias, without = (float(worked(params).predictions[0, 0]) for params in (start, bare))
    return check(abs(with_bias - without) > 0.05, ("output with bias", with_bias), ("without", without))


def _bias_is_trained() -> Check:
    grads = worked().grads
    found = np.concatenate([grads["dense0"]["bias"], grads["dense1"]["bias"]])
    return check((found != 0).all(), ("dJ/db", found))


ROWS = (
    Erratum("E3", "S", "delta = (t - y) y (1 - y) together with w <- w - eta delta a.",
            "delta = (y - t) y (1 - y) with the minus, or (t - y) with a plus.", _sign),
    Erratum("E4", "S", "Sigmoids 1/(1 + e^(-beta z)) going forward, deltas without beta going backward.",
            "Each slope is beta a (1 - a): one factor beta for each layer.", _slope),
    Erratum("E6", "S", "d/da of 1/2 (y - a)^2 is y - a.", "It is a - y.", _cost_slope),
    Erratum("E11", "N", "z_k of a layer is a sum over the units of the same layer.",
            "It is a sum over the units of the layer before.", _upper_limit),
    Erratum("E12", "S", "A sum in the chain rule collapses because dC/da_k is 0 unless k = i.",
            "Because dz_k/dW_ij is 0 unless k = i; dC/da_k is in general not 0.", _not_zero),
    Erratum("E13", "N", "a = f(h) where z is meant; dC/dW = (dC/dz_i) a^T with one component of the delta.",
            "a = f(z); dC/dW takes the whole delta: an outer product.", _stray_index),
    Erratum("E14", "I", "The output delta as a plain product dC/da da/dz; a product of three factors without brackets.",
            "Number by number for elementwise functions, the transposed Jacobian for softmax and maxout.", _jacobian),
    Erratum("E15", "I", "The gradient of a bias contains the weights before it; biases adjust independently.",
            "dC/db = delta, without the inputs; the weights behind enter through delta, as they were going forward.",
            _bias_gradient),
    Erratum("E19", "S", "The cost 1/2 (y - a)^2 of a worked example is called mean squared error.",
            "It is half the squared error.", _not_mse),
    Erratum("E20", "N", "W2 written as a column and used as a row; layers counted from 0 here and from 1 there.",
            "With weights (in, out), W2 of two inputs and one unit is a column, and z = a W2 + b.", _column),
    Erratum("E21", "S", "W^T delta labelled dJ/dz before it is multiplied by the slope.",
            "That is dJ/da; dJ/dz is that times the slope.", _delta_or_slope),
    Erratum("E22", "S", "dJ/dW1 of a 2-2-1 net given as two numbers, those of the first input.",
            "It has four: the other two are x2 delta.", _four_numbers),
    Erratum("E23", "S", "Rounded results used further: 1.0413, .03406, .1929, .2339, .2047, -.00617, -.00308.",
            "1.0414, .03403, .1928, .2338, .2046, -.00618, -.00309: round once, at the end.", _rounded),
    Erratum("E24", "S", "Gradients listed under the name of updates.", "The update is minus eta times the gradient.",
            _not_updates),
    Erratum("E33", "S", "Only weights that contribute much to the error are updated.",
            "Every parameter with a gradient that is not 0 moves.", _all_move),
    Erratum("E61", "N", "Forward equations without biases, next to text that calls them essential.", "Add b.",
            _without_bias),
    Erratum("E67", "N", "Backpropagation goes twice through the net, once for each of two layers.",
            "One pass forward and one backward, each through all L layers."),
    Erratum("E69", "N", "Biases that begin at zero, listed as a case of leaving biases out.",
            "They begin at zero and are trained.", _bias_is_trained),
)  # fmt: skip
