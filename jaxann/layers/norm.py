"""Normalization layers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxann import ops
from jaxann.core.checks import check_floating, check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.modes import TrainMode
from jaxann.core.padding import real_places, zero_padding
from jaxann.core.products import Layer, LayerFunctions
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Params, Scalar, State
from jaxann.ops import batch_normalize, normalize

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"]


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
        y, mean, variance, count = batch_normalize(x, params["scale"], params["bias"], eps, mask)
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


@factory(Layer, static=("axes",))
def layer_norm(*, axes: int = 1, eps: Scalar = 1e-5, use_scale: bool = True, use_bias: bool = True):
    """y = scale (x - mean) / sqrt(variance + eps) + bias, the statistics over the features of each example.

    Args:
        axes: how many of the last axes are normalized together; 1 is the features at each place by themselves.
        eps: added to the variance; with 0 what does not vary gives the bias.
        use_scale, use_bias: whether there is a scale, and a bias.

    Input `(batch, ..., features)`. Parameters: `scale` (ones), `bias` (zeros), of the shape of the last axes.
    Statistics are taken in float32 or better by two passes, in training as in evaluation. Where the axes take in the
    positions of a sequence, padded ones do not count and give the bias.

    Peers: PyTorch's LayerNorm (eps 1e-5) takes the lengths of these axes; flax's has eps 1e-6 and Keras' 1e-3, both the
    last axis unless told; BERT's eps is 1e-12.

    Source: Ba, Kiros and Hinton 2016.

    Raises:
        InputError: an argument is wrong, or x has too few axes or other lengths of the last ones.
    """
    check_integer("layer_norm", "axes", axes)
    check_range("layer_norm", "eps", eps, 0)

    def init(key, spec):
        return _init("layer_norm", spec, axes, axes + 1, use_scale, use_bias)

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        _check_features("layer_norm", params, x, axes, axes + 1)
        mask = sequence_mask if axes >= x.ndim - 1 else None
        return ops.layer_norm(x, params.get("scale"), params.get("bias"), axes=axes, eps=eps, mask=mask), state

    return LayerFunctions(init, apply, traits=("positionwise",) if axes == 1 else ())


@factory(Layer, static=("groups",))
def group_norm(groups: int = 32, *, eps: Scalar = 1e-5, use_scale: bool = True, use_bias: bool = True):
    """y = scale (x - mean) / sqrt(variance + eps) + bias, the statistics over all places of a group of channels.

    Args:
        groups: into how many the channels fall, those side by side together; 1 is a layer norm of everything in an
            example, as many as channels an instance norm.
        eps: added to the variance; with 0 what does not vary gives the bias.
        use_scale, use_bias: whether there is a scale, and a bias.

    Input `(batch, *places, channels)`. Parameters: `scale` (ones), `bias` (zeros), `(channels,)`. Statistics are those
    of each example, in float32 or better by two passes, in training as in evaluation; padded positions of a sequence do
    not count and give the bias.

    Peers: PyTorch's GroupNorm (eps 1e-5, channels first, no default of groups); flax's has 32 groups and eps 1e-6,
    Keras' 32 and 1e-3.

    Source: Wu and He 2018.

    Raises:
        InputError: an argument is wrong, groups do not divide the channels, or x has another number of them.
    """
    check_integer("group_norm", "groups", groups)
    check_range("group_norm", "eps", eps, 0)

    def init(key, spec):
        made = _init("group_norm", spec, 1, 2, use_scale, use_bias)
        if spec.shape[-1] % groups:
            fail("group_norm", "spec", f"of channels that groups ({groups}) divide", f" shape {tuple(spec.shape)}")
        return made

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        _check_features("group_norm", params, x, 1, 2)
        given = {"groups": groups, "eps": eps, "mask": sequence_mask}
        return ops.group_norm(x, params.get("scale"), params.get("bias"), **given), state

    return init, apply


@factory(Layer)
def instance_norm(*, eps: Scalar = 1e-5, use_scale: bool = False, use_bias: bool = False):
    """y = scale (x - mean) / sqrt(variance + eps) + bias, the statistics over all places of each channel and example.

    Args:
        eps: added to the variance; with 0 what does not vary gives the bias.
        use_scale, use_bias: whether there is a scale, and a bias.

    Input `(batch, *places, channels)`. Parameters, if any: `scale` (ones), `bias` (zeros), `(channels,)`. Statistics as
    those of `group_norm`; an example of one place gives the bias.

    Peers: PyTorch's InstanceNorm1d, 2d, 3d (eps 1e-5, no scale and bias unless affine=True, channels first), without
    its running statistics; flax's InstanceNorm has both and eps 1e-6; in Keras it is GroupNormalization(groups=-1).

    Source: Ulyanov, Vedaldi and Lempitsky 2016.

    Raises:
        InputError: eps is out of range, or x has no axis of places or another number of channels.
    """
    check_range("instance_norm", "eps", eps, 0)

    def init(key, spec):
        return _init("instance_norm", spec, 1, 3, use_scale, use_bias)

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        _check_features("instance_norm", params, x, 1, 3)
        return ops.instance_norm(x, params.get("scale"), params.get("bias"), eps=eps, mask=sequence_mask), state

    return init, apply


@factory(Layer, traits=("positionwise",))
def rms_norm(*, eps: Scalar = 1e-6, use_scale: bool = True):
    """y = scale x / sqrt(mean x^2 + eps), the mean over the features at each place: only the length is normalized.

    Args:
        eps: added to the mean; with 0 a row of zeros gives 0.
        use_scale: whether there is a scale.

    Input `(batch, ..., features)`. Parameter: `scale` (ones), `(features,)`. The mean is taken in float32 or better.

    Peers: as flax's RMSNorm and Keras' RMSNormalization (eps 1e-6); PyTorch's RMSNorm has for eps what x's dtype
    resolves at 1, and takes the lengths of several last axes.

    Source: Zhang and Sennrich 2019.

    Raises:
        InputError: eps is out of range, or x has another number of features.
    """
    check_range("rms_norm", "eps", eps, 0)

    def init(key, spec):
        return _init("rms_norm", spec, 1, 1, use_scale, False)

    def apply(params, state, x, *, key=None, train=False):
        _check_features("rms_norm", params, x, 1, 1)
        return ops.rms_norm(x, params.get("scale"), eps=eps), state

    return init, apply


_AXES = {1: "(..., features)", 2: "(batch, ..., features)", 3: "(batch, *places, channels)"}


def _init(name: str, spec: Any, axes: int, rank: int, use_scale: bool, use_bias: bool) -> tuple[Params, State]:
    """Scale and bias of the shape of the last axes, of an input of at least so many."""
    check_floating(name, "spec", spec)
    shape = tuple(spec.shape[-axes:])
    if len(spec.shape) < rank or 0 in shape:
        expected = _AXES.get(rank, f"of at least {rank} axes")
        expected = expected if rank > 3 else f"of shape {expected} with at least one of the last"
        fail(name, "spec", expected, f" shape {tuple(spec.shape)}")
    params = {"scale": jnp.ones(shape, spec.dtype)} if use_scale else {}
    return params | ({"bias": jnp.zeros(shape, spec.dtype)} if use_bias else {}), {}


def _check_features(name: str, params: Params, x: Array, axes: int, rank: int) -> None:
    """An input of at least so many axes, the last of the parameters' lengths."""
    check_floating(name, "x", x)
    for value in params.values():
        if x.ndim < rank or x.shape[-axes:] != value.shape:
            fail(name, "x", f"of shape (..., {', '.join(map(str, value.shape))})", f" shape {x.shape}")
