"""Random networks over everything that has a backward rule, the same ones in every run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann import activations, layers, losses
from jaxann.core import TrainMode
from jaxann.core.products import Layer
from jaxann.core.trees import map_named
from tests.catalogue import LOSSES as ROWS
from tests.rows.kinds import LossRow

__all__ = ["Net", "draw_model", "draw_net", "draw_numbers"]

WIDTH = 4  # of every hidden layer
BATCHES = (1, 3, 6)
DEPTHS = (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 1, 2)
VECTOR = ("softmax", "log_softmax", "sparsemax", "hard_max")
HALVES = ("bilinear", "geglu", "glu", "reglu", "swiglu", "maxout")
SETTINGS: dict[str, dict[str, Any]] = {
    "celu": {"alpha": 0.7}, "elu": {"alpha": 1.3}, "gelu": {"approximate": False}, "hard_tanh": {"low": -0.3},
    "leaky_relu": {"negative_slope": 0.2}, "sigmoid": {"beta": 2.0}, "silu": {"beta": 1.5}, "softplus": {"beta": 0.7},
    "squareplus": {"b": 1.0}, "softmax": {"temperature": 2.0},
}  # fmt: skip
SIMPLE = sorted(set(activations.__all__) - {"by_name", "prelu", "gumbel_softmax", "log_sum_exp", *VECTOR, *HALVES})
NAMES = (*SIMPLE, *VECTOR, *HALVES, "prelu", "gumbel_softmax")
Random = np.random.Generator


class Net(NamedTuple):
    """A network with its data."""

    model: Layer
    params: Any
    state: Any
    x: np.ndarray
    y: np.ndarray
    loss: Callable
    key: jax.Array
    train: bool | TrainMode
    weights: np.ndarray | None
    mask: np.ndarray | None


def draw_numbers(random: Random, model: Layer, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Parameters and state for an x of this shape, without compiling anything."""
    spec = jax.ShapeDtypeStruct(shape, np.float32)
    params, state = jax.eval_shape(lambda key: model.init(key, spec), jax.eval_shape(jax.random.key, 0))
    return map_named(functools.partial(_number, random), params), map_named(functools.partial(_number, random), state)


class _Layout(NamedTuple):
    model: Layer
    row: LossRow
    input: tuple[int, ...]  # shape of x
    output: tuple[int, ...]  # shape of the predictions, without an axis of members
    members: bool


def draw_model(number: int) -> Layer:
    """The network alone."""
    return _layout(np.random.default_rng(number), number).model


@functools.cache
def draw_net(number: int) -> Net:
    """The network of this number: loss, activations and depth go round their lists, the rest is drawn."""
    random = np.random.default_rng(number)
    model, row, shape, output, members = _layout(random, number)
    batch = shape[0]
    x, y = random.normal(size=shape), row.targets(random, output)
    loss = functools.partial(row.build, **row.numbers) if row.numbers and _chance(random, 0.5) else row.build
    params, state = draw_numbers(random, model, shape)
    padded = not row.whole_batch and batch > 1 and _chance(random, 0.3)
    mask = np.arange(batch) > 0 if padded else None
    weights = random.random(batch) if padded or _chance(random, 0.3) else None
    train = (True, True, True, False, TrainMode.NOISE)[random.integers(5)]
    return Net(
        model, params, state, x, y, losses.each_member(loss) if members else loss, jax.random.key(number), train,
        weights if mask is None or weights is None else np.where(mask, weights, 0), mask,
    )  # fmt: skip


def _layout(random: Random, number: int) -> _Layout:
    row = ROWS[number % len(ROWS)]
    batch, middle = int(random.choice(BATCHES)), row.event[:-1]
    members = not row.whole_batch and not middle and _chance(random, 0.15)
    pictures = not middle and not members and _chance(random, 0.1)
    table = _front(pictures, members) | _hidden(random, number, DEPTHS[number % len(DEPTHS)]) | _output(row, members)
    summed = not row.event and row.domain is None and not members and _chance(random, 0.3)
    if summed:
        table["sum_out"] = layers.elementwise("log_sum_exp")
    shape = (batch, 2, 2, WIDTH) if pictures else (batch, *middle, WIDTH)
    output = (batch,) if summed else (batch, *(row.event or (WIDTH,)))
    return _Layout(layers.sequential(table), row, shape, output, members)


def _chance(random: Random, share: float) -> bool:
    return bool(random.random() < share)


def _pick(random: Random, *kinds: Callable[[], Any]) -> Any:
    return kinds[random.integers(len(kinds))]()


def _front(pictures: bool, members: bool) -> dict[str, Layer]:
    if pictures:
        return {"block": layers.drop_block(0.3, block=2), "flat": layers.flatten(), "in": layers.dense(WIDTH)}
    return {"members": layers.repeat_members(2), "shared": layers.batch_ensemble_dense(WIDTH, 2)} if members else {}


def _hidden(random: Random, number: int, depth: int) -> dict[str, Layer]:
    """Blocks of one or two dense layers, depth - 1 of them in all."""
    table: dict[str, Layer] = {}
    left = depth - 1
    while left > 0:
        which = 5 * number + left
        large = left > 1 and _chance(random, 0.5)
        makers = (_branch, _nested) if large else (_plain, _plain, _learned)
        table |= makers[random.integers(len(makers))](random, which)
        left -= 1 + large
    return table


def _output(row: LossRow, members: bool) -> dict[str, Layer]:
    """Predictions such as the loss takes."""
    units = row.event[-1] if row.event else WIDTH
    found: dict[str, Layer] = {"out": layers.packed_dense(units, 2) if members else layers.dense(units)}
    if row.domain in (jax.nn.sigmoid, jax.nn.softmax, jax.nn.log_softmax):
        found["act_out"] = layers.elementwise(row.domain.__name__)
    return found


def _plain(random: Random, which: int) -> dict[str, Layer]:
    """A dense layer, an activation, and now and then a normalization or noise."""
    name, function = _activation(random, which)
    units, bias = 2 * WIDTH if name in HALVES else WIDTH, _chance(random, 0.8)
    found: dict[str, Layer] = {}
    if _chance(random, 0.2):
        found[f"dense{which}"] = layers.dense(units, use_bias=False)
        settings = {"frozen": _chance(random, 0.2), "unbiased": _chance(random, 0.5)}
        found[f"norm{which}"] = layers.batch_norm(eps=0.1, **settings)
    elif _chance(random, 0.1):
        settings = {"per_example": _chance(random, 0.5), "use_bias": bias}
        found[f"dense{which}"] = layers.drop_connect_dense(units, 0.3, **settings)
    else:
        found[f"dense{which}"] = layers.dense(units, use_bias=bias)
    found[f"act{which}"] = layers.elementwise(function)
    if _chance(random, 0.25):
        found[f"drop{which}"] = _pick(
            random, lambda: layers.dropout(0.3), lambda: layers.alpha_dropout(0.2), lambda: layers.spatial_dropout(0.3),
            lambda: layers.gaussian_noise(0.1), lambda: layers.gaussian_dropout(0.2),
        )  # fmt: skip
    return found


def _activation(random: Random, which: int) -> tuple[str, Any]:
    """Name and function of an activation that keeps the width, or halves it."""
    name = NAMES[which % len(NAMES)]
    if name == "prelu":
        return name, functools.partial(activations.prelu, alpha=0.3)
    if name == "gumbel_softmax":
        return name, functools.partial(activations.gumbel_softmax, key=jax.random.key(which))
    bound = name in SETTINGS and _chance(random, 0.5)
    return name, functools.partial(getattr(activations, name), **SETTINGS[name]) if bound else name


def _learned(random: Random, which: int) -> dict[str, Layer]:
    """A layer with an activation of its own."""
    flag, gate = _chance(random, 0.5), str(random.choice(["bilinear", "geglu", "glu", "reglu", "swiglu"]))
    own = _pick(
        random,
        lambda: layers.prelu(per_channel=flag),
        lambda: layers.swish(1.2, per_channel=flag),
        layers.rrelu,
        lambda: layers.maxout(WIDTH, k=2, use_bias=flag),
        lambda: layers.gated_dense(WIDTH, gate=gate, gate_first=flag),
    )
    linear = () if "units" in own.arguments else ((f"dense{which}", layers.dense(WIDTH)),)
    return dict(linear) | {f"own{which}": own}


def _branch(random: Random, which: int) -> dict[str, Layer]:
    body = layers.sequential(_plain(random, which) | {"out": layers.dense(WIDTH)})
    skip = None if _chance(random, 0.5) else layers.dense(WIDTH, use_bias=False)
    whole = layers.stochastic_depth(body, 0.3, skip=skip) if _chance(random, 0.4) else layers.residual(body, skip)
    return {f"block{which}": whole}


def _nested(random: Random, which: int) -> dict[str, Layer]:
    return {f"inner{which}": layers.sequential(_plain(random, which) | _learned(random, which + 1))}


def _specs(layer: Layer, shape: tuple[int, ...]) -> tuple[Any, Any, tuple[int, ...]]:
    """Shapes of parameters, state and output, of each layer by itself: equal layers are traced once in all nets."""
    row = "chain" in layer.traits
    if not layer.children:
        return _of_layer(layer, shape)
    params, state, after = {}, {}, shape
    for name, child in layer.children.items():
        params[name], state[name], after = _specs(child, after if row else shape)
    return params, state, after


@functools.cache
def _of_layer(layer: Layer, shape: tuple[int, ...]) -> tuple[Any, Any, tuple[int, ...]]:
    spec = jax.ShapeDtypeStruct(shape, np.float32)

    def both(key: jax.Array, x: jax.Array) -> tuple[Any, Any, Any]:
        params, state = layer.init(key, spec)
        return params, state, layer.apply(params, state, x)[0]

    params, state, y = jax.eval_shape(both, jax.eval_shape(jax.random.key, 0), spec)
    return params, state, y.shape


def _number(random: Random, name: str, spec: Any) -> np.ndarray:
    """Parameters and running statistics of usual size."""
    kind = name.rpartition(".")[2]
    if kind == "weight":
        return random.normal(size=spec.shape) / np.sqrt(spec.shape[-2])
    usual = {"scale": (1, 0.3), "var": (1, 0.1), "alpha": (0.3, 0.1), "beta": (1.2, 0.1)}
    middle, width = usual.get(kind, (0, 0.3))
    return middle + width * random.normal(size=spec.shape)
