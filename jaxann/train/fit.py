"""`fit`: the host's face of the training program. It runs compiled chunks of epochs and minds the person waiting."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_flag, check_key, check_untraced, fail
from jaxann.core.devices import check_one_place
from jaxann.core.notices import notify
from jaxann.core.programs import hands_over, is_checking, jit
from jaxann.core.trees import count
from jaxann.core.typing import Array, Key, Params, State
from jaxann.train.augmented import as_trained
from jaxann.train.batches import Batch, Rows, Spec, example_count, step_count
from jaxann.train.divergence import refuse_nonfinite, report
from jaxann.train.epoch import Carry, begin, row_width, run_epochs, weights_of
from jaxann.train.host_metrics import host_metrics
from jaxann.train.inputs import as_batch
from jaxann.train.interrupts import InterruptedTwice, held_interrupts
from jaxann.train.learned import data_to_learn_from
from jaxann.train.meshes import automatic_mesh, on_automatic_meshes
from jaxann.train.observers import Moment, Observer, check_observers, observing
from jaxann.train.prepare import epochs_of, prepare_data, sized
from jaxann.train.probing import BY_LAYER, SCALARS, history_of, rows_of
from jaxann.train.progress import progress_bar
from jaxann.train.recipe import Recipe, as_recipe
from jaxann.train.run import Result, Status
from jaxann.train.weights import initial_weights

__all__ = ["Views", "fit", "train_on"]

_LONGEST_CHUNK = 8192  # rows of the history buffer; the number of epochs itself is traced
_CHUNK_SECONDS = 0.5  # how long Ctrl-C and the observers wait for a chunk


@hands_over
@automatic_mesh()
def fit(
    recipe: Recipe,
    train: tuple,
    *,
    key: Key,
    epochs: int | None = None,
    batch_size: int | None = None,
    validation: tuple | None = None,
    initial: tuple[Params, State] | None = None,
    resume: Result | None = None,
    observers: Observer | Sequence[Observer] = (),
    progress: bool = False,
) -> Result:
    """Train: shuffle, step, schedule, evaluate, stop early and keep the best weights, in one compiled program.

    The same program as `make_run`, cut into chunks of epochs. The same key gives the same bits, whatever the chunks.
    A second call with another learning rate, dropout rate, seed, patience or number of epochs compiles nothing.
    Ctrl-C ends training after the running chunk, the last one too, and returns the best so far, with the status
    INTERRUPTED; a second one in the same run, or within two seconds of its return (in the next run of a loop), raises
    KeyboardInterrupt.

    Args:
        recipe: what is trained, `ja.recipe(model, loss, optimizer, ...)`.
        train: `(x, y)` or `(x, y, weights)`: x `(examples, ...features)` and y `(examples, ...)`, or trees of arrays
            whose leading axis is the examples (a dict of inputs, a dict of targets, `Padded` sequences); weights
            `(examples,)`, or of the shape of the loss's values (one a token, one an output). What has weight 0 may hold
            any finite number: it is in no loss, gradient, statistic or metric.
        key: `jax.random.key(seed)`.
        epochs: passes over the training data, in all (epochs of `resume` included); where the recipe has none of its
            own.
        batch_size: examples an update, at most the number of examples, where the recipe has none of its own; 128 when
            None, and all of them where the optimizer wants that (`lbfgs`).
        validation: `(x, y)` or `(x, y, weights)`, evaluated after each epoch.
        initial: `(params, state)` to begin with, such as a trained model's, instead of fresh ones.
        resume: a result of `fit` to go on from, with the same recipe and data; the bits are those of an uninterrupted
            run.
        observers: functions called on the host between chunks, see `train.observers`; one that returns True ends the
            run.
        progress: whether to draw a bar.

    Returns:
        Result: `params` and `state`; `history`, numpy arrays with one value an epoch (`loss`, `learning_rate` at the
        last step, `gradient_norm` averaged over the steps (in float32 and without a clip 0 below 1e-19), each
        metric, and `validation_...`); `best_epoch`; `epochs_run`; `status`; `diverged_step`; `carry` for `resume`.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are; before anything is compiled.
        DivergedError: a step was not finite and the recipe says "raise", or it was the very first one: there is
            nothing good to return.
        FloatingPointError: `jax_debug_nans` or `jax_debug_infs` is on, and a step or a figure was not finite.
    """
    return train_on(
        recipe, train, key=key, epochs=epochs, batch_size=batch_size, validation=validation, initial=initial,
        resume=resume, observers=observers, progress=progress,
    )  # fmt: skip


class Views(NamedTuple):
    """The rows of the data that a run is trained on, and those of the validation set; None for all."""

    train: Rows | None = None
    validation: Rows | None = None


@hands_over
@automatic_mesh()
def train_on(
    recipe: Recipe,
    train: tuple,
    *,
    key: Key,
    epochs: int | None = None,
    batch_size: int | None = None,
    validation: tuple | None = None,
    initial: tuple[Params, State] | None = None,
    resume: Result | None = None,
    observers: Observer | Sequence[Observer] = (),
    progress: bool = False,
    views: Views = Views(),  # noqa: B008  (it cannot be changed)
    quickly: bool = False,
) -> Result:
    """`fit` on some rows of the data: sets of several sizes, padded to one, share a program.

    Metrics are streaming ones. `quickly` has the program compiled sooner, and run slower: for a few rows.
    """
    check_key("fit", key)
    recipe = as_recipe("fit", recipe)
    wanted = epochs_of("fit", recipe, epochs)
    watching = check_observers("fit", observers)
    check_flag("fit", "progress", progress)
    on_nonfinite = recipe.on_nonfinite
    recipe, key, train, validation, initial = on_automatic_meshes((recipe, key, train, validation, initial))
    if isinstance(resume, Result):  # its history keeps the order of its columns
        resume = resume._replace(carry=on_automatic_meshes(resume.carry))
    data = as_batch("fit", "train", train)
    measured = None if validation is None else as_batch("fit", "validation", validation)
    recipe = sized("fit", recipe, example_count(data.x), batch_size)
    on_host = host_metrics(recipe, key, data, measured)
    recipe = recipe if on_host is None else on_host.program()
    data, measured = prepare_data("fit", [recipe], key, data, measured)
    if initial is not None and resume is not None:
        fail("fit", "initial", "None where resume is given, which has weights of its own", " both")
    initial = initial_weights("fit", recipe, key, data, initial)
    data, measured = jax.device_put((data, measured))

    columns = recipe.columns(measured is not None)
    setting = _setting(recipe, key, data, measured, initial, resume)
    program = _advance_soon if quickly else _advance
    advance, longest = (program.of(setting), _LONGEST_CHUNK) if on_host is None else (on_host.advance, 1)
    rows = () if views == Views() else (views,)
    stand = _first(recipe, key, data, columns, resume, initial, views.train)
    ended = Status.FINISHED
    chunk = min(longest, _first_chunk(recipe, data, stand.carry))
    if progress:
        bar = progress_bar(epochs=wanted, done=stand.done, examples=example_count(data.x))
        watching = (bar, *watching)
    with held_interrupts() as interrupted, observing("fit", watching) as observe:
        try:
            while stand.done < wanted and ended == Status.FINISHED:
                begun = time.perf_counter()
                until = min(wanted, stand.done + chunk)
                after, new = advance(recipe, key, stand.carry, np.int32(until), data, measured, *rows)
                new = np.asarray(new)[: int(after.epoch) - stand.done]
                stand = _Stand(after, stand.done + len(new), (*stand.rows, new))  # at once, or not at all
                if watching and len(new):
                    moment = _moment(recipe, after, wanted, history_of(columns, new))
                    ended = Status.STOPPED if observe(moment) else ended
                if stand.done < until:
                    break
                ended = Status.INTERRUPTED if interrupted() else ended
                seconds = time.perf_counter() - begun
                chunk = min(longest, max(1, int(_CHUNK_SECONDS * len(new) / max(seconds, 1e-6))))
        except InterruptedTwice:
            raise
        except KeyboardInterrupt:  # of an observer, or of a handler of the caller's own
            ended = Status.INTERRUPTED
    if interrupted():  # of a run that was complete by then, too: who asked is told
        ended = Status.INTERRUPTED

    width = row_width(recipe, stand.carry, data, measured is not None)
    table = np.concatenate(stand.rows) if stand.rows else np.empty((0, width))
    history = {name: np.ascontiguousarray(values) for name, values in history_of(columns, table).items()}
    result = _result(recipe, stand.carry, history, ended)
    told = 0 if resume is None or resume.carry is None else int(resume.carry.trained.guard.skipped)
    if views.train is not None and result.diverged_step >= 0:
        data = _these(data, views.train)
    report(recipe, key, stand.carry, data, result, on_nonfinite, told)
    if is_checking():
        refuse_nonfinite(history)
    return result


class _Stand(NamedTuple):
    """Where a run stands between two chunks: replaced as a whole, so that its members always agree."""

    carry: Carry
    done: int  # epochs
    rows: tuple[np.ndarray, ...]  # of the history


def _setting(recipe: Recipe, key: Key, data: Batch, measured: Batch | None, initial: Any, resume: Any) -> Hashable:
    """What the programs of a run are kept under; everything that goes into them is known, and in one place."""
    carry = resume.carry if isinstance(resume, Result) else None
    leaves, setting = jax.tree.flatten((recipe, data, measured))
    others = jax.tree.leaves((key, initial, carry))
    check_untraced("fit", "each argument", (leaves, others))
    if any(isinstance(leaf, jax.Array) and leaf.committed for leaf in (*leaves, *others)):
        named = {"key": key, "train": data, "validation": measured, "initial": initial, "resume": carry}
        check_one_place("fit", **named, recipe=recipe)
    return setting


# Drawing the weights runs once and takes milliseconds.
@jit(quickly=True, guarded=True, static_argnames=("spec",))
def _start(
    recipe: Recipe,
    key: Key,
    spec: Any,
    initial: tuple[Params, State] | None = None,
    data: Batch | None = None,
    rows: Rows | None = None,
) -> Carry:
    """The first carry, with fresh weights or the initial ones given, and what a fresh model learns from the data."""
    return begin(recipe, key, spec.tree, initial, data, rows)


def _chunk(
    recipe: Recipe,
    key: Key,
    carry: Carry,
    until: Array,
    train: Batch,
    validation: Batch | None,
    views: Views = Views(),  # noqa: B008
) -> tuple[Carry, Array]:
    """The carry at epoch `until`, or where training ended, and the rows of the history since `carry`.

    The carry is not donated: if the program is interrupted, the caller still holds the weights it began with.
    """
    return run_epochs(recipe, key, carry, until, train, validation, views, longest=_LONGEST_CHUNK)


_advance, _advance_soon = jit(_chunk, guarded=True), jit(_chunk, guarded=True, quickly=True)


def _moment(recipe: Recipe, carry: Carry, wanted: int, rows: dict[str, np.ndarray]) -> Moment:
    going = bool(carry.trained.guard.alive)
    if recipe.stopping is not None and recipe.stopping.patience is not None:
        going = going and int(carry.stop.wait) < int(recipe.stopping.patience)

    def weights(best: bool) -> tuple[Params, State]:
        return jax.device_get(weights_of(carry) if best else (carry.trained.params, carry.trained.state))

    return Moment(int(carry.epoch), wanted, rows, going, weights)


def _first(
    recipe: Recipe,
    key: Key,
    data: Batch,
    columns: tuple[str, ...],
    resume: Result | None,
    initial: tuple[Params, State] | None,
    view: Rows | None,
) -> _Stand:
    """The carry to begin with and the history so far."""
    spec = Spec(as_trained(recipe, data.x, data.y)[0])
    recipe = recipe.updated(batch_size=None)  # weights are the same for every size
    start = _start.of(jax.tree.structure((recipe, data)))
    if resume is None:
        learned = data_to_learn_from(recipe, data)
        return _Stand(start(recipe, key, spec, initial, learned, None if learned is None else view), 0, ())
    if not isinstance(resume, Result) or resume.carry is None:
        fail("fit", "resume", "a result of fit", resume)
    fresh = start.eval_shape(recipe, key, spec)
    if _shapes(fresh) != _shapes(resume.carry):
        fail("fit", "resume", "a result of the same model, optimizer and settings", " one of another structure")
    names = (*columns, *(SCALARS + BY_LAYER if recipe.probes else ()))
    if tuple(resume.history) != names:
        fail("fit", "resume", f"a result with the history {', '.join(names)}", f" {', '.join(resume.history)}")
    rows = rows_of(columns, resume.history)
    return _Stand(resume.carry, int(resume.carry.epoch), (rows,))


def _these(data: Batch, rows: Rows) -> Batch:
    index = rows.index if rows.count is None else rows.index[: int(rows.count)]
    return jax.tree.map(lambda a: a[index], data)


def _shapes(tree: Any) -> tuple:
    return jax.tree.structure(tree), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


def _first_chunk(recipe: Recipe, data: Batch, carry: Carry) -> int:
    """Epochs in the first chunk, from a low guess of the machine's speed (10 GFLOP/s and 20 us a step).

    Of sequences and images, as if each parameter, and each step, were needed at every position.
    """
    examples = example_count(data.x)
    steps = step_count(examples, recipe.batch_size or examples)
    places = 1
    for leaf in jax.tree.leaves(data.x):
        ids = jnp.issubdtype(leaf.dtype, jnp.integer)  # which have no axis of features
        places = max(places, math.prod(leaf.shape[1:] if ids else leaf.shape[1:-1]))
    seconds = places * (examples * count(carry.trained.params) * 6 / 1e10 + 2e-5 * steps)
    return min(_LONGEST_CHUNK, max(1, int(_CHUNK_SECONDS / seconds)))


def _result(recipe: Recipe, carry: Carry, history: dict[str, np.ndarray], ended: Status) -> Result:
    """As `run.finish`, on the host: a program for a few comparisons would cost more than a short run."""
    guard, stop, patience = carry.trained.guard, carry.stop, None
    if recipe.stopping is not None:
        patience = recipe.stopping.patience
    status = Status.FINISHED
    if patience is not None and int(stop.wait) >= int(np.asarray(patience)):
        status = Status.STOPPED
    status = status if bool(guard.alive) else Status.DIVERGED
    loss = history["loss"]
    if len(loss) and np.isfinite(loss[0]) and loss[-1] > 1e6 * max(float(loss[0]), 1e-30):
        message = f"fit: the loss grew from {loss[0]:.3g} to {loss[-1]:.3g}; a lower learning rate may help."
        notify(message, UserWarning)
    if recipe.stopping is not None and len(loss) and int(stop.best_epoch) < 0:
        message = f"fit: {recipe.monitor} was never a number that could be compared; the last weights are returned."
        notify(message, UserWarning)
    for name in ("loss", "validation_loss"):
        alone = name in history and recipe.stopping is None and bool(guard.alive) and not int(guard.skipped)
        if alone and len(loss) and np.isnan(history[name]).all():
            notify(f"fit: {name} was never a number; did anything in it count?", UserWarning)
    params, state = weights_of(carry)
    return Result(
        params,
        state,
        history,
        best_epoch=int(stop.best_epoch),
        epochs_run=int(carry.epoch),
        status=status if ended == Status.FINISHED or status == Status.DIVERGED else ended,
        diverged_step=int(guard.first_bad),
        carry=carry,
    )
