"""A learning-rate range test: a hundred updates, each at a greater rate, say which rate to train with.

python -m scripts.learn_rate [--out FOLDER]
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from jaxann.plot.canvas import QUIET
from scripts.picture import BLUE, GREEN, ORANGE, begin, folder, key, lines, save

LOW, HIGH, UPDATES, BATCH, EPOCHS = 1e-4, 10.0, 100, 64, 5
BETA = 0.98  # of the average
SWEEP = np.geomspace(1e-3, 10, 33).astype(np.float32)
CONCLUSION = """
Nothing happens at small rates, then the loss falls, then the weights are thrown
about. Where the averaged loss falls fastest is a good rate to train with; a
tenth of the rate at its minimum is a careful one. The trainings, which take
forty times as long, say whether that was true here.
"""
MODEL = ja.models.mlp((64, 64, 10))
LOSS = ja.losses.softmax_cross_entropy


class Chosen(NamedTuple):
    """What the test says."""

    smooth: np.ndarray  # the averaged loss, up to where the test ends
    steepest: int  # number of the update where it falls fastest
    lowest: int  # and where it is lowest


@jax.jit
def range_test(start: Any, key: jax.Array, x: Any, y: Any) -> tuple[jax.Array, jax.Array]:
    """Rates and losses: a schedule that grows by a factor at each update, each on a batch of its own.

    Each update is a run of one epoch on one batch; a run is a function, so that it can stand inside of a scan.
    """
    rates = jax.vmap(ja.schedules.exponential(LOW, UPDATES - 1, HIGH / LOW))(jnp.arange(UPDATES))
    rows = jax.random.randint(key, (UPDATES, BATCH), 0, len(x))

    def update(weights, now):
        rate, batch = now
        run = ja.train.make_run(ja.recipe(MODEL, LOSS, ja.optimizers.sgd(rate)), epochs=1, batch_size=BATCH)
        result = run(key, (x[batch], y[batch]), None, weights)
        return (result.params, result.state), result.history["loss"][0]

    return rates, jax.lax.scan(update, start, (rates, rows))[1]


def choose(losses: np.ndarray, rates: np.ndarray) -> Chosen:
    """Smooth, end where the loss is four times the least or not finite, find where it falls fastest over log(rate)."""
    smooth = np.asarray(ja.ops.ewma(jnp.asarray(losses), BETA), np.float64)
    over = ~(smooth <= 4 * np.fmin.accumulate(smooth))
    smooth = smooth[: int(over.argmax()) if over.any() else len(smooth)]
    slope, lowest = np.gradient(smooth, np.log(rates[: len(smooth)])), int(smooth.argmin())
    return Chosen(smooth, int(slope[: lowest + 1].argmin()), lowest)  # what falls after the minimum comes from a throw


@jax.jit
def sweep(start: Any, key: jax.Array, x: Any, y: Any) -> jax.Array:
    """The loss after a few epochs at each of many rates, in one program."""

    def one(rate):
        run = ja.train.make_run(ja.recipe(MODEL, LOSS, ja.optimizers.sgd(rate)), epochs=EPOCHS, batch_size=BATCH)
        return run(key, (x, y), None, start).history["loss"][-1]

    return jax.lax.map(one, jnp.asarray(SWEEP))


def main(arguments: list[str] | None = None) -> None:
    """Test, choose, train, print, draw."""
    out = folder(__doc__, arguments)
    digits = ja.data.digits()
    x, y = jnp.asarray(digits.x.reshape(-1, 64)), jnp.asarray(digits.y)
    start = MODEL.init(jax.random.key(0), jax.ShapeDtypeStruct(x.shape, x.dtype))
    rates, losses = map(np.asarray, range_test(start, jax.random.key(0), x, y))
    found = choose(losses, rates)
    trained = np.asarray(sweep(start, jax.random.key(1), x, y))
    best = int(np.nan_to_num(trained, nan=np.inf).argmin())
    end = rates[len(found.smooth) - 1]
    print(f"{UPDATES} updates of plain descent at rates from {LOW:g} on; the test ended at {end:.2g}.\n")
    marks = (
        (rates[found.steepest], "where it falls fastest", GREEN, "-"),
        (rates[found.lowest] / 10, "a tenth of the minimum's", BLUE, "--"),
    )
    print(f"{'':<28} rate   loss after {EPOCHS} epochs")
    for rate, name, *_ in (*marks, (SWEEP[best], f"best of {len(SWEEP)} trainings")):
        near = int(np.abs(np.log(SWEEP / rate)).argmin())
        print(f"{name:<25} {rate:>7.3f} {trained[near]:>10.3f}")
    note = f"a 64-64-64-10 net on handwritten digits, batches of {BATCH}"
    figure = begin(11.5, 4.9, "A learning-rate range test, and whether it was right", note)
    left, right = figure.subplots(1, 2)
    left.plot(rates, losses, color=QUIET, linewidth=0.8, alpha=0.8, label="loss of the batch")
    left.plot(rates[: len(found.smooth)], found.smooth, color=ORANGE, linewidth=2.5, label="averaged")
    right.plot(SWEEP, trained, color=ORANGE, linewidth=2, marker="o", markersize=4)
    for axes in (left, right):
        for rate, name, color, style in marks:
            axes.axvline(rate, color=color, linewidth=1.8, linestyle=style, label=f"{name}: {rate:.2g}")
        axes.set(xscale="log", xlim=(LOW, HIGH), ylim=(0, 3.5))
    lines(left, f"{UPDATES} updates, each at a greater rate", "learning rate", "loss")
    lines(right, f"Trainings of {EPOCHS} epochs, each at one rate", "learning rate", "loss at the end")
    key(left, loc="lower left")
    print(CONCLUSION)
    save(figure, out, "rate")


if __name__ == "__main__":
    main()
