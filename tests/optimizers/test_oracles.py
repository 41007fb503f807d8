"""Optimizers against optax and PyTorch on given gradients, and each inside the other's frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers as o
from jaxann import schedules
from jaxann.core.products import Optimizer
from jaxann.optimizers import adam, adamw, as_optimizer, chain, clip_by_global_norm, matrices, sgd
from tests.optimizers.given_gradients import START, gradients, path
from tests.tolerances import assert_close

optax = pytest.importorskip("optax")
pytestmark = pytest.mark.usefixtures("x64")

RATE = 0.03
CLIP = optax.clip_by_global_norm(0.5)
MASK = {"weight": True, "bias": False}
SCHEDULE = schedules.cosine(0.05, 60, warmup=10, end=0.01)
DECAY = {"weight_decay": 0.1}
CENTERED = {"eps": 1e-3, "centered": True, "momentum": 0.9, "nesterov": True, "bias_correction": True}
OUTSIDE = {"decay": 0.99, "eps_in_sqrt": False, "initial_scale": 1.0, "bias_correction": True}
POLYAK = {"f_min": 2.5, "eps": 0.3, "variant": "sps+"}
OPTAX = {
    "sgd": (sgd(RATE), optax.sgd(RATE)),
    "sgd momentum": (sgd(RATE, momentum=0.9), optax.sgd(RATE, momentum=0.9)),
    "sgd nesterov": (sgd(RATE, momentum=0.9, nesterov=True), optax.sgd(RATE, momentum=0.9, nesterov=True)),
    "sgd ema": (
        sgd(RATE, momentum=0.9, ema=True),
        optax.chain(optax.ema(0.9, debias=False), optax.sgd(RATE)),
    ),
    "sgd heavy ball": (
        sgd(SCHEDULE, momentum=0.9, rate_in_velocity=True),
        optax.chain(optax.scale_by_learning_rate(lambda count: SCHEDULE(count)), optax.trace(0.9)),
    ),
    "adagrad": (o.adagrad(RATE), optax.adagrad(RATE)),
    "adadelta": (o.adadelta(RATE), optax.adadelta(RATE)),
    "rmsprop": (o.rmsprop(RATE), optax.rmsprop(RATE)),
    "rmsprop outside": (o.rmsprop(RATE, **OUTSIDE), optax.rmsprop(RATE, **OUTSIDE)),
    "rmsprop centered": (o.rmsprop(SCHEDULE, **CENTERED), optax.rmsprop(lambda count: SCHEDULE(count), **CENTERED)),
    "adam": (adam(RATE), optax.adam(RATE)),
    "adam numbers": (adam(RATE, b1=0.7, b2=0.9, eps=1e-4), optax.adam(RATE, b1=0.7, b2=0.9, eps=1e-4)),
    "adam root": (adam(RATE, eps_root=1e-6), optax.adam(RATE, eps_root=1e-6)),
    "adamw": (adamw(RATE), optax.adamw(RATE)),
    "adamw mask": (adamw(RATE, weight_decay=0.1, mask=matrices), optax.adamw(RATE, weight_decay=0.1, mask=MASK)),
    "amsgrad": (o.amsgrad(RATE), optax.amsgrad(RATE)),
    "adamax": (o.adamax(RATE), optax.adamax(RATE)),
    "adamaxw": (o.adamaxw(RATE), optax.adamaxw(RATE)),
    "nadam": (o.nadam(RATE), optax.nadam(RATE)),
    "nadamw": (o.nadamw(RATE), optax.nadamw(RATE)),
    "radam": (o.radam(RATE), optax.radam(RATE)),
    "adabelief": (o.adabelief(RATE), optax.adabelief(RATE)),
    "yogi": (o.yogi(RATE), optax.yogi(RATE)),
    "lion": (o.lion(RATE), optax.lion(RATE)),
    "novograd": (o.novograd(RATE, **DECAY), optax.novograd(RATE, **DECAY)),
    "adan": (o.adan(RATE, **DECAY), optax.adan(RATE, **DECAY)),
    "sm3": (o.sm3(RATE), optax.sm3(RATE)),
    "adopt": (o.adopt(RATE), optax.contrib.adopt(RATE)),
    "adopt unclipped": (o.adopt(RATE, clipping=False), optax.contrib.adopt(RATE, use_clipping=False)),
    "ademamix": (o.ademamix(RATE, **DECAY), optax.contrib.ademamix(RATE, **DECAY)),
    "polyak_sgd": (o.polyak_sgd(), optax.polyak_sgd()),
    "polyak_sgd numbers": (o.polyak_sgd(0.1, **POLYAK), optax.polyak_sgd(0.1, **POLYAK)),
    "polyak_sgd scaled": (o.polyak_sgd(1e9, scaling=2.0), optax.polyak_sgd(1e9, scaling=0.5)),
    "clip chain": (
        chain(clip_by_global_norm(0.5), sgd(RATE, momentum=0.5)),
        optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(RATE, momentum=0.5)),
    ),
    "schedule": (sgd(SCHEDULE), optax.sgd(lambda count: SCHEDULE(count))),
    "optax inside": (chain(CLIP, adam(RATE)), optax.chain(CLIP, optax.adam(RATE))),
    "taken in": (as_optimizer(optax.adam(RATE)), optax.adam(RATE)),
    "inside optax": (optax.chain(clip_by_global_norm(0.5), adam(RATE)), optax.chain(CLIP, optax.adam(RATE))),
}


def _foreign(optimizer: Any) -> Callable[..., Any]:
    """How an optimizer of optax is called."""
    optimizer = optax.with_extra_args_support(optimizer)

    def update(_, grads, state, params, *, value, value_fn, key):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return optimizer.update(grads, state, params, value=value)

    return update


def _steps(optimizer: Any, steps: int) -> dict[str, np.ndarray]:
    return path(optimizer, steps, None if isinstance(optimizer, Optimizer) else _foreign(optimizer))


@pytest.mark.parametrize("name", OPTAX)
def test_optimizer_matches_optax_for_two_hundred_steps(name: str):
    ours, theirs = OPTAX[name]
    expected = _steps(theirs, 200)
    for leaf, updates in _steps(ours, 200).items():
        assert_close(updates, expected[leaf], "oracle")


def test_rprop_is_that_of_optax_one_step_sooner():
    ours, theirs = path(o.rprop(RATE), 200), _steps(optax.rprop(RATE), 200)
    for leaf, updates in ours.items():
        late = np.concatenate([np.zeros_like(updates[:1]), updates[:-1]])
        turned = (updates == 0) & (np.stack([g[leaf] for g in gradients(200)]) != 0)
        assert_close(theirs[leaf], np.where(turned, 0.0, late), "oracle")


TORCH = {
    "sgd": (sgd(RATE), "SGD", {}),
    "sgd momentum": (sgd(RATE, momentum=0.9), "SGD", {"momentum": 0.9}),
    "sgd nesterov": (sgd(RATE, momentum=0.9, nesterov=True), "SGD", {"momentum": 0.9, "nesterov": True}),
    "sgd dampening": (sgd(RATE, momentum=0.9, dampening=0.4), "SGD", {"momentum": 0.9, "dampening": 0.4}),
    "adagrad": (
        o.adagrad(schedules.inverse_time(RATE, 1, 0.1), initial_accumulator_value=0.0, eps=1e-10, eps_in_sqrt=False),
        "Adagrad",
        {"lr_decay": 0.1},
    ),
    "adadelta": (o.adadelta(RATE), "Adadelta", {}),
    "adadelta coupled": (chain(o.add_decayed_weights(0.1), o.adadelta(RATE)), "Adadelta", DECAY),
    "rmsprop": (o.rmsprop(RATE, decay=0.99, eps_in_sqrt=False), "RMSprop", {}),
    "rmsprop momentum": (
        o.rmsprop(RATE, decay=0.99, eps_in_sqrt=False, eps=1e-3, centered=True, momentum=0.9),
        "RMSprop",
        {"eps": 1e-3, "centered": True, "momentum": 0.9},
    ),
    "adam": (adam(RATE), "Adam", {}),
    "adam coupled": (chain(o.add_decayed_weights(0.1), adam(RATE)), "Adam", DECAY),
    "adamw": (adamw(RATE, weight_decay=0.01), "AdamW", {"weight_decay": 0.01}),
    "amsgrad": (o.amsgrad(RATE, bias_correct_max=False), "Adam", {"amsgrad": True}),
    "amsgrad decay": (
        o.amsgrad(RATE, bias_correct_max=False, weight_decay=0.1),
        "AdamW",
        {"amsgrad": True, "weight_decay": 0.1},
    ),
    "adamax": (o.adamax(RATE), "Adamax", {}),
    "adamax coupled": (chain(o.add_decayed_weights(0.1), o.adamax(RATE)), "Adamax", DECAY),
    "radam": (o.radam(RATE, eps=0.0, eps_root=0.0), "RAdam", {"eps": 0.0}),  # eps stands elsewhere
    "rprop": (o.rprop(RATE), "Rprop", {}),
}


@pytest.mark.parametrize("name", TORCH)
def test_optimizer_matches_torch_for_a_hundred_steps(name: str):
    torch = pytest.importorskip("torch")
    ours, kind, settings = TORCH[name]
    params = {n: torch.tensor(v, requires_grad=True) for n, v in START.items()}
    theirs, expected = getattr(torch.optim, kind)(list(params.values()), lr=RATE, **settings), []
    for grads in gradients(100):
        for n, p in params.items():
            p.grad = torch.tensor(grads[n])
        theirs.step()
        expected.append({n: v.detach().numpy().copy() for n, v in params.items()})
    for leaf, updates in path(ours, 100).items():
        stacked = np.stack([e[leaf] for e in expected])
        assert_close(START[leaf] + np.cumsum(updates, axis=0), stacked, "torch")


def test_optimizer_works_inside_flax():
    nnx = pytest.importorskip("flax.nnx")

    class Line(nnx.Module):
        def __init__(self):
            self.weight = nnx.Param(jnp.array([1.0, -2.0]))

    model = Line()
    optimizer = nnx.Optimizer(model, adam(0.1, eps=0.0), wrt=nnx.Param)
    grads = nnx.grad(lambda m: jnp.sum(m.weight[...] ** 2))(model)
    optimizer.update(model, grads)
    np.testing.assert_allclose(model.weight[...], [0.9, -1.9], rtol=1e-12)


def test_foreign_optimizer_keeps_its_programs():
    foreign = optax.adam(1e-3)
    assert as_optimizer(foreign) == as_optimizer(foreign)
    assert o.custom(foreign.init, foreign.update) == as_optimizer(foreign)
    own = as_optimizer(sgd(0.1))
    assert own == sgd(0.1)
