"""What every run does before it begins: recipe and data checked against each other, nothing compiled.

`fit`, `make_run`, populations, searches and exports all come through here, so that a setting means the same everywhere
and a message is the same whatever verb was called.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.binding import as_partial
from jaxann.core.checks import check_integer, check_untraced, fail, is_concrete
from jaxann.core.errors import InputError
from jaxann.core.padding import unpadded
from jaxann.core.products import Layer
from jaxann.core.programs import KEPT, traced_only
from jaxann.core.recent import Recent
from jaxann.core.typing import Array, Inputs, Key
from jaxann.metrics.calling import figure_of
from jaxann.train.augmented import as_trained
from jaxann.train.batches import Batch, Spec, one_example, some_key
from jaxann.train.inputs import named_leaves, refuse_tree
from jaxann.train.learned import check_missing
from jaxann.train.measure import streaming_form
from jaxann.train.objective import apply_in, example_sums, loss_sums
from jaxann.train.own_functions import fresh_weights, one_figure
from jaxann.train.recipe import Recipe
from jaxann.train.targets import check_targets

__all__ = [
    "MOST_EPOCHS",
    "as_floats",
    "canonical",
    "check_known",
    "check_monitor",
    "epochs_of",
    "figure_shape",
    "floats_for",
    "for_model",
    "prediction_shapes",
    "prepare_data",
    "sized",
]

MOST_EPOCHS = 2**31 - 1  # that are ever counted
_BATCH = 128  # examples an update where no size is given
_MOST_MIXED = 6  # whole-number inputs of which every choice of floats is tried


def canonical(tree: Any) -> Any:
    """Numbers as arrays of the default dtypes, so that 1e-3, np.float32(1e-3) and an array share one program."""

    def one(leaf):
        if type(leaf) is float:
            return np.asarray(leaf, jax.dtypes.canonicalize_dtype(float))
        if isinstance(leaf, jax.Array) and is_concrete(leaf) and leaf.weak_type:
            return np.asarray(leaf)  # an array made of a Python number is weakly typed: another program
        if isinstance(leaf, bool | np.bool_) or not isinstance(leaf, int | float | np.number):
            return leaf
        whole = isinstance(leaf, int | np.integer) and -(2**31) <= leaf < 2**31  # a longer one as what it is about
        kind = int if whole else float
        return np.asarray(leaf, jax.dtypes.canonicalize_dtype(kind))

    return jax.tree.map(one, tree)


def epochs_of(function: str, recipe: Recipe, epochs: int | None) -> int:
    """How many epochs a run has: those the verb was given, or the recipe's own.

    Raises:
        InputError: neither has any, or both have.
    """
    return min(_one_of(function, "epochs", epochs, recipe.epochs, 0), MOST_EPOCHS)


def _one_of(function: str, argument: str, given: Any, own: Any, minimum: int) -> Any:
    if given is None:
        if own is None and argument == "epochs":
            fail(function, argument, "given, here or in the recipe", None)
        return own
    check_integer(function, argument, given, minimum)
    if own is not None and own != given:
        fail(function, argument, f"left out where the recipe has its own ({own})", given)
    return int(given)


def sized(function: str, recipe: Recipe, examples: int, batch_size: int | None) -> Recipe:
    """The recipe as programs take it: its batch size known, its numbers canonical, nothing in it that is the host's.

    Args:
        function: for messages.
        recipe: what is trained.
        examples: the most that a batch can hold.
        batch_size: of a recipe without one of its own; 128 when None, or all examples where the optimizer wants them.

    Raises:
        InputError: both sizes are given, or the optimizer wants all examples in every step and a batch is smaller.
    """
    size = _one_of(function, "batch_size", batch_size, recipe.batch_size, 1)
    whole = recipe.whole_batch
    if size is None:
        size = examples if whole else _BATCH
    if whole and size < examples:
        expected = f"the number of examples ({examples}), or left out, with {recipe.optimizer._factory.short_name}"
        hint = "It compares the objective from step to step, which therefore has to be that of the same examples."
        fail(function, "batch_size", expected, size, hint=hint)
    exact = canonical(recipe).updated(batch_size=min(int(size), int(examples)), epochs=None)
    return exact.counting(np.int32(recipe.most_bad_steps))  # whether to raise is the host's


def check_monitor(function: str, recipe: Recipe, validation: Any) -> None:
    """What is monitored must exist.

    Raises:
        InputError: training is to stop early, or to keep its best weights, by a validation set that is not given.
    """
    if validation is None and recipe.monitor.startswith("validation"):
        if recipe.stops_early or recipe.restores_best:
            why = "stop early on" if recipe.stops_early else "keep the best weights by"
            fail(function, "validation", f"given to {why} {recipe.monitor!r}", None)


def prepare_data(
    function: str, recipes: Sequence[Recipe], key: Key, train: Batch, validation: Batch | None
) -> tuple[Batch, Batch | None]:
    """Checked data as the models take them, and every recipe tried on a batch abstractly.

    Args:
        function: for messages.
        recipes: one of each structure, sized.
        key: any key.
        train, validation: from `as_batch`.

    Raises:
        InputError: data do not fit a model, a loss, a metric, or each other.
    """
    check_untraced(function, "each argument", (key, list(recipes)))
    for recipe in recipes:
        _check_missing(function, recipe, train, validation)
    train, validation = for_model(recipes[0], train, validation)
    for recipe in recipes:
        check_monitor(function, recipe, validation)
        _check_shapes(function, recipe, key, train, validation)
    return train, validation


def for_model(recipe: Recipe, data: Batch, validation: Batch | None) -> tuple[Batch, Batch | None]:
    """Whole numbers as floating point, unless the model takes them as they are (tokens, categories)."""
    names = floats_for(recipe.model, data.x, lambda x: as_trained(recipe, x, data.y)[0])
    same = validation is data
    if names:
        data = data._replace(x=as_floats(data.x, names))
    if validation is None or same:
        return data, data if same else None
    return data, validation._replace(x=_as_training(data.x, validation.x))


def _as_training(x: Inputs, other: Inputs) -> Inputs:
    """Whole numbers as floating point where they are so in training."""
    kinds = {name: np.dtype(leaf.dtype).kind for name, leaf in named_leaves("x", x)}
    named = named_leaves("x", other)
    found = [name for name, leaf in named if kinds.get(name) == "f" and np.dtype(leaf.dtype).kind in "iub"]
    return as_floats(other, tuple(found)) if found else other


def floats_for(model: Layer, x: Inputs, seen: Callable[[Inputs], Inputs] = lambda x: x) -> tuple[str, ...]:
    """Names of the whole-number inputs that the model wants as floating point: as few of them as it accepts.

    `seen` gives the shapes of inputs as the model sees them.
    """
    spec = one_example(x)
    named = named_leaves("x", spec)
    whole = [name for name, leaf in named if np.dtype(leaf.dtype).kind in "iu" or _is_flag(name, leaf)]
    sizes = range(len(whole) + 1) if len(whole) <= _MOST_MIXED else (0, len(whole))
    for names in (chosen for size in sizes for chosen in combinations(whole, size)) if whole else ():
        try:
            _fresh.eval_shape(model, some_key(), seen(as_floats(spec, names)))
        except (ValueError, TypeError):
            continue
        return names
    return ()  # the check of shapes says what is wrong


@traced_only
@jax.jit
def _fresh(model: Layer, key: Key, x: Inputs) -> Any:
    """What a fresh model makes of x; only ever traced, and only once for a model and inputs like these."""
    return model.apply(*model.init(key, x), x)[0]


def _is_flag(name: str, leaf: Any) -> bool:
    return np.dtype(leaf.dtype).kind == "b" and not name.endswith(".mask")


def as_floats(x: Inputs, names: tuple[str, ...]) -> Inputs:
    """x, arrays or shapes of them, with the inputs of these names in float32."""
    leaves, structure = jax.tree.flatten(x)
    labels = [name for name, _ in named_leaves("x", x)]
    pairs = zip(labels, leaves, strict=True)
    return jax.tree.unflatten(structure, [_float(leaf) if name in names else leaf for name, leaf in pairs])


def _float(leaf: Any) -> Any:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(leaf.shape, np.float32)
    return leaf.astype(np.float32)


def check_known(function: str, recipe: Recipe, key: Key, data: Batch, validation: Batch | None) -> None:
    """Data against the model, the loss and the metrics where their values are known; inside a program nothing is done.

    Raises:
        InputError: as `prepare_data`.
    """
    if all(map(is_concrete, jax.tree.leaves((data, validation)))):
        _check_missing(function, recipe, data, validation)
        _check_shapes(function, recipe, key, data, validation)


def _check_missing(function: str, recipe: Recipe, data: Batch, validation: Batch | None) -> None:
    """Refuse NaN in x where the model puts nothing in its place."""
    check_missing(function, "train x", recipe.model, data.x)
    if validation is not None and validation is not data:
        check_missing(function, "validation x", recipe.model, validation.x)


def _check_shapes(function: str, recipe: Recipe, key: Key, data: Batch, validation: Batch | None) -> None:
    """Refuse data that do not fit the model, the loss, or each other."""
    rows = recipe.batch_size or 1
    seen_x, seen_y = as_trained(recipe, data.x, data.y, rows)
    if validation is not None:
        _check_alike(function, "validation x", seen_x, one_example(validation.x, rows))
        _check_alike(function, "validation y", seen_y, one_example(validation.y), shapes=False)
    tried: dict[Spec, Any] = {}  # the validation set is mostly of the shapes of the training set
    for name, part in (("train", data), ("validation", validation)):
        if part is not None:
            batch = Batch(*(one_example(tree, rows) for tree in part))
            batch = Spec(batch if part is not data else batch._replace(x=seen_x, y=seen_y))
            if batch not in tried:
                tried[batch] = _tried(function, recipe, key, batch.tree)
            check_targets(function, name, part, tried[batch], recipe)


_FOUND: Recent[Any] = Recent(KEPT)  # shapes of predictions by what they follow from


def _tried(function: str, recipe: Recipe, key: Key, batch: Batch) -> Any:
    """Shapes of the predictions for a batch of such shapes, its loss and its figures computed on the way.

    What was right once is not tried again: asking JAX for shapes takes a tenth of the time that a second run takes.
    """
    setting = _setting_of(recipe, batch)
    if setting is not None and (found := _FOUND.get(setting)) is not None:
        return found
    x, y, weights = batch
    wanted = (recipe.model, as_partial(recipe.loss), recipe.metrics, key, x, y, recipe.compute_dtype)
    try:
        predictions, figures = _forward.eval_shape(*wanted)
    except InputError:
        raise
    except Exception as error:  # of a layer that has no words for several inputs
        refuse_tree(function, "train x", x, error)
        raise
    for metric, shape in figures.items():
        if shape.shape:
            fail(function, f"metrics[{metric!r}]", "a metric that gives one figure", f" one of shape {shape.shape}")
    if weights is not None and len(weights.shape) > 1:
        jax.eval_shape(functools.partial(loss_sums, recipe.loss), predictions, y, weights)
    if isinstance(recipe.loss, functools.partial):  # numbers bound to the loss: checked untraced
        jax.eval_shape(functools.partial(example_sums, recipe.loss), predictions, y)
    elif setting is not None:
        _FOUND.put(setting, predictions)
    return predictions


def _setting_of(recipe: Recipe, batch: Batch) -> Hashable:
    """All that shapes follow from: structure, shapes and JAX's rules for dtypes; None where a leaf is no array."""
    leaves, structure = jax.tree.flatten((recipe, batch))
    config: Any = jax.config
    rules = (config.jax_enable_x64, config.jax_numpy_dtype_promotion, config.jax_numpy_rank_promotion)
    try:
        return structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves), rules
    except AttributeError:
        return None


def _check_alike(function: str, argument: str, expected: Any, got: Any, *, shapes: bool = True) -> None:
    """The same tree as in training, and the same features."""
    wanted, given = dict(named_leaves(argument, expected)), dict(named_leaves(argument, got))
    for name in [*wanted, *given]:
        if name not in given or name not in wanted:
            shown = ", ".join(wanted)
            fail(function, argument, f"a tree as in training ({shown})", f" {', '.join(given)}")
        a, b = wanted[name].shape, given[name].shape
        if shapes and a != b:
            fail(function, name, f"of shape (examples, {', '.join(map(str, a[1:]))}) as in training",
                 f" shape (examples, {', '.join(map(str, b[1:]))})")  # fmt: skip
        kinds = [np.dtype(tree[name].dtype).kind for tree in (wanted, given)]
        if shapes and kinds[0] in "iu" and kinds[1] == "f":
            fail(function, name, f"whole numbers as in training ({wanted[name].dtype})", f" {given[name].dtype}")


@traced_only
@functools.partial(jax.jit, static_argnames=("compute_dtype",))
def _forward(
    model: Layer, loss: Any, metrics: Any, key: Key, x: Inputs, y: Any, compute_dtype: str | None
) -> tuple[Any, dict[str, Array]]:
    """Predictions of a fresh model and its figures, the loss computed on the way; only ever traced, once a setting."""
    params, state = fresh_weights(model, key, x)
    predictions, _ = apply_in(model, params, state, x, dtype=compute_dtype)
    apply_in(model, params, state, x, dtype=compute_dtype, key=key, train=True)  # which looks at the state
    example_sums(loss, predictions, y)
    return predictions, _figures(metrics, predictions, y)


def _figures(metrics: Any, predictions: Any, y: Any) -> dict[str, Array]:
    """The metrics of a batch, with weights that are traced as in training."""
    arrays = unpadded(predictions, y, jnp.ones(jax.tree.leaves(y)[0].shape[:1], jnp.float32))
    forms = {name: streaming_form(metric, y, predictions) for name, metric in metrics.items()}
    return {
        name: one_figure(name, figure_of(metrics[name], *arrays) if form is None else form(*arrays[:2]))
        for name, form in forms.items()
    }


_traced_figures = traced_only(jax.jit(_figures))  # only ever traced, and only once for a setting


def prediction_shapes(recipe: Recipe, key: Key, batch: Batch) -> Any:
    """Shapes of a fresh model's predictions for a batch of such shapes."""
    wanted = (recipe.model, as_partial(recipe.loss), {}, key, batch.x, batch.y, recipe.compute_dtype)
    return _forward.eval_shape(*wanted)[0]


def figure_shape(metric: Any, predictions: Any, y: Any) -> Any:
    """Shape of a metric's figure.

    Raises:
        InputError: it cannot be traced.
    """
    return _traced_figures.eval_shape({"": metric}, predictions, y)[""]
