"""The dense (fully connected) map, with gradients in the forms of the product that are fast on a CPU.

The gradient of W in z = x W is x^T dz, a product whose left factor is read down its columns. XLA's CPU backend hands
that layout to a thread pool, whose wake-up costs more than a small product itself; with x^T laid out first it takes the
same path as the forward product. In a step of a 64-100-10 network this is a fifth of the time. Autodiff has to be told:
the product is a bilinear primitive whose transposition lays x^T out. Every other rule is that of `lax.dot`. The two
gradients are functions of their own, for those who write a backward pass by hand.

The gradient of x is dz W^T, whose right factor is read across its rows: the slowest form of all, at half the speed of
the forward product. Of large ones the smaller side is turned: W^T laid out first where there are many rows (all places
of a batch of sequences: a step of a small transformer takes 0.93 of the time), else (W dz^T)^T. Turned so are also both
gradients of a map to fewer outputs than a vector register holds, for a row of dz alone does not fill one (a fifth
of a step of a 4-16-3 network), and the gradient of W of one to few outputs, as (dz^T x)^T: it takes half the time.

A large gradient of z is computed once (`ops.once`), and not anew in the loop that sums it up for b: 0.94 of that step.

On a mesh with explicit axes every array's type says how it is sharded. There the product is `lax.dot_general` itself,
told how the result is: like the rows of x and the columns of W.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.ops.once import gradient_once

__all__ = ["dense", "input_gradient", "weight_gradient"]

_TINY, _SMALL = 2**17, 5 * 2**19  # multiplications between which laying x^T out pays; above it the thread pool does
_LARGE = 2**21  # multiplications from which turning dz and dx pays
_FEW = 4  # outputs up to which turning pays for the gradient of x
_NARROW = 16  # and up to which for that of W
_SHARED = 2**16  # numbers of z from which on its gradient is computed once: b and the two products all read it


def dense(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """z = x W + b.

    Args:
        x: `(..., in)`.
        weight: `(in, out)` of the same dtype.
        bias: `(out,)`, or None.

    Returns:
        `(..., out)`; the products of 16-bit floats are summed in float32. On a mesh with explicit axes it is sharded
        like x over the leading axes and like the weight over the last one; an axis of the mesh that both use stays
        with x.
    """
    if _placed(x, weight):
        z = _contract(x, weight, (x.ndim - 1,), (0,))
        return z if bias is None else z + _stretched(bias, z)
    rows = x.reshape(-1, x.shape[-1])
    z = product.bind(rows, weight)
    if bias is not None:
        z = z + jnp.broadcast_to(bias, z.shape)
        z = gradient_once(z) if z.size >= _SHARED and jnp.issubdtype(z.dtype, jnp.floating) else z
    return z.reshape(*x.shape[:-1], weight.shape[1])


def input_gradient(delta: Array, weight: Array) -> Array:
    """delta W^T: the gradient of x in z = x W, for delta that of z; as (W delta^T)^T where that pays.

    Args:
        delta: `(rows, out)`.
        weight: `(in, out)` of the same dtype.
    """
    if _placed(delta, weight):
        return _contract(delta, weight, (1,), (1,))
    size = delta.shape[0] * weight.shape[0] * weight.shape[1]
    on_cpu = jax.default_backend() == "cpu"
    if on_cpu and size >= _LARGE and delta.shape[1] > _FEW and weight.size < delta.shape[0] * sum(weight.shape):
        return product.bind(delta, lax.optimization_barrier(weight.T))
    if on_cpu and (size >= _LARGE or delta.shape[1] <= _FEW):
        turned = product.bind(weight, lax.optimization_barrier(delta.T))
        return lax.optimization_barrier(turned).T
    return product.bind(delta, weight.T)


def weight_gradient(x: Array, delta: Array) -> Array:
    """x^T delta: the gradient of W in z = x W, for delta that of z; x^T laid out first, or (delta^T x)^T where it pays.

    Args:
        x: `(rows, in)`.
        delta: `(rows, out)` of the same dtype.
    """
    if _placed(x, delta):
        return _contract(x, delta, (0,), (0,))
    on_cpu = jax.default_backend() == "cpu"
    if on_cpu and delta.shape[1] <= min(_NARROW, x.shape[1]):
        return lax.optimization_barrier(product.bind(lax.optimization_barrier(delta.T), x)).T
    turned = x.T
    if on_cpu and _TINY <= x.shape[0] * x.shape[1] * delta.shape[1] <= _SMALL:
        turned = lax.optimization_barrier(turned)
    return product.bind(turned, delta)


def _placed(*arrays: Array) -> bool:
    """Whether the type of one of them says how it is laid out on a mesh: sharded, or different on each device."""
    kinds = [jax.typeof(a) for a in arrays]
    return any(AxisType.Explicit in k.sharding.mesh.axis_types or k.manual_axis_type.varying for k in kinds)


def _contract(a: Array, b: Array, a_axes: tuple[int, ...], b_axes: tuple[int, ...]) -> Array:
    """The sum of products over the given axes, sharded like the axes that are left; a's where both use the same."""
    left = [axis for i, axis in enumerate(jax.typeof(a).sharding.spec) if i not in a_axes]
    right = [axis for i, axis in enumerate(jax.typeof(b).sharding.spec) if i not in b_axes]
    taken = {name for axis in left for name in _names(axis)}
    right = [tuple(name for name in _names(axis) if name not in taken) or None for axis in right]
    mesh = next(m for m in (jax.typeof(o).sharding.mesh for o in (a, b)) if not m.empty)
    explicit = AxisType.Explicit in mesh.axis_types
    z = lax.dot_general(
        a,
        b,
        ((a_axes, b_axes), ((), ())),
        preferred_element_type=wide_dtype(a.dtype),
        out_sharding=NamedSharding(mesh, PartitionSpec(*left, *right)) if explicit else None,
    )
    return z.astype(a.dtype)


def _stretched(bias: Array, z: Array) -> Array:
    """The bias over the rows of z, sharded like z."""
    sharding = jax.typeof(z).sharding
    if AxisType.Explicit not in sharding.mesh.axis_types:
        return jnp.broadcast_to(bias, z.shape)
    last = NamedSharding(sharding.mesh, PartitionSpec(sharding.spec[-1]))
    return jnp.broadcast_to(jax.sharding.reshard(bias, last), z.shape, out_sharding=sharding)


def _names(axis: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The axes of the mesh that one axis of an array is sharded over."""
    return () if axis is None else axis if isinstance(axis, tuple) else (axis,)


def _multiply(x: Array, weight: Array) -> Array:
    return lax.dot(x, weight, preferred_element_type=wide_dtype(x.dtype)).astype(x.dtype)


def _type(x: ShapedArray, weight: ShapedArray) -> ShapedArray:
    """The type of the product, by the rules of `lax.dot`, which know of meshes."""
    dimensions = (((1,), (0,)), ((), ()))
    options = {"precision": None, "preferred_element_type": None, "out_sharding": None}
    kind, _ = lax.dot_general_p.abstract_eval(x, weight, dimension_numbers=dimensions, **options)
    return kind.update(dtype=x.dtype, weak_type=False)


product = Primitive("dense_product")
product.def_impl(jax.jit(_multiply))
product.def_abstract_eval(_type)
ad.defbilinear(
    product,
    lambda cotangent, x, weight: input_gradient(cotangent, weight),
    lambda cotangent, x, weight: weight_gradient(x, cotangent),
)
batching.primitive_batchers[product] = lambda args, axes: (jax.vmap(_multiply, in_axes=axes)(*args), 0)
mlir.register_lowering(product, mlir.lower_fun(_multiply, multiple_results=False))
