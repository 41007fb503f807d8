"""Activations."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from scipy import special

from jaxann import activations
from tests.rows.kinds import ActivationRow

__all__ = ["ACTIVATIONS", "HELPERS"]

HELPERS = {
    "activations.by_name": "looks a function up",
}

INF = float("inf")
ROOT = np.sqrt(2 / np.pi)
SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772


def _softplus(x: Any, beta: float = 1.0) -> Any:
    return np.logaddexp(beta * x, 0) / beta


def _gelu(x: Any, approximate: bool = True) -> Any:
    exact = 0.5 * x * special.erfc(-x / np.sqrt(2))
    return x * special.expit(2 * ROOT * (x + 0.044715 * x**3)) if approximate else exact


def _squareplus(x: Any, b: float = 4.0) -> Any:
    square_root = np.sqrt(x * x + b)
    return np.where(x > 0, (x + square_root) / 2, b / 2 / (square_root + np.abs(x)))


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _celu(x: Any, alpha: float = 1.0) -> Any:
    return alpha * _elu(x / alpha)


def _leaky(x: Any, negative_slope: float = 0.01) -> Any:
    return np.where(x >= 0, x, negative_slope * x)


def _silu(x: Any, beta: float = 1.0) -> Any:
    return x * special.expit(beta * x)


def _halves(gate: Any) -> Any:
    def reference(x: Any, axis: int = -1, gate_first: bool = False, **parameters: Any) -> Any:
        a, b = np.split(x, 2, axis)
        a, b = (b, a) if gate_first else (a, b)
        return a * gate(b, **parameters)

    return reference


def _peer_halves(gate: Any) -> Any:
    return lambda torch, x: x.chunk(2, -1)[0] * gate(torch, x.chunk(2, -1)[1])


def _maxout(x: Any, k: int = 2, axis: int = -1) -> Any:
    x = np.moveaxis(x, axis, -1)
    return np.moveaxis(x.reshape(*x.shape[:-1], -1, k).max(-1), -1, axis)


def _hard_max(x: Any, axis: int = -1) -> Any:
    return (np.indices(x.shape)[axis] == np.expand_dims(x.argmax(axis), axis)).astype(x.dtype)


def _sparsemax(x: Any, axis: int = -1) -> Any:
    """The level at which what sticks out adds to 1, found by halving."""
    low, high = x.max(axis, keepdims=True) - 1, x.max(axis, keepdims=True)
    for _ in range(200):
        middle = (low + high) / 2
        over = np.maximum(x - middle, 0).sum(axis, keepdims=True) > 1
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return np.maximum(x - high, 0)


def _halved(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:-1], shape[-1] // 2)


GATED = {
    "output": _halved,
    "settings": ({"gate_first": True}, {"axis": 0}),
    "largest": {"float16": 200.0, "float32": 1e18, "bfloat16": 1e18, "float64": 1e150},
}

ACTIVATIONS = [
    ActivationRow(
        "activations.identity", activations.identity, "closed form",
        limits=(-INF, INF), end_slopes=(1.0, 1.0), reference=lambda x: x, nan_slope=1.0,
    ),
    ActivationRow(
        "activations.heaviside", activations.heaviside, "torch",
        limits=(0.0, 1.0), end_slopes=(0.0, 0.0), reference=lambda x, value_at_zero=0.0: np.heaviside(x, value_at_zero),
        peer=lambda torch, x: torch.heaviside(x.detach(), x.new_zeros(())) + 0 * x, settings=({"value_at_zero": 0.5},),
        takes_integers=True, nan_slope=0.0,
    ),
    ActivationRow(
        "activations.sign", activations.sign, "torch",
        limits=(-1.0, 1.0),
        end_slopes=(0.0, 0.0), reference=np.sign, peer=lambda torch, x: torch.sign(x), nan_slope=0.0,
    ),
    ActivationRow(
        "activations.straight_through", activations.straight_through, "closed form",
        kinks={-1.0: 1.0, 1.0: 1.0}, limits=(0.0, 1.0), end_slopes=(0.0, 0.0),
        settings=({"forward": "sign", "surrogate": "tanh"}, {"forward": "hard_max", "surrogate": "softmax"}),
    ),
    ActivationRow(
        "activations.sigmoid", activations.sigmoid, "torch",
        limits=(0.0, 1.0), end_slopes=(0.0, 0.0), reference=lambda x, beta=1.0: special.expit(beta * x),
        peer=lambda torch, x: torch.sigmoid(x), settings=({"beta": 3.0}, {"beta": -0.5}),
    ),
    ActivationRow(
        "activations.log_sigmoid", activations.log_sigmoid, "torch",
        limits=(-INF, 0.0), end_slopes=(1.0, 0.0), reference=lambda x: -np.logaddexp(-x, 0),
        peer=lambda torch, x: torch.nn.functional.logsigmoid(x),
    ),
    ActivationRow(
        "activations.hard_sigmoid", activations.hard_sigmoid, "torch, composed",
        kinks={-3.0: 0.0, 3.0: 0.0}, limits=(0.0, 1.0), end_slopes=(0.0, 0.0),
        reference=lambda x: np.clip(x + 3, 0, 6) / 6,
        peer=lambda torch, x: torch.clamp(x + 3, 0, 6) / 6,  # the slope of its hardsigmoid is 1/6 in float32 alone
    ),
    ActivationRow(
        "activations.tanh", activations.tanh, "torch",
        limits=(-1.0, 1.0), end_slopes=(0.0, 0.0), reference=np.tanh, peer=lambda torch, x: torch.tanh(x),
    ),
    ActivationRow(
        "activations.hard_tanh", activations.hard_tanh, "torch",
        kinks={-1.0: 1.0, 1.0: 1.0}, limits=(-1.0, 1.0), end_slopes=(0.0, 0.0),
        reference=lambda x, low=-1.0, high=1.0: np.clip(x, low, high),
        peer=lambda torch, x: torch.nn.functional.hardtanh(x), settings=({"low": -0.3, "high": 1.7},),
    ),
    ActivationRow(
        "activations.softsign", activations.softsign, "torch",
        limits=(-1.0, 1.0), end_slopes=(0.0, 0.0), reference=lambda x: x / (1 + np.abs(x)),
        peer=lambda torch, x: torch.nn.functional.softsign(x),
    ),
    ActivationRow(
        "activations.relu", activations.relu, "torch",
        kinks={0.0: 0.0}, limits=(0.0, INF), reference=lambda x: np.maximum(x, 0), peer=lambda torch, x: torch.relu(x),
    ),
    ActivationRow(
        "activations.relu6", activations.relu6, "torch",
        kinks={0.0: 0.0, 6.0: 0.0}, limits=(0.0, 6.0), end_slopes=(0.0, 0.0),
        reference=lambda x: np.clip(x, 0, 6), peer=lambda torch, x: torch.nn.functional.relu6(x),
    ),
    ActivationRow(
        "activations.relu_squared", activations.relu_squared, "torch, composed",
        limits=(0.0, INF), end_slopes=(0.0, INF), reference=lambda x: np.maximum(x, 0) ** 2,
        peer=lambda torch, x: torch.relu(x) ** 2,
        largest={"float16": 255.0, "float32": 1e18, "bfloat16": 1e18, "float64": 1e150},
    ),
    ActivationRow(
        "activations.leaky_relu", activations.leaky_relu, "torch",
        kinks={0.0: 1.0}, limits=(-INF, INF), end_slopes=(0.01, 1.0), reference=_leaky,
        peer=lambda torch, x: torch.nn.functional.leaky_relu(x), settings=({"negative_slope": 0.2},),
    ),
    ActivationRow(
        "activations.rrelu", activations.rrelu, "torch",
        kinks={0.0: 1.0}, limits=(-INF, INF), end_slopes=(11 / 48, 1.0),
        reference=lambda x, lower=1 / 8, upper=1 / 3: _leaky(x, (lower + upper) / 2),
        peer=lambda torch, x: torch.nn.functional.rrelu(x), settings=({"lower": 0.1, "upper": 0.4},),
    ),
    ActivationRow(
        "activations.prelu", lambda x, alpha=0.25: activations.prelu(x, alpha), "torch",
        kinks={0.0: 1.0}, limits=(-INF, INF), end_slopes=(0.25, 1.0),
        reference=lambda x, alpha=0.25: _leaky(x, alpha),
        peer=lambda torch, x: torch.nn.functional.prelu(x, x.new_tensor([0.25])), settings=({"alpha": 0.4},),
        named=False,
    ),
    ActivationRow(
        "activations.elu", activations.elu, "torch",
        limits=(-1.0, INF), reference=_elu, peer=lambda torch, x: torch.nn.functional.elu(x),
        settings=({"alpha": 2.0},),
    ),
    ActivationRow(
        "activations.celu", activations.celu, "torch",
        limits=(-1.0, INF), reference=_celu, peer=lambda torch, x: torch.nn.functional.celu(x),
        settings=({"alpha": 2.0},), bad=({"alpha": 0.0}, {"alpha": -1.0}),
    ),
    ActivationRow(
        "activations.selu", activations.selu, "torch",
        kinks={0.0: SCALE * ALPHA}, limits=(-SCALE * ALPHA, INF), end_slopes=(0.0, SCALE),
        reference=lambda x: SCALE * _elu(x, ALPHA), peer=lambda torch, x: torch.nn.functional.selu(x),
    ),
    ActivationRow(
        "activations.gelu", activations.gelu, "torch",
        limits=(0.0, INF), reference=_gelu, peer=lambda torch, x: torch.nn.functional.gelu(x, approximate="tanh"),
        settings=({"approximate": False},), bad=({"approximate": "tanh"}, {"approximate": 1}),
    ),
    ActivationRow(
        "activations.silu", activations.silu, "torch",
        limits=(0.0, INF), reference=_silu, peer=lambda torch, x: torch.nn.functional.silu(x),
        settings=({"beta": 2.5}, {"beta": 0.0}, {"beta": -1.0}),
    ),
    ActivationRow(
        "activations.hard_swish", activations.hard_swish, "torch",
        kinks={-3.0: 0.0, 3.0: 1.0}, limits=(0.0, INF), reference=lambda x: x * (np.clip(x + 3, 0, 6) / 6),
        peer=lambda torch, x: torch.nn.functional.hardswish(x),
    ),
    ActivationRow(
        "activations.mish", activations.mish, "torch",
        limits=(0.0, INF), reference=lambda x: x * np.tanh(np.logaddexp(x, 0)),
        peer=lambda torch, x: torch.nn.functional.mish(x),
    ),
    ActivationRow(
        "activations.softplus", activations.softplus, "torch",
        limits=(0.0, INF), reference=_softplus, peer=lambda torch, x: torch.nn.functional.softplus(x, threshold=1e9),
        settings=({"beta": 3.0},), bad=({"beta": 0.0}, {"beta": -2.0}),
    ),
    ActivationRow(
        "activations.squareplus", activations.squareplus, "torch, composed",
        limits=(0.0, INF), reference=_squareplus, peer=lambda torch, x: (x + torch.sqrt(x * x + 4)) / 2,
        settings=({"b": 0.5},), bad=({"b": -1.0},),
    ),
    ActivationRow(
        "activations.softmax", activations.softmax, "torch",
        reference=lambda x, axis=-1, temperature=1.0: special.softmax(x / temperature, axis),
        peer=lambda torch, x: torch.softmax(x, -1), settings=({"temperature": 2.0}, {"axis": 0}),
        bad=({"temperature": 0.0}, {"axis": 5}, {"axis": 1.0}, {"where": np.ones((3, 3, 3), bool)}),
    ),
    ActivationRow(
        "activations.log_softmax", activations.log_softmax, "torch",
        reference=lambda x, axis=-1: special.log_softmax(x, axis),
        peer=lambda torch, x: torch.log_softmax(x, -1), settings=({"axis": 0},), bad=({"axis": -3},),
    ),
    ActivationRow(
        "activations.log_sum_exp", activations.log_sum_exp, "torch",
        reference=lambda x, axis=-1: special.logsumexp(x, axis), peer=lambda torch, x: torch.logsumexp(x, -1),
        settings=({"axis": 0},), output=lambda shape: shape[:-1], bad=({"axis": 9},),
    ),
    ActivationRow(
        "activations.sparsemax", activations.sparsemax, "projection by halving",
        reference=_sparsemax, settings=({"axis": 0},), bad=({"axis": 2},),
    ),
    ActivationRow(
        "activations.hard_max", activations.hard_max, "torch",
        reference=_hard_max,
        peer=lambda torch, x: torch.nn.functional.one_hot(x.argmax(-1), x.shape[-1]).to(x.dtype) + 0 * x,
        settings=({"axis": 0},), takes_integers=True, nan_slope=0.0, bad=({"axis": 2},),
    ),
    ActivationRow(
        "activations.gumbel_softmax",
        lambda x, seed=0, **options: activations.gumbel_softmax(x, key=jax.random.key(seed), **options),
        "frequencies", named=False, bad=({"temperature": 0.0}, {"hard": 1}, {"axis": 3}),
    ),
    ActivationRow(
        "activations.maxout", activations.maxout, "torch, composed",
        reference=_maxout, peer=lambda torch, x: x.unflatten(-1, (-1, 2)).amax(-1), output=_halved,
        settings=({"k": 3}, {"axis": 0}), bad=({"k": 0}, {"k": 4}, {"k": 2.0}),
    ),
    ActivationRow(
        "activations.glu", activations.glu, "torch",
        reference=_halves(special.expit), peer=lambda torch, x: torch.nn.functional.glu(x), **GATED,
    ),
    ActivationRow(
        "activations.reglu", activations.reglu, "torch, composed",
        reference=_halves(lambda b: np.maximum(b, 0)), peer=_peer_halves(lambda torch, b: torch.relu(b)), **GATED,
    ),
    ActivationRow(
        "activations.geglu", activations.geglu, "torch, composed",
        reference=_halves(_gelu), peer=_peer_halves(lambda torch, b: torch.nn.functional.gelu(b, approximate="tanh")),
        **GATED | {"settings": ({"gate_first": True}, {"approximate": False})},
    ),
    ActivationRow(
        "activations.swiglu", activations.swiglu, "torch, composed",
        reference=_halves(_silu), peer=_peer_halves(lambda torch, b: torch.nn.functional.silu(b)),
        **GATED | {"settings": ({"gate_first": True}, {"beta": 2.0})},
    ),
    ActivationRow(
        "activations.bilinear", activations.bilinear, "torch, composed",
        reference=_halves(lambda b: b), peer=_peer_halves(lambda torch, b: b), **GATED,
    ),
]  # fmt: skip
