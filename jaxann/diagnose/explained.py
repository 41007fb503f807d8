"""What an attribution explains: the chosen output of a model, one number for each example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import OUTSIDE, check_integer, check_unmasked, check_untraced, fail
from jaxann.core.devices import check_one_place
from jaxann.core.padding import is_padded
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.typing import Array, Inputs, Params, State
from jaxann.train.batches import default_float, example_count, one_example
from jaxann.train.blocks import as_model_takes, blocks_of
from jaxann.train.inputs import as_inputs, check_present, named_leaves
from jaxann.train.learned import check_missing
from jaxann.train.objective import apply_in
from jaxann.train.predict import model_of
from jaxann.train.recipe import Recipe
from jaxann.train.weights import model_weights

__all__ = [
    "Explained",
    "aimed",
    "as_background",
    "chosen",
    "mean_outcome",
    "over_blocks",
    "read_explained",
    "read_inputs",
]


class Explained(NamedTuple):
    """A model in evaluation mode, rows of its inputs, and which of its numbers is explained for each."""

    layer: Layer
    params: Params
    state: State
    dtype: str | None  # what the layers compute in, where a recipe says so
    x: Inputs
    target: Any  # int32 (rows,); -1 until `aimed` has found the predicted class


def read_inputs(
    function: str, model: Layer | Recipe, params: Params, state: State, x: Inputs, argument: str = "x"
) -> Explained:
    """The model and its inputs, checked; the first output is the target until another one is chosen.

    Raises:
        InputError: called inside a program; x is padded, has no rows, or is not what the model takes; params and state
            are none of this model.
    """
    check_untraced(function, "each argument", (params, state, x), OUTSIDE)
    check_unmasked(function, "params", params)
    check_unmasked(function, "state", state)
    layer, dtype = model_of(function, model)
    check_one_place(function, params=params, state=state)
    if any(is_padded(node) for node in jax.tree.leaves(x, is_leaf=is_padded)):
        fail(function, argument, "without padding", " Padded sequences", hint="Sequences of one length, without mask.")
    fills = "takes_missing" in layer.traits
    x = as_inputs(function, argument, x, features=True, missing=fills)
    if fills:
        check_missing(function, argument, layer, x)
    for name, leaf in named_leaves(argument, x):
        if leaf.size == 0:
            fail(function, name, "of at least one row and one feature", f" shape {leaf.shape}")
    x = as_model_takes(layer, x)
    params, state = model_weights(function, layer, params, state, x)
    return Explained(layer, params, state, dtype, x, np.zeros(example_count(x), np.int32))


def read_explained(
    function: str, model: Layer | Recipe, params: Params, state: State, x: Inputs, target: Any, *, floats: bool
) -> Explained:
    """As `read_inputs`, with the output that is asked for. Nothing is compiled; `aimed` follows when all is checked.

    Args:
        function: for the message.
        model, params, state, x: whose output for which rows.
        target: number of an output, one for each row, or None for the only or the greatest one.
        floats: whether x has to be of floating-point numbers, by which one can differentiate.

    Raises:
        InputError: as `read_inputs`; x has whole numbers; the model's output is not one or several numbers a row; or
            the target is none of them.
    """
    explained = read_inputs(function, model, params, state, x)
    if floats:
        check_present(function, "x", explained.x)
    for name, leaf in named_leaves("x", explained.x) if floats else ():
        if not jax.dtypes.issubdtype(leaf.dtype, np.floating):
            hint = "There is no derivative by a category or a token; exact_shap and permutation_importance need none."
            fail(function, name, "of floating-point numbers", f" {leaf.dtype}", hint=hint)
    rows, width = example_count(explained.x), _width(function, explained)
    if target is None:
        return explained._replace(target=np.full(rows, 0 if width == 1 else -1, np.int32))
    numbers = np.asarray(target)
    expected = f"an integer in 0..{width - 1}, or {rows} of them, one a row"
    if numbers.dtype.kind not in "iu" or numbers.shape not in ((), (rows,)):
        described = target if numbers.ndim == 0 else f" {numbers.dtype} of shape {numbers.shape}"
        fail(function, "target", expected, described)
    if numbers.min() < 0 or numbers.max() >= width:
        wrong = numbers.min() if numbers.min() < 0 else numbers.max()
        fail(function, "target", expected, f" {wrong}", hint=f"The model has {width} output{'s' * (width > 1)}.")
    return explained._replace(target=np.broadcast_to(numbers.astype(np.int32), (rows,)))


def _width(function: str, explained: Explained) -> int:
    """How many numbers the model gives for an example."""
    layer, params, state, dtype, x, _ = explained
    seen = jax.eval_shape(lambda p, s, v: apply_in(layer, p, s, v, dtype=dtype)[0], params, state, one_example(x, 2))
    if not hasattr(seen, "shape") or len(seen.shape) not in (1, 2):
        got = f" shape (rows, {', '.join(map(str, seen.shape[1:]))})" if hasattr(seen, "shape") else " several arrays"
        hint = "Put a layer behind it that leaves one head, or one position: layers.custom, layers.last_position."
        fail(function, "model", "one whose output is (rows,) or (rows, outputs)", got, hint=hint)
    return 1 if len(seen.shape) == 1 else seen.shape[1]


def aimed(explained: Explained, batch_size: int) -> Explained:
    """With the class that is predicted for each row where no other target was asked for."""
    if explained.target[0] >= 0:
        return explained
    return explained._replace(target=np.asarray(over_blocks(_greatest, explained, batch_size)))


def chosen(explained: Explained, x: Inputs, target: Array) -> Array:
    """f(x), `(rows,)`: of each row of x the output that is its target, in float32 or better."""
    y = apply_in(explained.layer, explained.params, explained.state, x, dtype=explained.dtype)[0]
    return jnp.take_along_axis(y.reshape(y.shape[0], -1), target[:, None], axis=1)[:, 0]


@jit(static_argnames=("dtype",))
def _greatest(layer: Layer, params: Params, state: State, rows: tuple, dtype: str | None) -> Array:
    x, _ = rows
    return jnp.argmax(apply_in(layer, params, state, x, dtype=dtype)[0], axis=-1).astype(jnp.int32)


@jit(static_argnames=("dtype",))
def _numbers(layer: Layer, params: Params, state: State, rows: tuple, dtype: str | None) -> Array:
    x, target = rows
    y = apply_in(layer, params, state, x, dtype=dtype)[0]
    return y.reshape(target.shape[0], -1)


def mean_outcome(explained: Explained, background: Inputs, batch_size: int) -> np.ndarray:
    """Mean over the background of f, `(rows,)`: of the output that is the target of each row of x."""
    filler = np.zeros(example_count(background), np.int32)
    seen = over_blocks(_numbers, explained._replace(x=background, target=filler), batch_size)
    return np.asarray(seen).astype(np.float64).mean(0)[explained.target].astype(default_float())


def over_blocks(program: Callable, explained: Explained, batch_size: int, *settings: Any, beside: tuple = ()) -> Any:
    """What a program gives for all rows, called with so many at a time.

    Args:
        program: `(layer, params, state, (x, target, *beside), *settings, dtype) -> tree`, leading axes the rows.
        explained: whose rows.
        batch_size: most rows at a time.
        settings: handed on as they are.
        beside: further arrays with an entry for each row.
    """
    layer, params, state, dtype, x, target = explained
    found = []
    for rows, count in blocks_of((x, target, *beside), len(target), batch_size):
        seen = program(layer, params, state, rows, *settings, dtype=dtype)
        found.append(jax.tree.map(lambda a, c=count: np.asarray(a)[:c], seen))
    return jax.device_put(jax.tree.map(lambda *a: np.concatenate(a), *found))


def as_background(function: str, background: Inputs, explained: Explained, batch_size: int) -> Inputs:
    """Rows to be put in the place of x, checked: the same inputs, at least one row, of any number.

    Raises:
        InputError: there are none, numbers are missing that the model wants, or columns differ from those of x.
    """
    check_integer(function, "batch_size", batch_size)
    check_untraced(function, "background", background, OUTSIDE)
    missing = "takes_missing" in explained.layer.traits
    rows = as_inputs(function, "background", background, features=True, missing=missing)
    if jax.tree.structure(rows) != jax.tree.structure(explained.x):
        names = ", ".join(name for name, _ in named_leaves("x", explained.x))
        fail(function, "background", f"of the same inputs as x ({names})", background)
    for (name, leaf), own in zip(named_leaves("background", rows), jax.tree.leaves(explained.x), strict=True):
        if leaf.shape[1:] != own.shape[1:]:
            expected = f"of shape (rows, {', '.join(map(str, own.shape[1:]))}), as x".replace("(rows, )", "(rows,)")
            fail(function, name, expected, f" shape {leaf.shape}")
        if leaf.shape[0] == 0:
            fail(function, name, "of at least one row", f" shape {leaf.shape}")
        if own.dtype.kind in "iu" and leaf.dtype.kind not in "iub":
            fail(function, name, f"of whole numbers, as x ({own.dtype})", f" {leaf.dtype}")
    if missing:
        check_missing(function, "background", explained.layer, rows)
    return jax.tree.map(lambda a, own: np.asarray(a).astype(own.dtype), rows, explained.x)
