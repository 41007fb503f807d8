"""Losses."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxann import losses
from tests.rows.kinds import LossRow

__all__ = ["HELPERS", "LOSSES"]

HELPERS = {
    "losses.barron_parameters": "makes alpha and scale of any two real numbers",
    "losses.contractive": "makes a loss of an autoencoder from one of its reconstruction",
    "losses.negative_elbo": "makes a loss of an autoencoder from one of its reconstruction",
    "losses.sparse_code": "makes a loss of an autoencoder from one of its reconstruction",
    "losses.by_head": "makes a loss of several outputs from one for each",
    "losses.each_member": "makes a loss of an ensemble from any other",
    "losses.masked": "makes room for a mask before a loss is called",
    "losses.mean": "the mean of a loss's values",
    "losses.labels_to_check": "asks a loss which of its targets are class numbers",
    "losses.targets_in": "declares what targets a loss takes",
    "losses.target_weights": "what the values of a loss count for in its mean",
}

CLASSES = 3
Shape = tuple[int, ...]
Drawer = Callable[[np.random.Generator, Shape], np.ndarray]


def _numbers(random: np.random.Generator, shape: Shape) -> np.ndarray:
    return random.normal(size=shape).astype(np.float32)


def _labels(random: np.random.Generator, shape: Shape) -> np.ndarray:
    return random.integers(0, shape[-1], shape[:-1], np.int32)


def _bits(random: np.random.Generator, shape: Shape) -> np.ndarray:
    return random.integers(0, 2, shape).astype(np.float32)


def _distributions(random: np.random.Generator, shape: Shape) -> np.ndarray:
    return random.dirichlet(np.ones(shape[-1]), shape[:-1]).astype(np.float32)


def _signs(random: np.random.Generator, shape: Shape) -> np.ndarray:
    return 2 * _bits(random, shape) - 1


def _counts(random: np.random.Generator, shape: Shape) -> np.ndarray:
    return random.integers(0, 6, shape).astype(np.float32)


def _one_hot(random: np.random.Generator, shape: Shape) -> np.ndarray:
    return np.eye(shape[-1], dtype=np.float32)[_labels(random, shape)]


def _without(axes: int, draw: Drawer) -> Drawer:
    """Targets for predictions that have more axes."""
    return lambda random, shape: draw(random, shape[: len(shape) - axes])


def _of_three(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """Labels of a batch in which each has a positive and a negative."""
    return np.arange(shape[0], dtype=np.int32) % 3


def _spelled(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """Two labels for four frames, neither the blank."""
    return random.integers(1, shape[-1], (*shape[:-2], 2), np.int32)


def _directed(x: jax.Array) -> jax.Array:
    """No vector of zeros: the slope of its direction is 1 / eps, more than float16 holds."""
    return jnp.where(jnp.all(x == 0, -1, keepdims=True), 1, x)


def _row(name: str, oracle: str, **facts: object) -> LossRow:
    return LossRow(f"losses.{name}", getattr(losses, name), oracle, **({"targets": _numbers} | facts))  # type: ignore[arg-type]


_LABELS = {"targets": _labels, "event": (CLASSES,)}
_DENSE = {"targets": _distributions, "event": (CLASSES,), "extreme": _one_hot}
_PAIR = {"event": (2, 4)}
_DIRECTIONS = {"event": (2, 4), "domain": _directed}
_SQUARES = {"float16": 100.0}  # float16 ends at 65,504

LOSSES = [
    _row("absolute_error", "torch"),
    _row(
        "adaptive_barron",
        "barron_nll",
        targets=_without(1, _numbers),
        event=(3,),
        huge={"float16": 2.0},
        numbers={"lowest": 0.1, "highest": 1.9, "smallest": 0.01},
        bad=({"lowest": -1.0}, {"highest": 2.5}, {"smallest": 0.0}),
    ),
    _row(
        "barron",
        "mpmath's table",
        numbers={"alpha": 0.7, "scale": 1.3},
        bad=({"alpha": float("nan")}, {"alpha": float("inf")}, {"scale": 0.0}),
    ),
    _row(
        "barron_nll",
        "scipy.integrate",
        numbers={"alpha": 0.7, "scale": 1.3},
        bad=({"alpha": -0.1}, {"alpha": 2.1}, {"scale": -1.0}),
    ),
    _row(
        "binary_cross_entropy_probs",
        "torch",
        targets=_bits,
        domain=jax.nn.sigmoid,
        bad=({"eps": 0.0}, {"eps": 1.0}),
    ),
    _row(
        "contrastive",
        "a formula in PyTorch",
        targets=_without(2, _bits),
        huge={"float16": 50.0},
        numbers={"margin": 4.0},
        bad=({"margin": 0.0},),
        **_PAIR,
    ),
    _row("cosine_distance", "torch", event=(4,), domain=_directed, numbers={"eps": 1e-3}, bad=({"eps": 0.0},)),
    _row(
        "cosine_embedding",
        "torch",
        targets=_without(2, _signs),
        numbers={"margin": 0.1, "eps": 1e-3},
        bad=({"margin": 1.5}, {"eps": 0.0}),
        **_DIRECTIONS,
    ),
    _row(
        "cross_entropy_probs", "a formula in PyTorch", domain=jax.nn.softmax, bad=({"eps": 0.0}, {"eps": 1.0}), **_DENSE
    ),
    _row(
        "ctc",
        "torch, and the sum over all paths",
        targets=_spelled,
        event=(4, CLASSES),
        bad=({"blank": 3}, {"blank": -1}, {"zero_infinity": 1}),
    ),
    _row("dice", "optax", targets=_bits, event=(5,), numbers={"smooth": 0.5}, bad=({"smooth": -1.0},)),
    _row(
        "gaussian_nll",
        "torch",
        targets=_without(1, _numbers),
        event=(2,),
        huge={"float16": 0.2},
        numbers={"eps": 1e-3},
        bad=({"eps": 0.0}, {"full": 1}),
    ),
    _row("half_squared_error", "optax", huge=_SQUARES),
    _row("hinge", "optax", targets=_signs),
    _row("huber", "torch", numbers={"delta": 0.8}, bad=({"delta": 0.0}, {"delta": "1"})),
    _row(
        "info_nce",
        "torch",
        targets=_without(2, _numbers),
        whole_batch=True,
        numbers={"temperature": 0.5},
        bad=({"temperature": 0.0}, {"symmetric": None}),
        **_DIRECTIONS,
    ),
    _row("jensen_shannon_divergence", "a formula in PyTorch", domain=jax.nn.log_softmax, **_DENSE),
    _row("kl_divergence", "torch", domain=jax.nn.log_softmax, **_DENSE),
    _row("log_cosh", "optax"),
    _row(
        "multiclass_hinge", "optax and torch", numbers={"margin": 0.7}, bad=({"margin": -1.0}, {"kind": "x"}), **_LABELS
    ),
    _row(
        "nt_xent",
        "optax",
        targets=_without(2, _numbers),
        whole_batch=True,
        numbers={"temperature": 0.5},
        bad=({"temperature": 0.0},),
        **_DIRECTIONS,
    ),
    _row("perceptron", "optax", targets=_signs),
    _row(
        "poisson_nll",
        "torch",
        targets=_counts,
        huge=dict.fromkeys(("float64", "float32", "bfloat16"), 60.0) | {"float16": 10.0},
        bad=({"eps": 0.0}, {"full": None}, {"log_input": 1}),
    ),
    _row("poly1", "optax", numbers={"epsilon": 1.5}, bad=({"epsilon": -2.0},), **_LABELS),
    _row(
        "quantile",
        "a formula in PyTorch",
        numbers={"q": 0.3},
        bad=({"q": 0.0}, {"q": 1.0}, {"q": (0.5, 2.0)}, {"q": "a"}),
    ),
    _row(
        "reverse_kl_divergence",
        "torch",
        domain=jax.nn.log_softmax,
        bad=({"eps": 0.0}, {"eps": 1.0}),
        **_DENSE,
    ),
    _row(
        "sigmoid_cross_entropy",
        "torch",
        targets=_bits,
        numbers={"positive_weight": 2.5},
        bad=({"positive_weight": -1.0},),
    ),
    _row(
        "sigmoid_focal",
        "optax",
        targets=_bits,
        numbers={"gamma": 1.5, "alpha": 0.3},
        bad=({"gamma": -1.0}, {"alpha": 1.5}),
    ),
    _row(
        "softmax_cross_entropy",
        "torch",
        numbers={"label_smoothing": 0.3},
        bad=(
            {"label_smoothing": 1.0},
            {"label_smoothing": "0.1"},
            {"ignore_index": 1.5},
            {"class_weights": (1.0, -1.0, 1.0)},
        ),
        **_LABELS,
    ),
    _row(
        "softmax_cross_entropy_dense",
        "torch",
        numbers={"label_smoothing": 0.3},
        bad=({"label_smoothing": -0.1}, {"class_weights": (1.0, 1.0)}),
        **_DENSE,
    ),
    _row(
        "softmax_focal",
        "a formula in PyTorch",
        numbers={"gamma": 1.5, "alpha": 0.3},
        bad=({"gamma": -1.0}, {"alpha": -1.0}),
        **_LABELS,
    ),
    _row("squared_error", "torch", huge=_SQUARES),
    _row("squared_hinge", "a formula in PyTorch", targets=_signs, huge=_SQUARES),
    _row(
        "triplet",
        "torch",
        targets=_without(2, _numbers),
        event=(3, 4),
        numbers={"margin": 2.0, "p": 3.0, "eps": 0.01},
        bad=({"margin": 0.0}, {"p": 0.5}, {"eps": -1.0}, {"swap": 0}),
    ),
    _row(
        "triplet_hard",
        "a loop in PyTorch",
        targets=_of_three,
        event=(4,),
        whole_batch=True,
        numbers={"margin": 2.0},
        bad=({"margin": 0.0},),
    ),
    _row(
        "triplet_semi_hard",
        "a loop in PyTorch",
        targets=_of_three,
        event=(4,),
        whole_batch=True,
        numbers={"margin": 2.0},
        bad=({"margin": 0.0},),
    ),
]
