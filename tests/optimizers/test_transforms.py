"""Transformations and rules around rules against NumPy (1,000 steps), optax, PyTorch, and by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers, schedules
from jaxann.core.trees import flatten_named, unflatten_named
from jaxann.optimizers import adamw, apply_updates, chain, matrices, sgd
from tests.optimizers import references_transforms as by_formula
from tests.optimizers.references_transforms import Averaged, Decayed, Descent, Grouped, Through

optax = pytest.importorskip("optax")
pytestmark = pytest.mark.usefixtures("x64")

STEPS = 1000
LOOKED_AT = (0, 1, 2, 5, 10, 11, 16, 17, 30, 101, 500, STEPS - 1)  # where the weights to be evaluated are compared
RNG = np.random.default_rng(5)
START = {
    "dense.weight": RNG.normal(size=(3, 2)),
    "dense.bias": RNG.normal(size=2),
    "kernel": RNG.normal(size=(2, 2, 2, 3)) / 2,
}
GRADS = {n: RNG.normal(size=(STEPS, *a.shape)) + a / 4 for n, a in START.items()}
BROKEN = {n: g.copy() for n, g in GRADS.items()}
for row in (3, 4, 50, 51, 52, 53, 54, 55, 700):
    BROKEN["dense.weight"][row, 1, 1] = np.nan
BROKEN["kernel"][701, 0, 0, 1, 2] = np.inf
HOLES = {n: np.where(np.isinf(g), np.nan, g) for n, g in BROKEN.items()}
LABELS = {"dense": {"weight": "weight", "bias": "bias"}, "kernel": "kernel"}
MASK = {"dense": {"weight": True, "bias": False}, "kernel": True}


def falling(count: Any) -> Any:
    """A schedule of both sides: 0.02 / (1 + count / 100)."""
    return 0.02 / (1 + count / 100)


def _wide(step: Any) -> Any:
    return falling(step.astype(jnp.float64))


SCHEDULE = schedules.custom(_wide)


class Case(NamedTuple):
    """One rule in its three forms."""

    ours: Any
    formula: Callable[[], Any]
    optax: Any = None
    grads: dict[str, np.ndarray] = GRADS


def _sgd(*transforms: Any) -> Any:
    return chain(*transforms, sgd(0.01))


def _through(function: Callable) -> Callable[[], Any]:
    return lambda: Through(function, Descent(0.01))


def _optax(*transforms: Any) -> Any:
    return optax.chain(*transforms, optax.sgd(0.01))


def _ema_of(decay: float, debias: bool) -> Callable[[list[np.ndarray]], np.ndarray]:
    def average(path):
        a = np.zeros_like(path[0]) if debias else path[0]
        for w in path[1:]:
            a = decay * a + (1 - decay) * w
        return a / (1 - decay ** (len(path) - 1)) if debias else a

    return average


MOMENTUM = functools.partial(Descent, 0.01, 0.9)
BODY = sgd(0.01, momentum=0.9)
THEIRS = optax.sgd(0.01, momentum=0.9)
CASES: dict[str, Case] = {
    "clip_by_value": Case(
        _sgd(optimizers.clip_by_value(0.5)),
        _through(lambda w, g: {n: np.clip(a, -0.5, 0.5) for n, a in g.items()}),
        _optax(optax.clip(0.5)),
    ),
    "clip_by_norm": Case(
        _sgd(optimizers.clip_by_norm(0.5)),
        _through(by_formula.by_norm),
        _optax(optax.partition(dict.fromkeys(["weight", "bias", "kernel"], optax.clip_by_global_norm(0.5)), LABELS)),
    ),
    "clip_by_global_norm": Case(
        _sgd(optimizers.clip_by_global_norm(1.0)),
        _through(by_formula.by_global_norm),
        _optax(optax.clip_by_global_norm(1.0)),
    ),
    "clip_by_block_rms": Case(
        _sgd(optimizers.clip_by_block_rms(0.5)), _through(by_formula.by_block_rms), _optax(optax.clip_by_block_rms(0.5))
    ),
    "adaptive_grad_clip": Case(
        _sgd(optimizers.adaptive_grad_clip(0.3, eps=0.2)),
        _through(by_formula.by_unit),
        _optax(optax.adaptive_grad_clip(0.3, 0.2)),
    ),
    "adaptive_grad_clip masked": Case(
        _sgd(optimizers.adaptive_grad_clip(0.3, eps=0.2, mask=matrices)),
        _through(lambda w, g: by_formula.by_unit(w, g) | {"dense.bias": g["dense.bias"]}),
        _optax(optax.masked(optax.adaptive_grad_clip(0.3, 0.2), MASK)),
    ),
    "centralize": Case(_sgd(optimizers.centralize()), _through(by_formula.without_mean)),
    "zero_nans": Case(
        _sgd(optimizers.zero_nans()),
        _through(lambda w, g: {n: np.where(np.isnan(a), 0.0, a) for n, a in g.items()}),
        _optax(optax.zero_nans()),
        HOLES,
    ),
    "add_decayed_weights": Case(
        _sgd(optimizers.add_decayed_weights(0.1, mask=matrices)),
        _through(lambda w, g: {n: a + 0.1 * w[n] * (n != "dense.bias") for n, a in g.items()}),
        _optax(optax.add_decayed_weights(0.1, MASK)),
    ),
    "scale": Case(
        chain(optimizers.scale(SCHEDULE), optimizers.scale(-1.0)),
        lambda: Descent(falling),
        optax.chain(optax.scale_by_schedule(_wide), optax.scale(-1.0)),
    ),
    "masked": Case(
        _sgd(optimizers.masked(optimizers.clip_by_norm(0.5), ("dense.weight", "kernel"))),
        _through(lambda w, g: by_formula.by_norm(w, g) | {"dense.bias": g["dense.bias"]}),
    ),
    "masked memory": Case(
        _sgd(optimizers.masked(chain(sgd(1.0, momentum=0.9), optimizers.scale(-1.0)), "kernel")),
        lambda: Through(
            Grouped({"kernel": Descent(-1.0, 0.9), "dense.weight": None, "dense.bias": None}), Descent(0.01)
        ),
        _optax(optax.masked(optax.trace(0.9), {"dense": {"weight": False, "bias": False}, "kernel": True})),
    ),
    "accumulate": Case(
        optimizers.accumulate(sgd(SCHEDULE, momentum=0.9), 3),
        lambda: by_formula.Accumulated(Descent(falling, 0.9), 3),
        # It asks for the widest dtype when it is made, which must be in double precision.
        lambda: optax.MultiSteps(optax.sgd(_wide, momentum=0.9), 3, accumulator_dtype=jnp.float64),
    ),
    "apply_if_finite": Case(
        optimizers.apply_if_finite(chain(optimizers.zero_nans(), BODY), 4),
        lambda: by_formula.Finite(
            Through(lambda w, g: {n: np.where(np.isnan(a), 0.0, a) for n, a in g.items()}, MOMENTUM()), 4
        ),
        optax.apply_if_finite(optax.chain(optax.zero_nans(), THEIRS), 4),
        BROKEN,
    ),
    "ema": Case(optimizers.ema(BODY, 0.98), lambda: Averaged(MOMENTUM(), _ema_of(0.98, True))),
    "ema with its start": Case(
        optimizers.ema(BODY, 0.98, debias=False), lambda: Averaged(MOMENTUM(), _ema_of(0.98, False))
    ),
    "polyak": Case(
        optimizers.polyak(BODY, start=10),
        lambda: Averaged(MOMENTUM(), lambda path: np.mean(path[11:] or path[-1:], 0)),
    ),
    "swa": Case(
        optimizers.swa(BODY, start=10, every=7),
        lambda: Averaged(MOMENTUM(), lambda path: np.mean(path[17::7] or path[-1:], 0)),
    ),
    "lookahead": Case(optimizers.lookahead(BODY), lambda: by_formula.Lookahead(MOMENTUM())),
    "partition": Case(
        optimizers.partition({"*.bias": sgd(0.05), "kernel": None, "*": BODY}),
        lambda: Grouped({"dense.bias": Descent(0.05), "kernel": 0, "dense.weight": MOMENTUM()}),
        optax.partition({"bias": optax.sgd(0.05), "kernel": optax.set_to_zero(), "weight": THEIRS}, LABELS),
    ),
    "freeze": Case(
        optimizers.freeze(chain(optimizers.clip_by_global_norm(1.0), BODY), "kernel"),
        lambda: by_formula.Frozen(Through(by_formula.by_global_norm, MOMENTUM()), lambda n: n == "kernel"),
        optax.partition(
            {
                "kernel": optax.set_to_zero(),
                "dense": optax.chain(optax.clip_by_global_norm(1.0), THEIRS),
            },
            {"dense": {"weight": "dense", "bias": "dense"}, "kernel": "kernel"},
        ),
    ),
    "gradual_unfreezing": Case(
        optimizers.gradual_unfreezing(sgd(SCHEDULE, momentum=0.9), ("kernel", "*.weight", "*.bias"), every=40),
        lambda: by_formula.Unfreezing(
            lambda: Descent(falling, 0.9), {"kernel": 80, "dense.weight": 40, "dense.bias": 0}
        ),
    ),
    "per_leaf": Case(
        optimizers.per_leaf(
            chain(optimizers.clip_by_global_norm(1.0), adamw(0.01, weight_decay=0.1)),
            freeze="*.bias",
            learning_rate_scale={"dense": 0.25, "*": 0.5},
            decay=("dense",),
        ),
        lambda: by_formula.Frozen(
            by_formula.PerLeaf(
                Through(by_formula.by_global_norm, Decayed(0.01, 0.1, lambda n: n == "dense.weight")),
                lambda n: 0.25 if n == "dense.weight" else 0.5,
            ),
            lambda n: n == "dense.bias",
        ),
    ),
    "layerwise_learning_rate": Case(
        optimizers.layerwise_learning_rate(BODY, ("kernel", "*.weight", "*.bias"), decay=0.4),
        lambda: by_formula.PerLeaf(
            MOMENTUM(), lambda n: {"kernel": 0.4 * 0.4, "dense.weight": 0.4, "dense.bias": 1.0}[n]
        ),
        optax.chain(
            THEIRS,
            optax.partition(
                {"kernel": optax.scale(0.16), "weight": optax.scale(0.4), "bias": optax.identity()}, LABELS
            ),
        ),
    ),
    "proximal_l1": Case(
        optimizers.proximal_l1(sgd(SCHEDULE), 0.4),
        lambda: by_formula.Shrunk(
            Descent(falling), lambda n, count: 0.4 * falling(count) if n != "dense.bias" else 0.0
        ),
    ),
    "max_norm": Case(optimizers.max_norm(BODY, 0.8), lambda: by_formula.Held(MOMENTUM(), 0.8)),
}


def _start() -> Any:
    return unflatten_named({n: jnp.asarray(a) for n, a in START.items()})


def _path(optimizer: Any, grads: dict[str, np.ndarray], steps: int = STEPS) -> tuple[Any, Any]:
    """Weights after every step, and those to be evaluated, by name."""

    def body(carry, g):
        params, state = carry
        updates, state = optimizer.update(g, state, params)
        params = apply_updates(params, updates)
        point = optimizer.evaluation_params(state, params) if hasattr(optimizer, "averages") else params
        return (params, state), (params, point)

    @jax.jit
    def run(gs):
        return jax.lax.scan(body, (_start(), optimizer.init(_start())), gs)[1]

    given = unflatten_named({n: jnp.asarray(g[:steps]) for n, g in grads.items()})
    return tuple({n: np.asarray(a) for n, a in flatten_named(part).items()} for part in run(given))


@functools.cache
def _ours(name: str) -> tuple[Any, Any]:
    return _path(CASES[name].ours, CASES[name].grads)


@pytest.mark.parametrize("name", CASES)
def test_transform_follows_its_formula_for_a_thousand_steps(name: str):
    rule, w, path, evaluated = CASES[name].formula(), dict(START), [], {}
    for t in range(STEPS):
        updates = rule(w, {n: g[t] for n, g in CASES[name].grads.items()})
        w = {n: w[n] + updates[n] for n in w}
        path.append(w)
        if t in LOOKED_AT:
            evaluated[t] = rule.evaluated(w)
    weights, points = _ours(name)
    for n in START:
        np.testing.assert_allclose(weights[n], [w[n] for w in path], rtol=1e-10, atol=1e-12, err_msg=n)
        point = [w[n] for w in evaluated.values()]
        np.testing.assert_allclose(points[n][list(evaluated)], point, rtol=1e-10, atol=1e-12, err_msg=n)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.optax is not None])
def test_transform_matches_optax_for_two_hundred_steps(name: str):
    case = CASES[name]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = case.optax if hasattr(case.optax, "init") else case.optax()
        expected, _ = _path(theirs, case.grads, 200)
    for leaf, values in _ours(name)[0].items():
        np.testing.assert_allclose(values[:200], expected[leaf], rtol=1e-10, atol=1e-12)


def test_lookahead_matches_optax():
    rule = optax.lookahead(THEIRS, 5, 0.5)

    def body(carry, g):
        updates, state = rule.update(g, carry[1], carry[0])
        params = optax.apply_updates(carry[0], updates)
        return (params, state), params

    with jax.numpy_dtype_promotion("standard"):
        start = optax.LookaheadParams.init_synced(_start())
        given = unflatten_named({n: jnp.asarray(g[:200]) for n, g in GRADS.items()})
        _, both = jax.jit(lambda c, gs: jax.lax.scan(body, c, gs))((start, rule.init(start)), given)
    weights, points = _ours("lookahead")
    for leaf in START:
        np.testing.assert_allclose(weights[leaf][:200], flatten_named(both.fast)[leaf], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(points[leaf][:200], flatten_named(both.slow)[leaf], rtol=1e-10, atol=1e-12)


def test_ema_matches_that_of_optax_fed_with_the_weights():
    weights, points = _ours("ema")
    theirs = optax.ema(0.98, debias=True)

    def body(state, w):
        average, state = theirs.update(w, state)
        return state, average

    with jax.numpy_dtype_promotion("standard"):
        path = jnp.asarray(weights["dense.weight"][:200])
        _, averages = jax.jit(lambda p: jax.lax.scan(body, theirs.init(p[0]), p))(path)
    np.testing.assert_allclose(points["dense.weight"][:200], averages, rtol=1e-10)


@pytest.mark.parametrize("name", ["ema with its start", "polyak", "swa"])
def test_average_matches_torch(name: str):
    torch = pytest.importorskip("torch")
    swa_utils = pytest.importorskip("torch.optim.swa_utils")
    weights, points = _ours(name)
    model = torch.nn.Linear(3, 2, bias=False, dtype=torch.float64)

    def holds(w):
        with torch.no_grad():
            model.weight.copy_(torch.tensor(w.T))

    multi = swa_utils.get_ema_multi_avg_fn(0.98) if name.startswith("ema") else None
    holds(START["dense.weight"])
    averaged = swa_utils.AveragedModel(model, multi_avg_fn=multi)
    if multi is not None:
        averaged.update_parameters(model)
    updated = {"polyak": range(11, 101), "swa": range(17, 101, 7)}.get(name, range(1, 101))
    for t in updated:
        holds(weights["dense.weight"][t - 1])
        averaged.update_parameters(model)
        expected = averaged.module.weight.detach().numpy().T
        np.testing.assert_allclose(points["dense.weight"][t - 1], expected, rtol=1e-8, atol=1e-10)


def test_centralize_matches_optax_on_the_transposed_leaves():
    grads = [jnp.asarray(GRADS["dense.weight"][0]), jnp.asarray(GRADS["kernel"][0])]
    expected, _ = optax.centralize().update([jnp.moveaxis(g, -1, 0) for g in grads], optax.EmptyState())
    ours, _ = optimizers.centralize().update(grads, (), grads)
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, jnp.moveaxis(b, 0, -1), rtol=1e-12)
