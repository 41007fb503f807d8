"""The learning-rate range test: one short training whose rate grows, and where along it the loss falls fastest."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_integer, check_key, check_range, fail
from jaxann.core.products import Optimizer
from jaxann.core.programs import hands_over, jit
from jaxann.core.typing import Key
from jaxann.optimizers import learning_rate_of
from jaxann.schedules import exponential, scaled, value_at
from jaxann.train.batches import Batch, example_count, gather, noise_key, order_of, step_count
from jaxann.train.epoch import begin
from jaxann.train.inputs import as_batch
from jaxann.train.learned import data_to_learn_from
from jaxann.train.prepare import prepare_data, sized
from jaxann.train.recipe import Recipe, as_recipe
from jaxann.train.steps import train_step

__all__ = ["LearningRateRange", "learning_rate_range", "read_losses"]

_RISEN = 4.0  # times the least loss: from there on nothing is learned about smaller rates
_EDGE = 5  # steps at the beginning, of which the smoothed loss says little yet


class LearningRateRange(NamedTuple):
    """What `learning_rate_range` found; print it for a few lines, `plot.learning_rate_range` draws it.

    Attributes:
        rates, losses: of each step before the loss had risen to four times its least value, or was not finite.
        smoothed: mean of the losses so far, weights falling by `smoothing` a step, without the bias to 0.
        steepest: the rate at which the smoothed loss falls fastest along ln(rate).
        lowest: the rate of its least value.
        suggested: the smaller of `steepest` and `lowest` / 10; NaN where the loss never fell.
        is_open: whether the loss was falling yet at the greatest rate, so that greater ones should be tried.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    steepest: float
    lowest: float
    suggested: float
    is_open: bool

    def __str__(self) -> str:
        if math.isnan(self.suggested):
            return f"learning rate: the loss does not fall between {self.rates[0]:.1e} and {self.rates[-1]:.1e}"
        lines = [
            f"learning rate: about {self.suggested:.1e}",
            f"  the loss falls fastest at {self.steepest:.1e}, and is least at {self.lowest:.1e}",
            f"  {self.smoothed[0]:.4g} at first, {self.smoothed.min():.4g} at its least, "
            f"{len(self.rates)} steps up to {self.rates[-1]:.1e}",
        ]
        return "\n".join([*lines, "  it was falling yet: try greater rates too"] if self.is_open else lines)


@hands_over
def learning_rate_range(
    recipe: Recipe,
    data: tuple,
    key: Key,
    *,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    batch_size: int | None = None,
    smoothing: float = 0.9,
) -> LearningRateRange:
    """Train a fresh model for some steps, each with a greater learning rate, and look where the loss falls.

        found = ja.diagnose.learning_rate_range(recipe, (x, y), jax.random.key(0))
        recipe = recipe.replace(optimizer=ja.optimizers.adam(found.suggested))

    Step k has the rate low (high / low)^(k / (steps - 1)), in the place of the recipe's own rate or schedule, and a
    batch of its own; whatever is trained is thrown away. All steps are one compiled program. Rates of one optimizer for
    several groups of leaves keep their proportions.

    Args:
        recipe: what is trained; its penalty and augmentations take part.
        data: `(x, y)` or `(x, y, weights)`, as in `fit`.
        key: of weights, order and noise.
        low, high: the first and the last rate.
        steps: how many.
        batch_size: examples of each; the recipe's own, or 128, when None.
        smoothing: weight of the past in the mean of the losses. Above 0.9 the mean of so few steps comes late, and
            with it the rates that are named.

    Peers: fastai's lr_find and Lightning's finder have the same rule with a smoothing of 0.98 over 100 steps.

    Source: Smith 2017; the smaller of the steepest rate and a tenth of the one with the least loss is fastai's habit.

    Raises:
        InputError: the optimizer has no learning rate, or looks for it in each step (`lbfgs`); an argument is out of
            range, or data are not what `fit` takes.
    """
    name = "learning_rate_range"
    check_key(name, key)
    recipe = as_recipe(name, recipe)
    check_range(name, "low", low, 0, open_low=True)
    check_range(name, "high", high, 0, open_low=True)
    if high <= low:
        fail(name, "high", f"above low ({low:g})", high)
    check_integer(name, "steps", steps, 10)
    check_range(name, "smoothing", smoothing, 0, 1, open_high=True)
    if recipe.whole_batch or learning_rate_of(recipe.optimizer) is None:
        fail(name, "recipe", "one whose optimizer has a learning rate and looks for none", recipe.optimizer)
    growing = exponential(low, steps - 1, high / low)
    plain = recipe.replace(optimizer=_at_rate(recipe.optimizer, growing), metrics=None, stopping=None)
    batch = as_batch(name, "data", data)
    plain = sized(name, plain, example_count(batch.x), batch_size)
    batch, _ = prepare_data(name, [plain], key, batch, None)
    losses, kept = jax.device_get(_losses(plain, key, jax.device_put(batch), steps=steps))
    rates = low * (high / low) ** (np.arange(steps) / (steps - 1))
    return read_losses(rates, np.where(kept, losses, np.nan), smoothing)


def read_losses(rates: np.ndarray, losses: np.ndarray, smoothing: float) -> LearningRateRange:
    """What the losses of a test say; the first is of the fresh weights."""
    losses = np.asarray(losses, np.float64)
    smoothed, mean = np.empty(len(losses)), 0.0
    for k, loss in enumerate(losses):
        mean = smoothing * mean + (1 - smoothing) * loss
        smoothed[k] = mean / (1 - smoothing ** (k + 1))
    lowest_yet = np.fmin.accumulate(np.where(np.isfinite(losses), losses, np.inf))
    bad = ~np.isfinite(losses) | (losses > lowest_yet + (_RISEN - 1) * np.abs(lowest_yet))
    bad[0] = ~np.isfinite(losses[0])
    ended = int(np.argmax(bad)) if bad.any() else len(losses)
    rates, losses, smoothed = rates[:ended], losses[:ended], smoothed[:ended]
    if ended <= _EDGE + 1 or smoothed.min() >= smoothed[0]:
        return LearningRateRange(rates, losses, smoothed, math.nan, math.nan, math.nan, False)
    falling = np.gradient(smoothed, np.log(rates))
    lowest = int(np.argmin(smoothed))
    steepest = _EDGE + int(np.argmin(falling[_EDGE : max(lowest, _EDGE) + 1]))
    suggested = min(rates[steepest], rates[lowest] / 10)
    is_open = not bad.any() and lowest == ended - 1
    return LearningRateRange(
        rates, losses, smoothed, float(rates[steepest]), float(rates[lowest]), float(suggested), is_open
    )


def _at_rate(optimizer: Optimizer, schedule: Any) -> Optimizer:
    """The optimizer with every rate along the schedule, in the proportion to the rate in force that they have now."""
    whole = _first(learning_rate_of(optimizer))

    def changed(value: Any) -> Any:
        if not isinstance(value, Optimizer):
            return value
        inside = {name: jax.tree.map(changed, argument, is_leaf=_is_optimizer) for name, argument in _holding(value)}
        for name, argument in value.arguments.items():
            if name.endswith("learning_rate") and argument is not None:
                share = _first(argument) / whole if whole else 1.0
                inside[name] = schedule if share == 1 else scaled(schedule, share)
        return value.replace(**inside) if inside else value

    return changed(optimizer)


def _holding(optimizer: Optimizer) -> list[tuple[str, Any]]:
    """The arguments that hold optimizers."""
    return [
        (name, argument)
        for name, argument in optimizer.arguments.items()
        if any(_is_optimizer(one) for one in jax.tree.leaves(argument, is_leaf=_is_optimizer))
    ]


def _is_optimizer(value: Any) -> bool:
    return isinstance(value, Optimizer)


def _first(rate: Any) -> float:
    """The greatest of a schedule's first values: a warmup begins at 0."""
    return float(max(value_at(rate, jnp.int32(step)) for step in (0, 1, 10, 100, 1000)))


@jit(guarded=True, static_argnames=("steps",))
def _losses(recipe: Recipe, key: Key, data: Batch, *, steps: int) -> tuple[jax.Array, jax.Array]:
    """The objective of each step before its update, and whether the step was good."""
    size, examples = recipe.batch_size, example_count(data.x)
    assert size is not None
    each = step_count(examples, size)
    carry = begin(recipe, key, data.x, None, data_to_learn_from(recipe, data))
    orders = [
        order_of(key, jnp.int32(epoch), examples, batch_size=size, shuffle=True) for epoch in range(-(-steps // each))
    ]

    def step(trained, number):
        epoch, place = number // each, number % each
        index, mask = (None if a is None else a[epoch, place] for a in stacked)
        batch = gather(data, index, mask)
        noise = noise_key(key, epoch, place)
        trained, seen = train_step(trained, recipe, batch, key=noise, example_mask=mask)
        return trained, (seen.loss, seen.kept)

    stacked = jax.tree.map(lambda *a: jnp.stack(a), *orders)
    return lax.scan(step, carry.trained, jnp.arange(steps, dtype=jnp.int32))[1]
