"""Before training: what can be known of data, net and settings without a run."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_key
from jaxann.core.keys import fold_name
from jaxann.core.programs import hands_over, jit
from jaxann.core.typing import Key
from jaxann.diagnose.data_checks import recipe_data_verdicts
from jaxann.diagnose.probe import Probes, probe
from jaxann.diagnose.rate_range import LearningRateRange, learning_rate_range
from jaxann.diagnose.remedies import changes, initialized, rated
from jaxann.diagnose.signals import signal_verdicts
from jaxann.diagnose.summary import summary
from jaxann.diagnose.verdicts import KINDS, REMARKS, Diagnosis, Remedy, Verdict
from jaxann.optimizers import learning_rate_at, learning_rate_of
from jaxann.train.augmented import as_trained
from jaxann.train.batches import Batch, example_count, step_count
from jaxann.train.fit import fit
from jaxann.train.inputs import as_batch
from jaxann.train.objective import apply_in, loss_sums
from jaxann.train.prepare import prepare_data, sized
from jaxann.train.recipe import Recipe, as_recipe

__all__ = ["Preflight", "preflight"]

_ROWS = 32  # of the batch that is to be learned by heart
_STEPS = 300  # in which it has to be
_LEARNED = 0.5  # of its first loss: above, it was not
_WILD = 5.0  # times the loss of outputs that are all 0
_TOO_HIGH, _TOO_LOW = 3.0, 0.01  # times the rate at which the loss is least, and the one that is suggested


@dataclass(frozen=True)
class Preflight(Diagnosis):
    """What `preflight` found; print it.

    Attributes:
        layers: the probe of the first batch with fresh weights.
        learning_rates: the range test, for `plot.learning_rate_range`; None for an optimizer without a rate.
        gain: greatest singular value of the model's Jacobian in its input, mean over some examples; NaN for inputs
            that are no numbers.
        bytes: foreseen memory of a step and the data.
        seconds: foreseen time of an epoch, without compilation; NaN where it was not measured.
    """

    layers: Probes | None = None
    learning_rates: LearningRateRange | None = None
    gain: float = math.nan
    bytes: int = 0
    seconds: float = math.nan


@hands_over
def preflight(
    recipe: Recipe, data: tuple, key: Key, *, validation: tuple | None = None, batch_size: int | None = None
) -> Preflight:
    """Look at data, net and settings before a long training: a minute that may save hours.

        found = ja.diagnose.preflight(recipe, (x, y), jax.random.key(0), validation=(x_val, y_val))
        print(found)
        recipe = found.verdicts[0].apply(recipe)

    - data: a column that gives the target away, rows that both sets share, classes that never occur, sizes of columns,
      columns that say nothing, labels that contradict their neighbours;
    - the first loss against that of outputs that are all 0 (ln K for K classes);
    - signal and gradient through the layers of the fresh net, units that are off, and the gain from input to output;
    - one batch learned by heart: 32 rows, 300 steps with the recipe's own optimizer;
    - the learning-rate range test, and where the recipe's own rate stands in it;
    - memory and time foreseen.

    Args:
        recipe: what is to be trained.
        data: `(x, y)` or `(x, y, weights)`, as in `fit`.
        key: of weights, order and noise.
        validation: as in `fit`.
        batch_size: examples an update; the recipe's own, or 128, when None.

    Raises:
        InputError: what `fit` refuses of data and recipe.
    """
    check_key("preflight", key)
    recipe = as_recipe("preflight", recipe)
    batch = as_batch("preflight", "data", data)
    exact = sized("preflight", recipe, example_count(batch.x), batch_size)
    measured = None if validation is None else as_batch("preflight", "validation", validation)
    batch, measured = prepare_data("preflight", [exact], key, batch, measured)
    recipe = recipe.replace(batch_size=exact.batch_size)
    plain = recipe.replace(stopping=None, metrics=None, probes=False)
    layers = probe(plain, tuple(batch), key=key)
    verdicts = recipe_data_verdicts(recipe, batch, measured) + signal_verdicts(recipe, layers.layers)
    lines = []
    start, nothing, gain = _start(plain, batch, key)
    lines.append(f"loss at the start {start:.4g}; {nothing:.4g} with all outputs 0; gain of the net {gain:.3g}")
    verdicts += _wild(recipe, start, nothing, verdicts)
    rates, seconds = _rates(plain, batch, key)
    rate = _rate(recipe)
    if rates is not None:
        told = f"{rates}".splitlines()
        lines.append(f"{told[0]}; the recipe's is {rate:.2g}")
        verdicts += _misplaced(recipe, rates, rate)
    verdicts += _stuck(plain, batch, key, lines, verdicts)
    steps = step_count(example_count(batch.x), recipe.batch_size or 1)
    spec = as_trained(recipe, batch.x, batch.y)[0]
    memory = summary(recipe.model, spec, recipe.optimizer, batch_size=recipe.batch_size).memory.total
    size = memory + sum(leaf.nbytes for leaf in jax.tree.leaves(tuple(batch)))
    pace = f", about {seconds * steps:.2g} s an epoch" if np.isfinite(seconds) else ""
    lines.append(f"{steps} steps an epoch{pace}; about {size / 2**20:.3g} MiB with the data")
    order = list(KINDS)
    verdicts.sort(key=lambda verdict: order.index(verdict.kind))
    return Preflight(tuple(verdicts), tuple(lines), layers, rates, gain, size, seconds * steps)


def _rate(recipe: Recipe) -> float:
    if learning_rate_of(recipe.optimizer) is None:
        return math.nan
    return max(float(learning_rate_at(recipe.optimizer, jnp.int32(step))) for step in (0, 1, 10, 100, 1000))


@jit(guarded=True)
def _first_losses(recipe: Recipe, params: Any, state: Any, batch: Batch) -> tuple:
    """The loss of fresh weights, that of outputs which are all 0, and the gain."""
    predictions, _ = apply_in(recipe.model, params, state, batch.x, dtype=recipe.compute_dtype)
    found = []
    for given in (predictions, jax.tree.map(jnp.zeros_like, predictions)):
        total, weight = loss_sums(recipe.loss, given, batch.y, batch.weights)
        found.append(total / weight)
    return (*found, _gain(recipe, params, state, batch.x))


def _gain(recipe: Recipe, params: Any, state: Any, x: Any) -> jax.Array:
    """The greatest singular value of the Jacobian, by the power method, mean over a few examples."""
    if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.floating):
        return jnp.float32(jnp.nan)

    def one(x):
        def model(x):
            y, _ = apply_in(recipe.model, params, state, x[None], dtype=recipe.compute_dtype)
            return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(y)])

        back = jax.vjp(model, x)[1]

        def turn(v, _):
            v = v / jnp.maximum(jnp.linalg.norm(jnp.ravel(v)), 1e-30)
            forward = jax.jvp(model, (x,), (v,))[1]
            length = jnp.linalg.norm(forward)
            return back(forward / jnp.maximum(length, 1e-30))[0], length

        first = jax.random.normal(jax.random.key(0), x.shape, x.dtype)
        return jax.lax.scan(turn, first, None, length=20)[1][-1]

    return jnp.mean(jax.vmap(one)(x[:8]))


def _start(recipe: Recipe, batch: Batch, key: Key) -> tuple[float, float, float]:
    rows = min(recipe.batch_size or 1, example_count(batch.x))
    begun = fit(recipe, tuple(a for a in batch if a is not None), key=key, epochs=0)
    some = jax.tree.map(lambda a: jnp.asarray(a[:rows]), batch)
    return tuple(map(float, _first_losses(recipe, begun.params, begun.state, some)))  # pyright: ignore[reportReturnType]


def _wild(recipe: Recipe, start: float, nothing: float, known: list[Verdict]) -> list[Verdict]:
    if not start > _WILD * nothing or nothing <= 0 or any(verdict.kind == "exploding" for verdict in known):
        return []
    change = changes(recipe, initialized())
    remedies = [Remedy("Let each layer draw its weights as it does by itself.", change)] if change else []
    remedies.append(Remedy("Standardize inputs and, of a regression, targets; draw the last layer's weights smaller."))
    evidence = f"the loss of the fresh net is {start:.4g}, with all outputs 0 it is {nothing:.4g}"
    return [Verdict("wild_start", evidence, (), start / (_WILD * nothing), tuple(remedies))]


def _rates(recipe: Recipe, batch: Batch, key: Key) -> tuple[LearningRateRange | None, float]:
    """The range test, and the seconds of a step."""
    if recipe.whole_batch or learning_rate_of(recipe.optimizer) is None:
        return None, math.nan
    given = tuple(a for a in batch if a is not None)
    found = learning_rate_range(recipe, given, key)
    begun = time.perf_counter()  # the second time nothing is compiled
    learning_rate_range(recipe, given, key)
    return found, (time.perf_counter() - begun) / 100


def _misplaced(recipe: Recipe, rates: LearningRateRange, rate: float) -> list[Verdict]:
    if math.isnan(rates.suggested) or math.isnan(rate):
        return []
    better = rates.suggested / rate
    remedy = Remedy(f"Take a rate of about {rates.suggested:.1e}.", changes(recipe, rated(better)))
    if rate > _TOO_HIGH * rates.lowest and not rates.is_open:
        evidence = f"the rate is {rate:.2g}; tried one after the other, the loss is least at {rates.lowest:.2g}"
        others = (Remedy("Warm up: let the rate grow over the first steps."), Remedy("Cut gradients to a norm of 1."))
        return [Verdict("unstable", evidence, (), rate / (_TOO_HIGH * rates.lowest), (remedy, *others))]
    if rate < _TOO_LOW * rates.suggested:
        evidence = f"the rate is {rate:.2g}; the loss falls fastest at {rates.steepest:.2g}"
        return [Verdict("stalled", evidence, (), _TOO_LOW * rates.suggested / rate, (remedy,))]
    return []


def _stuck(recipe: Recipe, batch: Batch, key: Key, lines: list[str], known: list[Verdict]) -> list[Verdict]:
    rows = min(_ROWS, example_count(batch.x))
    some = tuple(jax.tree.map(lambda a: a[:rows], a) for a in batch if a is not None)
    alone = recipe.replace(augment=(), penalty=None, batch_size=None, on_nonfinite="skip")
    losses = fit(alone, some, key=fold_name(key, "one batch"), epochs=_STEPS, batch_size=rows).history["loss"]
    first, last = float(losses[0]), float(np.nanmin(losses[-_STEPS // 10 :]))
    lines.append(f"{rows} rows learned by heart: loss {first:.4g}, {last:.4g} after {_STEPS} steps")
    if last <= _LEARNED * first or {verdict.kind for verdict in known} - REMARKS:  # which is why
        return []
    evidence = f"the loss of {rows} rows is {first:.4g} at first and {last:.4g} after {_STEPS} steps on them"
    remedies = (
        Remedy("Look whether targets belong to their rows, and the loss to the targets."),
        Remedy("Leave out dropout and other noise, and try again; then a wider or deeper net."),
    )
    return [Verdict("stuck", evidence, (), last / (_LEARNED * first), remedies)]
