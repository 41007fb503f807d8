"""Batch, mini-batch and stochastic descent on one problem: a line through 200 points, two weights to see.

python -m scripts.learn_batches [--out FOLDER]
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from jaxann.plot.canvas import INK
from scripts.picture import BLUE, GREEN, ORANGE, PINK, SKY, begin, folder, frame, key, lines, save

EXAMPLES, EPOCHS, RUNS, RATE = 200, 30, 20, 0.1
WAYS = {  # name: (examples an update, rate or schedule, colour)
    "batch, 200": (200, RATE, BLUE),
    "batch, 200, rate 1": (200, 1.0, SKY),
    "mini-batch, 20": (20, RATE, GREEN),
    "stochastic, 1": (1, RATE, ORANGE),
    "stochastic, falling rate": (1, ja.schedules.inverse_time(RATE, EXAMPLES, 2.0), PINK),
}
CONCLUSION = """
A batch gives an exact slope and one update a pass, and bears a larger rate;
single examples give 200 rough ones. So the smaller the batch, the faster the
first passes, and the larger the cloud around the minimum in which they end. A
falling rate shrinks the cloud. Mini-batches have something of both, and for a
machine 20 examples are hardly more work than one.
"""


def points() -> tuple[np.ndarray, np.ndarray]:
    """Inputs with a constant beside them, and targets around the line 2 x - 1."""
    generator = np.random.default_rng(0)
    x = generator.normal(0.7, 0.7, EXAMPLES)
    y = 2 * x - 1 + generator.normal(0, 0.5, EXAMPLES)
    return np.stack([x, np.ones_like(x)], 1).astype(np.float32), y.astype(np.float32)


X, Y = points()


def cost(weights: jax.Array, x: Any, y: Any) -> jax.Array:
    """Half of the mean squared error of the line."""
    return jnp.mean(ja.losses.half_squared_error(x @ weights, y))


@jax.jit
def shuffled(keys: jax.Array) -> jax.Array:
    """`(runs, epochs, examples)`: the examples in an order of its own for each pass of each run."""
    return jax.vmap(lambda key: jax.random.permutation(key, EXAMPLES))(
        jax.vmap(lambda key: jax.random.split(key, EPOCHS))(keys).reshape(-1)
    ).reshape(-1, EPOCHS, EXAMPLES)


@partial(jax.jit, static_argnums=0)
def descend(batch: int, rate: Any, orders: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`(runs, updates + 1, 2)` weights and `(runs, updates + 1)` costs of all examples."""

    def one(order):
        optimizer, start = ja.optimizers.sgd(rate), jnp.asarray([-1.0, 2.0])

        def update(carry, rows):
            weights, state = carry
            slope = jax.grad(cost)(weights, jnp.asarray(X)[rows], jnp.asarray(Y)[rows])
            change, state = optimizer.update(slope, state, weights)
            weights = ja.optimizers.apply_updates(weights, change)
            return (weights, state), weights

        after = jax.lax.scan(update, (start, optimizer.init(start)), order.reshape(-1, batch))[1]
        return jnp.concatenate([start[None], after])

    weights = jax.vmap(one)(orders)
    return weights, jax.vmap(jax.vmap(lambda w: cost(w, X, Y)))(weights)


def main(arguments: list[str] | None = None) -> None:
    """Descend, print, draw."""
    out = folder(__doc__, arguments)
    orders = shuffled(jax.random.split(jax.random.key(0), RUNS))
    exact = np.linalg.lstsq(X, Y, rcond=None)[0]
    lowest = float(cost(exact, X, Y))
    note = f"{EXAMPLES} points, {EPOCHS} passes, rate {RATE:g} unless said; curves: median of {RUNS} runs"
    figure = begin(13, 4.9, "One problem, three sizes of batch", note)
    plane, passes, updates = figure.subplots(1, 3)
    x, y = np.meshgrid(np.linspace(-1.4, 2.6, 200), np.linspace(-2.2, 2.4, 200))
    height = ((x[..., None] * X[:, 0] + y[..., None] - Y) ** 2).mean(-1) / 2 - lowest
    plane.contourf(x, y, np.log10(height + 1e-3), levels=16, cmap="Greys_r", alpha=0.35)
    print(f"A line through {EXAMPLES} points, {RUNS} runs each. Cost above the least, {lowest:.4f}:\n")
    print("way                        updates a pass   after 1 pass   after 5   after", EPOCHS)
    for name, (batch, rate, color) in WAYS.items():
        weights, costs = map(np.asarray, descend(batch, rate, orders))
        typical, each = np.median(costs - lowest, 0), EXAMPLES // batch
        shown = [typical[each * n] for n in (1, 5, EPOCHS)]
        print(f"{name:<26} {each:>14} {shown[0]:>14.2e} {shown[1]:>9.1e} {shown[2]:>8.1e}")
        count = np.arange(len(typical))
        wide = {"color": color, "linewidth": 0.9 if batch == 1 else 2, "zorder": 2 + (batch == 20) + 2 * (batch == 200)}
        if "rate" not in name:
            plane.plot(*weights[0].T, marker=None if batch == 1 else "o", markersize=3, alpha=0.85, **wide)
        passes.plot(count / each, np.maximum(typical, 1e-9), label=name, **wide)
        updates.plot(count, np.maximum(typical, 1e-9), **wide)
        for axes, where in ((plane, weights[0, -1]), (updates, (count[-1], typical[-1]))):
            if axes is updates or "rate" not in name:
                axes.plot(*where, "o", color=color, markersize=8, markeredgecolor="white", zorder=5)
    plane.plot(*exact, "*", markersize=17, color="white", markeredgecolor=INK, zorder=6)
    plane.set(xlim=(-1.4, 2.6), ylim=(-2.2, 2.4), xlabel="slope", ylabel="offset")
    frame(plane, "The way of the two weights")
    lines(passes, "Cost above the least, by passes", "passes over the examples")
    lines(updates, "The same, by updates", "updates")
    for axes in (passes, updates):
        axes.set(yscale="log", ylim=(1e-7, 10))
    updates.set(xscale="symlog", xlim=(0, 1.3 * EXAMPLES * EPOCHS))
    key(figure, loc="outside upper right", ncols=len(WAYS), handles=passes.get_legend_handles_labels()[0])
    print(CONCLUSION)
    save(figure, out, "batches")


if __name__ == "__main__":
    main()
