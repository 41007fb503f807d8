"""What the rule of each loss gives, against automatic differentiation of the loss itself."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.backprop.registry import LOSSES, loss_vjp
from tests.backprop.interpret import run
from tests.catalogue import LOSSES as ROWS
from tests.rows.kinds import LossRow
from tests.tolerances import close

CLASS_WEIGHTS = np.array([0.5, 2.0, 0.0])
# What the rows of the catalogue do not set: other settings, beside the defaults and the row's own numbers.
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "adaptive_barron": [{"lowest": 0.0, "highest": 2.0}],
    "barron": [{"alpha": np.tile([-np.inf, -2.0, 0.0, 1.0, 2.0, 3.0], 4), "scale": 0.5}, {"alpha": -np.inf}],
    "binary_cross_entropy_probs": [{"eps": 0.2}],
    "cosine_distance": [{"eps": 4.0}],
    "cosine_embedding": [{"eps": 4.0, "margin": -0.5}],
    "cross_entropy_probs": [{"eps": 0.2}],
    "ctc": [{"blank": 1, "zero_infinity": True}],
    "dice": [{"smooth": 0.0}],
    "gaussian_nll": [{"full": True, "eps": 2.0}],
    "info_nce": [{"symmetric": True}],
    "multiclass_hinge": [{"kind": "weston_watkins"}],
    "poisson_nll": [{"full": True}, {"log_input": False, "eps": 20.0}],
    "reverse_kl_divergence": [{"eps": 0.3}],
    "sigmoid_focal": [{"gamma": 0.0, "alpha": 0.25}],
    "softmax_cross_entropy": [
        {"ignore_index": 1},
        {"ignore_index": 2, "class_weights": CLASS_WEIGHTS, "label_smoothing": 0.2},
        {"class_weights": [0.5, 2.0, 0.0]},
    ],
    "softmax_cross_entropy_dense": [{"class_weights": CLASS_WEIGHTS, "label_smoothing": 0.2}],
    "softmax_focal": [{"gamma": 0.0, "alpha": CLASS_WEIGHTS}],
    "triplet": [{"p": np.inf}, {"p": 1.0, "swap": True}, {"swap": True}],
}
every_loss = pytest.mark.parametrize("row", ROWS, ids=str)


def name_of(row: LossRow) -> str:
    return row.build.__name__


def test_every_loss_has_a_rule():
    named = {row.build for row in ROWS}
    assert named <= set(LOSSES)
    others = {loss for loss in set(LOSSES) - named if loss.__module__.startswith("jaxann.")}  # other tests add theirs
    assert len(others) == 6  # each_member, by_head, and those of autoencoders


def _sets(row: LossRow) -> tuple[np.ndarray, np.ndarray]:
    """Usual predictions, those at kinks and ties, and huge ones; each with targets."""
    random = np.random.default_rng(7)
    shape = (24, *row.event)
    signs = random.integers(-1, 2, shape).astype(np.float64)
    raw = [2 * random.normal(size=shape), random.integers(-4, 5, shape) / 2, row.huge.get("float32", 1e4) * signs]
    predictions = [x if row.domain is None else np.asarray(row.domain(x)) for x in raw]
    drawn = [row.targets, row.targets, row.extreme or row.targets]
    targets = [draw(random, shape) for draw in drawn]
    if targets[1].dtype.kind == "f" and row.targets is drawn[0] and name_of(row) != "poisson_nll":
        targets[1] = np.round(targets[1])
    return np.stack(predictions), np.stack(targets)


def _programs(row: LossRow, settings: dict[str, Any], like: tuple[Any, Any]) -> tuple[Any, Any]:
    """`(g, predictions, targets) -> dC/dpredictions` by the rule and by autodiff, traced."""
    loss = functools.partial(row.build, **settings)

    def ours(g, predictions, targets):
        vjp, args, bound = loss_vjp(loss)
        return vjp(g, *args, predictions, targets, **bound)

    def autodiff(g, predictions, targets):
        return jax.vjp(lambda p: loss(p, targets), predictions)[1](g)[0]

    return tuple(jax.make_jaxpr(function)(_upstream(row, like[0]), *like) for function in (ours, autodiff))


def _upstream(row: LossRow, predictions: np.ndarray) -> np.ndarray:
    return np.random.default_rng(8).normal(size=predictions.shape[: predictions.ndim - len(row.event)])


@every_loss
def test_rule_is_autodiff(row: LossRow, x64: None):
    """On usual predictions, at kinks and ties, and finite at +-1e4: with default settings and with all others."""
    sets = list(zip(*_sets(row), strict=True))
    for settings in [{}, dict(row.numbers), *SETTINGS.get(name_of(row), [])]:
        programs = _programs(row, settings, sets[0])
        for predictions, targets in sets:
            given = (_upstream(row, predictions), predictions, targets)
            (ours,), (autodiff,) = (run(program, *given) for program in programs)
            assert ours.dtype == np.float64
            assert np.isfinite(ours).all(), settings
            scale, tolerance = np.abs(autodiff).max(), close("float64", "reduction")
            np.testing.assert_allclose(ours, autodiff, rtol=tolerance, atol=tolerance * scale, err_msg=str(settings))


@every_loss
def test_rule_keeps_the_dtype_and_is_finite_in_float32(row: LossRow):
    vjp, args, settings = loss_vjp(row.build)
    every, targets = _sets(row)
    targets = targets.astype(np.float32 if targets.dtype.kind == "f" else np.int32)
    every, g = every.astype(np.float32), _upstream(row, every[0]).astype(np.float32)

    def program(g, predictions, targets):
        return vjp(g, *args, predictions, targets, **settings)

    traced = jax.make_jaxpr(program)(g, every[0], targets[0])
    for predictions, wanted in zip(every, targets, strict=True):
        (ours,) = run(traced, g, predictions, wanted)
        assert ours.dtype == np.float32 and np.isfinite(ours).all()
    narrow = [jax.ShapeDtypeStruct(a.shape, jnp.bfloat16) for a in (g, every[0])]
    assert jax.eval_shape(program, *narrow, targets[0]).dtype == jnp.bfloat16
