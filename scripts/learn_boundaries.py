"""What a perceptron and a multi-layer perceptron can separate: two clouds and two moons, side by side.

python -m scripts.learn_boundaries [--out FOLDER]
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

import jaxann as ja
from jaxann import neuron
from jaxann.plot.canvas import ERROR, INK, RIGHT
from scripts.picture import begin, folder, frame, save

EPOCHS = 100
LINE = np.array([0.8, 0.6, 0.2])  # 0.8 x1 + 0.6 x2 = 0.2 runs between the clouds


def clouds(generator: np.random.Generator, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Points on either side of a strip, which a line can separate."""
    x = generator.uniform(-2, 2, (4 * count, 2))
    score = x @ LINE[:2] - LINE[2]
    keep = np.abs(score) > 0.25  # the margin: nothing within a quarter of the line
    return x[keep][:count].astype(np.float32), (score[keep] > 0)[:count].astype(np.float32)


def moons(generator: np.random.Generator, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Two half circles, one around the end of the other, which no line can separate."""
    angle = np.pi * generator.uniform(size=count)
    lower = np.arange(count) % 2 == 1
    x = np.where(lower, 1 - np.cos(angle), np.cos(angle)), np.where(lower, 0.5 - np.sin(angle), np.sin(angle))
    x = 1.25 * (np.stack(x, 1) - [0.5, 0.25]) + 0.12 * generator.normal(size=(count, 2))
    return x.astype(np.float32), lower.astype(np.float32)


def fit_mlp(x: np.ndarray, targets: np.ndarray) -> Any:
    """A net with two hidden layers of 16; its logit as a function of the points."""
    model = ja.models.mlp((16, 16, 1), activation="tanh")
    recipe = ja.recipe(model, ja.losses.sigmoid_cross_entropy, ja.optimizers.adam(1e-2))
    result = ja.fit(recipe, (x, targets[:, None]), key=jax.random.key(0), epochs=EPOCHS, batch_size=20)

    def logit(points: np.ndarray) -> np.ndarray:
        values = ja.predict(model, result.params, result.state, points.reshape(-1, 2))
        return np.asarray(values).reshape(points.shape[:-1])

    return logit


def panel(axes: Any, title: str, x: np.ndarray, targets: np.ndarray, score: Any, shade: Any) -> None:
    """The plane coloured by the answer, the points by their class; what is on the wrong side is ringed."""
    ticks = np.linspace(-2.3, 2.3, 230, dtype=np.float32)
    grid = score(np.stack(np.meshgrid(ticks, ticks), -1))
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("classes", ("#f7c9b0", "#ffffff", "#b3cbe5"))
    axes.pcolormesh(ticks, ticks, shade(grid), cmap=shades, vmin=0, vmax=1, rasterized=True)
    axes.contour(ticks, ticks, grid, levels=[0], colors=[INK], linewidths=2)
    wrong = (score(x) > 0) != (targets > 0.5)
    for label, color, marker in ((0, ERROR, "s"), (1, RIGHT, "o")):
        axes.scatter(*x[targets == label].T, s=18, c=color, marker=marker, edgecolors="white", linewidths=0.5, zorder=3)
    axes.scatter(*x[wrong].T, s=75, facecolors="none", edgecolors=INK, linewidths=1.2, zorder=4)
    axes.set(xlim=(-2.3, 2.3), ylim=(-2.3, 2.3), xticks=(), yticks=(), aspect="equal")
    frame(axes, f"{title}: {int(wrong.sum())} of {len(x)} wrong")


def main(arguments: list[str] | None = None) -> None:
    """Train, print, draw."""
    out = folder(__doc__, arguments)
    generator = np.random.default_rng(0)
    note = "ground: the answer, the paler the less sure     black: where it turns     ringed: on the wrong side"
    figure = begin(9, 9.3, "A perceptron draws a line, hidden layers bend it", note)
    rows = figure.subplots(2, 2)
    for (left, right), name, (x, targets) in zip(
        rows, ("clouds", "moons"), (clouds(generator), moons(generator)), strict=True
    ):
        _, report = neuron.fit_perceptron(x, targets, epochs=EPOCHS)
        best = np.asarray(report.pocket)
        if report.converged:
            bound, epochs, made = neuron.mistake_bound(x, targets, LINE), report.epochs, report.mistakes
            print(f"{name}: the perceptron rule ended after {epochs} epochs and {made} mistakes; the line")
            print(f"        that the points were made with promises at most {bound:.0f}.")
        else:
            late, fewest = report.mistakes_by_epoch[-10:].mean(), report.pocket_mistakes
            print(f"{name}:  the perceptron rule did not end in {EPOCHS} epochs, the last ten with")
            print(f"        {late:.0f} mistakes each; the best weights it came past make {fewest}.")
        panel(left, "Perceptron", x, targets, lambda points, w=best: points @ w[:2] - w[2], lambda z: z > 0)
        panel(right, "Two hidden layers of 16", x, targets, fit_mlp(x, targets), lambda z: 1 / (1 + np.exp(-z)))
        left.set_ylabel(f"two {name}", fontsize=11)
    save(figure, out, "boundaries")


if __name__ == "__main__":
    main()
