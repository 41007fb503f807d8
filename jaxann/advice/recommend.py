"""`recommend`: from data and a task to a recipe, with a reason for every choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxann.advice.amounts import counts, quantiles, reconstruction, regression
from jaxann.advice.answers import binary, multiclass, multilabel, next_ids
from jaxann.advice.facts import INPUTS, Facts, check_facts, check_options
from jaxann.advice.head import Head
from jaxann.advice.images import image_net, picture_code_net
from jaxann.advice.net import Net
from jaxann.advice.reading import read_facts
from jaxann.advice.recommendation import Reason, Recommendation
from jaxann.advice.sequences import language_net, pair_net, sequence_net
from jaxann.advice.tables import code_net, table_net
from jaxann.advice.training import restraint_of, training_of
from jaxann.core.checks import check_choice, check_flag, check_integer
from jaxann.core.products import Layer
from jaxann.core.trees import count
from jaxann.core.typing import Inputs, Scalar, Targets
from jaxann.layers import sequential
from jaxann.train.recipe import recipe

__all__ = ["recommend"]

_NETS: dict[str, Callable[[Facts], Net]] = {
    "images": image_net,
    "ids": sequence_net,
    "pair": pair_net,
    "sequences": sequence_net,
    "table": table_net,
}
_HEADS: dict[str, Callable[[Facts], Head]] = {
    "binary": binary,
    "counts": counts,
    "language": next_ids,
    "multiclass": multiclass,
    "multilabel": multilabel,
    "quantiles": quantiles,
    "reconstruction": reconstruction,
    "regression": regression,
    "translation": next_ids,
}
_FEW_OF_A_CLASS = 10
_WHY = {
    "binary": "0 and 1 are answers to one question",
    "counts": "whole numbers from 0 on, not those of classes",
    "language": "y is what comes next in x",
    "multiclass": "whole numbers from 0 to k - 1, each of them there",
    "multilabel": "a row of zeros and ones answers several questions",
    "quantiles": "levels of quantiles were given",
    "reconstruction": "x alone, without a target",
    "regression": "the targets are numbers",
    "translation": "ids to read and ids to write",
}


def recommend(
    data: tuple[Inputs, Targets] | Inputs | Facts,
    task: str | None = None,
    *,
    inputs: str | None = None,
    bounds: tuple[float, float | None] | None = None,
    levels: Scalar | Sequence[float] = (),
    validated: bool = True,
    epochs: int | None = None,
) -> Recommendation:
    """A recipe for these data, by fixed rules, and for every choice in it a reason and who found so.

        found = ja.recommend((x, y))
        print(found)                                                 # a page: choices, reasons, sources
        ja.fit(found.recipe, (x, y), validation=(x_val, y_val), key=key)
        ja.recommend(ja.advice.Facts("regression", 100_000, (12,)))  # without data

    The same data give the same recommendation; nothing is trained or compiled. It is where to begin, not the best there
    is: `tune` searches from there, `diagnose` says what to change.

    Args:
        data: the training set, `(x, y)` or `(x, y, weights)`; x alone, to learn a code of it; or `advice.Facts`, where
            there are no data yet. x is a table `(n, features)`, with missing numbers (NaN) or not, or `{"numbers": ...,
            "categories": codes}` (`preprocessing.ordinal` makes codes); sequences `(n, time, features)` or of ids
            `(n, time)`, `Padded` where they have padding; images `(n, height, width, channels)`; or `{"source",
            "target"}`, ids to read and to write.
        task: what y is, see `advice.Facts`; read from y when None. Whole numbers 0 to k - 1 are read as classes, others
            as counts.
        inputs: what x is, "table", "images", "sequences" or "ids"; read from its shape when None. Whole numbers
            `(n, columns)` are read as a table unless y is what comes next.
        bounds: what numbers to be predicted can never leave, `(low, high)` or `(low, None)`.
        levels: quantiles to predict, in (0, 1): a number or several.
        validated: whether `fit` will be given a validation set, to stop by and to keep the best weights.
        epochs: how long to train at most, where time is short; by the number of updates when None. Schedules end with
            it.

    Returns:
        Recommendation: `recipe`, which runs as it is on these data; `reasons`; `facts`, `epochs`, `batch_size`,
        `parameters`, `notes`. The net ends in the target's own shape and units; of classes, answers and ids it gives
        logits, of counts logarithms of rates.

    Peers: scikit-learn has a drawn map, "choosing the right estimator"; AutoML packages search, and give no reasons.
        Textbooks have a table that chooses the optimizer by the size of the data or the independence of features: no
        such rule holds (erratum E56).

    Source: each reason has its own.

    Raises:
        InputError: data are none that can be trained on, an argument is out of range, or facts contradict each other.
    """
    if task is not None:
        check_choice("recommend", "task", task, _WHY)
    if inputs is not None:
        check_choice("recommend", "inputs", inputs, INPUTS)
    bounds, levels = check_options("recommend", bounds, levels)
    check_flag("recommend", "validated", validated)
    if epochs is not None:
        check_integer("recommend", "epochs", epochs)
    if isinstance(data, Facts):
        told = {"task": task, "inputs": inputs, "bounds": bounds, "levels": levels or None}
        facts = check_facts("recommend", data._replace(**{k: v for k, v in told.items() if v is not None}))
    else:
        facts = read_facts(data, task, inputs, bounds, levels)
    read = task is None and not isinstance(data, Facts)
    return _recommended(facts, read=read, validated=validated, epochs=epochs)


def _recommended(facts: Facts, *, read: bool, validated: bool, epochs: int | None) -> Recommendation:
    """All choices, one after the other."""
    head, net = _HEADS[facts.task](facts), _net_of(facts)
    parameters = _parameters(_model(net.build(None), head), facts)
    restraint = restraint_of(facts, net, parameters)
    training = training_of(facts, net, restraint.decay, validated, epochs)
    found = recipe(
        _model(net.build(restraint.rate), head),
        head.loss,
        training.optimizer,
        metrics=head.metrics,
        augment=net.augment,
        stopping=training.stopping,
        batch_size=training.batch_size,
        epochs=training.epochs,
    )
    begun = Reason(
        "task",
        facts.task,
        f"{_WHY[facts.task].capitalize()}." if read else "As told.",
        "Hastie, Tibshirani and Friedman 2009, 2.2",
    )
    reasons = (begun, *net.reasons, *head.reasons, restraint.reason, *training.reasons)
    notes = (*net.notes, *_notes(facts))
    return Recommendation(found, reasons, facts, training.epochs, training.batch_size, parameters, notes)


def _net_of(facts: Facts) -> Net:
    if facts.task == "language":
        return language_net(facts)
    if facts.task == "reconstruction":
        return picture_code_net(facts) if facts.inputs == "images" else code_net(facts)
    return _NETS[facts.inputs](facts)


def _model(net: Layer, head: Head) -> Layer:
    return sequential({"net": net, **head.layers}) if head.layers else net


def _parameters(model: Layer, facts: Facts) -> int:
    """How many there are, by their shapes: nothing is drawn, and nothing compiled."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    return count(jax.eval_shape(model.init, key, _spec(facts))[0])


def _spec(facts: Facts) -> Any:
    """One example as the model takes it."""
    if facts.inputs == "pair":
        written = facts.target_shape or facts.shape
        return {"source": _like(facts.shape, np.int32), "target": _like(written, np.int32)}
    if facts.inputs == "ids":
        return _like(facts.shape, np.int32)
    if not facts.categories:
        return _like(facts.shape, np.float32)
    codes = {"categories": _like((len(facts.categories),), np.int32)}
    return {"numbers": _like(facts.shape, np.float32), **codes} if facts.shape else codes


def _like(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, *shape), dtype)


def _notes(facts: Facts) -> tuple[str, ...]:
    """What the facts say beyond the recipe."""
    notes = []
    rare = [share for share in facts.shares if share * facts.examples < _FEW_OF_A_CLASS]
    if rare and facts.task in ("binary", "multiclass", "multilabel"):
        lowest = min(rare) * facts.examples
        notes.append(
            f"{len(rare)} of the classes or labels have fewer than {_FEW_OF_A_CLASS} positive examples, the rarest "
            f"{lowest:.0f}: no net learns such from them; find more, or join classes."
        )
    if facts.task == "regression" and facts.bounds is None and facts.lowest is not None and facts.lowest >= 0:
        if any(c < 3 * d for c, d in zip(facts.center, facts.deviation, strict=True)):  # else it is far from 0
            notes.append("If targets can never be below 0, say so: bounds=(0, None).")
    return tuple(notes)
