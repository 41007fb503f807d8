"""Metrics that need the values of arrays (NumPy's, scikit-learn's): computed on the host, after each epoch of `fit`.

In the compiled program their places in the history are empty, and the arrays they want to see come out of it beside
the history. Early stopping by such a metric is decided on the host, by the same rule.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.binding import as_partial
from jaxann.core.checks import fail
from jaxann.core.products import Metric
from jaxann.core.programs import jit
from jaxann.core.typing import Array, Key, Params, State
from jaxann.metrics.calling import NotTraceableError, figure_of
from jaxann.metrics.forms import is_known
from jaxann.train import stopping
from jaxann.train.batches import Batch, one_example
from jaxann.train.epoch import Carry, run_epoch
from jaxann.train.prepare import as_floats, figure_shape, floats_for, prediction_shapes
from jaxann.train.recipe import Recipe

__all__ = ["HostMetrics", "host_metrics"]

_SEEN: ContextVar[list | None] = ContextVar("seen", default=None)


def _record(predictions: Any, targets: Any, weights: Any) -> Array:
    """Stands in the program for a metric that is computed on the host: remembers what it is given."""
    found = _SEEN.get()
    if found is not None:
        found.append((predictions, targets, weights))
    return jnp.asarray(jnp.nan, jnp.result_type(float))


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
            return carry, np.empty((0, len(columns)))
        monitored = recipe.monitor.removeprefix("validation_") in self.metrics and recipe.monitor in columns
        # Best weights are chosen here, below: in the program those of this epoch are always the best.
        begun = carry._replace(stop=carry.stop._replace(best_epoch=jnp.int32(-1))) if monitored else carry
        after, row, seen = _epoch(recipe, key, begun, train, validation)
        row = np.asarray(row).copy()
        for prefix, arrays in zip(("", "validation_"), jax.tree.map(np.asarray, seen), strict=False):
            for name, metric in self.metrics.items():
                row[columns.index(prefix + name)] = _figure(prefix + name, metric, arrays)
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


def host_metrics(recipe: Recipe, key: Key, data: Batch) -> HostMetrics | None:
    """The metrics that cannot be traced, tried on shapes; None where there are none.

    Args:
        recipe: sized.
        key: any.
        data: checked.
    """
    own = {name: m for name, m in recipe.metrics.items() if not isinstance(m, Metric) and not is_known(m)}
    if not own:
        return None
    batch = Batch(*(one_example(tree, recipe.batch_size or 1) for tree in data))
    floats = floats_for(recipe.model, data.x)
    try:
        predictions = prediction_shapes(recipe, key, batch._replace(x=as_floats(batch.x, floats)))
    except Exception:  # what is wrong is told by the check of shapes, as for any recipe
        return None
    names = tuple(name for name in own if not _is_traceable(own, name, predictions, batch.y))
    return HostMetrics(recipe, names) if names else None


def _is_traceable(own: Mapping[str, Any], name: str, predictions: Any, y: Any) -> bool:
    try:
        figure_shape(own[name], predictions, y)
    except NotTraceableError:
        return False
    except Exception:  # the check of shapes says it, as for any metric
        return True
    return True
