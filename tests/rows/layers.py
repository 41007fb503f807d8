"""Layers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann import layers
from jaxann.core.factories import Product
from tests.rows.kinds import LayerRow

__all__ = ["HELPERS", "LAYERS"]

HELPERS = {
    "layers.as_layer": "takes in a foreign layer",
    "layers.fit_preprocessing": "learns what a model's state is",
    "layers.layer_outputs": "looks inside a model",
}


def own_init(key: jax.Array, spec: Any) -> tuple[Any, Any]:
    """A layer of the tests' own: one slope."""
    return {"slope": jnp.ones((spec.shape[-1],), spec.dtype)}, {}


def own_apply(params: Any, state: Any, x: jax.Array, *, key: Any = None, train: bool = False) -> tuple[jax.Array, Any]:
    """The slope times x."""
    return x * jnp.broadcast_to(params["slope"], x.shape), state


def _stack() -> Product:
    table = {"second": layers.dense(3), "norm": layers.batch_norm(), "drop": layers.dropout(0.5)}
    return layers.sequential(table | {"first": layers.dense(2)})


def _block_of(layer: Product) -> Product:
    return layers.sequential({"layer": layer, "norm": layers.batch_norm(), "drop": layers.dropout(0.3)})


def _block() -> Product:
    return layers.residual(_block_of(layers.dense(5)))


LAYERS = [
    LayerRow("layers.dense", lambda: layers.dense(3), "torch", ({"units": 0}, {"units": 2.5}, {"units": True})),
    LayerRow(
        "layers.conv",
        lambda: layers.conv(4, 3, stride=(1, 2), dilation=(2, 1), groups=2),
        "torch",
        (
            {"filters": 3},
            {"kernel_size": 0},
            {"stride": 0},
            {"padding": "full"},
            {"padding_mode": "zero"},
            {"groups": 3},
        ),
        shape=(3, 5, 6, 2),
        sequence=(3, 6, 5, 2),
    ),
    LayerRow(
        "layers.depthwise_conv",
        lambda: layers.depthwise_conv((3,), multiplier=2),
        "torch",
        ({"multiplier": 0}, {"kernel_size": ()}, {"stride": -1}, {"padding": (1, 1)}),
        shape=(3, 6, 2),
        sequence=(3, 6, 2),
    ),
    LayerRow(
        "layers.conv_transpose",
        lambda: layers.conv_transpose(2, (3, 2), stride=2, padding=1, output_padding=1),
        "torch",
        ({"filters": 0}, {"output_padding": 2}, {"padding": -1}),
        shape=(3, 3, 4, 2),
        sequence=None,
    ),
    LayerRow(
        "layers.max_pool",
        lambda: layers.max_pool(2, stride=1, padding=1),
        "torch",
        ({"window": 0}, {"stride": 0}, {"padding": "none"}),
        shape=(3, 4, 5, 2),
        sequence=None,
    ),
    LayerRow(
        "layers.avg_pool",
        lambda: layers.avg_pool(3, stride=2, padding=1, count_padding=False),
        "torch",
        ({"window": 2.5}, {"count_padding": 1}),
        shape=(3, 5, 4, 2),
        sequence=None,
    ),
    LayerRow(
        "layers.lp_pool",
        lambda: layers.lp_pool(3.0, 2),
        "torch",
        ({"p": 0.5}, {"window": 0}),
        shape=(3, 4, 6, 2),
        sequence=None,
    ),
    LayerRow(
        "layers.adaptive_pool",
        lambda: layers.adaptive_pool((2, 3)),
        "torch",
        ({"sizes": 0}, {"kind": "mean"}),
        shape=(3, 5, 6, 2),
        sequence=None,
    ),
    LayerRow(
        "layers.global_pool",
        layers.global_pool,
        bad=({"kind": "sum"},),
        shape=(3, 5, 4, 2),
        sequence=(3, 5, 4, 2),
        grows=False,
    ),
    LayerRow(
        "layers.resize",
        lambda: layers.resize(scale=(2, 0.7), method="bilinear"),
        "torch",
        ({"size": 3}, {"scale": 0.0}, {"method": "cubic"}, {"scale": (2, "a")}, {"antialias": 1}),
        shape=(3, 5, 4, 2),
        sequence=None,
    ),
    LayerRow(
        "layers.pad",
        lambda: layers.pad(((1, 0), 2), mode="reflect"),
        "torch",
        ({"widths": -1}, {"widths": "same"}, {"widths": ((1, 2, 3), 0)}, {"mode": "wrap"}),
        shape=(3, 4, 5, 2),
        sequence=None,
        takes_integers=True,
    ),
    LayerRow(
        "layers.crop",
        lambda: layers.crop(((0, 1), 0)),
        "slices in NumPy",
        ({"widths": 1.5}, {"widths": "valid"}),
        shape=(3, 4, 5, 2),
        sequence=None,
        takes_integers=True,
    ),
    LayerRow(
        "layers.pixel_shuffle",
        lambda: layers.pixel_shuffle((2, 3)),
        "torch",
        ({"factor": 0}, {"factor": (2, 0)}),
        shape=(3, 4, 2, 12),
        sequence=None,
        takes_integers=True,
    ),
    LayerRow(
        "layers.pixel_unshuffle",
        lambda: layers.pixel_unshuffle(2),
        "torch",
        ({"factor": 0}, {"factor": 2.0}),
        shape=(3, 4, 2, 3),
        sequence=None,
        takes_integers=True,
    ),
    LayerRow("layers.flatten", layers.flatten, shape=(4, 2, 3), takes_integers=True, grows=False),
    LayerRow("layers.dropout", lambda: layers.dropout(0.5), "torch", ({"rate": 1.0}, {"rate": -0.1}), random=True),
    LayerRow("layers.alpha_dropout", lambda: layers.alpha_dropout(0.3), "torch", ({"rate": 1.0},), random=True),
    LayerRow(
        "layers.spatial_dropout",
        lambda: layers.spatial_dropout(0.5),
        "torch",
        ({"rate": 1.0}, {"rate": "0.5"}),
        shape=(4, 3, 2, 5),
        sequence=(3, 4, 2, 5),
        random=True,
    ),
    LayerRow(
        "layers.drop_block",
        lambda: layers.drop_block(0.2, block=2),
        "a loop in NumPy",
        ({"rate": 1.0}, {"block": 0}, {"block": 2.5}),
        shape=(4, 5, 4, 3),
        sequence=(3, 5, 4, 3),
        random=True,
    ),
    LayerRow("layers.gaussian_noise", lambda: layers.gaussian_noise(0.5), bad=({"stddev": -0.1},), random=True),
    LayerRow("layers.gaussian_dropout", lambda: layers.gaussian_dropout(0.5), bad=({"rate": 1.0},), random=True),
    LayerRow(
        "layers.drop_connect_dense",
        lambda: layers.drop_connect_dense(3, 0.5),
        bad=({"rate": 1.0}, {"units": 0}),
        random=True,
    ),
    LayerRow(
        "layers.stochastic_depth",
        lambda: layers.stochastic_depth(layers.dense(3), 0.5, skip=layers.dense(3)),
        bad=({"rate": 1.0}, {"body": 3}, {"skip": "dense"}),
        random=True,
    ),
    LayerRow("layers.batch_norm", layers.batch_norm, "torch", ({"decay": 1.5}, {"eps": -1e-3}), stateful=True),
    LayerRow("layers.layer_norm", layers.layer_norm, "torch", ({"axes": 0}, {"eps": -1e-3}, {"use_scale": 1})),
    LayerRow(
        "layers.group_norm",
        lambda: layers.group_norm(2),
        "torch",
        ({"groups": 0}, {"groups": 2.5}, {"eps": -1.0}, {"use_bias": None}),
        shape=(3, 5, 4, 6),
        sequence=(3, 5, 4),
    ),
    LayerRow(
        "layers.instance_norm",
        lambda: layers.instance_norm(use_scale=True),
        "torch",
        ({"eps": -1e-5}, {"use_scale": "no"}),
        shape=(3, 5, 4, 2),
        sequence=(3, 6, 2),
    ),
    LayerRow("layers.rms_norm", layers.rms_norm, "torch", ({"eps": -1e-5}, {"use_scale": 0})),
    LayerRow(
        "layers.weight_standardized",
        lambda: layers.weight_standardized(layers.conv(4, (3,), groups=2), use_scale=True),
        "torch",
        ({"layer": layers.flatten()}, {"layer": "dense"}, {"eps": -1e-3}, {"use_scale": 1}),
        shape=(3, 5, 2),
        sequence=(3, 5, 2),
    ),
    LayerRow(
        "layers.weight_norm",
        lambda: layers.weight_norm(layers.dense(3)),
        "torch",
        ({"layer": layers.elementwise("tanh")}, {"eps": 0.0}),
    ),
    LayerRow(
        "layers.spectral_norm",
        lambda: layers.spectral_norm(layers.depthwise_conv((3,), multiplier=2)),
        "torch",
        ({"layer": layers.sequential({"in": layers.dense(2)})}, {"n_steps": 0}, {"eps": 0.0}),
        shape=(3, 5, 2),
        sequence=(3, 5, 2),
        stateful=True,
    ),
    LayerRow("layers.sequential", _stack, bad=({"layers": [layers.dense(3)]},), random=True, stateful=True),
    LayerRow(
        "layers.residual",
        lambda: layers.residual(layers.dense(3), layers.dense(3, use_bias=False)),
        bad=({"body": 3}, {"skip": "dense"}),
    ),
    LayerRow(
        "layers.highway",
        lambda: layers.highway(_block(), gate_bias=-1.0),
        "torch",
        ({"body": 3}, {"gate_bias": "open"}),
        random=True,
        stateful=True,
    ),
    LayerRow(
        "layers.squeeze_excitation",
        lambda: layers.squeeze_excitation(units=3, activation="tanh"),
        "torchvision's formula in torch",
        ({"ratio": 0}, {"units": 0}, {"activation": "than"}, {"gate": "sigmod"}, {"gate": 3}),
        shape=(3, 5, 4, 2),
        sequence=(3, 5, 4, 2),
        grows=True,
    ),
    LayerRow(
        "layers.dense_block",
        lambda: layers.dense_block({"b": layers.dense(3), "a": _block_of(layers.dense(2))}),
        "torch",
        ({"layers": [layers.dense(3)]}, {"layers": {"a": 3}}),
        random=True,
        stateful=True,
    ),
    LayerRow(
        "layers.repeat",
        lambda: layers.repeat(_block(), 3),
        "the blocks one by one",
        ({"times": 0}, {"times": 2.0}, {"layer": 3}),
        random=True,
        stateful=True,
    ),
    LayerRow(
        "layers.remat",
        lambda: layers.remat(_stack()),
        "the layer itself",
        ({"layer": "dense"},),
        random=True,
        stateful=True,
    ),
    LayerRow(
        "layers.parallel",
        lambda: layers.parallel({"b": layers.dense(3), "a": layers.sequential({"norm": layers.batch_norm()})}),
        bad=({"layers": [layers.dense(3)]}, {"layers": {"a": 3}}),
        shape={"a": (4, 5), "b": (4, 2)},
        sequence={"a": (3, 4, 5), "b": (3, 4, 2)},
        stateful=True,
    ),
    LayerRow(
        "layers.branch",
        lambda: layers.branch({"b": layers.dense(3), "a": layers.batch_norm()}),
        bad=({"layers": 3}, {"layers": {"a": "dense"}}),
        stateful=True,
    ),
    LayerRow(
        "layers.concatenate",
        lambda: layers.concatenate(names=("b", "a")),
        bad=({"names": "ab"}, {"names": (1, 2)}),
        shape={"a": (4, 5), "b": (4, 2)},
        sequence={"a": (3, 4, 5), "b": (3, 4, 2)},
        takes_integers=True,
    ),
    LayerRow(
        "layers.reshape",
        lambda: layers.reshape((2, -1)),
        bad=({"shape": 3}, {"shape": (-1, -1)}, {"shape": (0,)}),
        shape=(3, 4, 2),
        sequence=None,
        takes_integers=True,
    ),
    LayerRow(
        "layers.permute",
        lambda: layers.permute((2, 1)),
        bad=({"axes": (0, 1)}, {"axes": ()}, {"axes": 1}),
        shape=(3, 4, 2),
        sequence=None,
        takes_integers=True,
    ),
    LayerRow(
        "layers.standardize",
        lambda: layers.standardize((0.5, 0.0, 1.0, 2.0, -1.0), (1.0, 2.0, 0.5, 3.0, 1.0)),
        bad=({"mean": None}, {"mean": (0.0, float("nan"))}, {"deviation": 0.0}, {"deviation": (1.0, 2.0)}),
    ),
    LayerRow(
        "layers.unstandardize",
        lambda: layers.unstandardize((0.5, 0.0, 1.0, 2.0, -1.0), (1.0, 2.0, 0.5, 3.0, 1.0)),
        bad=({"mean": None}, {"mean": (0.0, float("nan"))}, {"deviation": 0.0}, {"deviation": (1.0, float("inf"))}),
    ),
    LayerRow("layers.layer_scale", lambda: layers.layer_scale(0.5), bad=({"initial": None},)),
    LayerRow(
        "layers.encode_decode",
        lambda: layers.encode_decode(layers.dense(2), layers.dense(5)),
        bad=({"encoder": 3}, {"decoder": "dense"}),
        sequence=None,
    ),
    LayerRow(
        "layers.encode_sample_decode",
        lambda: layers.encode_sample_decode(layers.dense(4), layers.dense(5)),
        bad=({"encoder": 3}, {"decoder": "dense"}),
        sequence=None,
        random=True,
    ),
    LayerRow(
        "layers.contractive_encode_decode",
        lambda: layers.contractive_encode_decode(3, layers.dense(5), activation="tanh"),
        "torch",
        ({"units": 0}, {"decoder": 3}, {"activation": "relu"}),
        sequence=None,
    ),
    LayerRow("layers.elementwise", lambda: layers.elementwise("tanh"), bad=({"activation": "rleu"},)),
    LayerRow(
        "layers.repeat_members",
        lambda: layers.repeat_members(3),
        bad=({"members": 0}, {"members": 2.5}, {"members": True}),
        takes_integers=True,
    ),
    LayerRow(
        "layers.batch_ensemble_dense",
        lambda: layers.batch_ensemble_dense(4, 3, input_scale="random_signs", output_scale="normal"),
        "torch",
        ({"units": 0}, {"members": 0}, {"input_scale": "one"}, {"output_scale": "signs"}),
        shape=(4, 3, 5),
        sequence=(3, 4, 3, 5),
    ),
    LayerRow(
        "layers.packed_dense",
        lambda: layers.packed_dense(4, 3),
        "torch",
        ({"units": 0}, {"members": -1}),
        shape=(4, 3, 5),
        sequence=(3, 4, 3, 5),
    ),
    LayerRow(
        "layers.prelu", lambda: layers.prelu(0.3, per_channel=True), "torch", ({"alpha": "a"}, {"per_channel": 1})
    ),
    LayerRow("layers.swish", lambda: layers.swish(1.5), "closed form", ({"beta": None}, {"per_channel": "no"})),
    LayerRow("layers.rrelu", layers.rrelu, "torch", ({"lower": None}, {"upper": 0.1}, {"upper": "third"}), random=True),
    LayerRow("layers.maxout", lambda: layers.maxout(3, k=2), "NumPy", ({"units": 0}, {"k": 0}, {"k": True})),
    LayerRow(
        "layers.gated_dense",
        lambda: layers.gated_dense(3, gate="geglu", gate_first=True),
        "NumPy",
        ({"units": 0}, {"gate": "glue"}, {"gate_first": 1}),
    ),
    LayerRow(
        "layers.custom",
        lambda: layers.custom(own_init, own_apply, traits=("positionwise",)),
        bad=({"traits": ("position",)}, {"children": 3}),
        saved=False,
        takes_integers=True,
    ),
]
