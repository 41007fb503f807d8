"""Smooth rectifiers: gelu, silu and their kin, which dip below 0 and come back to it, and the softened max(0, x).

At -inf the dipping ones give 0, value and slope, and at inf the slope 1, where a product of inf and 0 would be NaN.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from jaxann.activations.precise import exp_of_sum, gaussian_gate
from jaxann.activations.rules import apply_wide, smooth
from jaxann.core.checks import check_flag, check_range
from jaxann.core.typing import Array, Scalar

__all__ = ["gelu", "hard_swish", "mish", "silu", "softplus", "squareplus"]

_FAR = 40.0  # where every factor that multiplies x here is 0 or 1 to the last digit


def _finite(x: Array) -> Array:
    """x, and 0 for -inf and inf: a factor beside one that is 0 there."""
    return jnp.where(jnp.isinf(x), 0, x)


def _over(x: Array, divisor: Array) -> Array:
    """x / divisor, 0 where the divisor is infinite, whatever x."""
    far = jnp.isinf(divisor)
    return jnp.where(far, 0, x / jnp.where(far, 1, divisor))


def _gelu_slope(x: Array) -> Array:
    near = jnp.clip(x, -_FAR, _FAR)
    return 0.5 * lax.erfc(x * -math.sqrt(0.5)) + near * jnp.exp(-0.5 * near * near) / math.sqrt(2 * math.pi)


_gelu = smooth(gaussian_gate, _gelu_slope)

# gelu's tanh form is x sigmoid(a x + b x^3); the rounded pair makes the polynomial exact at eighths
_A = 2 * math.sqrt(2 / math.pi)
_B = _A * 0.044715
_A_SHORT, _B_SHORT = 51 / 32, 9 / 128


def _gelu_tanh_value(x: Array) -> Array:
    near = jnp.clip(x, -_FAR, _FAR)
    coarse = jnp.round(near * 8) / 8
    fine, square = near - coarse, coarse * coarse
    exact = coarse * (_A_SHORT + _B_SHORT * square)
    rest = coarse * ((_A - _A_SHORT) + (_B - _B_SHORT) * square)
    rest = rest + fine * ((_A + 3 * _B * square) + fine * (3 * _B * coarse + _B * fine))
    return _over(x, 1 + exp_of_sum(-exact, -rest))


def _gelu_tanh_slope(x: Array) -> Array:
    near = jnp.clip(x, -_FAR, _FAR)
    s = lax.logistic(near * (_A + _B * near * near))
    return s + near * s * (1 - s) * (_A + 3 * _B * near * near)


_gelu_tanh = smooth(_gelu_tanh_value, _gelu_tanh_slope)


def gelu(x: Array, approximate: bool = True) -> Array:
    """f(x) = x Phi(x), Phi the normal distribution function; approximate: x sigmoid(1.5957691 (x + 0.044715 x^3)).

    The latter is the form with tanh, x (1 + tanh(0.79788456 (x + 0.044715 x^3))) / 2; the two differ by at most 4.8e-4.
    Slope Phi + x phi, at most 1.1289; least value -0.16997 at -0.75179. Source: Hendrycks and Gimpel 2016.

    Args:
        x: any shape.
        approximate: whether to take the sigmoid for Phi.

    Peers: approximate by default as jax.nn; exact by default in PyTorch and Keras. All give NaN at -inf, this 0.

    Raises:
        InputError: x is not floating-point, or approximate is no flag.
    """
    check_flag("gelu", "approximate", approximate)
    return apply_wide("gelu", _gelu_tanh if approximate else _gelu, x)


def _silu_slope(x: Array, beta: Array) -> Array:
    z = x * beta
    s = lax.logistic(z)
    return s + _finite(z) * s * (1 - s)


def _silu_by_beta(x: Array, beta: Array) -> Array:
    s = lax.logistic(x * beta)
    near = _finite(x)
    return near * (near * (s * (1 - s)))


_silu = smooth(lambda x, beta: _over(x, 1 + jnp.exp(-beta * x)), _silu_slope, _silu_by_beta)


def silu(x: Array, beta: Scalar = 1.0) -> Array:
    """f(x) = x sigmoid(beta x), also called swish; slope beta f + sigmoid(beta x) (1 - beta f).

    Least value -0.278465 / beta at -1.278465 / beta. beta = 0 gives x / 2, beta to inf relu. Source: Hendrycks and
    Gimpel 2016; Ramachandran et al. 2017. `layers.swish` learns the beta.

    Args:
        x: any shape.
        beta: steepness.

    Peers: at beta = 1 as jax.nn, PyTorch and Keras, which have no beta and give NaN at -inf, this 0.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("silu", _silu, x, beta)


_hard_swish = smooth(
    lambda x: jnp.where(x <= -3, 0, x * (jnp.clip(x + 3, 0, 6) / 6)),
    lambda x: jnp.where(x <= -3, 0, jnp.where(x >= 3, 1, (2 * jnp.clip(x, -3, 3) + 3) / 6)),
)


def hard_swish(x: Array) -> Array:
    """f(x) = x min(max(x + 3, 0), 6) / 6; slope (2 x + 3) / 6 for |x| < 3, 0 at -3 and below, 1 at 3 and above.

    Least value -0.375 at -1.5. Source: Howard et al. 2019.

    Peers: as jax.nn, PyTorch and Keras, which give NaN at -inf, this 0. Keras calls it hard_silu too.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("hard_swish", _hard_swish, x)


def _mish_parts(x: Array) -> Array:
    """n = e^2x + 2 e^x, of which tanh(softplus x) = n / (n + 2)."""
    power = jnp.exp(jnp.minimum(x, 20))
    return power * power + 2 * power


def _mish_value(x: Array) -> Array:
    n = _mish_parts(x)
    return jnp.where(x == -jnp.inf, 0, x) * (n / (n + 2))


def _mish_slope(x: Array) -> Array:
    n = _mish_parts(x)
    above = n + 2
    near = jnp.clip(x, -_FAR, _FAR)
    return n / above + near * lax.logistic(x) * (4 * (n + 1) / above / above)


_mish = smooth(_mish_value, _mish_slope)


def mish(x: Array) -> Array:
    """f(x) = x tanh(log(1 + e^x)); slope t + x sigmoid(x) (1 - t^2), t = tanh(log(1 + e^x)).

    Least value -0.308843 at -1.192431. Source: Misra 2019.

    Peers: as jax.nn, PyTorch and Keras, which give NaN at -inf, this 0.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("mish", _mish, x)


def _softplus_value(x: Array, beta: Array) -> Array:
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-beta * jnp.abs(x))) / beta


def _softplus_by_beta(x: Array, beta: Array) -> Array:
    z = beta * jnp.abs(x)
    return -(_finite(z) * lax.logistic(-z) + jnp.log1p(jnp.exp(-z))) / (beta * beta)


_softplus = smooth(_softplus_value, lambda x, beta: lax.logistic(beta * x), _softplus_by_beta)


def softplus(x: Array, beta: Scalar = 1.0) -> Array:
    """f(x) = log(1 + exp(beta x)) / beta, positive; slope sigmoid(beta x).

    max(0, x) softened; as the output of a network it keeps a prediction positive. Source: Dugas et al. 2001.

    Args:
        x: any shape.
        beta: positive; the greater, the closer to relu.

    Peers: at beta = 1 as jax.nn and Keras, which have no beta. PyTorch has it, and returns x itself where beta x > 20,
    which differs by 2e-9 at most.

    Raises:
        InputError: x is not floating-point, or beta is not positive.
    """
    check_range("softplus", "beta", beta, 0, open_low=True, arrays=True)
    return apply_wide("softplus", _softplus, x, beta)


def _hypotenuse(x: Array, b: Array) -> Array:
    """sqrt(x^2 + b) without the square of a large number."""
    a, c = jnp.abs(x), jnp.sqrt(b)
    largest, smallest = jnp.maximum(a, c), jnp.minimum(a, c)
    good = (largest > 0) & (largest < jnp.inf)
    ratio = jnp.where(good, smallest, 0) / jnp.where(good, largest, 1)
    return largest * jnp.sqrt(1 + ratio * ratio)


def _squareplus_value(x: Array, b: Array) -> Array:
    square_root = _hypotenuse(x, b)
    size = _finite(jnp.abs(x))
    middle = size + 0.5 * (square_root - size)  # of |x| and the root: their sum may overflow
    return jnp.where(x > 0, jnp.where(jnp.isinf(x), x, middle), 0.25 * b / jnp.where(middle == 0, 1, middle))


def _squareplus_slope(x: Array, b: Array) -> Array:
    square_root = _hypotenuse(x, b)
    safe = (square_root > 0) & (square_root < jnp.inf)
    ratio = jnp.where(safe, x, lax.sign(x)) / jnp.where(safe, square_root, 1)
    return 0.5 * (1 + ratio)


def _squareplus_by_b(x: Array, b: Array) -> Array:
    square_root = _hypotenuse(x, b)
    return jnp.where(square_root > 0, 0.25 / jnp.where(square_root > 0, square_root, 1), 0)


_squareplus = smooth(_squareplus_value, _squareplus_slope, _squareplus_by_b)


def squareplus(x: Array, b: Scalar = 4.0) -> Array:
    """f(x) = (x + sqrt(x^2 + b)) / 2, positive; slope (1 + x / sqrt(x^2 + b)) / 2.

    Like softplus, of roots alone: at b = 4 both value 1 and slope 1/2 at 0; b = 0 gives relu. Source: Barron 2021.

    Args:
        x: any shape.
        b: not negative; how wide the bend at 0 is.

    Peers: as jax.nn and Keras, whose slope is NaN at -inf and inf, here 0 and 1; PyTorch has none. Far to the left
    theirs is 0 by cancellation, this b / (4 |x|).

    Raises:
        InputError: x is not floating-point, or b is negative.
    """
    check_range("squareplus", "b", b, 0, arrays=True)
    return apply_wide("squareplus", _squareplus, x, b)
