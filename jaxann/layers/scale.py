"""A learned factor of each channel."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.checks import check_floating, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar

__all__ = ["layer_scale"]


@factory(Layer, traits=("positionwise",))
def layer_scale(initial: Scalar = 1e-6):
    """y = scale x, a factor for each channel (the last axis), at the end of a residual branch.

    Small at first, so that a deep net of residual blocks begins as the identity.

    Args:
        initial: what every factor begins at.

    Parameters: `scale` `(channels,)`.

    Peers: none of PyTorch, Keras and flax has it; the ConvNeXt of torchvision and Keras (1e-6) hold one inside.

    Source: Touvron et al. 2021.

    Raises:
        InputError: initial is no number, or x has another number of channels.
    """
    check_range("layer_scale", "initial", initial)

    def init(key, spec):
        check_floating("layer_scale", "spec", spec)
        if len(spec.shape) < 1:
            fail("layer_scale", "spec", "of shape (..., channels)", f" shape {tuple(spec.shape)}")
        return {"scale": jnp.full(spec.shape[-1:], initial, spec.dtype)}, {}

    def apply(params, state, x, *, key=None, train=False):
        scale = params["scale"]
        if x.ndim == 0 or x.shape[-1:] != scale.shape:
            fail("layer_scale", "x", f"of shape (..., {scale.shape[0]})", f" shape {x.shape}")
        if x.dtype != scale.dtype:
            fail("layer_scale", "x", f"of the scale's dtype {scale.dtype}", f" {x.dtype}")
        return x * jnp.broadcast_to(scale, x.shape), state

    return init, apply
