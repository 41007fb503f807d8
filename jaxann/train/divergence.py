"""What to tell a person whose run met a loss or gradient that is not finite."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.errors import DivergedError, DivergedWarning
from jaxann.core.trees import flatten_named
from jaxann.core.typing import Key
from jaxann.optimizers import learning_rate_at
from jaxann.train.epoch import Carry, Data, batch_of
from jaxann.train.plan import Ingredients, Plan, step_count, with_plateaus
from jaxann.train.run import Result
from jaxann.train.step import gradient

__all__ = ["report"]


def report(
    plan: Plan, parts: Ingredients, key: Key, carry: Carry, data: Data, result: Result, on_nonfinite: str
) -> None:
    """Warn or raise when steps were bad; silent when all were good.

    The program keeps no record of the bad step beside its number: its inputs are recomputed here from the last good
    weights and the key, and the step is replayed to name the first layer whose gradient is not finite.
    """
    step = result.diverged_step
    if step < 0:
        return
    alive, skipped = bool(carry.trained.guard.alive), int(carry.trained.guard.skipped)
    if alive:
        message = f"fit: {skipped} steps with a loss or gradient that is not finite were skipped, the first was {step}."
        warnings.warn(message, DivergedWarning, stacklevel=3)
        return
    message = f"fit: {_account(plan, parts, key, carry, data, step, skipped)}"
    if step == 0 or on_nonfinite == "raise":
        raise DivergedError(message, step=step, params=result.params, state=result.state)
    warnings.warn(f"{message} The last good weights are returned.", DivergedWarning, stacklevel=3)


def _account(plan: Plan, parts: Ingredients, key: Key, carry: Carry, data: Data, step: int, skipped: int) -> str:
    steps = step_count(data[0].shape[0], plan.batch_size)
    epoch, number = divmod(step, steps)
    optimizer = with_plateaus(parts.optimizer, carry.plateaus)
    rate = float(learning_rate_at(optimizer, jnp.int32(step)))
    text = f"step {step} (epoch {epoch}, batch {number}) gave a loss or gradient that is not finite"
    text += f", at learning rate {rate:.3g}"
    if skipped == 1:  # the weights are still those of the bad step, so it can be run again
        last = number == steps - 1
        batch, mask, noise = batch_of(plan, key, jnp.int32(epoch), jnp.int32(number), data, last=last)
        (loss, _), grads = jax.jit(
            lambda trained, batch: gradient(
                trained, parts, batch, key=noise, mask=mask, compute_dtype=plan.compute_dtype
            )[:2]
        )(carry.trained, batch)  # fmt: skip
        norms = {name: float(np.linalg.norm(np.asarray(g, np.float64))) for name, g in flatten_named(grads).items()}
        bad = [name for name, norm in norms.items() if not np.isfinite(norm)]
        text += f"; loss {float(loss):.4g}, gradient norm {np.sqrt(sum(n**2 for n in norms.values())):.3g}"
        text += f", first bad gradient in {bad[0]!r}" if bad else ""
        rows = np.asarray(batch[0]).reshape(batch[0].shape[0], -1)
        if not np.isfinite(rows).all():
            text += f"; row {int(np.argmax(~np.isfinite(rows).all(1)))} of the batch is not finite itself"
    return text + "."
