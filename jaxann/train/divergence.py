"""What to tell a person whose run met a loss, gradient or update that is not finite, or too long."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.errors import DivergedError, DivergedWarning
from jaxann.core.notices import notify
from jaxann.core.programs import jit
from jaxann.core.trees import flatten_named
from jaxann.core.typing import Key
from jaxann.optimizers import learning_rate_at
from jaxann.train.batches import Batch, batch_of, example_count, step_count
from jaxann.train.epoch import Carry, with_plateaus
from jaxann.train.inputs import named_leaves
from jaxann.train.nonfinite import nonfinite_place
from jaxann.train.probing import probe_batch, probe_layers
from jaxann.train.recipe import Recipe
from jaxann.train.run import Result
from jaxann.train.steps import gradient, longest

__all__ = ["refuse_nonfinite", "report"]

_ANY = "loss, gradient or update"


def refuse_nonfinite(history: dict[str, np.ndarray]) -> None:
    """What JAX's checks would have said of the figures, had they been allowed to look.

    Raises:
        FloatingPointError: a figure is NaN under `jax_debug_nans`, or infinite under `jax_debug_infs`.
    """
    config: Any = jax.config
    for flag, is_bad in (("jax_debug_nans", np.isnan), ("jax_debug_infs", np.isinf)):
        for name, values in history.items():
            if getattr(config, flag) and is_bad(values).any():
                epoch = int(np.argmax(is_bad(values)))
                raise FloatingPointError(f"fit: {name!r} is {values[epoch]} in epoch {epoch}, and {flag} is on.")


def report(
    recipe: Recipe, key: Key, carry: Carry, data: Batch, result: Result, on_nonfinite: str, told: int = 0
) -> None:
    """Warn or raise when steps were bad; silent when all were good, but for the first `told` that were skipped.

    The program keeps no record of the bad step beside its number: its inputs are recomputed here from the last good
    weights and the key, and the step is replayed to name the first layer where numbers are not finite. Under
    `jax_debug_nans` and `jax_debug_infs` the replay raises JAX's own error, which names the operation.
    """
    step = result.diverged_step
    if step < 0:
        return
    alive, skipped = bool(carry.trained.guard.alive), int(carry.trained.guard.skipped)
    if alive and skipped > told:
        which = f", the first was {step}" if told == 0 else ""
        message = f"fit: {skipped - told} steps with a {_ANY} that is not finite, or too long, were skipped{which}."
        notify(message, DivergedWarning)
    if alive:
        return
    message = f"fit: {_account(recipe, key, carry, data, step, skipped)}"
    if step == skipped - 1 or on_nonfinite == "raise":  # no step before it was a good one
        raise DivergedError(message, step=step, params=result.params, state=result.state)
    notify(f"{message} The last good weights are returned.", DivergedWarning)


def _account(recipe: Recipe, key: Key, carry: Carry, data: Batch, step: int, skipped: int) -> str:
    size = recipe.batch_size
    assert size is not None
    steps = step_count(example_count(data.x), size)
    epoch, number = divmod(int(carry.epoch) * steps - (int(carry.trained.guard.steps) - step), steps)
    optimizer = with_plateaus(recipe.optimizer, carry.plateaus)
    rate = float(learning_rate_at(optimizer, jnp.int32(step - (skipped - 1))))  # a schedule counts updates
    place = f"step {step} (epoch {epoch}, batch {number})"
    # The weights are still those of the bad step, so it can be run again.
    batch, mask, noise = batch_of(
        key,
        jnp.int32(epoch),
        jnp.int32(number),
        data,
        batch_size=size,
        shuffle=recipe.shuffle,
        last=number == steps - 1,
    )

    def again(trained, batch):
        (loss, _), grads = gradient(trained, recipe, batch, key=noise, example_mask=mask)[:2]
        found = probe_batch(recipe, trained, batch, key=noise, example_mask=mask, with_noise=False)
        return loss, grads, found.by_layer

    loss, grads, by_layer = jit(again)(carry.trained, batch)
    norms = {name: float(np.linalg.norm(np.asarray(g, np.float64))) for name, g in flatten_named(grads).items()}
    norm = np.sqrt(sum(n**2 for n in norms.values()))
    limit, what = longest(recipe, grads), "a loss or gradient that is not finite"
    if np.isfinite(float(loss)) and np.isfinite(norm):
        what = "an update that is not finite"
        if norm > limit:
            what = (
                f"a gradient longer than {limit:.3g}, which rules cannot square (clip_by_global_norm takes any length)"
            )
    text = f"{place} gave {what}, at learning rate {rate:.3g}; loss {float(loss):.4g}, gradient norm {norm:.3g}"
    first = nonfinite_place(probe_layers(recipe, carry.trained, batch), np.asarray(by_layer), float(loss))
    if first is not None and not limit < norm < np.inf:
        text += f"; the first that is not finite is {first}"
    for name, leaf in named_leaves("x", batch.x):
        rows = np.asarray(leaf).reshape(leaf.shape[0], -1)
        if not np.isfinite(rows).all():
            bad_row = int(np.argmax(~np.isfinite(rows).all(1)))
            of = "" if name == "x" else f" of {name}"
            text += f"; row {bad_row} of the batch{of} is not finite itself"
    return text + "."
