"""After training: what a run's history and its weights say went wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_key, fail
from jaxann.core.programs import hands_over
from jaxann.core.typing import Key
from jaxann.diagnose.data_checks import recipe_data_verdicts
from jaxann.diagnose.fit_verdict import FitVerdict, fit_verdict
from jaxann.diagnose.probe import Probes, first_nonfinite, probe
from jaxann.diagnose.remedies import changes, clipped, rated, regularized, resized, stopped, with_batches
from jaxann.diagnose.signals import signal_verdicts
from jaxann.diagnose.verdicts import KINDS, REMARKS, Diagnosis, Remedy, Verdict
from jaxann.train.batches import example_count
from jaxann.train.inputs import as_batch
from jaxann.train.predict import evaluate
from jaxann.train.prepare import for_model
from jaxann.train.recipe import Recipe, as_recipe
from jaxann.train.run import Result, Status

__all__ = ["Examination", "examine"]

_SEEN = 128  # examples of a probe at least: whether a unit is off for all of them says little of a few
_ROWS = 4096  # of the training set that are measured in evaluation mode
_SMALL, _GREAT = 1e-5, 1e-1  # a step's length in its parameters': stalled, unstable
_NOISY = 30.0  # noise scale over batch size, above which a swinging loss is the batch's fault


@dataclass(frozen=True)
class Examination(Diagnosis):
    """What `examine` found; print it.

    Attributes:
        begun, ended: probes with fresh weights and with the last ones.
        fitted: what the loss curves alone say; None for a run of one epoch.
        training, validation: losses of the returned weights in evaluation mode; NaN without a validation set.
    """

    begun: Probes | None = None
    ended: Probes | None = None
    fitted: FitVerdict | None = None
    training: float = math.nan
    validation: float = math.nan


@hands_over
def examine(
    recipe: Recipe,
    result: Result,
    data: tuple,
    *,
    key: Key,
    validation: tuple | None = None,
    batch_size: int | None = None,
) -> Examination:
    """What went wrong in a run of `fit`, with numbers, and what to do.

        recipe = ja.recipe(model, loss, optimizer, probes=True)
        result = ja.fit(recipe, train, validation=validation, key=key, epochs=50)
        print(ja.diagnose.examine(recipe, result, train, validation=validation, key=key))

    Signal and gradient are judged as training began, units also as it ended; the loss curves by `fit_verdict`, with the
    training loss measured again without dropout, augmentation and penalty before a validation set is called easier.
    With `probes=True` the length of steps and the noise of gradients are known for the whole run, and the layer where
    numbers first were not finite.

    Args:
        recipe: what was trained.
        result: of `fit`.
        data, validation: what it was trained on and measured with.
        key: that of the run, whose fresh weights are looked at.
        batch_size: as of the run.

    Raises:
        InputError: the result is none of `fit`, or data are not what `fit` takes.
    """
    check_key("examine", key)
    recipe = as_recipe("examine", recipe)
    if not isinstance(result, Result) or result.carry is None:
        fail("examine", "result", "a result of fit", result)
    batch = as_batch("examine", "data", data)
    measured = None if validation is None else as_batch("examine", "validation", validation)
    size = recipe.batch_size or batch_size or 128
    rows = min(_SEEN, example_count(batch.x))
    seen = recipe if recipe.whole_batch else recipe.replace(batch_size=max(size, rows))
    begun, ended = (probe(seen, data, key=key, result=one) for one in (None, result))
    history = result.history
    verdicts = recipe_data_verdicts(recipe, *for_model(recipe, batch, measured))
    verdicts += signal_verdicts(recipe, begun.layers)
    known = {verdict.kind for verdict in verdicts}
    later = [one for one in signal_verdicts(recipe, ended.layers) if one.kind in _IN_THE_END and one.kind not in known]
    verdicts += _thrown_off(recipe, begun, later) or later
    losses = _losses(recipe, result, data, validation)
    fitted = None
    if int(result.epochs_run) > 1:
        fitted = fit_verdict(history["loss"], history.get("validation_loss"))
    if result.status == Status.DIVERGED:
        verdicts += _diverged(recipe, result, data, verdicts)
    else:
        verdicts += _of_steps(recipe, history, (begun, ended), fitted, size, verdicts)
        verdicts += _of_curves(recipe, fitted, losses, verdicts)
    lines = [f"training loss {losses[0]:.4g}" + ("" if math.isnan(losses[1]) else f", validation {losses[1]:.4g}")]
    order = list(KINDS)
    verdicts.sort(key=lambda verdict: order.index(verdict.kind))
    return Examination(tuple(verdicts), tuple(lines), begun, ended, fitted, *losses)


# What a loss curve follows from: where one of these is known, the curve is not told besides.
_EXPLAIN_ALL = frozenset(KINDS) - REMARKS - {"missing_labels"}
_EXPLAIN = {
    "overfitting": frozenset(("label_noise", "shared_rows", "unstable")),
    "easy_validation": frozenset(("shared_rows", "unstable")),
}
_IN_THE_END = ("dead", "saturated", "nonfinite")


def _thrown_off(recipe: Recipe, begun: Probes, later: list[Verdict]) -> list[Verdict]:
    """Units that worked at first and are off in the end, of a run whose first step was as long as the weights are."""
    dead = next((verdict for verdict in later if verdict.kind in ("dead", "saturated")), None)
    own = [layer for layer in begun.layers if layer.update_ratio > _GREAT]
    if dead is None or not own:
        return []
    worst = max(own, key=lambda layer: layer.update_ratio)
    evidence = (
        f"the first step in {worst.name} is {worst.update_ratio:.2g} of its parameters' length, and in the end "
        f"{dead.evidence}"
    )
    return [Verdict("unstable", evidence, (worst.name, *dead.where), worst.update_ratio / _GREAT, _slower(recipe))]


def _losses(recipe: Recipe, result: Result, data: tuple, validation: tuple | None) -> tuple[float, float]:
    """Losses of the returned weights in evaluation mode."""
    plain = recipe.replace(metrics=None, stopping=None)
    batch = as_batch("examine", "data", data)
    rows = min(_ROWS, example_count(batch.x))
    some = tuple(jax.tree.map(lambda a: a[:rows], part) for part in batch if part is not None)
    found = [evaluate(plain, result.params, result.state, some)["loss"]]
    found.append(math.nan if validation is None else evaluate(plain, result.params, result.state, validation)["loss"])
    return float(found[0]), float(found[1])


def _diverged(recipe: Recipe, result: Result, data: tuple, known: list[Verdict]) -> list[Verdict]:
    """A run that ended at numbers that are not finite: the signal's fault where that is known, else the rate's."""
    if any(verdict.kind in ("exploding", "nonfinite") for verdict in known):
        return []
    evidence = f"step {int(result.diverged_step)} gave numbers that are not finite, or too long a gradient"
    first = first_nonfinite(recipe, data, result.history) if recipe.probes else None
    if first is not None:
        evidence += f"; the first of them is {first}"
    return [Verdict("unstable", evidence, () if first is None else (first.layer,), math.inf, _slower(recipe))]


def _slower(recipe: Recipe) -> tuple[Remedy, ...]:
    return (
        Remedy("Lower the learning rate to a tenth.", changes(recipe, rated(0.1))),
        Remedy("Cut gradients to a norm of 1.", changes(recipe, clipped())),
        Remedy("Warm up: let the rate grow over the first steps."),
    )


def _of_steps(
    recipe: Recipe,
    history: Mapping[str, Any],
    probes: tuple[Probes, Probes],
    fitted: FitVerdict | None,
    size: int,
    known: list[Verdict],
) -> list[Verdict]:
    """What the length of the steps says, and the noise of the gradients."""
    if any(verdict.kind == "unstable" for verdict in known):
        return []
    begun, ended = probes
    ratios = np.array([[layer.update_ratio for layer in begun.layers]])
    if "layer_update_ratio" in history:
        ratios = np.asarray(history["layer_update_ratio"])
    own = ~np.isnan(ratios).all(0)
    if not own.any() or fitted is None:
        return []
    steps = np.nanmedian(ratios[:, own], 0)
    names = np.array([layer.name for layer in begun.layers])[own]
    longest = int(np.argmax(steps))
    ratio = float(steps[longest])
    if fitted.kind == "unstable":
        noise = _noise_scale(history)
        noise = ended.noise_scale if math.isnan(noise) else noise
        if ratio < _GREAT and noise > _NOISY * size:
            evidence = (
                f"the loss swings; gradients are so noisy (scale {noise:.3g}) that {size} rows say little of them"
            )
            remedies = (
                Remedy("Take batches of eight times the size.", with_batches(8 * size)),
                Remedy("Lower the learning rate to a tenth.", changes(recipe, rated(0.1))),
            )
            return [Verdict("small_batch", evidence, (), noise / (_NOISY * size), remedies)]
        evidence = f"the loss swings; a step is {ratio:.2g} of the length of the parameters of {names[longest]}"
        return [Verdict("unstable", evidence, (str(names[longest]),), max(ratio / _GREAT, 1.0), _slower(recipe))]
    if fitted.kind in ("stalled", "underfitting") and ratio < _SMALL and not known:
        evidence = f"no step is longer than {ratio:.2g} of its parameters' length"
        remedies = (
            Remedy("A hundred times the learning rate; `learning_rate_range` finds it.", changes(recipe, rated(100.0))),
        )
        return [Verdict("stalled", evidence, (), _SMALL / max(ratio, 1e-30), remedies)]
    return []


def _noise_scale(history: Mapping[str, Any]) -> float:
    """Over all probes of the run: means first, for the quotient of one batch says little."""
    if "gradient_variance" not in history:
        return math.nan
    variance, square = (np.asarray(history[name]) for name in ("gradient_variance", "gradient_square"))
    if np.isnan(variance).all():
        return math.nan
    return float(np.nanmean(variance) / max(float(np.nanmean(square)), 1e-30))


def _of_curves(
    recipe: Recipe, fitted: FitVerdict | None, losses: tuple[float, float], known: list[Verdict]
) -> list[Verdict]:
    """What the loss curves say, where nothing else explains them."""
    told = {verdict.kind for verdict in known}
    if fitted is None or fitted.kind in ("healthy", "unstable") or told & _EXPLAIN.get(fitted.kind, _EXPLAIN_ALL):
        return []
    training, validation = losses
    gap = "" if math.isnan(validation) else f", validation {validation:.4g}"
    evidence = f"training loss {training:.4g} in evaluation mode{gap}"
    if fitted.kind == "overfitting":
        if not validation > training * 1.1:
            return []  # what rose is above a training loss with noise in it
        evidence += f"; the validation loss was least after epoch {fitted.best_epoch + 1}"
        remedies = (
            Remedy("Stop earlier: keep the weights of the best epoch.", stopped()),
            Remedy("Dropout of 0.2, where the net can be told to.", changes(recipe, regularized(0.2))),
            Remedy("More data, or augmentation of those there are."),
            Remedy("A net of half the width.", changes(recipe, resized(0.5))),
        )
    elif fitted.kind == "easy_validation":
        if not training > validation * 1.1:
            return []  # it was dropout, augmentation or the penalty, or the mean over an epoch
        remedies = (Remedy("Look at the split: an easier part of the data, few rows, or rows of the training set."),)
    elif fitted.kind == "underfitting":
        evidence += f"; the training loss was falling yet, by {-fitted.slope:.2g} an epoch"
        remedies = (
            Remedy("A net of four times the width.", changes(recipe, resized(4.0))),
            Remedy("Three times the learning rate.", changes(recipe, rated(3.0))),
            Remedy("More epochs."),
        )
    else:
        remedies = (
            Remedy("A hundred times the learning rate; `learning_rate_range` finds it.", changes(recipe, rated(100.0))),
            Remedy("See with `preflight` whether one batch can be learned by heart."),
        )
    return [Verdict(fitted.kind, evidence, (), 1.0, remedies)]
