"""The slope of a model's output in each number of its input."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_integer
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.results import apart
from jaxann.core.typing import Array, Inputs, Params, State
from jaxann.diagnose.explained import Explained, aimed, chosen, over_blocks, read_explained
from jaxann.train.recipe import Recipe

__all__ = ["input_times_gradient", "saliency", "slope"]


@apart
def saliency(
    model: Layer | Recipe,
    params: Params,
    state: State,
    x: Inputs,
    *,
    target: int | Array | None = None,
    batch_size: int = 1024,
) -> Inputs:
    """|df / dx_j| of each example: by how much the output moves when a number of the input does.

    The mean over many examples ranks the columns. A slope tells of the nearest surroundings alone: it is 0 where a unit
    saturates, however much the input has done to get there, and it is in units of the input.

    Args:
        model: a model, or a recipe, whose compute_dtype its layers then compute in; in evaluation mode.
        params, state: what `fit` or `load` gave for it.
        x: `(rows, ...features)` of any shape (columns, pictures, sequences), or a tree of such arrays.
        target: which output is f, a number or one for each row; None for the only one, or the predicted class.
        batch_size: most rows at a time.

    Returns:
        Of x's shape.

    Peers: Captum's Saliency.

    Source: Simonyan et al. 2014.

    Raises:
        InputError: x or the target is not the model's, x has whole numbers, NaN or no rows.
    """
    return jax.tree.map(jnp.abs, _gradients_of("saliency", model, params, state, x, target, batch_size)[1])


@apart
def input_times_gradient(
    model: Layer | Recipe,
    params: Params,
    state: State,
    x: Inputs,
    *,
    target: int | Array | None = None,
    batch_size: int = 1024,
) -> Inputs:
    """x_j df / dx_j of each example; of a linear model without bias these add up to the output.

    Args:
        model, params, state, x, target, batch_size: as in `saliency`.

    Returns:
        Of x's shape.

    Peers: Captum's InputXGradient.

    Source: Shrikumar et al. 2016.

    Raises:
        InputError: as `saliency`.
    """
    explained, found = _gradients_of("input_times_gradient", model, params, state, x, target, batch_size)
    return jax.tree.map(lambda a, g: jnp.asarray(a) * g, explained.x, found)


def _gradients_of(
    name: str, model: Layer | Recipe, params: Params, state: State, x: Inputs, target: Any, batch_size: int
) -> tuple[Explained, Inputs]:
    check_integer(name, "batch_size", batch_size)
    explained = read_explained(name, model, params, state, x, target, floats=True)
    explained = aimed(explained, batch_size)
    return explained, over_blocks(_gradients, explained, batch_size)


def slope(explained: Explained, x: Inputs, target: Array) -> Inputs:
    """df / dx, row by row: in evaluation mode no row knows of another."""
    return jax.grad(lambda inside: jnp.sum(chosen(explained, inside, target)))(x)


@jit(static_argnames=("dtype",))
def _gradients(layer: Layer, params: Params, state: State, rows: tuple, dtype: str | None) -> Inputs:
    x, target = rows
    return slope(Explained(layer, params, state, dtype, x, target), x, target)
