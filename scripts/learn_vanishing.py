"""Why a deep stack of sigmoids does not learn, and what helps: relu, batch normalization, skip connections.

python -m scripts.learn_vanishing [--out FOLDER]
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from jaxann import backprop
from jaxann.plot.canvas import QUIET
from scripts.picture import BLUE, GREEN, ORANGE, PINK, begin, folder, key, lines, save

DEPTH, WIDTH, EPOCHS, BATCH = 16, 32, 20, 100
LOOKS = ((GREEN, "-"), (BLUE, "-"), (PINK, "--"), (ORANGE, "-"))
RATES = np.array([0.003, 0.01, 0.03, 0.1], np.float32)
CONCLUSION = """
Backward, each layer multiplies the gradient by its weights and by the slope of
its activation. A sigmoid's slope is at most 1/4: after sixteen layers nothing
is left, and no rate helps. Relu with He's weights keeps it. With batch
normalization it grows from layer to layer, whatever the size of the weights; a
skip hands it on as it is.
"""


def nets() -> dict[str, Any]:
    """Sixteen hidden layers of 32, in four ways."""
    he, branch = ja.initializers.he_normal(), ja.initializers.variance_scaling(2 / DEPTH)  # the branches add up
    stack, dense, act = ja.layers.sequential, ja.layers.dense, ja.layers.elementwise
    block = ja.layers.residual(stack({"dense": dense(WIDTH, kernel_init=branch), "act": act("relu")}))
    skips = {"dense": dense(WIDTH, kernel_init=he), **{f"block{i}": block for i in range(1, DEPTH)}, "out": dense(10)}
    hidden = (WIDTH,) * DEPTH
    return {
        "sigmoid": ja.models.mlp((*hidden, 10), activation="sigmoid"),
        "relu": ja.models.mlp((*hidden, 10), activation="relu"),
        "relu, batch norm": ja.models.mlp((*hidden, 10), activation="relu", batch_norm=True),
        "relu, skips": stack(skips),
    }


def gradients(model: Any, start: Any, x: Any, y: Any) -> np.ndarray:
    """Norm of the gradient of each layer's weights at the start, by backpropagation written by hand."""

    @jax.jit
    def norms(start):
        trace = backprop.backward(model, *start, x, y, ja.losses.softmax_cross_entropy)
        dense = [layer for layer in trace.layers.values() if layer.kind == "dense"]
        return jnp.stack([jnp.linalg.norm(layer.grads["weight"]) for layer in dense])

    return np.asarray(norms(start))


def train(model: Any, start: Any, x: Any, y: Any) -> np.ndarray:
    """`(rates, epochs)`: the loss of short trainings, one for each rate, in one program."""

    def one(rate, start):
        recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.sgd(rate, momentum=0.9))
        run = ja.train.make_run(recipe, epochs=EPOCHS, batch_size=BATCH)
        return run(jax.random.key(0), (x, y), None, start).history["loss"]

    return np.asarray(jax.jit(lambda start: jax.lax.map(lambda rate: one(rate, start), RATES))(start))


def main(arguments: list[str] | None = None) -> None:
    """Measure, train, print, draw."""
    out = folder(__doc__, arguments)
    digits = ja.data.digits()
    x, y = digits.x.reshape(-1, 64), digits.y
    title = "Sixteen hidden layers: the gradient at the start, and what is learned"
    note = (
        f"handwritten digits, {WIDTH} units a layer, descent with momentum, each net at its best of {len(RATES)} rates"
    )
    figure = begin(11, 5.2, title, note)
    left, right = figure.subplots(1, 2)
    print(f"{DEPTH} hidden layers of {WIDTH} on {len(x):,} digits. Gradient: norm in the first layer over")
    print("that in the last hidden one, before the first step.\n")
    print(f"net              gradient   best rate   loss after 1 epoch   after {EPOCHS}")
    for (name, model), (color, style) in zip(nets().items(), LOOKS, strict=True):
        start = model.init(jax.random.key(0), jax.ShapeDtypeStruct(x.shape, x.dtype))
        norms, losses = gradients(model, start, x[:BATCH], y[:BATCH]), train(model, start, x, y)
        best = int(np.nan_to_num(losses[:, -1], nan=np.inf).argmin())
        loss, ratio = losses[best], norms[0] / norms[DEPTH - 1]
        print(f"{name:<16} {ratio:>8.1e} {RATES[best]:>11.3f} {loss[0]:>20.3f} {loss[-1]:>10.3f}")
        left.plot(np.arange(1, DEPTH + 2), norms, style + "o", color=color, linewidth=2, markersize=3.5, label=name)
        right.plot(np.arange(1, EPOCHS + 1), loss, style, color=color, linewidth=2)
    left.set(yscale="log", xticks=range(1, DEPTH + 2, 4))
    lines(left, "Norm of the gradient of the weights, at the start", "layer")
    lines(right, "Loss", "epoch")
    right.axhline(np.log(10), color=QUIET, linewidth=1, linestyle=":")
    right.text(EPOCHS, np.log(10) + 0.05, "guessing", color=QUIET, fontsize=9, ha="right")
    right.set(ylim=(0, 2.6), xticks=range(0, EPOCHS + 1, 5))
    key(left, loc="lower right")
    print(CONCLUSION)
    save(figure, out, "vanishing")


if __name__ == "__main__":
    main()
