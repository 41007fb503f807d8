"""`fit`: the host's face of the training program. It runs compiled chunks of epochs and minds the person waiting."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_choice, check_integer, check_key, fail
from jaxann.core.products import Augment, Penalty
from jaxann.core.trees import count
from jaxann.core.typing import Array, Key, Params, Scalar, State
from jaxann.train.chunk import LONGEST_CHUNK, advance, start
from jaxann.train.divergence import report
from jaxann.train.epoch import Carry, Data
from jaxann.train.inputs import as_data
from jaxann.train.plan import Ingredients, Plan, make_plan, step_count, strong
from jaxann.train.progress import progress_bar
from jaxann.train.run import Result, Status, finish, fit_to, initial_of
from jaxann.train.shapes import check_shapes, for_model

__all__ = ["fit"]

_CHUNK_SECONDS = 0.5  # how long Ctrl-C and the bar wait for a chunk
_BAD_IN_ROW = {"stop": 1, "raise": 1, "skip": 10}


def fit(
    model: Any,
    loss: Callable[[Array, Array], Array],
    optimizer: Any,
    train: tuple,
    *,
    key: Key,
    epochs: int,
    batch_size: int | None = None,
    validation: tuple | None = None,
    metrics: Mapping[str, Any] | None = None,
    patience: Scalar | None = None,
    min_delta: Scalar = 0.0,
    monitor: str = "validation_loss",
    mode: str = "min",
    restore_best: bool | None = None,
    shuffle: bool = True,
    evaluation_batch_size: int = 2048,
    compute_dtype: str | None = None,
    on_nonfinite: str = "stop",
    penalty: Penalty | None = None,
    augment: Augment | tuple[Augment, ...] = (),
    initial: tuple[Params, State] | None = None,
    progress: bool = False,
    resume: Result | None = None,
) -> Result:
    """Train a model: shuffle, step, schedule, evaluate, stop early and keep the best weights, in one compiled program.

    The same program as `make_run`, cut into chunks of epochs. The same key gives the same bits, whatever the chunks.
    A second call with another learning rate, dropout rate, seed, patience or number of epochs compiles nothing.
    Ctrl-C ends training after the running chunk at the latest and returns the best so far.

    Args:
        model: a layer (`jaxann.models.mlp((512, 10))`), or any object with `.init` and `.apply`.
        loss: `(predictions, targets) -> values`, one an example; the mean is taken here.
        optimizer: a jaxann optimizer, or an optax one.
        train: `(x, y)` or `(x, y, weights)`; x `(examples, ...features)`, y `(examples, ...)`, weights `(examples,)`.
        key: `jax.random.key(seed)`.
        epochs: passes over the training data, in all (epochs of `resume` included).
        batch_size: examples an update, at most the number of examples; 128 by default, and all of them with `lbfgs`.
        validation: `(x, y)` evaluated after each epoch.
        metrics: from name to metric, of the training set (in training mode) and the validation set.
        patience: epochs without improvement of `monitor` after which training stops; None never stops.
        min_delta: how much better counts as improved.
        monitor, mode: key of the history, and whether "min" or "max" is better.
        restore_best: whether to return the best epoch's weights; by default when `patience` is given.
        shuffle: whether each epoch has a new order.
        evaluation_batch_size: examples at a time in validation; no influence on the figures.
        compute_dtype: "bfloat16" or "float16": layers compute in it, parameters and sums stay float32.
        on_nonfinite: at a loss or gradient that is not finite, "stop" with the last good (or best) weights and a
            DivergedWarning; "raise" a DivergedError; "skip" the step, and stop after 10 in a row. A run whose first
            step is bad always raises: there is nothing good to return.
        penalty: a term added to the objective, `jaxann.regularizers.l2_penalty(1e-4)`; `loss` in the history has it,
            `validation_loss` has not.
        augment: changes of the training examples, new for each batch, `jaxann.data.mixup(0.2)`; several are applied
            one after the other. Metrics of the training set compare with each example's own target, also in a mixture.
        initial: `(params, state)` to begin with, such as a trained model's, instead of fresh ones.
        progress: whether to draw a bar.
        resume: a result of `fit` to go on from, with the same model, optimizer and data; the bits are those of an
            uninterrupted run.

    Returns:
        Result: `params` and `state`; `history`, numpy arrays with one value an epoch (`loss`, `learning_rate` at the
        last step, `gradient_norm` averaged over the steps, each metric, and `validation_...`); `best_epoch`;
        `epochs_run`; `status`; `diverged_step`; `carry` for `resume`.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are; before anything is compiled.
        DivergedError: see `on_nonfinite`.
    """
    check_key("fit", key)
    check_integer("fit", "epochs", epochs, 0)
    check_choice("fit", "on_nonfinite", on_nonfinite, _BAD_IN_ROW)
    plan, parts = make_plan(
        "fit",
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
        most_bad=_BAD_IN_ROW[on_nonfinite],
        penalty=penalty,
        augment=augment,
    )
    data = as_data("fit", "train", train)
    held_out = None if validation is None else as_data("fit", "validation", validation)
    data, held_out = for_model(parts, key, data, held_out)
    plan = fit_to(plan, "fit", data[0].shape[0], held_out)
    parts = strong(parts)
    check_shapes("fit", plan, parts, key, data, held_out)
    if initial is not None and resume is not None:
        fail("fit", "initial", "None where resume is given, which has weights of its own", " both")
    initial = initial_of("fit", parts, key, data[0], initial)
    data, held_out = jax.device_put((data, held_out))

    columns = plan.columns(held_out is not None)
    carry, rows = _first(plan, parts, key, data, columns, resume, initial)
    interrupted = False
    done = int(carry.epoch)
    chunk = _first_chunk(plan, data, carry)
    with progress_bar(progress, epochs=epochs, done=done, examples=data[0].shape[0]) as bar:
        try:
            while done < epochs:
                begun = time.perf_counter()
                until = min(epochs, done + chunk)
                after, new = advance(plan, parts, key, carry, np.int32(until), data, held_out)
                ended = int(after.epoch)
                rows.append(np.asarray(new)[: ended - done])
                seconds, ran = time.perf_counter() - begun, ended - done
                carry, done = after, ended
                if ran:
                    bar.advance(done, dict(zip(columns, rows[-1][-1].tolist(), strict=True)))
                if done < until:
                    break
                chunk = min(LONGEST_CHUNK, max(1, int(_CHUNK_SECONDS * ran / max(seconds, 1e-6))))
        except KeyboardInterrupt:
            interrupted = True

    table = np.concatenate(rows) if rows else np.empty((0, len(columns)))
    history = {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(columns)}
    result = _on_host(finish(plan, parts, carry, history), carry, interrupted)
    report(plan, parts, key, carry, data, result, on_nonfinite)
    return result


def _first(
    plan: Plan,
    parts: Ingredients,
    key: Key,
    data: Data,
    columns: tuple[str, ...],
    resume: Result | None,
    initial: tuple[Params, State] | None,
) -> tuple[Carry, list[np.ndarray]]:
    """The carry to begin with and the history so far."""
    spec = jax.ShapeDtypeStruct((1, *data[0].shape[1:]), data[0].dtype)
    if resume is None:
        return start(plan, parts, key, spec, initial), []
    if not isinstance(resume, Result) or resume.carry is None:
        fail("fit", "resume", "a result of fit", resume)
    fresh = start.eval_shape(plan, parts, key, spec)
    if _shapes(fresh) != _shapes(resume.carry):
        fail("fit", "resume", "a result of the same model, optimizer and settings", " one of another structure")
    if tuple(resume.history) != columns:
        fail("fit", "resume", f"a result with the history {', '.join(columns)}", f" {', '.join(resume.history)}")
    return resume.carry, [np.stack([resume.history[name] for name in columns], 1)]


def _shapes(tree: Any) -> tuple:
    return jax.tree.structure(tree), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


def _first_chunk(plan: Plan, data: Data, carry: Carry) -> int:
    """Epochs in the first chunk, from a low guess of the machine's speed (10 GFLOP/s and 20 us a step)."""
    examples = data[0].shape[0]
    seconds = examples * count(carry.trained.params) * 6 / 1e10 + 2e-5 * step_count(examples, plan.batch_size)
    return min(LONGEST_CHUNK, max(1, int(_CHUNK_SECONDS / seconds)))


def _on_host(result: Result, carry: Carry, interrupted: bool) -> Result:
    status = Status.INTERRUPTED if interrupted else Status(int(result.status))
    loss = result.history["loss"]
    if len(loss) and np.isfinite(loss[0]) and loss[-1] > 1e6 * max(float(loss[0]), 1e-30):
        message = f"fit: the loss grew from {loss[0]:.3g} to {loss[-1]:.3g}; a lower learning rate may help."
        warnings.warn(message, UserWarning, stacklevel=3)
    return result._replace(
        best_epoch=int(result.best_epoch),
        epochs_run=int(result.epochs_run),
        status=status,
        diverged_step=int(result.diverged_step),
        carry=carry,
    )
