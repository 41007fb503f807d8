"""The live map: a net as boxes and lines on a page that stands alone, with figures of each layer in every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.programs import jit
from jaxann.core.results import apart
from jaxann.core.trees import check_arrays
from jaxann.core.typing import Key, Params, State
from jaxann.diagnose.map_content import content_of
from jaxann.diagnose.map_epochs import epochs_of, probed
from jaxann.diagnose.map_examples import passes
from jaxann.diagnose.map_histogram import histograms
from jaxann.diagnose.map_page import page
from jaxann.diagnose.summary import summary
from jaxann.train.batches import Batch, example_count
from jaxann.train.epoch import begin
from jaxann.train.inputs import as_batch
from jaxann.train.prepare import prepare_data, sized
from jaxann.train.probing import probe_batch, probe_layers
from jaxann.train.recipe import Recipe, as_recipe
from jaxann.train.steps import TrainState
from jaxann.train.weights import model_weights

__all__ = ["LiveMap", "live_map"]


@dataclass(frozen=True)
class LiveMap:
    """What `live_map` gives.

    Attributes:
        html: the page.
    """

    html: str

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page to a file.

        Raises:
            InputError: path is no path.
            OSError: the file cannot be written.
        """
        if not isinstance(path, str | PathLike):
            fail("LiveMap.save", "path", "a path, such as 'map.html'", path)
        Path(path).write_text(self.html, encoding="utf-8")

    def __repr__(self) -> str:
        return f"LiveMap({len(self.html):,} characters of HTML; .save('map.html') writes them)"


@apart
def live_map(
    recipe: Recipe,
    params: Params,
    data: tuple,
    *,
    state: State | None = None,
    history: Mapping[str, np.ndarray] | None = None,
    key: Key | None = None,
    examples: int = 8,
) -> LiveMap:
    """The net as a map: a box for each layer from the input to the loss, lines for what goes where, and its figures.

        ja.diagnose.live_map(recipe, result.params, (x, y), state=result.state, history=result.history).save("map.html")

    On each box: its path, kind, output shape and number of parameters; how its numbers are distributed; the gradient,
    the update ratio, mean, deviation, dead and saturated share; and whether that is healthy, by a word, a symbol and a
    colour. A slider goes through the epochs that a run with `probes=True` has measured; its last position is that of
    `params`. A picked example shows what it makes of each layer, and the gradient of its own loss.

    Figures of boxes are of the first batch as in training (as `probe`), with the optimizer at its first step. Those of
    examples are in evaluation mode.

    Args:
        recipe: the model, loss and optimizer.
        params: the model's parameters.
        data: `(x, y)` or `(x, y, weights)`, as in `fit`.
        state: of the layers; may be left out where they have none.
        history: of one run, its probes for the slider; None, or one without probes, for no slider.
        key: of the step's randomness, such as dropout; `jax.random.key(0)` when None.
        examples: how many of the first rows can be picked, at least 1; the data may have fewer.

    Returns:
        A `LiveMap`: the page as `html`, and `save(path)`.

    Raises:
        InputError: data are not what `fit` takes, params or state are not the model's, the history is that of another
            net, or a setting is out of range.
    """
    recipe = as_recipe("live_map", recipe)
    check_integer("live_map", "examples", examples, 1)
    key = jax.random.key(0) if key is None else key
    check_key("live_map", key)
    if history is not None and not isinstance(history, Mapping):
        fail("live_map", "history", "a run's history, such as result.history, or None", history)
    batch = as_batch("live_map", "data", data)
    recipe = sized("live_map", recipe, example_count(batch.x), None)
    batch, _ = prepare_data("live_map", [recipe], key, batch, None)
    check_arrays("live_map", "params", params)
    params, state = model_weights("live_map", recipe.model, params, _empty(params) if state is None else state, batch.x)
    first = _rows(batch, min(recipe.batch_size or 1, example_count(batch.x)))
    trained = jax.eval_shape(_standing, recipe, (params, state), first, key)
    places = probe_layers(recipe, trained, first)
    known = probed(places, history)
    by_layer, loss, counts, seen = jax.device_get(_measured(recipe, (params, state), first, key))
    picked = _rows(batch, min(examples, example_count(batch.x)))
    also = frozenset(row.path for row in summary(recipe.model, first.x).rows)
    found = passes(recipe, params, state, picked, also)
    content = content_of(
        recipe, places, epochs_of(places, by_layer, loss, known), (counts, seen), found, picked, example_count(first.x)
    )
    return LiveMap(page(content))


def _empty(params: Any) -> State:
    """The state of layers that have none, by the names of their parameters."""
    inside = params.items() if isinstance(params, Mapping) else ()
    return {name: _empty(inner) for name, inner in inside if isinstance(inner, Mapping)}


def _rows(batch: Batch, rows: int) -> Batch:
    return jax.tree.map(lambda a: a[:rows], batch)


def _standing(recipe: Recipe, initial: tuple[Params, State], batch: Batch, key: Key) -> TrainState:
    return begin(recipe, key, batch.x, initial).trained


@jit(guarded=True, quickly=True)
def _measured(recipe: Recipe, initial: tuple[Params, State], batch: Batch, key: Key) -> tuple:
    found = probe_batch(recipe, _standing(recipe, initial, batch, key), batch, key=key)
    return found.by_layer, found.scalars[0], *histograms(recipe, *initial, batch, key)  # the noise is not computed
