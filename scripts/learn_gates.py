"""Logic gates learned by one threshold unit, and why an exclusive or cannot be: a table, an argument, a picture.

python -m scripts.learn_gates [--out FOLDER]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxann import neuron
from jaxann.plot.canvas import ERROR, INK, QUIET, RIGHT
from scripts.picture import begin, folder, frame, save

ARGUMENT = """
No weights make one unit an exclusive or. It would have to fire on (1, 0) and
(0, 1) and not on (1, 1) and (0, 0):

    w1 > thr,   w2 > thr,   w1 + w2 <= thr,   0 <= thr.

The first two add up to w1 + w2 > 2 thr, and 2 thr >= thr since thr >= 0:
against the third. Two lines do what one cannot: h1 fires on "or", h2 on "and",
and the output on h1 - h2 > 0.5, "or but not and".
"""


def train(name: str) -> tuple[np.ndarray, np.ndarray, Any]:
    """The gate's table and how its training went: rate 0.25, zero weights, bias node -1."""
    x, targets = neuron.gate(name)
    return x, targets, neuron.fit_perceptron(x, targets, learning_rate=0.25, bias_input=-1.0, epochs=20)[1]


def panel(axes: Any, title: str, x: np.ndarray, targets: np.ndarray, fires: Callable, labels: tuple = ("x1", "x2")):
    """The four corners, filled where the target is 1, and in blue where the net fires."""
    ticks = np.linspace(-0.45, 1.45, 400)
    grid = np.stack(np.meshgrid(ticks, ticks), -1).astype(np.float32)
    axes.contourf(ticks, ticks, np.asarray(fires(grid)), levels=[0.5, 1.5], colors=[RIGHT], alpha=0.16)
    wrong = np.asarray(fires(x)) != targets
    for point, target, bad in zip(x, targets, wrong, strict=True):
        color = ERROR if bad else INK
        axes.plot(*point, "o", markersize=13, color=color, markerfacecolor=color if target else "white",
                  markeredgewidth=2, zorder=4)  # fmt: skip
        if bad:
            axes.annotate("wrong", point, (12, -4), textcoords="offset points", color=ERROR, fontsize=9)
    axes.set(xlim=(-0.45, 1.45), ylim=(-0.45, 1.45), xticks=(0, 1), yticks=(0, 1), aspect="equal")
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1], rotation=0)
    frame(axes, title)


def line(axes: Any, weights: Any, **style: Any) -> None:
    """Where w1 x1 + w2 x2 = w3."""
    w = np.asarray(weights, np.float64)
    if w[:2].any():
        foot, along = w[:2] * w[2] / (w[:2] @ w[:2]), np.array([-w[1], w[0]]) / np.hypot(*w[:2])
        axes.plot(*np.stack([foot - 4 * along, foot + 4 * along], 1), scalex=False, scaley=False, **style)


def draw() -> Any:
    """Six panels: what one unit learns, what it cannot, and two layers that can."""
    note = "filled: target 1     blue ground: it fires (not on the line itself)     grey: lines after earlier epochs"
    figure = begin(10.5, 7.6, "One threshold unit draws one line", note)
    grid = figure.subplots(2, 3)
    for axes, name in zip(grid.flat, ("and", "or", "nand", "xor"), strict=False):
        x, targets, report = train(name)
        history, epochs = np.asarray(report.history), int(report.epochs)
        last = history[epochs]
        title = f"{name.upper()}: learned in {epochs} epochs" if report.converged else "XOR: one line never will"
        panel(axes, title, x, targets, lambda grid, last=last: neuron.perceptron(grid, last))
        for age, weights in enumerate(history[1:epochs], 1):
            line(axes, weights, color=QUIET, linewidth=1, alpha=0.2 + 0.6 * min(age / 5, 1))
        line(axes, last, color=RIGHT if report.converged else ERROR, linewidth=2.5)
    hidden, output = neuron.xor_net()
    x, targets = neuron.gate("xor")
    axes = grid[1, 1]
    panel(axes, "XOR: two lines can", x, targets, lambda grid: neuron.threshold_net(grid, (hidden, output)))
    for j, (where, text) in enumerate((((0.53, -0.36), "h1 = or"), ((1.0, 0.58), "h2 = and"))):
        line(axes, (*hidden[0][:, j], hidden[1][j]), color=RIGHT, linewidth=2.5)
        axes.text(*where, text, color=RIGHT, fontsize=9, ha="left" if j else "right")
    inside = np.asarray(neuron.threshold_unit(x, *hidden))
    axes = grid[1, 2]
    panel(axes, "In h1 and h2 one line does", inside, targets,
          lambda grid: neuron.threshold_unit(grid, *output), ("h1", "h2"))  # fmt: skip
    line(axes, (*output[0], output[1]), color=RIGHT, linewidth=2.5)
    for point, text in (((0, 0), "(0, 0)"), ((1, 0), "(0, 1) and (1, 0)"), ((1, 1), "(1, 1)")):
        axes.annotate(text, point, (0, -21), textcoords="offset points", ha="center", color=QUIET, fontsize=9)
    return figure


def main(arguments: list[str] | None = None) -> None:
    """Train, print, draw."""
    out = folder(__doc__, arguments)
    print("The perceptron rule on the four rows (0,0) (0,1) (1,0) (1,1), rate 0.25,")
    print("zero weights, bias node -1:\n")
    print("gate  targets   epochs  mistakes    w1     w2   threshold")
    for name in ("and", "or", "nand", "nor", "xor", "xnor"):
        _, targets, report = train(name)
        w = report.history[-1]
        epochs = f"{int(report.epochs):>6}" if report.converged else " never"
        row = " ".join(str(int(t)) for t in targets)
        print(f"{name:<5} {row}   {epochs}  {int(report.mistakes):>8}  {w[0]:>5.2f}  {w[1]:>5.2f}  {w[2]:>9.2f}")
    print(ARGUMENT)
    save(draw(), out, "gates")


if __name__ == "__main__":
    main()
