"""Who trains when: some settings after the others under a time budget, and runs that diverged once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxann.core.typing import Key

if TYPE_CHECKING:
    from jaxann.tune.trials import Trials

__all__ = ["attempt_keys", "retry_diverged", "train_in_turn"]


def train_in_turn(trials: Trials) -> None:
    """Train all settings to their end.

    Under a time budget the enqueued ones come first, then as many at a time as the devices train at once: whole runs
    are left when the time is over, where all at a time would leave parts of many.
    """
    for settings in _turns(trials):
        trials.train(settings)
        if trials.trainer.interrupted:
            break


def _turns(trials: Trials) -> list[np.ndarray]:
    every = np.arange(trials.count)
    if not trials.allowance.is_timed:
        return [every]
    first, rest = every[: trials.enqueued], every[trials.enqueued :]
    each = len(rest) if trials.at_once is None else max(1, trials.at_once // trials.repeats)
    later = [rest[i : i + each] for i in range(0, len(rest), max(each, 1))]
    return [turn for turn in (first, *later) if len(turn)]


def retry_diverged(trials: Trials, members: np.ndarray, wanted: np.ndarray) -> None:
    """Let those of some members that diverged begin again while they have retries left, up to the epochs wanted."""
    trainer = trials.trainer
    while trials.allowance.retries and not trainer.interrupted:
        bad = trainer.diverged()[members] & (trials.attempts[members] < trials.allowance.retries)
        if not bad.any():
            return
        trials.attempts[members[bad]] += 1
        trials.keys = attempt_keys(trials.first_keys, trials.attempts)
        trainer.restart(members[bad], trials.keys)
        trials.heed_clock()
        trainer.train(members[bad], wanted[bad], trials.observe)


def attempt_keys(keys: Key, attempts: np.ndarray) -> Key:
    """The key of each member's attempt: its own, or for attempt n `fold_in(key, n)`."""
    again = jax.vmap(jax.random.fold_in)(keys, attempts)
    own, other = (np.asarray(jax.random.key_data(one)) for one in (keys, again))
    chosen: Any = np.where((attempts > 0).reshape(-1, *(1,) * (own.ndim - 1)), other, own)
    return jax.random.wrap_key_data(chosen, impl=jax.random.key_impl(keys))
