"""Why weights begin at random: hidden units that begin alike stay alike, and zeros do not even move.

python -m scripts.learn_symmetry [--out FOLDER]
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from jaxann import backprop
from jaxann.plot.canvas import INK, QUIET
from scripts.picture import BLUE, GREEN, ORANGE, begin, folder, frame, key, lines, save

STEPS, RATE = 200, 2.0
X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
Y = np.array([[0], [1], [1], [0]], np.float32)  # the exclusive or
STARTS = {
    "all 0": ja.initializers.zeros(),
    "all 0.3": ja.initializers.constant(0.3),
    "at random": ja.initializers.uniform(-1.0, 1.0),
}
CONCLUSION = """
Equal columns of W1 make equal activations, so equal deltas, so equal changes:
three units do the work of one, which cannot learn an exclusive or. From 0 the
activations are 0, so W2 stays 0, and with it the deltas that come back.
"""


def net(kernel_init: Any) -> Any:
    """2-3-1: three units of tanh, and the logit of the answer."""
    hidden, output = (ja.layers.dense(units, kernel_init=kernel_init) for units in (3, 1))
    return ja.layers.sequential({"dense0": hidden, "act0": ja.layers.elementwise("tanh"), "dense1": output})


@jax.jit
def train(starts: Any) -> tuple[jax.Array, jax.Array]:
    """W1 and the cost before each step of plain descent and after the last, for several starts at once."""
    model = net(None)
    state = model.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2), jnp.float32))[1]

    def step(params, _):
        trace = backprop.backward(model, params, state, X, Y, ja.losses.sigmoid_cross_entropy)
        after = jax.tree.map(lambda w, g: w - RATE * g, params, trace.grads)
        return after, (params["dense0"]["weight"], trace.loss)

    return jax.vmap(lambda params: jax.lax.scan(step, params, None, length=STEPS + 1)[1])(starts)


def paths() -> tuple[np.ndarray, np.ndarray]:
    """`(starts, steps + 1, 2, 3)` weights and `(starts, steps + 1)` costs."""
    spec, seed = jax.ShapeDtypeStruct((1, 2), jnp.float32), jax.random.key(0)
    starts = [net(initializer).init(seed, spec)[0] for initializer in STARTS.values()]
    weights, costs = train(jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts))
    return np.asarray(weights), np.asarray(costs)


def draw(weights: np.ndarray, costs: np.ndarray) -> Any:
    """The three units' weights on their way, from each start, and the cost."""
    title = "Units that begin alike stay alike"
    note = f"each path: the two weights into one hidden unit in {STEPS} steps, from the ring to the dot"
    figure = begin(9, 8.6, title, note)
    panels = figure.subplots(2, 2).ravel()
    reach = 1.12 * np.abs(weights).max()
    colors = (BLUE, ORANGE, GREEN)
    for axes, name, path in zip(panels, STARTS, weights, strict=False):
        for unit, color in enumerate(colors):
            way = path[:, :, unit].T
            wide = {"linewidth": 9 - 3.2 * unit if "0.3" in name else 2, "alpha": 0.9, "solid_capstyle": "round"}
            axes.plot(*way, color=color, label=f"unit {unit + 1}", **wide)
            axes.plot(*way[:, -1], "o", color=color, markersize=15 - 4 * unit if "0" in name else 8, zorder=4)
            axes.plot(*way[:, 0], "o", markerfacecolor="white", color=INK, markersize=7, zorder=5)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.axhline(0, color=QUIET, linewidth=0.6, zorder=0)
        axes.axvline(0, color=QUIET, linewidth=0.6, zorder=0)
        frame(axes, f"Weights begin {name}")
        axes.set_xlabel("weight from x1")
        axes.set_ylabel("weight from x2")
    panels[0].text(0.35, 0.3, "nothing moves", color=INK, fontsize=10)
    panels[1].text(0.15, -0.25, "three paths in one", color=INK, fontsize=10, va="top")
    key(panels[2], loc="lower left")
    last = panels[3]
    for name, curve, style in zip(STARTS, costs, ("-", "--", "-"), strict=True):
        last.plot(curve, style, color=INK if name == "at random" else QUIET, linewidth=2, label=name)
    lines(last, "Cost of the exclusive or", "step")
    last.set_ylim(0)
    key(last)
    return figure


def main(arguments: list[str] | None = None) -> None:
    """Train, print, draw."""
    out = folder(__doc__, arguments)
    weights, costs = paths()
    print(f"A 2-3-1 net with tanh learns the exclusive or: {STEPS} steps of descent, rate {RATE:g}.\n")
    print("weights begin   W1 moved by   its columns differ by   cost before   after")
    for name, path, cost in zip(STARTS, weights, costs, strict=True):
        moved, apart = np.abs(path[-1] - path[0]).max(), np.abs(path[-1] - path[-1][:, :1]).max()
        print(f"{name:<13} {moved:>13.4f} {apart:>23.4f} {cost[0]:>13.4f} {cost[-1]:>7.4f}")
    print(CONCLUSION)
    save(draw(weights, costs), out, "symmetry")


if __name__ == "__main__":
    main()
