"""The dense (fully connected) map, with a weight gradient that suits small products on a CPU.

The gradient of W in z = x W is x^T dz, a product whose left factor is read down its columns. XLA's CPU backend hands
that layout to a thread pool, whose wake-up costs more than a small product itself; with x^T laid out first it takes the
same path as the forward product. In a step of a 64-100-10 network this is a fifth of the time. Autodiff has to be told:
the product is a bilinear primitive whose transposition lays x^T out. Every other rule is that of `lax.dot`. The two
gradients are functions of their own, for those who write a backward pass by hand.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array

__all__ = ["dense", "input_gradient", "weight_gradient"]

_SMALL = 2**23  # multiplications up to which laying x^T out pays; above it the thread pool does


def dense(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """z = x W + b.

    Args:
        x: `(..., in)`.
        weight: `(in, out)` of the same dtype.
        bias: `(out,)`, or None.

    Returns:
        `(..., out)`; the products of 16-bit floats are summed in float32.
    """
    rows = x.reshape(-1, x.shape[-1])
    z = product.bind(rows, weight).reshape(*x.shape[:-1], weight.shape[1])
    return z if bias is None else z + jnp.broadcast_to(bias, z.shape)


def _multiply(x: Array, weight: Array) -> Array:
    return lax.dot(x, weight, preferred_element_type=wide_dtype(x.dtype)).astype(x.dtype)


def input_gradient(delta: Array, weight: Array) -> Array:
    """delta W^T: the gradient of x in z = x W, for delta that of z.

    Args:
        delta: `(rows, out)`.
        weight: `(in, out)` of the same dtype.
    """
    return product.bind(delta, weight.T)


def weight_gradient(x: Array, delta: Array) -> Array:
    """x^T delta: the gradient of W in z = x W, for delta that of z; x^T laid out first where that pays.

    Args:
        x: `(rows, in)`.
        delta: `(rows, out)` of the same dtype.
    """
    turned = x.T
    if jax.default_backend() == "cpu" and x.shape[0] * x.shape[1] * delta.shape[1] <= _SMALL:
        turned = lax.optimization_barrier(turned)
    return product.bind(turned, delta)


product = Primitive("dense_product")
product.def_impl(jax.jit(_multiply))
product.def_abstract_eval(lambda x, w: ShapedArray((x.shape[0], w.shape[1]), x.dtype))
ad.defbilinear(
    product,
    lambda cotangent, x, weight: input_gradient(cotangent, weight),
    lambda cotangent, x, weight: weight_gradient(x, cotangent),
)
batching.primitive_batchers[product] = lambda args, axes: (jax.vmap(_multiply, in_axes=axes)(*args), 0)
mlir.register_lowering(product, mlir.lower_fun(_multiply, multiple_results=False))
