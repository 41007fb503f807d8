"""Optimizers on two classical hard functions: Rosenbrock's valley and a ravine with curvatures from 1 to 1,000."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers as o
from jaxann.schedules import cosine, exponential
from tests.optimizers.problems import ravine, rosenbrock

STEPS = 20_000
FALLING = exponential(0.1, STEPS, 1e-6)  # rules whose steps do not shrink with the gradient need a rate that does
CALM = exponential(1e-3, STEPS, 1e-1)
RULES: dict[str, tuple[Any, float]] = {  # and how near to the minimum it has to come in every coordinate
    "sgd": (o.sgd(1e-3, momentum=0.9), 1e-10),
    "nesterov": (o.sgd(1e-3, momentum=0.9, nesterov=True), 1e-10),
    "adagrad": (o.adagrad(1.0), 1e-6),
    "rmsprop": (o.rmsprop(FALLING), 1e-6),
    "adam": (o.adam(FALLING), 1e-6),
    "adamw": (o.adamw(FALLING, weight_decay=0.0), 1e-6),
    "amsgrad": (o.amsgrad(1.0), 1e-10),
    "adamax": (o.adamax(FALLING), 1e-6),
    "nadam": (o.nadam(FALLING), 1e-6),
    "radam": (o.radam(CALM), 1e-6),
    "adabelief": (o.adabelief(FALLING), 1e-6),
    "yogi": (o.yogi(0.03), 1e-10),
    "lion": (o.lion(FALLING, weight_decay=0.0), 1e-6),
    "rprop": (o.rprop(0.01), 1e-2),
    "adan": (o.adan(FALLING), 1e-6),
    "ademamix": (o.ademamix(cosine(0.03, STEPS)), 1e-4),
    "lamb": (o.lamb(FALLING), 1e-6),
    "sophia": (o.sophia(0.03, weight_decay=0.0), 1e-10),
    "shampoo": (o.shampoo(0.03), 1e-10),
    "soap": (o.soap(FALLING, weight_decay=0.0), 1e-6),
    "lbfgs": (o.lbfgs(), 1e-10),
}


def _minimum(optimizer: Any, function: Callable, start: list[float]) -> np.ndarray:
    def body(carry, number):
        x, state = carry
        value, slope = jax.value_and_grad(function)(x)
        key = jax.random.fold_in(jax.random.key(0), number)
        updates, state = optimizer.update(slope, state, x, value=value, value_fn=function, key=key)
        return (x + updates, state), None

    def run(optimizer, x):
        steps = jnp.arange(200 if optimizer == o.lbfgs() else STEPS, dtype=jnp.int32)
        (x, state), _ = jax.lax.scan(body, (x, optimizer.init(x)), steps)
        return optimizer.evaluation_params(state, x)

    return np.asarray(jax.jit(lambda x: run(optimizer, x))(jnp.array(start)))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", RULES)
def test_optimizer_finds_the_end_of_the_valley_and_of_the_ravine(name: str):
    optimizer, within = RULES[name]
    np.testing.assert_allclose(_minimum(optimizer, rosenbrock, [-1.2, 1.0]), [1.0, 1.0], atol=within)
    np.testing.assert_allclose(_minimum(optimizer, ravine, [1.0, -1.0, 1.0, 1.0, -1.0]), np.zeros(5), atol=within)
