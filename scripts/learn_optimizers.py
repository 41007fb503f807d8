"""Optimizers racing to the bottom of three valleys, each at its best of forty learning rates.

python -m scripts.learn_optimizers [--out FOLDER]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from jaxann.plot.canvas import INK
from scripts.picture import AMBER, BLUE, GREEN, ORANGE, PINK, SKY, begin, folder, frame, key, lines, save

STEPS = 600
RATES = np.geomspace(1e-4, 3.0, 40).astype(np.float32)
CONCLUSION = """
Plain descent follows the steepest slope: across a ravine, where the rate has to
be small, and hardly along it. Momentum adds up what successive slopes have in
common. Adagrad, rmsprop and adam divide each coordinate by the size of its own
slopes, so a ravine along an axis is none to them, a bent one still is; at a
constant rate the steps of rmsprop do not shrink at the bottom. L-BFGS reads the
curvature off the last steps and needs no rate; it asks for the whole data at
every step, where the others are content with a batch.
"""


class Valley(NamedTuple):
    """A function of the plane, where the race begins, where it should end, and what is drawn."""

    name: str
    height: Callable
    start: tuple[float, float]
    bottom: tuple[float, float]
    window: tuple[float, float, float, float]


VALLEYS = (
    Valley("Ravine: (x² + 50 y²) / 2", lambda x, y: (x**2 + 50 * y**2) / 2, (-9, 1.6), (0, 0), (-10, 2.5, -2.2, 2.2)),
    Valley("Rosenbrock: (1 - x)² + 100 (y - x²)²", lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2, (-1.4, 1.6),
           (1, 1), (-1.9, 1.6, -0.6, 2.4)),
    Valley("Beale", lambda x, y: (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2,
           (0.4, -1.0), (3, 0.5), (-0.2, 4.2, -1.7, 1.4)),
)  # fmt: skip
optimizers = ja.optimizers
RACERS = {
    "sgd": (lambda rate: optimizers.sgd(rate), INK, "-"),
    "momentum 0.9": (lambda rate: optimizers.sgd(rate, momentum=0.9), BLUE, "-"),
    "Nesterov 0.9": (lambda rate: optimizers.sgd(rate, momentum=0.9, nesterov=True), SKY, "--"),
    "adagrad": (lambda rate: optimizers.adagrad(rate), AMBER, "-"),
    "rmsprop": (lambda rate: optimizers.rmsprop(rate), PINK, "-"),
    "adam": (lambda rate: optimizers.adam(rate), ORANGE, "-"),
    "lbfgs": (lambda rate: optimizers.lbfgs(), GREEN, "-"),
}


def race(build: Callable) -> tuple[np.ndarray, np.ndarray]:
    """`(valleys, rates, steps + 1, 2)` places and `(valleys, rates, steps + 1)` heights: one program an optimizer."""

    def one(valley, rate):
        def height(place):
            return jnp.stack([v.height(place[0], place[1]) for v in VALLEYS])[valley]

        def step(carry, _):
            place, state = carry
            value, slope = jax.value_and_grad(height)(place)
            change, state = optimizer.update(slope, state, place, value=value, value_fn=height)
            return (ja.optimizers.apply_updates(place, change), state), (place, value)

        optimizer, start = build(rate), jnp.asarray([v.start for v in VALLEYS])[valley]
        return jax.lax.scan(step, (start, optimizer.init(start)), None, length=STEPS + 1)[1]

    both = jax.vmap(jax.vmap(one, (None, 0)), (0, None))
    rates = RATES if build(0.1) != build(0.2) else RATES[:1]  # the rule without a rate races once
    places, heights = jax.jit(both)(jnp.arange(len(VALLEYS)), jnp.asarray(rates))
    return np.asarray(places), np.asarray(heights)


def best(places: np.ndarray, heights: np.ndarray) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """For each valley the rate that ends lowest of those that never climb above the start, with its path."""
    climbs = ~(heights.max(-1) <= heights[..., 0])  # true for NaN as well
    last = np.where(climbs, np.inf, heights[:, :, -10:].max(-1))
    return [(RATES[i], places[valley, i], heights[valley, i]) for valley, i in enumerate(last.argmin(1))]


def main(arguments: list[str] | None = None) -> None:
    """Race, print, draw."""
    out = folder(__doc__, arguments)
    note = f"{STEPS} updates; of {len(RATES)} rates the one that ends lowest and never climbs above the start"
    figure = begin(13, 8.6, "Seven optimizers, three valleys", note)
    above, below = figure.subplots(2, 3, height_ratios=(1.25, 1))
    for axes, under, valley in zip(above, below, VALLEYS, strict=True):
        west, east, south, north = valley.window
        x, y = np.meshgrid(np.linspace(west, east, 300), np.linspace(south, north, 300))
        height = np.log10(valley.height(x, y) + 1e-3)
        axes.contourf(x, y, height, levels=18, cmap="Greys_r", alpha=0.35)
        axes.plot(*valley.bottom, "*", markersize=17, color="white", markeredgecolor=INK, zorder=6)
        axes.set(xlim=(west, east), ylim=(south, north))
        frame(axes, valley.name)
        lines(under, "Height", "update")
        under.set(xscale="log", yscale="log", xlim=(1, STEPS), ylim=(1e-12, 1e3))
    print(f"Height after {STEPS} updates, and the rate: of {len(RATES)} the one that ends lowest and never")
    print("climbs above the start.\n")
    print(f"{'':<14}" + "".join(f"{v.name.split(':')[0]:>20}" for v in VALLEYS))
    for name, (build, color, style) in RACERS.items():
        shown = []
        for axes, under, (rate, path, heights) in zip(above, below, best(*race(build)), strict=True):
            shown.append(f"{heights[-1]:.1e}" + (f" at {rate:<6.2g}" if name != "lbfgs" else " " * 10))
            axes.plot(*path.T, style, color=color, linewidth=1.6, marker="o", markersize=2, alpha=0.9, label=name)
            axes.plot(*path[-1], "o", color=color, markersize=8, markeredgecolor="white", zorder=5)
            under.plot(np.maximum(heights, 1e-13), style, color=color, linewidth=1.8)
        print(f"{name:<14}" + "".join(f"{text:>20}" for text in shown))
    key(figure, loc="outside upper right", ncols=len(RACERS), handles=above[0].get_legend_handles_labels()[0])
    print(CONCLUSION)
    save(figure, out, "optimizers")


if __name__ == "__main__":
    main()
