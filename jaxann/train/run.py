"""The training run as one pure function: `run(key, train, validation) -> Result`."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_key
from jaxann.core.typing import Key, Params, State
from jaxann.train.augmented import as_trained
from jaxann.train.batches import default_float, example_count
from jaxann.train.epoch import Carry, active, begin, row_width, run_epoch, weights_of
from jaxann.train.learned import data_to_learn_from
from jaxann.train.prepare import check_known, check_monitor, epochs_of, for_model, sized
from jaxann.train.probing import history_of
from jaxann.train.recipe import Recipe, as_recipe
from jaxann.train.shaped import shaped_batch
from jaxann.train.weights import initial_weights

__all__ = ["Result", "Status", "finish", "make_run"]


class Status(enum.IntEnum):
    """How a run ended."""

    FINISHED = 0  # all epochs
    STOPPED = 1  # early, for want of improvement, or because an observer ended it
    DIVERGED = 2  # at a loss, gradient or update that is not finite, or too long; the last good weights are returned
    INTERRUPTED = 3  # by Ctrl-C


class Result(NamedTuple):
    """What a run returns; under vmap every array has a leading axis of members."""

    params: Params  # the best epoch's when best weights are restored, else the last good ones
    state: State
    history: dict[str, Any]  # one value an epoch; NaN for epochs not run (inf under jax_debug_nans)
    best_epoch: Any  # epoch of the best monitored value, from 0; -1 for none
    epochs_run: Any
    status: Any  # a Status
    diverged_step: Any  # number of the step that ended training, else of the first one skipped; -1 for none
    carry: Carry | None = None  # from `fit`: what `fit(resume=...)` continues from


def make_run(recipe: Recipe, *, epochs: int | None = None, batch_size: int | None = None) -> Callable[..., Result]:
    """A whole training run as a pure function: jit it, vmap it over keys or recipes, differentiate it, export it.

        run = make_run(recipe, epochs=20, batch_size=128)
        result = jax.jit(run)(key, (x, y), (x_val, y_val))
        results = jax.jit(jax.vmap(run, in_axes=(0, None, None)))(keys, (x, y), (x_val, y_val))

    Each epoch takes the examples in a new pseudo-random order drawn from the key; the last partial batch is padded
    and masked, so that every example counts once. It is the program of `fit`, which adds checks of the data's values,
    progress and interruption; nothing here depends on values, so a run that diverges says so in its status.

    Args:
        recipe: what is trained.
        epochs: number of epochs, static; where the recipe has none of its own. A run that stops early skips the rest.
        batch_size: examples an update, at most their number; where the recipe has none of its own. 128 when None, and
            all of them where the optimizer wants that.

    Returns:
        `run(key, train, validation=None, initial=None)`, train and validation being `(x, y)` or `(x, y, weights)`,
        initial `(params, state)` to begin with instead of fresh ones.

    Raises:
        InputError: a setting is out of range, or shapes do not fit together (when the run is traced); called outside of
            a program, also where targets are none that the loss takes.
    """
    recipe = as_recipe("make_run", recipe)
    length = epochs_of("make_run", recipe, epochs)
    sized("make_run", recipe, 2**31 - 1, batch_size)  # its checks speak now

    def run(key: Key, train: tuple, validation: tuple | None = None, initial: tuple | None = None) -> Result:
        check_key("run", key)
        data = shaped_batch("run", "train", train)
        measured = None if validation is None else shaped_batch("run", "validation", validation)
        exact = sized("run", recipe, example_count(data.x), batch_size)
        check_monitor("run", exact, measured)
        data, measured = for_model(exact, data, measured)
        check_known("run", exact, key, data, measured)
        data, measured = jax.tree.map(jnp.asarray, (data, measured))
        seen, _ = as_trained(exact, data.x, data.y)
        given = initial_weights("run", exact, key, data, initial)
        carry = begin(exact, key, seen, given, data_to_learn_from(exact, data))
        columns = exact.columns(measured is not None)

        def body(carry, _):
            if not exact.stops_early:
                return run_epoch(exact, key, carry, data, measured)
            nothing = jnp.full(row_width(exact, carry, data, measured is not None), _absent(), default_float())
            return lax.cond(
                active(exact, carry),
                lambda c: run_epoch(exact, key, c, data, measured),
                lambda c: (c, nothing),
                carry,
            )

        carry, rows = lax.scan(body, carry, None, length=length)
        return finish(exact, carry, history_of(columns, rows))

    return run


def _absent() -> float:
    """What stands in the history for an epoch that was not run: NaN, but where JAX would take that for a fault."""
    config: Any = jax.config
    if not config.jax_debug_nans:
        return float("nan")
    return float(np.finfo(np.float32).max) if config.jax_debug_infs else float("inf")


def finish(recipe: Recipe, carry: Carry, history: dict[str, Any]) -> Result:
    """The result of a run from its last carry."""
    trained, stop = carry.trained, carry.stop
    params, state = weights_of(carry)
    status = jnp.int32(Status.FINISHED)
    if recipe.stopping is not None and recipe.stopping.patience is not None:
        waited = stop.wait >= jnp.asarray(recipe.stopping.patience, jnp.int32)
        status = jnp.where(waited, jnp.int32(Status.STOPPED), status)
    status = jnp.where(trained.guard.alive, status, jnp.int32(Status.DIVERGED))
    return Result(params, state, history, stop.best_epoch, carry.epoch, status, trained.guard.first_bad)
