"""Which distribution of weights for which activation: gains, and the customary choices.

The gain g of an activation is the factor in sd(w) = g / sqrt(fan_in). The exact one keeps the second moment of the
signal: g = 1 / sqrt(E f(z)^2), z ~ N(0, 1). The customary one is 1 for functions with slope 1 at 0, and sqrt(2) for
those that cut away half the line.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_choice, check_range, fail
from jaxann.core.factories import is_product
from jaxann.core.products import Initializer, Layer
from jaxann.core.typing import Scalar
from jaxann.initializers.distributions import normal
from jaxann.initializers.scaling import glorot_uniform, he_normal, lecun_normal, variance_scaling

__all__ = ["gain", "init_for", "output_init"]

_HALF = math.sqrt(2.0)


class _Choice(NamedTuple):
    family: str
    customary: float
    exact: float  # to ten digits by quadrature


_TABLE = {
    "bilinear": _Choice("lecun", 1.0, 1.0),
    "celu": _Choice("he", _HALF, 1.2451983007),
    "elu": _Choice("he", _HALF, 1.2451983007),
    "geglu": _Choice("lecun", 1.0, 1.5335805217),
    "gelu": _Choice("he", _HALF, 1.5335805217),
    "glu": _Choice("lecun", 1.0, 1.8462285454),
    "hard_max": _Choice("lecun", 1.0, 1.0),
    "hard_sigmoid": _Choice("glorot", 1.0, 1.8978404248),
    "hard_swish": _Choice("he", _HALF, 1.7366572128),
    "hard_tanh": _Choice("glorot", 1.0, 1.3920361405),
    "heaviside": _Choice("lecun", 1.0, _HALF),
    "identity": _Choice("lecun", 1.0, 1.0),
    "log_sigmoid": _Choice("lecun", 1.0, 1.0418668356),
    "log_softmax": _Choice("lecun", 1.0, 1.0),
    "log_sum_exp": _Choice("lecun", 1.0, 1.0),
    "maxout": _Choice("lecun", 1.0, 1.0),
    "mish": _Choice("he", _HALF, 1.4868475813),
    "reglu": _Choice("lecun", 1.0, _HALF),
    "relu": _Choice("he", _HALF, _HALF),
    "relu6": _Choice("he", _HALF, 1.4142135651),
    "relu_squared": _Choice("he", math.sqrt(2 / 3), math.sqrt(2 / 3)),
    "selu": _Choice("lecun", 1.0, 1.0),
    "sigmoid": _Choice("glorot", 1.0, 1.8462285454),
    "sign": _Choice("lecun", 1.0, 1.0),
    "silu": _Choice("he", _HALF, 1.6765324704),
    "softmax": _Choice("lecun", 1.0, 1.0),
    "softplus": _Choice("he", _HALF, 1.0418668356),
    "softsign": _Choice("glorot", 1.0, 2.3375333632),
    "sparsemax": _Choice("lecun", 1.0, 1.0),
    "squareplus": _Choice("he", _HALF, 0.8164965809),
    "straight_through": _Choice("lecun", 1.0, _HALF),
    "swiglu": _Choice("lecun", 1.0, 1.6765324704),
    "tanh": _Choice("glorot", 1.0, 1.5925374198),
}
_LEAKY = {"leaky_relu": 0.01, "prelu": 0.25, "rrelu": 11 / 48}  # the slope on the negative side
_SLOPE_ARGUMENTS = ("negative_slope", "alpha")
_NAMES = (*_TABLE, *_LEAKY)
_LAYERS = {"swish": "silu"}  # layers that learn what the activation of another name is given


def _named(function: str, activation: Any) -> tuple[str | None, float | None]:
    """The activation's name in the table, None if it has none there, and the slope it was given, if any."""
    given: dict[str, Any] = {}
    if isinstance(activation, str):
        check_choice(function, "activation", activation, _NAMES)
        return activation, None
    if is_product(activation):
        given, name = activation.arguments, activation._factory.short_name
        if name in ("elementwise", "parametric_activation"):
            return _named(function, given["activation"])
        name = _LAYERS.get(name, name)
    elif isinstance(activation, functools.partial):
        given, name = activation.keywords, getattr(activation.func, "__name__", "")
    elif callable(activation):
        name = getattr(activation, "__name__", "")
    else:
        fail(function, "activation", "a name, a function or a layer", activation)
    if name == "rrelu" and {"lower", "upper"} & set(given):
        return name, (given.get("lower", 1 / 8) + given.get("upper", 1 / 3)) / 2
    slope = next((given[n] for n in _SLOPE_ARGUMENTS if n in given), None)
    if slope is None and given and not is_product(activation):
        return None, None  # an activation with other parameters than the table's
    return (name, slope if name in _LEAKY else None) if name in _NAMES else (None, None)


def _measured(activation: Callable) -> float:
    """1 / sqrt(E f(z)^2) by quadrature."""
    z = np.linspace(-12.0, 12.0, 24_001)
    weights = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    with jax.ensure_compile_time_eval():
        y = np.asarray(activation(jnp.asarray(z, jnp.float32)), np.float64)
    if y.shape != z.shape:
        fail("gain", "activation", "a function of one number at a time", f" a result of shape {y.shape} for {z.shape}")
    return 1 / math.sqrt(float((weights * y * y).sum()))


def gain(activation: str | Callable | Layer, negative_slope: Scalar | None = None, *, exact: bool = False) -> Scalar:
    """g in sd(w) = g / sqrt(fan_in): customary 1 or sqrt(2 / (1 + negative_slope^2)); exact: 1 / sqrt(E f(z)^2).

    Customary gains: 1 for identity, sigmoid, tanh, softsign, selu, maxout and the gated units; sqrt(2) for relu, gelu,
    silu and their kin; 0.816 for relu_squared. The expectation is over z ~ N(0, 1); of a gated unit it is the gate's.

    Args:
        activation: name, function, `functools.partial` of one, or layer. Exact gains of functions that are not
            jaxann's are found by quadrature.
        negative_slope: of leaky_relu, prelu and rrelu, for which both gains are the same; theirs when None.
        exact: which of the two.

    Peers: as torch.nn.init.calculate_gain but for tanh, which is 5/3 there, and selu, 3/4; it knows neither gelu nor
    silu, and no exact gains.

    Raises:
        InputError: a name that is not in the table (the message lists the names), a slope for an activation without
            one, or no function of one number at a time.
    """
    name, slope = _named("gain", activation)
    if negative_slope is not None:
        if name not in _LEAKY:
            fail("gain", "negative_slope", f"None but for {', '.join(_LEAKY)}", negative_slope)
        check_range("gain", "negative_slope", negative_slope)
        slope = negative_slope
    if name in _LEAKY:
        slope = _LEAKY[name] if slope is None else slope
        ratio = 2 / (1 + slope**2)
        return jnp.sqrt(ratio) if isinstance(ratio, jax.Array) else math.sqrt(ratio)
    if name is None:
        return _measured(activation) if exact and callable(activation) else _HALF
    return _TABLE[name].exact if exact else _TABLE[name].customary


def init_for(activation: str | Callable | Layer, *, gain: str | Scalar | None = None) -> Initializer:
    """The customary initializer before an activation: He for relu and kin, Glorot for sigmoid and tanh, else LeCun.

    Glorot does not rescue deep sigmoid stacks: their slope is 1/4 at best, so the gradient still vanishes. A function
    that is not one of jaxann's gets He's, as the rectifier-like functions want.

    Args:
        activation: name, function, `functools.partial` of one, or layer.
        gain: None for the customary one; "exact" for 1 / sqrt(E f(z)^2) over sqrt(fan_in), which keeps the second
            moment of the signal; or a number, such as 4 for sigmoid (which makes up for the slope 1/4) or 5/3 for tanh.

    Peers: none of PyTorch, Keras and flax chooses by the activation; their dense layers have one for all (U(-a, a)
    with a = 1 / sqrt(fan_in), Glorot and LeCun).

    Raises:
        InputError: a name that is not in the table (the message lists the names), or a gain that is neither "exact"
            nor a positive number.
    """
    name, slope = _named("init_for", activation)
    family = "he" if name is None or name in _LEAKY else _TABLE[name].family
    if isinstance(gain, str):
        check_choice("init_for", "gain", gain, ("exact",))
        factor = _gain(activation, exact=True)
        return variance_scaling(factor**2, mode="fan_in", distribution="truncated_normal")
    if gain is not None:
        check_range("init_for", "gain", gain, 0, open_low=True)
        if family == "glorot":
            return glorot_uniform(gain=gain)
        return variance_scaling(gain**2, mode="fan_in", distribution="truncated_normal")
    if name in _LEAKY:
        return he_normal(negative_slope=_LEAKY[name] if slope is None else slope)
    if name == "relu_squared":
        return variance_scaling(2 / 3, mode="fan_in", distribution="truncated_normal")
    return {"he": he_normal, "glorot": glorot_uniform, "lecun": lecun_normal}[family]()


_gain = gain  # the argument of init_for has the same name


def output_init(small: bool = True) -> Initializer:
    """For the output layer: N(0, 0.01^2), so that the first predictions are the bias; else LeCun's, variance 1.

    With the bias from `log_prior` the training begins at the loss of the class frequencies.

    Args:
        small: whether the first outputs shall be near 0; False gives `lecun_normal()`, outputs of the inputs' size.

    Peers: PyTorch, Keras and flax begin the output layer like any other.

    Raises:
        InputError: small is no flag.
    """
    if not isinstance(small, bool):
        fail("output_init", "small", "True or False", small)
    return normal(0.01) if small else lecun_normal()
