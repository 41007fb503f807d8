"""What the estimators for tables train unless told otherwise: the net, its optimizer and how long, by task and rows.

Chosen on California housing and the tables of scikit-learn by `python -m benchmarks tabular`, which says how it stands
beside scikit-learn, boosted trees and TabM's own package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxann import losses, metrics, models, optimizers, schedules
from jaxann.core.checks import check_choice, check_integer, fail
from jaxann.core.products import Layer, Metric
from jaxann.metrics import streaming
from jaxann.train.early_stopping import early_stopping
from jaxann.train.recipe import Recipe, recipe

__all__ = ["TabularDefaults", "default_recipe"]

FEW_ROWS = 3000  # with fewer of them, none are set aside and numbers are not embedded


class TabularDefaults(NamedTuple):
    """How a table is trained; `TabularRegressor` and `TabularClassifier` do it."""

    recipe: Recipe
    epochs: int
    batch_size: int
    members: int  # runs of their own, whose predictions are averaged
    validation: float  # share of the rows that choose a run's best epoch and that it does not train on; 0 for none


def default_recipe(
    task: str,
    *,
    rows: int,
    width: int = 1,
    categories: tuple[int, ...] = (),
    epochs: int | None = None,
    batch_size: int | None = None,
) -> TabularDefaults:
    """Nets of members that share weights, `tabm`, trained by a cosine; numbers embedded by bins where rows are many.

        chosen = default_recipe("classification", rows=len(x), width=classes)
        result = fit(chosen.recipe, (x, y), key=key, epochs=chosen.epochs, batch_size=chosen.batch_size)

    One rule by the number of rows. From 3,000 on four runs by Muon, numbers embedded by 48 bins; each sets aside
    another eighth of the rows and ends with the weights of the epoch that is best on them. Below that one run by AdamW,
    numbers brought to mean 0 and deviation 1, wild ones clipped, on all rows and to the end of its schedule: what few
    rows say about the best epoch is noise, and they are worth more in training.

    Args:
        task: "regression", whose targets `(rows, width)` are to be brought to mean 0 and deviation 1 beforehand, or
            "classification", whose targets are labels 0..width-1 and predictions logits.
        rows: how many there are, those that will be set aside included.
        width: targets of a row, or classes, two at least.
        categories: as in `models.tabular`: how many codes each column of categories has.
        epochs, batch_size: in the place of those of the rule; the schedule goes by them.

    Returns:
        `TabularDefaults`. The model takes what `models.tabular` takes, missing numbers too, and predicts
        `(batch, members inside, width)`.

    Peers: scikit-learn's MLP has one layer of 100 units, wants scaled inputs, and trains for 200 epochs.

    Source: Gorishniy et al. 2025 (TabM); Gorishniy, Rubachev and Babenko 2022 (bins); Jordan et al. 2024 (Muon).

    Raises:
        InputError: the task is unknown, or a number is out of range.
    """
    check_choice("default_recipe", "task", task, ("classification", "regression"))
    check_integer("default_recipe", "rows", rows)
    check_integer("default_recipe", "width", width, 2 if task == "classification" else 1)
    if not isinstance(categories, tuple):
        fail("default_recipe", "categories", "a tuple of positive integers, one for each column", categories)
    loss, metric, name, monitor = _figures(task)
    loss = losses.each_member(loss)
    if rows < FEW_ROWS:
        epochs, batch_size = epochs or 60, min(batch_size or 64, rows)
        net = models.tabm((128, width), members=16, dropout=0.1)
        optimizer = optimizers.adamw(_rate(5e-3, epochs, rows, batch_size), weight_decay=1e-2, mask=optimizers.matrices)
        model = models.tabular(net, categories=categories, scale="standard_clipped")
        few = recipe(model, loss, optimizer, metrics={name: metric})
        return TabularDefaults(few, epochs, batch_size, 1, 0.0)
    epochs, batch_size, validation = epochs or 32, batch_size or 256, 0.125
    trained = rows - _set_aside(validation, rows)
    many = recipe(
        _embedded(models.tabm((128, 128, width), members=8), categories),
        loss,
        optimizers.muon(_rate(0.02, epochs, trained, batch_size)),
        metrics={name: metric},
        stopping=early_stopping(None, monitor=f"validation_{monitor}"),
    )
    return TabularDefaults(many, epochs, batch_size, 4, validation)


def _set_aside(share: float, rows: int) -> int:
    return int(share * rows)


def _rate(peak: float, epochs: int, rows: int, batch_size: int) -> Any:
    steps = epochs * -(-rows // batch_size)
    return schedules.cosine(peak, steps, warmup=steps // 25)


def _embedded(net: Layer, categories: tuple[int, ...]) -> Layer:
    return models.tabular(net, categories=categories, embedding="piecewise_linear", bins=48, features=16)


def _figures(task: str) -> tuple[Callable, Metric, str, str]:
    """The loss of a member, the metric of all, its name, and what says which epoch is the best."""
    if task == "regression":
        return losses.squared_error, metrics.of_mean(streaming.rmse()), "rmse", "rmse"
    return losses.softmax_cross_entropy, metrics.of_mean_softmax(streaming.accuracy()), "accuracy", "loss"
