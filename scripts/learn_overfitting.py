"""A net that learns the wrong labels of three hundred digits by heart, and three cures: L2, dropout, early stopping.

python -m scripts.learn_overfitting [--out FOLDER]
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

import jaxann as ja
from jaxann.plot.canvas import QUIET
from jaxann.train.recipe import Recipe
from scripts.picture import BLUE, ORANGE, begin, folder, key, lines, save

EXAMPLES, WRONG, EPOCHS, PATIENCE = 300, 0.3, 100, 15
CURES = {  # strength of the L2 penalty, dropout rate, patience (which as long as the training never stops it)
    "nothing": (0.0, 0.0, EPOCHS),
    "L2 penalty, 0.01": (0.01, 0.0, EPOCHS),
    "dropout, 0.5": (0.0, 0.5, EPOCHS),
    "early stopping": (0.0, 0.0, PATIENCE),
}
CONCLUSION = """
The training loss falls on and on; the validation loss turns where the net has
begun to learn wrong labels by heart. A penalty keeps the weights small, dropout
keeps any unit from relying on another: both find it harder to learn by heart.
Early stopping goes back to the weights from before the turn. (With dropout the
training loss is that of the thinned net, so it may lie above the other.)
"""


def digits() -> tuple[tuple, tuple]:
    """Three hundred digits, three tenths of them with a label drawn at random, and five hundred right ones."""
    data, generator = ja.data.digits(), np.random.default_rng(0)
    x, y = data.x.reshape(-1, 64), np.asarray(data.y)
    random = generator.integers(0, 10, EXAMPLES, y.dtype)
    noisy = np.where(generator.random(EXAMPLES) < WRONG, random, y[:EXAMPLES])
    return (x[:EXAMPLES], noisy), (x[EXAMPLES : EXAMPLES + 500], y[EXAMPLES : EXAMPLES + 500])


def build(hyper: dict[str, Any]) -> Recipe:
    """What a member is trained with: each has a penalty, a dropout rate and a patience of its own."""
    return ja.recipe(
        ja.models.mlp((64, 64, 10), dropout=hyper["dropout"]),
        ja.losses.softmax_cross_entropy,
        ja.optimizers.adam(5e-3),
        metrics={"log_loss": ja.metrics.log_loss, "accuracy": ja.metrics.accuracy},
        penalty=ja.regularizers.l2_penalty(hyper["l2"]),
        stopping=ja.train.early_stopping(hyper["patience"]),
    )


def train() -> ja.train.Population:
    """The four trainings in one program, all from the same weights."""
    noisy, validation = digits()
    hyperparameters = dict(zip(("l2", "dropout", "patience"), zip(*CURES.values(), strict=True), strict=True))
    keys = jax.vmap(jax.random.key)(np.zeros(len(CURES), int))
    return ja.train.fit_population(
        build, hyperparameters, noisy, validation=validation, keys=keys, epochs=EPOCHS, batch_size=50
    )


def panel(axes: Any, run: ja.train.Result, metric: str, best: int) -> None:
    """Both curves of one training, the best epoch marked."""
    epochs = np.arange(1, run.epochs_run + 1)
    axes.plot(epochs, run.history[metric], color=BLUE, linewidth=1.8, label="training")
    validation = run.history[f"validation_{metric}"]
    axes.plot(epochs, validation, color=ORANGE, linewidth=1.8, label="validation")
    axes.axvline(best + 1, color=QUIET, linewidth=1, linestyle=":")
    axes.plot(best + 1, validation[best], "o", color=ORANGE, markersize=9, markeredgecolor="white", zorder=5)
    aside = {"xytext": (-7, -15), "ha": "right"} if metric == "log_loss" else {"xytext": (7, 7)}
    axes.annotate(
        f"{validation[best]:.2f}", (best + 1, validation[best]), textcoords="offset points", color=ORANGE, **aside
    )
    axes.set_xlim(0, EPOCHS + 2)


def main(arguments: list[str] | None = None) -> None:
    """Train, print, draw."""
    out = folder(__doc__, arguments)
    population = train()
    note = f"{EXAMPLES} digits, {WRONG:.0%} of the labels drawn at random; 500 others to validate; dot: the best epoch"
    figure = begin(13.5, 6.8, "Overfitting, and three cures", note)
    above, below = figure.subplots(2, len(CURES), sharey="row")
    print(f"A 64-64-64-10 net on {EXAMPLES} digits, {WRONG:.0%} of their labels drawn at random.\n")
    print("cure               training loss   validation loss   accuracy   best epoch")
    for i, name in enumerate(CURES):
        run = population.member(i)
        best = int(run.history["validation_loss"].argmin())
        kept = best if name == "early stopping" else -1
        loss, validation, right = (run.history[k][kept] for k in ("log_loss", "validation_loss", "validation_accuracy"))
        print(f"{name:<18} {loss:>13.3f} {validation:>17.3f} {right:>10.3f} {best + 1:>12}")
        panel(above[i], run, "log_loss", best)
        panel(below[i], run, "accuracy", best)
        lines(above[i], name[0].upper() + name[1:], "", "" if i else "loss")
        lines(below[i], "", "epoch", "" if i else "accuracy")
    above[0].set_ylim(0, 2.8)
    below[0].set_ylim(0, 1.02)
    key(above[-1], loc="upper right")
    print(CONCLUSION)
    save(figure, out, "overfitting")


if __name__ == "__main__":
    main()
