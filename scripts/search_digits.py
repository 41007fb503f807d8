"""A hundred trainings in one call: 20 settings on 5 folds of the handwritten digits, a table, a picture, the best line.

    .venv/bin/python scripts/search_digits.py                  20 settings, all of them trained to the end
    .venv/bin/python scripts/search_digits.py --halving        the same search by successive halving
    .venv/bin/python scripts/search_digits.py --out FOLDER     where the picture and the table go

The digits are part of jaxann: nothing is downloaded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxann as ja
from jaxann import plot
from jaxann.train.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent
SPACE = {"learning_rate": [3e-4, 1e-3, 3e-3, 1e-2, 3e-2], "weight_decay": [1e-4, 1e-3, 1e-2, 1e-1]}


def build(hyper: dict[str, Any]) -> Recipe:
    """What one member is trained with; settings are ranked by accuracy after the last epoch."""
    optimizer = ja.optimizers.adamw(
        hyper["learning_rate"], weight_decay=hyper["weight_decay"], mask=ja.optimizers.matrices
    )
    return ja.recipe(
        ja.models.mlp((100, 10)),
        ja.losses.softmax_cross_entropy,
        optimizer,
        metrics={"accuracy": ja.metrics.accuracy},
        stopping=ja.train.early_stopping(None, monitor="validation_accuracy", mode="max", restore_best=False),
    )


def main() -> None:
    """Search, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=200, help="of a run that is trained to the end (default 200)")
    parser.add_argument("--halving", action="store_true", help="successive halving instead of the whole grid")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "search", help="folder for table and picture")
    parser.add_argument("--no-progress", action="store_true", help="no bar")
    arguments = parser.parse_args()

    devices = ja.setup()  # each core a device, before JAX starts
    digits = ja.data.digits()
    x = np.concatenate([digits.x, digits.x_test]).reshape(-1, 64)
    y = np.concatenate([digits.y, digits.y_test])
    search: Callable = ja.tune.halving if arguments.halving else ja.tune.cross_validate
    scored_on = {"validation": ja.tune.resampling(folds=5)} if arguments.halving else {"folds": 5}
    begun = time.perf_counter()
    table = search(
        build,
        ja.tune.grid(SPACE),
        (x, y),
        key=jax.random.key(0),
        epochs=arguments.epochs,
        batch_size=200,
        progress=not arguments.no_progress,
        **scored_on,
    )
    seconds = time.perf_counter() - begun
    print(table)
    print(f"\n{table.epochs.size} trainings on {devices} devices in {seconds:.1f} s. The best setting:\n{table.code()}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    table.save(arguments.out / "table.json")
    axes = plot.parallel_coordinates(table)
    axes.figure.savefig(arguments.out / "search.png", dpi=150)
    print(f"Written: {arguments.out / 'search.png'}, {arguments.out / 'table.json'}")


if __name__ == "__main__":
    main()
