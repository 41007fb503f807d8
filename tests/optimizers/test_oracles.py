"""Optimizers against optax and PyTorch, and each inside the other's frame."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers, schedules
from jaxann.optimizers import adam, adamw, apply_updates, as_optimizer, chain, clip_by_global_norm, matrices, sgd

optax = pytest.importorskip("optax")
pytestmark = pytest.mark.usefixtures("x64")

RATE = 0.03
CLIP = optax.clip_by_global_norm(0.5)
MASK = {"weight": True, "bias": False}
SCHEDULE = schedules.cosine(0.05, 60, warmup=10, end=0.01)
OPTAX = {
    "sgd": (sgd(RATE), optax.sgd(RATE)),
    "momentum": (sgd(RATE, momentum=0.9), optax.sgd(RATE, momentum=0.9)),
    "nesterov": (sgd(RATE, momentum=0.9, nesterov=True), optax.sgd(RATE, momentum=0.9, nesterov=True)),
    "adam": (adam(RATE), optax.adam(RATE)),
    "adam numbers": (adam(RATE, b1=0.7, b2=0.9, eps=1e-4), optax.adam(RATE, b1=0.7, b2=0.9, eps=1e-4)),
    "adam root": (adam(RATE, eps_root=1e-6), optax.adam(RATE, eps_root=1e-6)),
    "adamw": (adamw(RATE), optax.adamw(RATE)),
    "adamw mask": (adamw(RATE, weight_decay=0.1, mask=matrices), optax.adamw(RATE, weight_decay=0.1, mask=MASK)),
    "clip chain": (
        chain(clip_by_global_norm(0.5), sgd(RATE, momentum=0.5)),
        optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(RATE, momentum=0.5)),
    ),
    "schedule": (sgd(SCHEDULE), optax.sgd(lambda count: SCHEDULE(count))),
    "optax inside": (chain(CLIP, adam(RATE)), optax.chain(CLIP, optax.adam(RATE))),
    "taken in": (as_optimizer(optax.adam(RATE)), optax.adam(RATE)),
    "inside optax": (optax.chain(clip_by_global_norm(0.5), adam(RATE)), optax.chain(CLIP, optax.adam(RATE))),
}
START = {"weight": np.array([[1.5, -0.5], [0.25, 2.0]]), "bias": np.array([0.5, -1.0])}


def _loss(p: Any, sin: Any = jnp.sin) -> Any:
    w, b = p["weight"], p["bias"]
    return (w**2).sum() / 2 + (sin(b) ** 2).sum() + (w[0] * b).sum() / 4


def _path(optimizer: Any, steps: int) -> Any:
    def body(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(_loss)(params), state, params)
        params = apply_updates(params, updates)
        return (params, state), params

    start = jax.tree.map(jnp.asarray, START)
    return jax.jit(lambda c: jax.lax.scan(body, c, None, length=steps)[1])((start, optimizer.init(start)))


@pytest.mark.parametrize("name", OPTAX)
def test_optimizer_matches_optax_for_a_hundred_steps(name: str):
    ours, theirs = OPTAX[name]
    with jax.numpy_dtype_promotion("standard"):
        expected = _path(theirs, 100)
    for leaf, values in _path(ours, 100).items():
        np.testing.assert_allclose(values, expected[leaf], rtol=1e-10, atol=1e-12)


def _torch_cases() -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    return {
        "sgd": (sgd(RATE), torch.optim.SGD, {}),
        "momentum": (sgd(RATE, momentum=0.9), torch.optim.SGD, {"momentum": 0.9}),
        "nesterov": (sgd(RATE, momentum=0.9, nesterov=True), torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        "adam": (adam(RATE), torch.optim.Adam, {}),
        "adamw": (adamw(RATE, weight_decay=0.01), torch.optim.AdamW, {"weight_decay": 0.01}),
    }


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adamw"])
def test_optimizer_matches_torch_for_a_hundred_steps(name: str):
    torch = pytest.importorskip("torch")
    ours, kind, settings = _torch_cases()[name]
    params = {n: torch.tensor(v, requires_grad=True) for n, v in START.items()}
    theirs, path = kind(list(params.values()), lr=RATE, **settings), []
    for _ in range(100):
        theirs.zero_grad()
        _loss(params, torch.sin).backward()
        theirs.step()
        path.append({n: v.detach().numpy().copy() for n, v in params.items()})
    for leaf, values in _path(ours, 100).items():
        np.testing.assert_allclose(values, [p[leaf] for p in path], rtol=1e-8, atol=1e-10)


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
    assert optimizers.custom(foreign.init, foreign.update) == as_optimizer(foreign)
    own = as_optimizer(sgd(0.1))
    assert own == sgd(0.1)
