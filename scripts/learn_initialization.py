"""What the size of the first weights does to a signal on its way through forty layers, and to the gradient back.

python -m scripts.learn_initialization [--out FOLDER]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from scripts.picture import BLUE, GREEN, ORANGE, begin, folder, key, lines, save

DEPTH, WIDTH, BATCH, DRAWS = 40, 128, 64, 8
HE, GLOROT = (2 / WIDTH) ** 0.5, (2 / (WIDTH + WIDTH)) ** 0.5  # the standard deviations of these two
STYLES = {"relu": (BLUE, ja.activations.relu), "tanh": (ORANGE, jnp.tanh), "sigmoid": (GREEN, ja.activations.sigmoid)}
SIZES = {  # activation: {initializer: standard deviation}
    "relu": {"He": HE, "Glorot": GLOROT, "deviation 0.1": 0.1},
    "tanh": {"Glorot": GLOROT, "5/3 Glorot": 5 / 3 * GLOROT, "deviation 0.01": 0.01},
    "sigmoid": {"Glorot": GLOROT, "4 Glorot": 4 * GLOROT},
}
CONCLUSION = """
Each layer multiplies the signal by about sqrt(width) x deviation x slope: 1
keeps it, 0.7 to the 40th is a millionth. He's makes up for the half that relu
drops, Glorot's reckons with the slope 1 of tanh. The sigmoid's is at most 1/4:
Glorot does not save a deep stack of them. Too large is no better: with 5/3
the gradient grows forty times on its way back. In float64: float32 ends at
1e-38. In brackets what eight draws of the weights give.
"""


class Measured(NamedTuple):
    """By layer: standard deviation of the activations, and norm of the gradient of the weights."""

    deviation: jax.Array
    norm: jax.Array


@jax.jit
def draws(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """For each key 40 weights of deviation 1, the inputs, and the slope of a cost at the outputs, all from N(0, 1)."""

    def one(key):
        keys = jax.random.split(key, DEPTH + 2)
        weights = jax.vmap(lambda k: ja.initializers.normal(1.0)(k, (WIDTH, WIDTH), jnp.float64))(keys[:DEPTH])
        return weights, jax.vmap(lambda k: jax.random.normal(k, (BATCH, WIDTH)))(keys[DEPTH:])

    return jax.lax.map(one, keys)


@partial(jax.jit, static_argnums=0)
def measure(activation: Callable, deviations: jax.Array, drawn: tuple[jax.Array, jax.Array]) -> Measured:
    """`(sizes, draws, layers)`: every size and every draw of an activation in one program."""

    def one(deviation, weights, ends):
        def layer(a, weight):
            a = activation(a @ weight)
            return a, jnp.std(a)

        _, vjp, deviations = jax.vjp(lambda w: jax.lax.scan(layer, ends[0], w), deviation * weights, has_aux=True)
        return Measured(deviations, jnp.sqrt(jnp.sum(vjp(ends[1])[0] ** 2, (1, 2))))

    return jax.lax.map(lambda deviation: jax.lax.map(lambda pair: one(deviation, *pair), drawn), deviations)


def measured(count: int = DRAWS) -> dict[tuple[str, str], Measured]:
    """By activation and initializer, `(draws, layers)` each."""
    found = {}
    with jax.enable_x64(True):
        drawn = draws(jax.vmap(jax.random.key)(jnp.arange(count)))
        for name, sizes in SIZES.items():
            table = measure(STYLES[name][1], jnp.asarray(list(sizes.values())), drawn)
            for i, initializer in enumerate(sizes):
                found[name, initializer] = Measured(*(np.asarray(part[i]) for part in table))
    return found


def draw(found: dict[tuple[str, str], Measured]) -> Any:
    """Both figures over the layers; what falls below the picture is gone."""
    title = "The signal forward and the gradient backward, by the size of the first weights"
    note = f"{DEPTH} layers of {WIDTH}, batch of {BATCH}, no biases; pale: seven more draws of the weights"
    figure = begin(11.5, 6.2, title, note)
    panels = figure.subplots(1, 2)
    depth = np.arange(1, DEPTH + 1)
    for part, axes in enumerate(panels):
        for (name, initializer), both in found.items():
            style = ("-", "--", ":")[list(SIZES[name]).index(initializer)]
            main, *others = both[part]
            for other in others:
                axes.plot(depth, other, style, color=STYLES[name][0], linewidth=0.7, alpha=0.3)
            label = f"{name}, {initializer}" if part == 0 else None
            axes.plot(depth, main, style, color=STYLES[name][0], linewidth=2.2, label=label)
        axes.set(yscale="log", xlim=(0.5, DEPTH + 0.5))
    panels[0].set_ylim(1e-9, 10)
    panels[1].set_ylim(1e-9, 1e5)
    lines(panels[0], "Standard deviation of the activations", "layer")
    lines(panels[1], "Norm of the gradient of the weights", "layer")
    tiny, sigmoid = found["tanh", "deviation 0.01"], found["sigmoid", "Glorot"]
    panels[0].text(10, 2e-9, f"{tiny.deviation[0, -1]:.0e} after {DEPTH} layers", color=ORANGE, fontsize=9)
    panels[1].text(1, 2e-9, f"{tiny.norm[0, 0]:.0e} in all layers", color=ORANGE, fontsize=9)
    panels[1].text(24.5, 2e-9, f"{sigmoid.norm[0, 0]:.0e} in the first layer", color=GREEN, fontsize=9)
    key(figure, loc="outside right center")
    return figure


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, draw."""
    out = folder(__doc__, arguments)
    found = measured()
    print(f"{DEPTH} layers of {WIDTH}, batch of {BATCH}. Gradient: norm in the first layer over the last.\n")
    print(f"{'activation, initializer':<24} {'std of the outputs':<28} gradient")
    for (name, initializer), (deviation, norm) in found.items():
        ratio = norm[:, 0] / norm[:, -1]
        shown = [f"{v[0]:<8.3g} ({v.min():.1e} {v.max():.1e})" for v in (deviation[:, -1], ratio)]
        print(f"{f'{name}, {initializer}':<24} {shown[0]:<28} {shown[1]}")
    print(CONCLUSION)
    save(draw(found), out, "initialization")


if __name__ == "__main__":
    main()
