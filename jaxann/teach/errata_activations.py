"""Commonly printed mistakes about activations."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxann import activations, losses
from jaxann.layers import dense, maxout
from jaxann.teach.erratum import Check, Erratum, check

__all__ = ["ROWS"]


def _slope(function, z: float) -> float:
    return float(jax.jit(jax.grad(function))(jnp.asarray(z)))


def _reflected() -> Check:
    right, printed = (float(activations.sigmoid(jnp.asarray(z))) for z in (1.0, -1.0))
    slope = _slope(lambda z: activations.sigmoid(-z), 1.0)
    return check(
        math.isclose(slope, -printed * (1 - printed), rel_tol=1e-12),
        ("printed form at z = 1", printed),
        ("right form", right),
        ("slope of the printed form", slope),
        ("a (1 - a)", printed * (1 - printed)),
    )


def _at_zero() -> Check:
    relu, leaky = _slope(activations.relu, 0.0), _slope(activations.leaky_relu, 0.0)
    elu = _slope(lambda z: activations.elu(z, 0.5), 0.0)
    return check(
        relu == 0 and leaky == 1 and elu == 0.5,
        ("slope of relu at 0", relu),
        ("of leaky relu", leaky),
        ("of elu, alpha = 0.5", elu),
    )


def _open_range() -> Check:
    rounded = float(activations.sigmoid(jnp.asarray(17.0, jnp.float32)))
    short = float(activations.sigmoid(jnp.asarray(-17.0)))  # 1 - sigmoid(17), without the rounding
    return check(rounded == 1 and 0 < short, ("sigmoid(17) in float32", rounded), ("1 - the exact value", short))


def _affine() -> Check:
    z = jnp.asarray(0.7)
    left, right = float(activations.tanh(z)), float(2 * activations.sigmoid(2 * z) - 1)
    return check(math.isclose(left, right, rel_tol=1e-12), ("tanh(0.7)", left), ("2 sigmoid(1.4) - 1", right))


def _mean_of_leaky() -> Check:
    z = np.linspace(-12.0, 12.0, 24_001)
    weights = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    mean = float(np.sum(weights * np.asarray(activations.leaky_relu(jnp.asarray(z), 0.01))))
    closed = 0.99 / math.sqrt(2 * math.pi)
    return check(math.isclose(mean, closed, rel_tol=1e-6), ("mean for normal inputs", mean), ("closed form", closed))


def _kink() -> Check:
    left, right = (_slope(lambda z: activations.elu(z, 2.0), z) for z in (-1e-12, 1e-12))
    near, over = (float(jax.jit(jax.grad(jax.grad(lambda z: activations.elu(z, 1.0))))(z)) for z in (-1e-12, 1e-12))
    smooth = [_slope(lambda z: activations.elu(z, 1.0), z) for z in (-1e-12, 1e-12)]
    bent = abs(near - 1) < 1e-9 and over == 0  # the curvature jumps even where the slope does not
    good = bent and abs(smooth[0] - smooth[1]) < 1e-9 and left - right > 0.5
    return check(good, ("slope left of 0, alpha = 2", left), ("right of 0", right))


def _bounded() -> Check:
    with np.errstate(over="ignore"):
        naive = float(np.exp(np.float64(1000.0)))
    grid = np.linspace(-6, 6, 41)
    points = np.stack([grid, np.zeros(41), -grid / 3], -1)
    points[0] = [0.0, 0.0, -40.0]  # two classes alike: the largest norm there is
    both = jax.jit(lambda z, far: (jax.vmap(jax.jacfwd(activations.softmax))(z), activations.softmax(far)))
    jacobian, safe = map(np.asarray, both(points, np.array([1000.0, 0.0])))
    norm = float(np.linalg.norm(jacobian, 2, axis=(1, 2)).max())
    return check(
        norm <= 0.5 + 1e-9 and math.isinf(naive) and np.isfinite(safe).all(),
        ("e^1000 as written", naive),
        ("softmax(1000, 0)", safe),
        ("largest norm of the Jacobian", norm),
    )


def _pieces() -> Check:
    spec = jax.ShapeDtypeStruct((1, 5), np.float64)

    def count(layer) -> int:
        shapes = jax.eval_shape(lambda key: layer.init(key, spec)[0], jax.random.key(0))
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    plain, three = count(dense(4)), count(maxout(4, k=3))
    return check(three == 3 * plain, ("parameters of a dense layer", plain), ("of maxout, k = 3", three))


def _dying() -> Check:
    gelu = _slope(lambda z: activations.gelu(z, approximate=False), -10.0)
    leaky = _slope(activations.leaky_relu, -10.0)
    return check(abs(gelu) < 1e-20 < leaky, ("slope of gelu at -10", gelu), ("of leaky relu", leaky))


def _learned_slope() -> Check:
    by_alpha = _slope(lambda alpha: activations.prelu(jnp.full((), -2.0), alpha), 0.25)
    return check(by_alpha == -2, ("df/dalpha at x = -2", by_alpha))


def _naive() -> Check:
    """The formulas as they are printed, in float32, and the library's functions at the same places."""
    single = np.float32
    with np.errstate(all="ignore"):
        big, small = np.exp(single(100)), np.exp(single(-100))
        tanh = (big - small) / (big + small)
        log = np.log(single(1) - (single(1) - single(1e-9)))
        slope = np.exp(single(800)) / (single(1) + np.exp(single(800)))
    far = jnp.asarray(100.0, jnp.float32)
    good = [
        activations.tanh(far),
        losses.sigmoid_cross_entropy(jnp.asarray(-20.723, jnp.float32), jnp.asarray(1.0, jnp.float32)),
        jax.grad(activations.softplus)(jnp.asarray(800.0, jnp.float32)),
    ]
    return check(
        np.isnan(tanh) and np.isinf(log) and np.isnan(slope) and bool(np.isfinite(good).all()),
        ("tanh(100) as written, float32", tanh),
        ("ln(1 - 0.999999999), float32", log),
        ("slope of softplus(800) as written, float32", slope),
        ("the stable forms", np.asarray(good, np.float64)),
    )


ROWS = (
    Erratum("E2", "S", "sigmoid(z) = 1/(1 + e^z).", "1/(1 + e^-z).", _reflected),
    Erratum("E16", "I", "The derivative at 0 of relu, leaky relu, elu and prelu is 1.",
            "There is none: relu's is taken as 0, leaky relu's as 1 here and alpha in PyTorch, elu's as alpha.",
            _at_zero),
    Erratum("E17", "N", "The sigmoid's range is [0, 1].", "(0, 1); the ends are met by rounding alone.", _open_range),
    Erratum("E18", "I", "tanh is the sigmoid up to scaling.", "tanh z = 2 sigmoid(2z) - 1: shifted too.", _affine),
    Erratum("E25", "S", "Leaky relu is centred on zero.", "Its mean is (1 - alpha)/sqrt(2 pi) for normal inputs.",
            _mean_of_leaky),
    Erratum("E26", "I", "ELU is smooth.", "Its slope is continuous for alpha = 1 alone, its curvature never.", _kink),
    Erratum("E27", "S", "Softmax can make gradients explode.",
            "The norm of its Jacobian is at most 1/2; the danger is the overflow of e^z.", _bounded),
    Erratum("E28", "S", "The derivative of maxout is piecewise linear; it doubles the parameters.",
            "The function is piecewise linear, its derivative piecewise constant; k pieces take k times as many.",
            _pieces),
    Erratum("E53", "I", "GELU, like ELU and leaky relu, keeps neurons from dying.",
            "GELU and ELU saturate on the negative side; leaky relu does not.", _dying),
    Erratum("E58", "N", "PReLU's derivative is listed by x alone.", "And by alpha: x where x < 0, else 0.",
            _learned_slope),
    Erratum("E59", "S", "Sigmoid, tanh, softplus, softmax and the losses programmed as they are printed.",
            "Forms that neither overflow nor take the logarithm of a rounded number.", _naive),
)  # fmt: skip
