"""The derivative of a trained model's validation loss with respect to what it was trained with.

Reverse mode through the whole run: every step is a differentiable function of the weights before it and of the
hyperparameters, so the chain rule runs back from the validation loss to the initial weights. It needs the weights of
every step, last step first. Kept all at once they would fill the memory of a long run; here the run is cut into about
sqrt(T) segments of sqrt(T) steps, only the weights between segments are kept, and a segment is run again when its turn
comes, each of its steps once more for the values inside. Memory: 2 sqrt(T) copies of weights and optimizer state and
one step. Time: the run three times, and the backward pass.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import ArrayLike

from jaxann.core.checks import check_integer, check_key, fail, is_concrete
from jaxann.core.errors import DivergedError
from jaxann.core.keys import fold_name
from jaxann.core.programs import hands_over, jit
from jaxann.core.typing import Array, Key
from jaxann.ops import shuffled_positions
from jaxann.train.augmented import as_trained
from jaxann.train.batches import Batch, default_float, example_count, gather, noise_key, step_count
from jaxann.train.epoch import begin, has_plateau
from jaxann.train.grouping import Build, built_recipe, check_build
from jaxann.train.hyperparameters import split_floats
from jaxann.train.learned import data_to_learn_from
from jaxann.train.measure import measure
from jaxann.train.prepare import check_known, epochs_of, for_model, sized
from jaxann.train.recipe import Recipe
from jaxann.train.shaped import shaped_batch
from jaxann.train.steps import TrainState, train_step

__all__ = ["hypergradient"]


@hands_over
def hypergradient(
    build: Build,
    hyperparameters: Mapping[str, Hashable | ArrayLike],
    train: tuple,
    validation: tuple,
    *,
    key: Key,
    epochs: int | None = None,
    batch_size: int | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Validation loss L(w_T) after training, and dL/dh for every floating-point hyperparameter h.

        w_t = step(w_(t-1), h, batch_t),   dL/dh = sum_t dL/dw_t  d step/dh,   dL/dw_(t-1) = dL/dw_t  d step/dw

        def build(hyper):
            return ja.recipe(mlp((64, 10), activation="tanh"), softmax_cross_entropy,
                             sgd(hyper["learning_rate"], momentum=hyper["momentum"]))

        loss, gradients = hypergradient(build, {"learning_rate": 0.1, "momentum": 0.9}, (x, y), (x_val, y_val),
                                        key=key, epochs=10, batch_size=100)

    The run is that of `train.make_run` with the same key: same weights, same batches, and the loss is the last entry
    of its `validation_loss`. Another value of a float compiles nothing, as long as `build` is the same function. Memory
    grows with the square root of the number of steps. It may be called inside `jit` and `vmap`, where nothing is
    raised: a derivative that is not finite is then for the caller to look for.

    What the derivative means. It is exact for this key: these initial weights, these batches, this noise. Over many
    steps the loss may be a rough function of a hyperparameter and its slope of little use; average over keys, and
    keep runs short. For a **dropout rate** it is only the part that goes through the scale 1 / (1 - rate): which units
    are dropped jumps with the rate and has no slope, so it is not the derivative of the expected loss, and finite
    differences will not confirm it.

    Args:
        build: `hyperparameters -> recipe`, called while tracing; the optimizer without a plateau schedule or line
            search, and no early stopping, for which epoch is the best one has no slope. A penalty is differentiated
            through.
        hyperparameters: floats are differentiated with respect to; integers, strings, flags and tuples are handed on.
        train, validation: `(x, y)` or `(x, y, weights)`.
        key: as in `fit`.
        epochs, batch_size: as in `fit`.

    Returns:
        `(loss, gradients)`: a scalar, and a dict with the floats' names and shapes.

    Source: Maclaurin et al. 2015; Chen et al. 2016 (recomputation in sqrt(T) segments).

    Raises:
        InputError: an argument is wrong, or the derivative is not finite although the loss is. Adam is the usual cause:
            its square root has an infinite slope where a parameter has never had a gradient; `eps_root=1e-8` helps.
        DivergedError: training met a loss, gradient or update that is not finite.
    """
    check_key("hypergradient", key)
    check_build("hypergradient", build)
    floats, rest = split_floats("hypergradient", hyperparameters)
    if not floats:
        expected = "a dict with at least one float to differentiate by"
        fail("hypergradient", "hyperparameters", expected, dict(hyperparameters))
    data = shaped_batch("hypergradient", "train", train)
    measured = shaped_batch("hypergradient", "validation", validation)
    size = None if batch_size is None else int(batch_size)
    recipe = built_recipe("hypergradient", build, {**dict(rest), **floats})
    data, known = for_model(recipe, data, measured)
    measured = measured if known is None else known
    check_known("hypergradient", recipe, key, data, measured)
    (loss, (bad_step, params, state)), grads = _value_and_gradients(
        build, rest, epochs, size, floats, key, data, measured
    )
    grads = {name: grads[name] for name in floats}  # in the order given, which the program has sorted
    if is_concrete(loss):
        if int(bad_step) >= 0:
            where = f"hypergradient: step {int(bad_step)} of the run"
            message = f"{where} gave a loss, gradient or update that is not finite."
            raise DivergedError(message, step=int(bad_step), params=params, state=state)
        _check_finite(loss, grads)
    return loss, grads


@jit(nested=True, guarded=True, static_argnames=("build", "rest", "epochs", "batch_size"))
def _value_and_gradients(
    build: Build,
    rest: tuple,
    epochs: int | None,
    batch_size: int | None,
    floats: dict[str, Array],
    key: Key,
    data: Batch,
    validation: Batch,
) -> Any:
    def outcome(floats):
        recipe = built_recipe("hypergradient", build, {**dict(rest), **floats})
        length = epochs_of("hypergradient", recipe, epochs)
        check_integer("hypergradient", "epochs", length)
        _check_smooth(recipe)
        exact = sized("hypergradient", recipe, example_count(data.x), batch_size)
        trained = _train(exact, key, data, length)
        params = exact.optimizer.evaluation_params(trained.optimizer, trained.params)
        if exact.optimizer.averages and jax.tree.leaves(trained.state):
            expected = "without an average of weights, or the model without batch normalization"
            fail("hypergradient", "optimizer", expected, exact.optimizer)
        loss, *_ = measure(exact.updated(metrics=OrderedDict()), params, trained.state, validation)
        return loss, (trained.guard.first_bad, params, trained.state)

    return jax.value_and_grad(outcome, has_aux=True)(floats)


def _check_smooth(recipe: Recipe) -> None:
    """Refuse what has no slope."""
    if has_plateau(recipe):
        fail("hypergradient", "optimizer", "without a plateau schedule, whose cuts have no slope", recipe.optimizer)
    if recipe.whole_batch:
        fail("hypergradient", "optimizer", "without a line search, which has no slope", recipe.optimizer)
    if recipe.stops_early or recipe.restores_best:
        expected = "None: which epoch is the best one has no slope"
        fail("hypergradient", "stopping of the recipe", expected, recipe.stopping)


def _train(recipe: Recipe, key: Key, data: Batch, epochs: int) -> TrainState:
    """The state after all steps, in segments that are run again when differentiated."""
    size = recipe.batch_size
    assert size is not None
    steps = step_count(example_count(data.x), size)
    total = epochs * steps
    length = math.isqrt(total - 1) + 1  # the smallest whole number whose square is at least the total
    segments = -(-total // length)

    def one(trained: TrainState, number: Array) -> TrainState:
        batch, mask, noise = _batch(recipe, size, key, number // steps, number % steps, data)
        return train_step(trained, recipe, batch, key=noise, example_mask=mask)[0]

    def step(trained: TrainState, number: Array) -> tuple[TrainState, None]:
        # The last segment may be too long by less than its length; its rest does nothing.
        return lax.cond(number < total, one, lambda trained, _: trained, trained, number), None

    def segment(trained: TrainState, first: Array) -> tuple[TrainState, None]:
        return lax.scan(jax.checkpoint(step, prevent_cse=False), trained, first + jnp.arange(length, dtype=jnp.int32))

    seen = as_trained(recipe, data.x, data.y)[0]
    trained = begin(recipe, key, seen, None, data_to_learn_from(recipe, data)).trained
    firsts = jnp.arange(segments, dtype=jnp.int32) * length
    return lax.scan(jax.checkpoint(segment, prevent_cse=False), trained, firsts)[0]


def _batch(
    recipe: Recipe, size: int, key: Key, epoch: Array, number: Array, data: Batch
) -> tuple[Batch, Array | None, Key]:
    """Batch `number` of an epoch with its mask and noise key.

    The same as `train.batches.batch_of`, which works out the order of all examples; here, where it is done anew for
    every step and more than once, only the batch's own places are.
    """
    examples, index, mask = example_count(data.x), None, None
    if size < examples:  # else it is one batch of everything, as it stands
        places = number * size + jnp.arange(size, dtype=jnp.int32)
        index = jnp.minimum(places, examples - 1)
        if recipe.shuffle:
            index = shuffled_positions(jax.random.fold_in(fold_name(key, "shuffle"), epoch), index, examples)
        if examples % size:
            mask = (places < examples).astype(default_float())
    return gather(data, index, mask), mask, noise_key(key, epoch, number)


def _check_finite(loss: Array, grads: dict[str, Array]) -> None:
    if not np.isfinite(loss):
        fail("hypergradient", "validation", "data with a finite loss", f" loss {float(loss)} after training")
    bad = [name for name, grad in grads.items() if not np.isfinite(np.asarray(grad)).all()]
    if bad:
        hint = (
            "adam and adamw: give eps_root=1e-8, for the square root of v has an infinite slope at v = 0 (a weight "
            "that never had a gradient). Otherwise a shorter run, or a lower learning rate."
        )
        expected = "such that the derivative of the run is finite"
        got = f" a derivative that is not finite by {', '.join(bad)}"
        fail("hypergradient", "the optimizer", expected, got, hint=hint)
