"""A probe of one batch, from outside of a run: what each layer gives, and how it would move in the next step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_key, fail
from jaxann.core.programs import hands_over, jit
from jaxann.core.typing import Key, Params, State
from jaxann.train.augmented import as_trained
from jaxann.train.batches import Batch, example_count
from jaxann.train.epoch import begin
from jaxann.train.inputs import as_batch
from jaxann.train.learned import data_to_learn_from
from jaxann.train.nonfinite import NonfinitePlace, nonfinite_place
from jaxann.train.prepare import prepare_data, sized
from jaxann.train.probing import BY_LAYER, SCALARS, Probe, probe_batch, probe_layers
from jaxann.train.recipe import Recipe, as_recipe
from jaxann.train.run import Result
from jaxann.train.steps import TrainState
from jaxann.train.taps import Place
from jaxann.train.weights import initial_weights

__all__ = ["LayerProbe", "Probes", "first_nonfinite", "probe", "probed_layers"]

_HEADS = ("gradient", "update", "mean", "std", "dead", "saturated", "similar")
_FIGURES = ("gradient_norm", "update_ratio", "mean", "std", "dead", "saturated", "similarity")


@dataclass(frozen=True)
class LayerProbe:
    """One layer in one step; NaN where a figure has no meaning (parameters of a layer that has none).

    Attributes:
        name: its path, with the round of a loop in brackets; "(input)" for what the model is given.
        kind: name of its factory.
        shape: of its output.
        gradient_norm, gradient_rms: of the objective's gradient in its parameters.
        update_ratio: norm of the step over norm of the parameters.
        mean, std: of its output, over examples, positions and units.
        dead: share of units that give 0 for all examples, of activations such as relu.
        saturated: share of values within 0.05 of a limit, of activations such as sigmoid and tanh.
        similarity: mean cosine of its outputs for two different examples.
        nonfinite: share of values that are not finite.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    gradient_norm: float
    gradient_rms: float
    update_ratio: float
    mean: float
    std: float
    dead: float
    saturated: float
    similarity: float
    nonfinite: float


@dataclass(frozen=True)
class Probes:
    """What `probe` found; print it for a table.

    Attributes:
        layers: in the order in which they run.
        loss: the objective on the batch.
        gradient_norm: of all parameters.
        noise_scale: the gradient noise scale, trace(covariance of an example's gradient) / |expected gradient|^2, from
            two sizes of batch: the batch size up to which more examples a step pay. One batch says it roughly at best;
            infinite where its estimate of the gradient is not above 0, NaN for a batch of one example.
    """

    layers: tuple[LayerProbe, ...]
    loss: float
    gradient_norm: float
    noise_scale: float

    def __getitem__(self, name: str) -> LayerProbe:
        for layer in self.layers:
            if layer.name == name:
                return layer
        fail("Probes", "name", f"one of {', '.join(layer.name for layer in self.layers)}", name)

    def __str__(self) -> str:
        width = max(len("layer"), *(len(layer.name) for layer in self.layers))
        lines = [f"{'layer':{width}}  " + "  ".join(f"{head:>9}" for head in _HEADS)]
        for layer in self.layers:
            cells = (_cell(getattr(layer, name)) for name in _FIGURES)
            lines.append(f"{layer.name:{width}}  " + "  ".join(f"{cell:>9}" for cell in cells))
        lines.append(f"loss {self.loss:.4g}, gradient norm {self.gradient_norm:.3g}, noise {self.noise_scale:.3g}")
        return "\n".join(line.rstrip() for line in lines)


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3g}"


@hands_over
def probe(
    recipe: Recipe,
    data: tuple,
    *,
    key: Key,
    initial: tuple[Params, State] | None = None,
    result: Result | None = None,
    batch_size: int | None = None,
) -> Probes:
    """What each layer gives on a batch, the gradient in its parameters, and how far the next step would move them.

        print(ja.diagnose.probe(recipe, (x, y), key=jax.random.key(0)))                 as training begins
        print(ja.diagnose.probe(recipe, (x, y), key=jax.random.key(0), result=result))  where it ended

    Layers run as in training, with dropout and the like. The figures are those of `recipe(probes=True)`, which notes
    them in every epoch of a run; here they are of the first rows of the data.

    Args:
        recipe: the model, loss and optimizer.
        data: `(x, y)` or `(x, y, weights)`, as in `fit`.
        key: of fresh weights and of the step's randomness.
        initial: `(params, state)` of the model, with the optimizer at its first step; fresh ones when None.
        result: of `fit`: its last weights, and its optimizer where it stands, in the place of `initial`.
        batch_size: examples; the recipe's own, or 128, when None.

    Raises:
        InputError: data are not what `fit` takes, weights are not the model's, both initial and result are given, or
            the result is one without a carry.
    """
    check_key("probe", key)
    recipe = as_recipe("probe", recipe)
    batch = as_batch("probe", "data", data)
    recipe = sized("probe", recipe, example_count(batch.x), batch_size)
    batch, _ = prepare_data("probe", [recipe], key, batch, None)
    trained = _standing(recipe, batch, key, initial, result)
    rows = min(recipe.batch_size or 1, example_count(batch.x))
    first = jax.tree.map(lambda a: a[:rows], batch)
    found: Probe = jax.device_get(_probe(recipe, trained, first, key))
    places = probe_layers(recipe, trained, first)
    layers = tuple(
        LayerProbe(place.name, place.kind, place.shape, *map(float, row))
        for place, row in zip(places, found.by_layer, strict=True)
    )
    scalars = dict(zip(SCALARS, map(float, found.scalars), strict=True))
    norms = found.by_layer[:, BY_LAYER.index("layer_gradient_norm")].astype(np.float64)
    square = scalars["gradient_square"]
    noise = scalars["gradient_variance"] / square if square > 0 else np.inf if square <= 0 else np.nan
    return Probes(layers, scalars["probe_loss"], float(np.sqrt(np.nansum(norms**2))), float(noise))


@jit(guarded=True)
def _probe(recipe: Recipe, trained: TrainState, batch: Batch, key: Key) -> Probe:
    return probe_batch(recipe, trained, batch, key=key)


@jit(guarded=True, quickly=True)
def _begun(recipe: Recipe, batch: Batch, key: Key, initial: Any) -> TrainState:
    seen = as_trained(recipe, batch.x, batch.y)[0]
    return begin(recipe, key, seen, initial, data_to_learn_from(recipe, batch)).trained


def _standing(recipe: Recipe, batch: Batch, key: Key, initial: Any, result: Result | None) -> TrainState:
    """Where the run stands that is looked at."""
    if result is None:
        return _begun(recipe, batch, key, initial_weights("probe", recipe, key, batch, initial))
    if initial is not None:
        fail("probe", "initial", "None where result is given, which has weights of its own", " both")
    if not isinstance(result, Result) or result.carry is None:
        fail("probe", "result", "a result of fit, with its carry", result)
    return result.carry.trained


def probed_layers(recipe: Recipe, data: tuple) -> tuple[str, ...]:
    """Names of the layers, in the order of the last axis of the history's figures by layer; nothing is computed.

        rows = dict(zip(ja.diagnose.probed_layers(recipe, (x, y)), result.history["layer_dead"].T))

    Args:
        recipe: what is trained with `probes=True`.
        data: `(x, y)` or `(x, y, weights)`, as in `fit`.

    Raises:
        InputError: data are not what `fit` takes.
    """
    return tuple(place.name for place in _places("probed_layers", recipe, data))


def first_nonfinite(recipe: Recipe, data: tuple, history: Mapping[str, np.ndarray]) -> NonfinitePlace | None:
    """Where numbers first stopped being finite in a run with probes: a layer's output, the loss, a gradient or a step.

        ja.diagnose.first_nonfinite(recipe, (x, y), result.history)             of a run
        ja.diagnose.first_nonfinite(recipe, (x, y), population.member(3).history)

    A run that ended at such a step has figures of that very step in the last row of its history; so the order of the
    computation says what was first. None where all is finite in every row.

    Args:
        recipe: what was trained, with `probes=True`.
        data: what it was trained on, or anything of its shapes.
        history: of one run.

    Raises:
        InputError: the history has no figures of probes, or those of another number of layers.
    """
    places = _places("first_nonfinite", recipe, data)
    if "layer_nonfinite" not in history:
        fail("first_nonfinite", "history", "one of a recipe with probes=True", f" {', '.join(history)}")
    table = np.stack([np.asarray(history[name]) for name in BY_LAYER], -1)
    if table.ndim != 3 or table.shape[1] < len(places):
        expected = f"of one run with {len(places)} layers"
        fail("first_nonfinite", "history", expected, f" figures of shape {table.shape[:-1]}")
    for row, loss in zip(table[:, : len(places)], np.asarray(history["probe_loss"]), strict=True):
        if not np.isnan(row[:, BY_LAYER.index("layer_nonfinite")]).all():  # an epoch that was probed
            found = nonfinite_place(places, row, float(loss))
            if found is not None:
                return found
    return None


def _places(function: str, recipe: Recipe, data: tuple) -> tuple[Place, ...]:
    recipe = as_recipe(function, recipe)
    batch = as_batch(function, "data", data)
    recipe = sized(function, recipe, example_count(batch.x), None)
    batch, _ = prepare_data(function, [recipe], jax.random.key(0), batch, None)
    seen = as_trained(recipe, batch.x, batch.y)[0]
    trained = jax.eval_shape(lambda k: begin(recipe, k, seen).trained, jax.random.key(0))
    rows = min(recipe.batch_size or 1, example_count(batch.x))
    return probe_layers(recipe, trained, jax.tree.map(lambda a: a[:rows], batch))
