"""Convolution and its two gradients: three bilinear maps, each of whose derivatives are the others.

    z[n, p, o]  =  sum over q, i of  x[n, s p + d q - low, i]  w[q, i, o]      (a cross-correlation: nothing is flipped)

for windows q of the size of the kernel, stride s, dilation d and `low` places of padding. Call this z = C(x, w). It is
linear in x and in w; its two transposes are

    dx = X(dz, w)    the input gradient: what every window gives back to the places it covered
    dw = W(x, dz)    the weight gradient: x under each place of the window, times dz, summed over windows and examples

and the derivatives of these are C, X and W again: of X(z, w) in z it is C, in w it is W, and so forth. So three
primitives close under differentiation, any number of times, forward and in reverse. C is compiled in the form that is
fastest where it runs (`conv_forms` on a CPU); the others, and all on other devices, in XLA's own. X is also what is
called a transposed convolution.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import AxisType

from jaxann.core.programs import jit
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.ops.conv_forms import convolve_on_cpu, input_gradient_on_cpu, weight_gradient_on_cpu
from jaxann.ops.windows import Windows

__all__ = ["BY_XLA", "Geometry", "convolve", "input_gradient", "weight_gradient"]


class Geometry(NamedTuple):
    """What is static of a convolution."""

    windows: Windows
    places: tuple[int, ...]  # of the input, along each axis
    groups: int = 1


def convolve(x: Array, weight: Array, geometry: Geometry) -> Array:
    """z = C(x, w).

    Args:
        x: `(batch, *places, in)`.
        weight: `(*size, in / groups, out)` of the same dtype; group g of the inputs meets group g of the outputs.

    Returns:
        `(batch, *positions, out)`; the products of 16-bit floats are summed in float32.
    """
    return _bound(_convolution, x, weight, geometry)


def input_gradient(delta: Array, weight: Array, geometry: Geometry) -> Array:
    """dx = X(dz, w), `(batch, *places, in)` from dz `(batch, *positions, out)`."""
    return _bound(_input_gradient, delta, weight, geometry)


def weight_gradient(x: Array, delta: Array, geometry: Geometry) -> Array:
    """dw = W(x, dz), `(*size, in / groups, out)`."""
    return _bound(_weight_gradient, x, delta, geometry)


def _convolve_by_xla(x: Array, weight: Array, *, geometry: Geometry) -> Array:
    windows, _, groups = geometry
    return _contract(
        x, weight, _numbers(x.ndim), window_strides=windows.stride, padding=windows.pads,
        rhs_dilation=windows.dilation, feature_group_count=groups,
    )  # fmt: skip


def _input_gradient_by_xla(delta: Array, weight: Array, *, geometry: Geometry) -> Array:
    """The windows of dz, its positions `stride` apart, under the kernel turned around."""
    windows, places, groups = geometry
    rank, out = len(places), weight.shape[-1]
    turned = jnp.flip(weight, range(rank)).reshape(*windows.size, -1, groups, out // groups)
    turned = jnp.swapaxes(turned, -1, -3).reshape(*windows.size, out // groups, -1)
    pads = []
    for n, m, reach, stride, (low, _) in zip(
        places, delta.shape[1:-1], windows.reach, windows.stride, windows.pads, strict=True
    ):
        before = reach - 1 - low
        pads.append((before, n + reach - 1 - ((m - 1) * stride + 1) - before))
    return _contract(
        delta, turned, _numbers(delta.ndim), window_strides=(1,) * rank, padding=pads, lhs_dilation=windows.stride,
        rhs_dilation=windows.dilation, feature_group_count=groups,
    )  # fmt: skip


def _weight_gradient_by_xla(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    """dz as the window, its positions `stride` apart, moved over x; channels take the part of examples."""
    windows, places, groups = geometry
    last = x.ndim - 1
    axes = tuple(range(1, last))
    numbers = lax.ConvDimensionNumbers((last, 0, *axes), (last, 0, *axes), (last - 1, last, *range(last - 1)))
    pads = []
    for n, m, size, stride, dilation, (low, _) in zip(
        places, delta.shape[1:-1], *windows[:2], windows.dilation, windows.pads, strict=True
    ):
        pads.append((low, dilation * (size - 1) + (m - 1) * stride + 1 - n - low))
    return _contract(
        x, delta, numbers, window_strides=windows.dilation, padding=pads, rhs_dilation=windows.stride,
        batch_group_count=groups,
    )  # fmt: skip


def _contract(a: Array, b: Array, numbers: lax.ConvDimensionNumbers, **settings: Any) -> Array:
    found = lax.conv_general_dilated(
        a, b, dimension_numbers=numbers, preferred_element_type=wide_dtype(a.dtype), **settings
    )
    return found.astype(a.dtype)


def _numbers(rank: int) -> lax.ConvDimensionNumbers:
    axes = range(1, rank - 1)
    return lax.ConvDimensionNumbers((0, rank - 1, *axes), (rank - 1, rank - 2, *range(rank - 2)), (0, rank - 1, *axes))


def _bound(primitive: Primitive, a: Array, b: Array, geometry: Geometry) -> Array:
    """The primitive; or XLA's own form where the type of an array says how it is laid out on a mesh."""
    kinds = [jax.typeof(one) for one in (a, b)]
    if any(AxisType.Explicit in k.sharding.mesh.axis_types or k.manual_axis_type.varying for k in kinds):
        return BY_XLA[primitive](a, b, geometry=geometry)
    return primitive.bind(a, b, geometry=geometry)


def _primitive(
    name: str,
    by_xla: Callable[..., Array],
    shape: Callable[..., tuple[int, ...]],
    on_cpu: Callable[..., Array] | None = None,
) -> Primitive:
    """A primitive that is compiled by XLA's form of it, and on a CPU by `on_cpu` where there is one."""
    primitive = Primitive(name)
    primitive.def_impl(functools.partial(_at_once, primitive))
    primitive.def_abstract_eval(lambda a, b, geometry: ShapedArray(shape(a.shape, b.shape, geometry), a.dtype))
    batching.primitive_batchers[primitive] = functools.partial(_batched, primitive, by_xla)
    mlir.register_lowering(primitive, mlir.lower_fun(by_xla, multiple_results=False))
    if on_cpu is not None:
        chosen = functools.partial(on_cpu, by_xla=by_xla)
        mlir.register_lowering(primitive, mlir.lower_fun(chosen, multiple_results=False), platform="cpu")
    return primitive


@functools.partial(jit, static_argnums=0, static_argnames="geometry", nested=True)
def _at_once(primitive: Primitive, a: Array, b: Array, geometry: Geometry) -> Array:
    return primitive.bind(a, b, geometry=geometry)


def _batched(
    primitive: Primitive, by_xla: Callable[..., Array], args: tuple[Array, Array], axes: Any, *, geometry: Geometry
) -> tuple[Array, int]:
    """Members of a population: on a CPU one after the other, each in the form of its shape; elsewhere as XLA groups
    them. (Grouped on a CPU they took two to three times as long, and far longer where they stand in a loop.)
    """
    batched = [axis is not None for axis in axes]
    given = [jnp.moveaxis(a, axis, 0) if b else a for a, axis, b in zip(args, axes, batched, strict=True)]

    def one_by_one(a: Array, b: Array) -> Array:
        def one(member: tuple[Array, ...]) -> Array:
            own = iter(member)
            both = (next(own) if is_own else whole for is_own, whole in zip(batched, (a, b), strict=True))
            return primitive.bind(*both, geometry=geometry)

        return lax.map(one, tuple(whole for is_own, whole in zip(batched, (a, b), strict=True) if is_own))

    def grouped(a: Array, b: Array) -> Array:
        in_axes = [0 if is_own else None for is_own in batched]
        return jax.vmap(functools.partial(by_xla, geometry=geometry), in_axes=in_axes)(a, b)

    return lax.platform_dependent(*given, cpu=one_by_one, default=grouped), 0


_convolution = _primitive(
    "convolution", _convolve_by_xla, lambda x, w, g: (x[0], *g.windows.count(g.places), w[-1]), convolve_on_cpu
)
_input_gradient = _primitive(
    "convolution_input_gradient",
    _input_gradient_by_xla,
    lambda d, w, g: (d[0], *g.places, w[-2] * g.groups),
    functools.partial(input_gradient_on_cpu, convolve_by_xla=_convolve_by_xla),
)
_weight_gradient = _primitive(
    "convolution_weight_gradient",
    _weight_gradient_by_xla,
    lambda x, d, g: (*g.windows.size, x[-1] // g.groups, d[-1]),
    weight_gradient_on_cpu,
)
BY_XLA = {
    _convolution: _convolve_by_xla,
    _input_gradient: _input_gradient_by_xla,
    _weight_gradient: _weight_gradient_by_xla,
}

ad.defbilinear(
    _convolution,
    lambda cotangent, x, weight, geometry: input_gradient(cotangent, weight, geometry),
    lambda cotangent, x, weight, geometry: weight_gradient(x, cotangent, geometry),
)
ad.defbilinear(
    _input_gradient,
    lambda cotangent, delta, weight, geometry: convolve(cotangent, weight, geometry),
    lambda cotangent, delta, weight, geometry: weight_gradient(cotangent, delta, geometry),
)
ad.defbilinear(
    _weight_gradient,
    lambda cotangent, x, delta, geometry: input_gradient(delta, cotangent, geometry),
    lambda cotangent, x, delta, geometry: convolve(x, cotangent, geometry),
)
