"""Metrics that need the values of arrays (NumPy's, scikit-learn's): computed on the host, after each epoch of `fit`.

So is one of jax.numpy that takes no weights, where the data have rows of weight 0: the host can leave them out.
In the compiled program their places in the history are empty, and the arrays they want to see come out of it beside
the history. Early stopping by such a metric is decided on the host, by the same rule.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.binding import as_partial, bound
from jaxann.core.checks import fail, is_concrete
from jaxann.core.errors import InputError
from jaxann.core.products import Metric
from jaxann.core.programs import jit
from jaxann.core.typing import Array, Key, Params, State, Targets
from jaxann.metrics.calling import NotTraceableError, figure_of
from jaxann.metrics.forms import is_known
from jaxann.train import stopping
from jaxann.train.augmented import as_trained
from jaxann.train.batches import Batch, example_count, one_example
from jaxann.train.epoch import Carry, row_width, run_epoch
from jaxann.train.measure import counted_alone
from jaxann.train.prepare import as_floats, figure_shape, floats_for, prediction_shapes
from jaxann.train.recipe import Recipe
from jaxann.train.targets import leaves_out, weighs

__all__ = ["HostMetrics", "host_metrics"]

_TRIED = 256  # rows a metric of the host is tried on first
_SEEN: ContextVar[list | None] = ContextVar("seen", default=None)


def _record(predictions: Any, targets: Any, weights: Any) -> Array:
    """Stands in the program for a metric that is computed on the host: remembers what it is given."""
    found = _SEEN.get()
    if found is not None:
        found.append((predictions, targets, weights))
    return jnp.asarray(jnp.nan, jnp.result_type(float))


_record.__dict__["sees_ignored"] = True  # which the metric itself may have to be spared, or to be shown
_STAND_IN = as_partial(_record)


class HostMetrics:
    """The metrics of a recipe that are computed on the host.

    Attributes:
        metrics: these, by name.
    """

    def __init__(self, recipe: Recipe, names: tuple[str, ...]):
        self.metrics = {name: recipe.metrics[name] for name in names}
        self._recipe = recipe

    def program(self) -> Recipe:
        """The recipe of the compiled program."""
        kept = ((name, _STAND_IN if name in self.metrics else m) for name, m in self._recipe.metrics.items())
        return self._recipe.updated(metrics=OrderedDict(kept))

    def advance(
        self, recipe: Recipe, key: Key, carry: Carry, until: Array | np.integer, train: Batch, validation: Batch | None
    ) -> tuple[Carry, np.ndarray]:
        """One epoch, and its row of the history `(1, columns)`; no row where there is no reason for another one."""
        columns = recipe.columns(validation is not None)
        patience = None if recipe.stopping is None else recipe.stopping.patience
        waited = patience is not None and int(carry.stop.wait) >= int(np.asarray(patience))
        if int(carry.epoch) >= int(until) or waited or not bool(carry.trained.guard.alive):
            return carry, np.empty((0, row_width(recipe, carry, train, validation is not None)))
        monitored = recipe.monitor.removeprefix("validation_") in self.metrics and recipe.monitor in columns
        # Best weights are chosen here, below: in the program those of this epoch are always the best.
        begun = carry._replace(stop=carry.stop._replace(best_epoch=jnp.int32(-1))) if monitored else carry
        after, row, seen = _epoch(recipe, key, begun, train, validation)
        row = np.asarray(row).copy()
        for prefix, arrays in zip(("", "validation_"), jax.tree.map(np.asarray, seen), strict=False):
            for name, metric in self.metrics.items():
                given = jax.tree.map(np.array, counted_alone(self._recipe.loss, metric, *arrays))
                row[columns.index(prefix + name)] = _figure(prefix + name, metric, given)
        if monitored:
            value = jnp.asarray(row[columns.index(recipe.monitor)])
            delta = recipe.stopping.min_delta if recipe.stopping is not None else 0.0
            now = after.stop.best_weights
            after = after._replace(stop=_observe(carry.stop, value, now, carry.epoch, delta, self._recipe.mode))
        return after, row[None]


@jit(guarded=True)
def _epoch(
    recipe: Recipe, key: Key, carry: Carry, train: Batch, validation: Batch | None
) -> tuple[Carry, Array, tuple]:
    """The carry after an epoch, its row, and what the metrics of the host are to see of each data set."""
    token = _SEEN.set([])
    try:
        carry, row = run_epoch(recipe, key, carry, train, validation)
        found = _SEEN.get() or []
    finally:
        _SEEN.reset(token)
    each = sum(
        metric.func is _record for metric in recipe.metrics.values() if isinstance(metric, jax.tree_util.Partial)
    )
    return carry, row, tuple(found[::each])


@jit(static_argnames=("mode",))
def _observe(
    stop: stopping.StopState, value: Array, weights: tuple[Params, State], epoch: Array, min_delta: Any, mode: str
) -> stopping.StopState:
    return stopping.observe(stop, value, weights, epoch, min_delta=min_delta, mode=mode)


def _figure(name: str, metric: Callable, arrays: tuple) -> float:
    """One figure of a metric of the host."""
    try:
        found = figure_of(metric, *arrays)
    except Exception as error:
        shapes = ", ".join(str(jax.tree.map(np.shape, one)) for one in arrays[:2])
        error.add_note(f"This is metrics[{name.removeprefix('validation_')!r}] of fit, on arrays of shapes {shapes}.")
        raise
    if np.shape(found) or np.asarray(found).dtype.kind not in "biuf":
        shown = f" one of shape {np.shape(found)}" if np.shape(found) else found
        fail("fit", f"metrics[{name!r}]", "a metric that gives one figure", shown)
    return float(found)


def host_metrics(recipe: Recipe, key: Key, data: Batch, validation: Batch | None) -> HostMetrics | None:
    """The metrics that cannot be traced, tried on shapes and then on a few rows; None where there are none.

    Args:
        recipe: sized.
        key: any.
        data, validation: checked.

    Raises:
        InputError: such a metric does not take what it is going to be given, or gives no figure.
    """
    own = {name: m for name, m in recipe.metrics.items() if not isinstance(m, Metric) and not is_known(m)}
    if not own:
        return None
    floats = floats_for(recipe.model, data.x, lambda x: as_trained(recipe, x, data.y)[0])
    try:
        seen = as_trained(recipe, as_floats(one_example(data.x), floats), data.y, recipe.batch_size or 1)
        batch = Batch(*seen, None if data.weights is None else one_example(data.weights, recipe.batch_size or 1))
        predictions = prediction_shapes(recipe, key, batch)
    except Exception:  # what is wrong is told by the check of shapes, as for any recipe
        return None
    known = [part for part in (data, validation) if part is not None and all(map(is_concrete, jax.tree.leaves(part)))]
    partial = any(map(leaves_out, known))
    names = tuple(
        name
        for name, metric in own.items()
        if not _is_traceable(name, metric, recipe, predictions, _as_seen(data.y, batch.y), batch.y)
        or (partial and not weighs(metric))
    )
    return HostMetrics(recipe, names) if names else None


def _as_seen(y: Targets, seen: Targets) -> Targets:
    """Real targets in the shapes that training sees them in, where augmentation changes those: for a trial's sake."""

    def one(real: Array, spec: Any) -> Any:
        shape = (real.shape[0], *spec.shape[1:])
        return real if real.shape == shape else np.resize(np.asarray(real), shape)

    same = jax.tree.structure(y) == jax.tree.structure(seen)
    return jax.tree.map(one, y, seen) if same else y


def _is_traceable(name: str, metric: Any, recipe: Recipe, predictions: Any, y: Any, batch_y: Any) -> bool:
    """Whether a metric can be part of the program; one that cannot is tried as it is going to be called."""
    try:
        figure_shape(metric, predictions, batch_y)
    except NotTraceableError:
        failed = _trial(name, metric, recipe, predictions, y)
        if isinstance(failed, InputError):  # which says what is wrong: of a metric of jaxann's, or of no figure
            raise failed from None
        if failed is not None:
            shapes = f"outputs of shape {_shapes(predictions)}"
            hint = f"A metric is handed the model's {shapes}, not labels: {_remedy(metric)}."
            got = f" {type(failed).__name__}: {failed}"
            try:
                fail("fit", f"metrics[{name!r}]", "a metric that takes the model's outputs", got, hint=hint)
            except InputError as refusal:
                raise refusal from failed
        return False
    except InputError:  # the check of shapes says it, as for any metric
        return True
    except Exception as error:  # of a library that knows no tracers, or the metric's own
        if _trial(name, metric, recipe, predictions, y) is None:
            return False
        error.add_note(f"This is metrics[{name!r}] of fit.")
        raise
    return True


def _remedy(metric: Any) -> str:
    name = getattr(bound(metric)[0], "__name__", "metric")
    return f"lambda y_true, z: {name}(y_true, z.argmax(-1)) takes the labels of scores z, (z > 0) those of one logit"


def _shapes(predictions: Any) -> str:
    return str(jax.tree.map(lambda a: ("n", *a.shape[1:]), predictions)).replace("'", "")


def _trial(name: str, metric: Any, recipe: Recipe, predictions: Any, y: Any) -> Exception | None:
    """What a metric of the host says to a few real targets; None where it gives a figure.

    What predictions it will see is not known yet. It may need both classes, probabilities, or something that is
    positive: it is wrong only if it fails with zeros, with equal shares and with noise, of a few rows and of all.
    """
    rows, failed = example_count(y), None
    for count in sorted({min(rows, _TRIED), rows}):
        index = np.linspace(0, rows - 1, count).astype(int)
        targets = jax.tree.map(lambda a, index=index: np.asarray(a)[index], y)
        for made in (_zeros, _shares, _noise):
            fake = jax.tree.map(lambda a, made=made, count=count: made((count, *a.shape[1:])), predictions)
            ones: Any = np.ones(count, np.float32)
            given = counted_alone(recipe.loss, metric, fake, targets, ones)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    _figure(name, metric, jax.tree.map(np.array, given))
            except Exception as error:  # whatever a metric raises is handed back: the first, if all of them fail
                failed = failed or error
            else:
                return None
    return failed


def _zeros(shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _shares(shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, 1 / max(shape[-1], 1), np.float32)


def _noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)
