"""The block of DenseNet: every layer sees what all layers before it have put out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Array
from jaxann.layers.base import composite, init_child, named_layers, output_spec, run_child, step_child

__all__ = ["check_axes", "dense_block", "joined"]


@factory(Layer, convert={"layers": lambda v: named_layers("dense_block", v)})
def dense_block(layers: Mapping[str, Layer]):
    """x_l = H_l([x_0, x_1, ..., x_(l-1)]),  y = [x_0, x_1, ..., x_L]: the channels of the input and of all layers.

        growth = lambda: layers.sequential({"norm": ..., "conv": layers.conv(32, 3, use_bias=False)})
        layers.dense_block({f"layer{i}": growth() for i in range(6)})      c channels become c + 6 * 32

    With one layer it joins a layer's input and output, y = [x, H(x)]: the skip of a U-Net, H being all that is below.

    Args:
        layers: from name to layer, in the order in which they see each other. Each keeps all axes but the last.

    Peers: none of PyTorch, Keras and flax has it; torchvision's DenseNet keeps a list and joins it before each layer.
    Here the channels so far are one array, which each layer's own are appended to.

    Source: Huang et al. 2017.

    Raises:
        InputError: not a table, a bad name, an entry that is no layer, or a layer whose output has other axes than its
            input; the message shows both shapes.
    """

    def init(key, spec):
        params, state = {}, {}
        for name, layer in layers.items():
            params[name], state[name] = init_child(layer, name, key, spec)
            y = output_spec(layer, params[name], state[name], spec)
            check_axes(name, spec, y)
            spec = jax.ShapeDtypeStruct((*y.shape[:-1], spec.shape[-1] + y.shape[-1]), y.dtype)
        return params, state

    def apply(params, state, x, **context):
        after = {}
        for name, layer in layers.items():
            y, after[name] = run_child(layer, name, params, state, x, **context)
            x = joined(name, x, y)
        return x, after

    def step(params, carry, x, *, state=None):
        after = {}
        for name, layer in layers.items():
            y, carried = step_child("dense_block.step", layer, name, params, carry, x, state)
            x, after = joined(name, x, y), after | carried
        return x, after

    return composite("dense_block", init, apply, layers, step)


def joined(name: str, x: Array, y: Array) -> Array:
    """[x, y] along the last axis.

    Raises:
        InputError: as `check_axes`.
    """
    check_axes(name, x, y)
    return jnp.concatenate([x, y], -1)


def check_axes(name: str, x: Any, y: Any) -> None:
    """What a layer puts out can be appended to its input.

    Raises:
        InputError: they differ in dtype, or in another axis than the last.
    """
    told = [f"{one.dtype} {tuple(one.shape)}" if hasattr(one, "shape") else f"{one}" for one in (x, y)]
    fits = all(getattr(one, "shape", ()) for one in (x, y)) and x.shape[:-1] == y.shape[:-1] and x.dtype == y.dtype
    if not fits:
        expected = f"of the axes of its input, {told[0]}, but for the last"
        hint = "What changes the places of its input stands between two blocks."
        fail("dense_block", f"layers[{name!r}]", expected, f" {told[1]}", hint=hint)
