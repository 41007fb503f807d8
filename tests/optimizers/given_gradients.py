"""A thousand gradients that depend on nothing, and what an optimizer makes of them, in one program.

What a reference gets (plain NumPy, float64): `start`, the first parameters by name; `grads`, a list of gradients by
name; `values`, the objective at each step. It gives back the list of updates by name, one for each gradient, and adds
each to its own parameters before the next.

The objective a rule may ask for in a step is value + sum(g (p - w)) + sum((p - w)^2) / 2, with w the parameters of that
step: its gradient at w is g, at p it is g + p - w, and its second derivative is 1. Keys are `fold_in(key(0), step)`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.optimizers import apply_updates

__all__ = ["START", "STEPS", "gradients", "path", "values"]

STEPS = 1000
START = {"bias": np.array([0.5, -1.0]), "weight": np.array([[1.5, -0.5], [0.25, 2.0], [-0.75, 0.125]])}


@functools.cache
def _draws() -> tuple[Mapping[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(20)
    sizes = {"bias": np.array([1.0, 30.0]), "weight": np.array([[1e-3, 1.0], [0.1, 1.0], [3.0, 0.01]])}
    grads = {n: size * (rng.normal(size=(STEPS, *size.shape)) + 0.3) for n, size in sizes.items()}
    grads["bias"][:5, 0] = 0.0  # a parameter whose gradient comes late
    return grads, 2.0 + rng.random(STEPS)


def gradients(steps: int = STEPS) -> list[dict[str, np.ndarray]]:
    """The first gradients, by name."""
    drawn, _ = _draws()
    return [{n: g[i] for n, g in drawn.items()} for i in range(steps)]


def values(steps: int = STEPS) -> np.ndarray:
    """The objective at each step, between 2 and 3."""
    return _draws()[1][:steps]


@functools.partial(jax.jit, static_argnums=0)
def _run(update: Callable[..., Any], optimizer: Any, params: Any, state: Any, grads: Any, measured: Any) -> Any:
    def body(carry, given):
        params, state = carry
        number, g, value = given

        def value_fn(p):
            terms = jax.tree.map(lambda a, w, s: jnp.sum(s * (a - w)) + jnp.sum((a - w) ** 2) / 2, p, params, g)
            return value + sum(jax.tree.leaves(terms))

        key = jax.random.fold_in(jax.random.key(0), number)
        updates, state = update(optimizer, g, state, params, value=value, value_fn=value_fn, key=key)
        return (apply_updates(params, updates), state), updates

    numbers = jnp.arange(measured.shape[0], dtype=jnp.int32)
    return jax.lax.scan(body, (params, state), (numbers, grads, measured))[1]


def _own(optimizer: Any, *args: Any, **more: Any) -> Any:
    return optimizer.update(*args, **more)


def path(optimizer: Any, steps: int = STEPS, update: Callable[..., Any] | None = None) -> dict[str, np.ndarray]:
    """The updates for the first gradients, stacked, by name.

    Args:
        optimizer: one of jaxann's; or another library's, with `update` to call it.
        steps: how many.
        update: `(optimizer, grads, state, params, *, value, value_fn, key) -> (updates, state)`; static.
    """
    drawn, measured = _draws()
    made = STEPS if update is None else steps  # all of them: one program for every test of a rule
    start = jax.tree.map(jnp.asarray, START)
    grads = {n: jnp.asarray(g[:made]) for n, g in drawn.items()}
    state = optimizer.init(start)
    given = optimizer if update is None else None  # a foreign one is held by its `update`
    updates = _run(update or _own, given, start, state, grads, jnp.asarray(measured[:made]))
    return {n: np.asarray(u)[:steps] for n, u in updates.items()}
