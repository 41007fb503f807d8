"""The layer that changes the resolution of images, signals and volumes."""

from __future__ import annotations

from jaxann import ops
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.ops.resize import check_resize

__all__ = ["resize"]


@factory(Layer, static=("size", "scale", "method"))
def resize(
    size: int | tuple[int, ...] | None = None,
    *,
    scale: float | tuple[float, ...] | None = None,
    method: str = "nearest",
    antialias: bool = False,
):
    """y = M x along each axis of places: interpolation between the centers of places; see `ops.resize`.

    Args:
        size: places along each axis, or along all.
        scale: times as many places, rounded down, in the place of a size; `resize(scale=2)` doubles an image.
        method: "nearest", "bilinear" (linear along each axis, of however many) or "bicubic".
        antialias: whether a place of a smaller image is a mean of all that it covers.

    Input `(batch, *places, channels)`, output `(batch, *sizes, channels)`; no parameters.

    Peers: PyTorch's Upsample and interpolate with align_corners=False. Keras' UpSampling2D takes whole factors;
    jax.image.resize has another cubic, and widens its filter unless told otherwise.

    Raises:
        InputError: neither or both of size and scale are given, one is no positive number, the method is unknown,
            antialias is asked of "nearest", or x has no axis of places.
    """
    check_resize(size, scale, method, antialias)

    def apply(params, state, x, *, key=None, train=False):
        return ops.resize(x, size, scale=scale, method=method, antialias=antialias), state

    return lambda key, spec: ({}, {}), apply
