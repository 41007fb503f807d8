"""The training run as one pure function: `run(key, train, validation) -> Result`."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.products import Augment, Penalty
from jaxann.core.trees import flatten_named
from jaxann.core.typing import Key, Params, Scalar, State
from jaxann.train.epoch import Carry, Data, active, begin, run_epoch, weights_of
from jaxann.train.plan import Ingredients, Plan, default_float, fit_batch, make_plan, strong

__all__ = ["Result", "Status", "finish", "fit_to", "initial_of", "make_run", "ready"]


class Status(enum.IntEnum):
    """How a run ended."""

    FINISHED = 0  # all epochs
    STOPPED = 1  # early, for want of improvement
    DIVERGED = 2  # at a loss or gradient that is not finite; the last good weights are returned
    INTERRUPTED = 3  # by Ctrl-C


class Result(NamedTuple):
    """What a run returns; under vmap every array has a leading axis of members."""

    params: Params  # the best epoch's when best weights are restored, else the last good ones
    state: State
    history: dict[str, Any]  # one value an epoch; NaN for epochs that were not run
    best_epoch: Any  # epoch of the best monitored value, from 0; -1 for none
    epochs_run: Any
    status: Any  # a Status
    diverged_step: Any  # number of the first bad step, from 0; -1 for none
    carry: Carry | None = None  # from `fit`: what `fit(resume=...)` continues from


def make_run(
    model: Any,
    loss: Callable,
    optimizer: Any,
    *,
    epochs: int,
    batch_size: int | None = None,
    metrics: Mapping[str, Any] | None = None,
    patience: Scalar | None = None,
    min_delta: Scalar = 0.0,
    monitor: str = "validation_loss",
    mode: str = "min",
    restore_best: bool | None = None,
    shuffle: bool = True,
    evaluation_batch_size: int = 2048,
    compute_dtype: str | None = None,
    most_bad_steps: Scalar = 1,
    penalty: Penalty | None = None,
    augment: Augment | tuple[Augment, ...] = (),
) -> Callable[..., Result]:
    """A whole training run as a pure function: jit it, vmap it over keys or products, differentiate it, export it.

        run = make_run(model, loss, optimizer, epochs=20, batch_size=128)
        result = jax.jit(run)(key, (x, y), (x_val, y_val))
        results = jax.jit(jax.vmap(run, in_axes=(0, None, None)))(keys, (x, y), (x_val, y_val))

    Each epoch takes the examples in a new pseudo-random order drawn from the key; the last partial batch is padded
    and masked, so that every example counts once. Arguments are those of `fit`, which adds checks of the data's
    values, progress and interruption; nothing here depends on values.

    Args:
        epochs: number of epochs; static. A run that stops early skips the rest.
        most_bad_steps: steps in a row with a loss or gradient that is not finite that end the run; they are undone.

    Returns:
        `run(key, train, validation=None, initial=None)`, train and validation being `(x, y)` or `(x, y, weights)`,
        initial `(params, state)` to begin with instead of fresh ones.

    Raises:
        InputError: a setting is out of range, or shapes do not fit together (when the run is traced).
    """
    check_integer("make_run", "epochs", epochs, 0)
    plan, ingredients = make_plan(
        "make_run",
        model,
        loss,
        optimizer,
        batch_size=batch_size,
        metrics=metrics,
        patience=patience,
        min_delta=min_delta,
        monitor=monitor,
        mode=mode,
        restore_best=restore_best,
        shuffle=shuffle,
        evaluation_batch_size=evaluation_batch_size,
        compute_dtype=compute_dtype,
        most_bad=most_bad_steps,
        penalty=penalty,
        augment=augment,
    )

    def run(key: Key, train: tuple, validation: tuple | None = None, initial: tuple | None = None) -> Result:
        check_key("run", key)
        data, held_out = ready("run", "train", train), None
        if validation is not None:
            held_out = ready("run", "validation", validation)
        exact = fit_to(plan, "run", data[0].shape[0], held_out)
        parts = strong(ingredients)
        carry = begin(exact, parts, key, data[0], initial_of("run", parts, key, data[0], initial))
        columns = exact.columns(held_out is not None)

        def body(carry, _):
            if not exact.stops_early:
                return run_epoch(exact, parts, key, carry, data, held_out)
            nothing = jnp.full(len(columns), jnp.nan, default_float())
            return lax.cond(
                active(exact, parts, carry),
                lambda c: run_epoch(exact, parts, key, c, data, held_out),
                lambda c: (c, nothing),
                carry,
            )

        carry, rows = lax.scan(body, carry, None, length=epochs)
        history = {name: rows[:, i] for i, name in enumerate(columns)}
        return finish(exact, parts, carry, history)

    return run


def initial_of(function: str, parts: Ingredients, key: Key, x: Any, initial: Any) -> tuple[Params, State] | None:
    """Initial weights of the shapes of fresh ones; None for none.

    Raises:
        InputError: another structure, another shape or another dtype; the message names the first such leaf.
    """
    if initial is None:
        return None
    if not isinstance(initial, tuple | list) or isinstance(initial, Result) or len(initial) != 2:
        hint = "Of a result: initial=(result.params, result.state)."
        fail(function, "initial", "a tuple (params, state)", f" a {type(initial).__name__}", hint=hint)
    spec = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
    fresh = _named(jax.eval_shape(lambda k: parts.model.init(k, spec), key))
    given = _named(initial)
    for name in [*fresh, *given]:
        expected, got = fresh.get(name, " none"), given.get(name, " none")
        if expected != got:
            fail(function, f"initial {name}", expected[1:], got)
    return jax.device_put(tuple(initial))


def _named(weights: Any) -> dict[str, str]:
    """Dtype and shape of each leaf by name."""
    named = flatten_named(dict(zip(("params", "state"), weights, strict=True)))
    return {name: f" {jnp.dtype(leaf.dtype).name} of shape {leaf.shape}" for name, leaf in named.items()}


def fit_to(plan: Plan, function: str, examples: int, validation: Any) -> Plan:
    """The plan for data of this size: a batch is no larger than the data, and what is monitored must exist."""
    if validation is None and plan.stops_early and plan.monitor.startswith("validation"):
        fail(function, "validation", f"given to stop early on {plan.monitor!r}", None)
    return fit_batch(function, plan, examples)


def ready(function: str, argument: str, data: Any) -> Data:
    """`(x, y, weights)` with shapes that fit, weights None where there are none."""
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        fail(function, argument, "a tuple (x, y) or (x, y, weights)", data)
    x, y, weights = (*data, None) if len(data) == 2 else data
    x, y = jnp.asarray(x), jnp.asarray(y)
    weights = None if weights is None else jnp.asarray(weights, default_float())
    for name, array in (("x", x), ("y", y)):
        if array.ndim < (2 if name == "x" else 1):
            hint = "For one feature: x.reshape(-1, 1)." if name == "x" else None
            expected = "of shape (examples, ...features)" if name == "x" else "of shape (examples, ...)"
            fail(function, f"{argument} {name}", expected, f" shape {array.shape}", hint=hint)
    if x.shape[0] != y.shape[0]:
        fail(function, f"{argument} y", f"as long as x ({x.shape[0]} rows)", f" {y.shape[0]} rows")
    if x.shape[0] == 0 or x.size == 0:
        fail(function, f"{argument} x", "of at least one row and one feature", f" shape {x.shape}")
    if weights is not None and weights.shape != x.shape[:1]:
        fail(function, f"{argument} weights", f"of shape {x.shape[:1]}, one an example", f" shape {weights.shape}")
    return x, y, weights


def finish(plan: Plan, parts: Ingredients, carry: Carry, history: dict[str, Any]) -> Result:
    """The result of a run from its last carry."""
    trained, stop = carry.trained, carry.stop
    params, state = weights_of(carry)
    status = jnp.int32(Status.FINISHED)
    if plan.stops_early:
        waited = stop.wait >= jnp.asarray(parts.patience, jnp.int32)
        status = jnp.where(waited, jnp.int32(Status.STOPPED), status)
    status = jnp.where(trained.guard.alive, status, jnp.int32(Status.DIVERGED))
    return Result(params, state, history, stop.best_epoch, carry.epoch, status, trained.guard.first_bad)
