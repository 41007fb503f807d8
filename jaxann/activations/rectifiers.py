"""Rectifiers: the positive part of x as it is, the negative part cut, shrunk or bent."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.activations.precise import expm1_below
from jaxann.activations.rules import apply_wide, nan_or, smooth
from jaxann.core.checks import check_floating, check_key, check_range, fail, is_concrete
from jaxann.core.typing import Array, Key, Scalar

__all__ = ["celu", "elu", "leaky_relu", "prelu", "relu", "relu6", "relu_squared", "rrelu", "selu"]

_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772


def _below(x: Array) -> Array:
    """min(x, 0) with the slope 0 above 0, and NaN where x is."""
    return jnp.where(x > 0, 0, x)


_relu = smooth(lambda x: jnp.maximum(x, 0), lambda x: nan_or(x, jnp.where(x > 0, 1, 0).astype(x.dtype)))


def relu(x: Array) -> Array:
    """f(x) = max(0, x); slope 1 for x > 0 and 0 for x <= 0, at the kink too.

    `jnp.maximum(x, 0)` would give the slope 1/2 at 0. NaN stays NaN, where a comparison alone would give 0.
    Source: Nair and Hinton 2010.

    Peers: as jax.nn, PyTorch and Keras. At NaN the slope of jax.nn is 0, PyTorch's 1, ours NaN.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("relu", _relu, x)


_relu6 = smooth(lambda x: jnp.clip(x, 0, 6), lambda x: nan_or(x, jnp.where((x > 0) & (x < 6), 1, 0).astype(x.dtype)))


def relu6(x: Array) -> Array:
    """f(x) = min(max(x, 0), 6); slope 1 for 0 < x < 6, else 0, at the kinks too.

    Bounded, for arithmetic of few bits. Source: Howard et al. 2017.

    Peers: as jax.nn, PyTorch and Keras. At NaN the slope of jax.nn is 0, PyTorch's 1, ours NaN.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("relu6", _relu6, x)


_relu_squared = smooth(lambda x: jnp.maximum(x, 0) ** 2, lambda x: 2 * jnp.where(x <= 0, 0, x))


def relu_squared(x: Array) -> Array:
    """f(x) = max(0, x)^2; slope 2 max(0, x).

    It grows faster than x: large inputs explode, and in float16 the value overflows from x = 256 on. Source: So et al.
    2021 (Primer).

    Peers: none of PyTorch, Keras and jax.nn has it; it is their relu squared.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("relu_squared", _relu_squared, x)


_leaky = smooth(
    lambda x, slope: jnp.where(x >= 0, x, slope * x),
    lambda x, slope: nan_or(x, jnp.where(x >= 0, jnp.ones_like(x), slope)),
    lambda x, slope: jnp.where(x < 0, x, 0),
)


def leaky_relu(x: Array, negative_slope: Scalar = 0.01) -> Array:
    """f(x) = x for x >= 0, else negative_slope x; slope 1 at the kink.

    Source: Maas et al. 2013.

    Args:
        x: any shape.
        negative_slope: slope on the negative side, so that no unit is ever dead.

    Peers: values and default as jax.nn and PyTorch; Keras has 0.2. At 0 jax.nn's slope is 1 as here, PyTorch's
    negative_slope.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("leaky_relu", _leaky, x, negative_slope)


def prelu(x: Array, alpha: Array | Scalar) -> Array:
    """f(x) = x for x >= 0, else alpha x, alpha learned; at the kink the slope is 1 for x and 0 for alpha.

    Source: He et al. 2015. `layers.prelu` holds the alpha.

    Args:
        x: `(..., channels)`.
        alpha: a number, or `(channels,)`; 0.25 to begin with. Leave it out of weight decay, which would make it relu.

    Peers: as PyTorch, whose slope at 0 is alpha. Keras begins at alpha = 0 and has one for every place of the input.

    Raises:
        InputError: x is not floating-point, or alpha has another shape.
    """
    check_floating("prelu", "x", x)
    shape = np.shape(x)
    if np.ndim(alpha):
        if np.shape(alpha) != shape[-1:]:
            fail("prelu", "alpha", f"a number or of shape {shape[-1:]}", f" shape {np.shape(alpha)}")
        alpha = jnp.broadcast_to(jnp.asarray(alpha), shape)
    return apply_wide("prelu", _leaky, x, alpha)


def rrelu(x: Array, lower: Scalar = 1 / 8, upper: Scalar = 1 / 3, *, key: Key | None = None) -> Array:
    """f(x) = x for x >= 0, else a x, a drawn from U(lower, upper) for each number; a = (lower + upper) / 2 without key.

    Source: Xu et al. 2015. `layers.rrelu` draws in training and not else.

    Args:
        x: any shape.
        lower, upper: least and greatest slope on the negative side.
        key: randomness, for training.

    Peers: bounds, draw and mean as PyTorch, which draws when told training=True. At 0 the slope is 1 as in leaky_relu.

    Raises:
        InputError: x is not floating-point, lower is above upper, or the key is not one typed key.
    """
    check_floating("rrelu", "x", x)
    check_range("rrelu", "lower", lower, arrays=True)
    low = float(lower) if is_concrete(lower) and np.ndim(lower) == 0 else None
    check_range("rrelu", "upper", upper, low, arrays=True)
    if key is None:
        return apply_wide("rrelu", _leaky, x, (lower + upper) / 2)
    check_key("rrelu", key)
    x = jnp.asarray(x)
    share = jax.random.uniform(key, x.shape)

    def drawn(x: Array, lower: Array, upper: Array) -> Array:
        return _leaky(x, lower + (upper - lower) * share.astype(x.dtype))

    return apply_wide("rrelu", drawn, x, lower, upper)


_elu = smooth(
    lambda x, alpha: jnp.where(x > 0, x, alpha * expm1_below(_below(x))),
    lambda x, alpha: jnp.where(x > 0, jnp.ones_like(x), alpha * jnp.exp(_below(x))),
    lambda x, alpha: expm1_below(_below(x)),
)


def elu(x: Array, alpha: Scalar = 1.0) -> Array:
    """f(x) = x for x > 0, else alpha (e^x - 1), above -alpha; slope 1, else alpha e^x, which it is at 0 too.

    Its slope is continuous for alpha = 1 alone (celu's for every alpha). Source: Clevert et al. 2016.

    Args:
        x: any shape.
        alpha: the value at -inf is -alpha.

    Peers: as jax.nn, PyTorch and Keras, the slope at 0 too.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("elu", _elu, x, alpha)


def _celu_by_alpha(x: Array, alpha: Array) -> Array:
    z = _below(x) / alpha
    finite = jnp.where(z == -jnp.inf, 0, z)  # -inf times 0
    return expm1_below(z) - finite * jnp.exp(z)


_celu = smooth(
    lambda x, alpha: jnp.where(x > 0, x, alpha * expm1_below(_below(x) / alpha)),
    lambda x, alpha: jnp.exp(_below(x) / alpha),
    _celu_by_alpha,
)


def celu(x: Array, alpha: Scalar = 1.0) -> Array:
    """f(x) = x for x > 0, else alpha (e^(x / alpha) - 1), above -alpha; slope 1, else e^(x / alpha).

    The slope is continuous for every alpha. Source: Barron 2017.

    Args:
        x: any shape.
        alpha: positive; the value at -inf is -alpha.

    Peers: as jax.nn, PyTorch and Keras.

    Raises:
        InputError: x is not floating-point, or alpha is not positive.
    """
    check_range("celu", "alpha", alpha, 0, open_low=True, arrays=True)
    return apply_wide("celu", _celu, x, alpha)


_selu = smooth(
    lambda x: jnp.where(x > 0, _SELU_SCALE * x, _SELU_SCALE * _SELU_ALPHA * expm1_below(_below(x))),
    lambda x: jnp.where(x > 0, _SELU_SCALE, _SELU_SCALE * _SELU_ALPHA * jnp.exp(_below(x))).astype(x.dtype),
)


def selu(x: Array) -> Array:
    """f(x) = s elu(x, a), s = 1.0507009873554805, a = 1.6732632423543772; slope s, else s a e^x, which it is at 0 too.

    Under it numbers of mean 0 and variance 1 keep both, given `lecun_normal` weights, standardized inputs and no batch
    normalization. Source: Klambauer et al. 2017.

    Peers: as jax.nn, PyTorch and Keras, the slope at 0 too.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("selu", _selu, x)
