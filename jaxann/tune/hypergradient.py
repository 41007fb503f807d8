"""The derivative of a trained model's validation loss with respect to what it was trained with.

Reverse mode through the whole run: every step is a differentiable function of the weights before it and of the
hyper-parameters, so the chain rule runs back from the validation loss to the initial weights. It needs the weights of
every step, last step first. Kept all at once they would fill the memory of a long run; here the run is cut into about
sqrt(T) segments of sqrt(T) steps, only the weights between segments are kept, and a segment is run again when its turn
comes, each of its steps once more for the values inside. Memory: 2 sqrt(T) copies of weights and optimizer memory and
one step. Time: the run three times, and the backward pass.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_integer, check_key, fail, is_concrete
from jaxann.core.errors import DivergedError
from jaxann.core.keys import fold_name
from jaxann.core.typing import Array, Key
from jaxann.ops import shuffled_positions
from jaxann.optimizers import looks_at_all
from jaxann.train.epoch import Data, begin
from jaxann.train.hyper import built_from, split_hyper
from jaxann.train.measure import measure
from jaxann.train.plan import Ingredients, Plan, default_float, make_plan, plateaus, step_count, strong
from jaxann.train.run import fit_to, ready
from jaxann.train.step import Trained, train_step

__all__ = ["hypergradient"]


def hypergradient(
    build: Callable[[dict[str, Any]], tuple],
    hyper: Mapping[str, Any],
    train: tuple,
    validation: tuple,
    *,
    key: Key,
    epochs: int,
    batch_size: int,
    shuffle: bool = True,
    evaluation_batch_size: int = 2048,
    compute_dtype: str | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Validation loss L(w_T) after training, and dL/dh for every floating-point hyper-parameter h.

        w_t = step(w_(t-1), h, batch_t),   dL/dh = sum_t dL/dw_t  d step/dh,   dL/dw_(t-1) = dL/dw_t  d step/dw

        def build(hyper):
            return (mlp((64, 10), activation="tanh"), softmax_cross_entropy,
                    sgd(hyper["learning_rate"], momentum=hyper["momentum"]))

        loss, slopes = hypergradient(build, {"learning_rate": 0.1, "momentum": 0.9}, (x, y), (x_val, y_val),
                                     key=key, epochs=10, batch_size=100)

    The run is that of `train.make_run` with the same key: same weights, same batches, and the loss is the last entry
    of its `validation_loss`. Another value of a float compiles nothing, as long as `build` is the same function. Memory
    grows with the square root of the number of steps. It may be called inside `jit` and `vmap`, where nothing is
    raised: a derivative that is not finite is then for the caller to look for.

    What the derivative means. It is exact for this key: these initial weights, these batches, this noise. Over many
    steps the loss may be a rough function of a hyper-parameter and its slope of little use; average over keys, and
    keep runs short. For a **dropout rate** it is only the part that goes through the scale 1 / (1 - rate): which units
    are dropped jumps with the rate and has no slope, so it is not the derivative of the expected loss, and finite
    differences will not confirm it.

    Args:
        build: `hyper -> (model, loss, optimizer)`, called while tracing; the optimizer without a plateau schedule.
        hyper: floats are differentiated with respect to; integers, strings, flags and tuples are handed on.
        train, validation: `(x, y)` or `(x, y, weights)`.
        key: as in `fit`.
        epochs, batch_size, shuffle, evaluation_batch_size, compute_dtype: as in `fit`. There is no early stopping:
            which epoch is the best one has no slope.

    Returns:
        `(loss, gradients)`: a scalar, and a dict with the floats' names and shapes.

    Source: Maclaurin et al. 2015; Chen et al. 2016 (recomputation in sqrt(T) segments).

    Raises:
        InputError: a setting is wrong, or the derivative is not finite although the loss is. Adam is the usual cause:
            its square root has an infinite slope where a parameter has never had a gradient; `eps_root=1e-8` helps.
        DivergedError: training met a loss or gradient that is not finite.
    """
    check_key("hypergradient", key)
    check_integer("hypergradient", "epochs", epochs)
    if not callable(build):
        fail("hypergradient", "build", "a function hyper -> (model, loss, optimizer)", build)
    floats, rest = split_hyper("hypergradient", hyper)
    if not floats:
        fail("hypergradient", "hyper", "a dict with at least one float to differentiate by", dict(hyper))
    data = ready("hypergradient", "train", train)
    held_out = ready("hypergradient", "validation", validation)
    settings = (
        ("batch_size", batch_size),
        ("shuffle", shuffle),
        ("evaluation_batch_size", evaluation_batch_size),
        ("compute_dtype", compute_dtype),
    )
    (loss, (bad_step, params, state)), slopes = _value_and_slopes(
        build, rest, int(epochs), settings, floats, key, data, held_out
    )
    slopes = {name: slopes[name] for name in floats}  # in the order given, which the program has sorted
    if is_concrete(loss):
        if int(bad_step) >= 0:
            message = f"hypergradient: step {int(bad_step)} of the run gave a loss or gradient that is not finite."
            raise DivergedError(message, step=int(bad_step), params=params, state=state)
        _check_finite(loss, slopes)
    return loss, slopes


@functools.partial(jax.jit, static_argnames=("build", "rest", "epochs", "settings"))
def _value_and_slopes(
    build: Callable,
    rest: tuple,
    epochs: int,
    settings: tuple,
    floats: dict[str, Array],
    key: Key,
    data: Data,
    held_out: Data,
) -> Any:
    def outcome(floats):
        plan, parts = make_plan(
            "hypergradient",
            *built_from("hypergradient", build, floats, rest),
            metrics=None,
            patience=None,
            min_delta=0.0,
            monitor="validation_loss",
            mode="min",
            restore_best=False,
            most_bad=1,
            **dict(settings),
        )
        parts = strong(parts)
        if plateaus(parts.optimizer):
            fail("hypergradient", "optimizer", "without a plateau schedule, whose cuts have no slope", parts.optimizer)
        if looks_at_all(parts.optimizer):
            fail("hypergradient", "optimizer", "without a line search, which has no slope", parts.optimizer)
        plan = fit_to(plan, "hypergradient", data[0].shape[0], held_out)
        trained = _train(plan, parts, key, data, epochs)
        params = parts.optimizer.evaluation_params(trained.optimizer, trained.params)
        if parts.optimizer.averages and jax.tree.leaves(trained.state):
            expected = "without an average of weights, or the model without batch normalization"
            fail("hypergradient", "optimizer", expected, parts.optimizer)
        loss, *_ = measure(
            parts,
            params,
            trained.state,
            held_out,
            batch_size=plan.evaluation_batch_size,
            compute_dtype=plan.compute_dtype,
        )
        return loss, (trained.guard.first_bad, params, trained.state)

    return jax.value_and_grad(outcome, has_aux=True)(floats)


def _train(plan: Plan, parts: Ingredients, key: Key, data: Data, epochs: int) -> Trained:
    """The state after all steps, in segments that are run again when differentiated."""
    steps = step_count(data[0].shape[0], plan.batch_size)
    total = epochs * steps
    length = math.isqrt(total - 1) + 1  # the least whole number whose square is at least the total
    segments = -(-total // length)

    def one(trained: Trained, number: Array) -> Trained:
        batch, mask, noise = _batch(plan, key, number // steps, number % steps, data)
        return train_step(trained, parts, batch, number, key=noise, mask=mask, compute_dtype=plan.compute_dtype)[0]

    def step(trained: Trained, number: Array) -> tuple[Trained, None]:
        # The last segment may be too long by less than its length; its rest does nothing.
        return lax.cond(number < total, one, lambda trained, _: trained, trained, number), None

    def segment(trained: Trained, first: Array) -> tuple[Trained, None]:
        return lax.scan(jax.checkpoint(step, prevent_cse=False), trained, first + jnp.arange(length, dtype=jnp.int32))

    trained = begin(plan, parts, key, data[0]).trained
    firsts = jnp.arange(segments, dtype=jnp.int32) * length
    return lax.scan(jax.checkpoint(segment, prevent_cse=False), trained, firsts)[0]


def _batch(plan: Plan, key: Key, epoch: Array, number: Array, data: Data) -> tuple[Data, Array | None, Key]:
    """Batch `number` of an epoch with its mask and noise key.

    The same as `train.epoch.batch_of`, which works out the order of all examples; here, where it is done anew for every
    step and more than once, only the batch's own places are.
    """
    x, y, weights = data
    examples, size = x.shape[0], plan.batch_size
    mask = None
    if size < examples:  # else it is one batch of everything, as it stands
        places = number * size + jnp.arange(size, dtype=jnp.int32)
        index = jnp.minimum(places, examples - 1)
        if plan.shuffle:
            index = shuffled_positions(jax.random.fold_in(fold_name(key, "shuffle"), epoch), index, examples)
        x, y = (a.at[index].get(mode="promise_in_bounds") for a in (x, y))
        weights = None if weights is None else weights.at[index].get(mode="promise_in_bounds")
        if examples % size:
            mask = (places < examples).astype(default_float())
            weights = mask if weights is None else weights * mask
    return (x, y, weights), mask, jax.random.fold_in(jax.random.fold_in(fold_name(key, "noise"), epoch), number)


def _check_finite(loss: Array, slopes: dict[str, Array]) -> None:
    if not np.isfinite(loss):
        fail("hypergradient", "validation", "data with a finite loss", f" loss {float(loss)} after training")
    bad = [name for name, slope in slopes.items() if not np.isfinite(np.asarray(slope)).all()]
    if bad:
        hint = (
            "adam and adamw: give eps_root=1e-8, for the root of v has an infinite slope at v = 0 (a weight that never "
            "had a gradient). Otherwise a shorter run, or a lower learning rate."
        )
        expected = "such that the derivative of the run is finite"
        got = f" a derivative that is not finite by {', '.join(bad)}"
        fail("hypergradient", "the optimizer", expected, got, hint=hint)
