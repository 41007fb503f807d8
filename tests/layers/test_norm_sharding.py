"""Norms on several devices: outputs, state and gradients are those of the whole batch on one."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as Split

from jaxann import layers
from jaxann.core.products import Layer
from tests.programs import quick_jit

X = np.random.default_rng(0).normal(size=(4, 3, 6)).astype(np.float32) * 2 + 1
ROWS, PLACES = np.array([1, 1, 1, 0], np.float32), np.arange(3) < np.array([[3], [1], [2], [3]])
LAYERS: dict[str, Layer] = {
    "batch_norm": layers.batch_norm(unbiased=True),
    "layer_norm": layers.layer_norm(),
    "layer_norm_of_two": layers.layer_norm(axes=2),
    "group_norm": layers.group_norm(3),  # two channels each, on two devices where each has three
    "two_groups": layers.group_norm(2),
    "one_group": layers.group_norm(1),
    "instance_norm": layers.instance_norm(use_scale=True, use_bias=True),
    "rms_norm": layers.rms_norm(),
    "weight_standardized": layers.weight_standardized(layers.dense(4), use_scale=True),
    "weight_norm": layers.weight_norm(layers.dense(4)),
    "spectral_norm": layers.spectral_norm(layers.dense(4)),
}
KINDS = {"auto": AxisType.Auto, "explicit": AxisType.Explicit, "set": AxisType.Explicit}
SPLITS = {"rows": Split("data"), "channels": Split(None, None, "data")}


def _program(layer: Layer) -> Any:
    """Output, new state, and gradients by the parameters and by x; with padding too where the layer counts it."""

    def total(params, state, x, masks):
        y, after = layer.apply(params, state, x, train=True, **masks)
        return jnp.sum(jnp.sin(y)), (y, after)

    def program(params, state, x, rows, places):
        found = []
        for masks in ({}, {"example_mask": rows, "sequence_mask": places}):
            gradients, others = jax.grad(total, (0, 2), has_aux=True)(params, state, x, masks)
            found.append((gradients, others))
        return found

    return quick_jit(program)


@functools.cache
def _whole(name: str) -> Any:
    """Parameters and state, and what they give on one device."""
    start = LAYERS[name].init(jax.random.key(1), X)
    return start, jax.tree.map(np.asarray, _program(LAYERS[name])(*start, X, ROWS, PLACES))


@pytest.mark.parametrize(("kind", "split"), [("auto", "rows"), ("explicit", "channels"), ("set", "rows")])
@pytest.mark.parametrize("name", LAYERS)
def test_norms_on_two_devices_are_those_on_one(name: str, kind: str, split: str):
    start, wanted = _whole(name)
    mesh = jax.make_mesh((2,), ("data",), (KINDS[kind],), devices=jax.devices()[:2])
    with jax.set_mesh(mesh) if kind == "set" else contextlib.nullcontext():
        everywhere = jax.device_put(start, NamedSharding(mesh, Split()))
        by_row = NamedSharding(mesh, Split("data") if split == "rows" else Split())
        masks = jax.device_put((ROWS, PLACES), by_row)
        x = jax.device_put(X, NamedSharding(mesh, SPLITS[split]))
        found = _program(LAYERS[name])(*everywhere, x, *masks)
    y = found[0][1][0]
    assert len(y.sharding.device_set) == 2
    if split == "rows":
        assert y.sharding.is_equivalent_to(NamedSharding(mesh, Split("data")), y.ndim)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
