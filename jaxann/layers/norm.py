"""Normalization layers."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.checks import check_floating, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.modes import TrainMode
from jaxann.core.padding import real_places, zero_padding
from jaxann.core.products import Layer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Scalar
from jaxann.ops import moments, normalize

__all__ = ["batch_norm"]


@factory(Layer, traits=("positionwise",))
def batch_norm(*, decay: Scalar = 0.9, eps: Scalar = 1e-5, unbiased: bool = False, frozen: bool = False):
    """y = scale (x - mean) / sqrt(variance + eps) + bias, each channel (the last axis) by itself.

    In training the statistics are those of the batch, over all axes but the last, and the running ones move:
    running = decay running + (1 - decay) batch. Otherwise the running statistics are used and nothing moves.

    Args:
        decay: share of the old running value in [0, 1]. 0.9 is PyTorch's momentum 0.1; Keras has 0.99.
        eps: added to the variance; PyTorch and flax 1e-5, Keras 1e-3.
        unbiased: whether the running variance takes n / (n - 1) of the batch's, as PyTorch does; flax and Keras do not.
        frozen: whether the running statistics are used, and stay as they are, in training too: for fine-tuning a
            trained model. `TrainMode.NOISE` does the same for one call: dropout at work, statistics at rest.
            (`TrainMode.STATISTICS` is training in which the state that comes back is the batch's own.)

    Parameters: `scale` (ones), `bias` (zeros), `(channels,)`. State: `mean`, `var`, `(channels,)`, float32 or better.
    Statistics are taken in float32 or better by two passes; padded examples and padded positions of sequences do not
    count. A batch of one example gives `bias` in training.

    Peers: as flax's BatchNorm (whose momentum is the decay, 0.99 unless given), and with unbiased=True as PyTorch's
    BatchNorm, whose momentum is 1 - decay; Keras has decay 0.99 and eps 1e-3. frozen=True is PyTorch's eval() of the
    layer alone, scale and bias still being trained.

    Source: Ioffe and Szegedy 2015.

    Raises:
        InputError: decay or eps is out of range, or x has another number of channels.
    """
    check_range("batch_norm", "decay", decay, 0, 1)
    check_range("batch_norm", "eps", eps, 0)

    def init(key, spec):
        check_floating("batch_norm", "spec", spec)
        if len(spec.shape) < 1:
            fail("batch_norm", "spec", "of shape (..., channels)", f" shape {tuple(spec.shape)}")
        shape, wide = spec.shape[-1:], wide_dtype(spec.dtype)
        params = {"scale": jnp.ones(shape, spec.dtype), "bias": jnp.zeros(shape, spec.dtype)}
        return params, {"mean": jnp.zeros(shape, wide), "var": jnp.ones(shape, wide)}

    def apply(params, state, x, *, key=None, train=False, example_mask=None, sequence_mask=None):
        check_floating("batch_norm", "x", x)
        channels = params["scale"].shape[0]
        if x.ndim == 0 or x.shape[-1] != channels:
            fail("batch_norm", "x", f"of shape (..., {channels})", f" shape {x.shape}")
        mask = real_places(example_mask, sequence_mask)
        if train and mask is not None:  # what padding holds, NaN too, must reach neither values nor gradients
            x = zero_padding(x, mask)
        if not train or frozen or train is TrainMode.NOISE:
            return normalize(x, state["mean"], state["var"], params["scale"], params["bias"], eps), state
        mean, variance, count = moments(x, mask)
        y = normalize(x, mean, variance, params["scale"], params["bias"], eps)
        if unbiased:
            variance = variance * count / jnp.maximum(count - 1, 1)
        wide = state["mean"].dtype
        share = jnp.asarray(0 if train is TrainMode.STATISTICS else decay, wide)
        old = jnp.where(count > 0, share, 1)  # a batch of nothing but padding moves nothing
        after = {
            "mean": old * state["mean"] + (1 - old) * mean.astype(wide),
            "var": old * state["var"] + (1 - old) * variance.astype(wide),
        }
        return y, after

    return init, apply
