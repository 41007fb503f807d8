"""Attribution by differences instead of slopes, layer by layer (DeepLIFT's rescale rule)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.activations import by_name, gated, vector
from jaxann.core.binding import bound
from jaxann.core.checks import check_integer, fail
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.results import apart
from jaxann.core.typing import Array, Inputs, Params, State
from jaxann.diagnose.explained import aimed, over_blocks, read_explained
from jaxann.diagnose.path_gradients import Attributions, as_baseline, total
from jaxann.layers import batch_norm, conv, dense, dropout, elementwise, flatten
from jaxann.train.recipe import Recipe

__all__ = ["deep_lift"]

_LINEAR = (batch_norm, conv, dense, dropout, flatten)  # in evaluation mode, but for a number that is added
_OF_SEVERAL = frozenset((*gated.__all__, *vector.__all__))  # activations in which one number has to do with another
_NEAR = 1e-6  # inputs of an activation so near that a difference says less than the slope


class _Link(NamedTuple):
    """A layer of the chain."""

    layer: Layer
    params: Params
    state: State
    rescaled: bool


@apart
def deep_lift(
    model: Layer | Recipe,
    params: Params,
    state: State,
    x: Inputs,
    *,
    baseline: Inputs | None = None,
    target: int | Array | None = None,
    batch_size: int = 1024,
) -> Attributions:
    """(x - x')_j times the gradient, with (a - a') / (z - z') of x and x' in the place of each slope da/dz (DeepLIFT).

    The values add up to f(x) - f(x') exactly: of a unit that saturates, or a relu that is off at x and on at x', the
    difference is counted where its slope is 0. Where |z - z'| < 1e-6 the slope stays.

    Args:
        model: a chain of `dense`, `conv`, `flatten`, `dropout`, `batch_norm` and of `elementwise` activations of each
            number by itself, such as `models.mlp`; or a recipe of one.
        params, state, x, target, batch_size: as in `saliency`; x is one array.
        baseline: x', what stands for no information, one row or of x's shape; zeros when None.

    Returns:
        `values`, of x's shape, and `gap`, `(rows,)`, which rounding has left.

    Peers: Captum's DeepLift and shap's DeepExplainer (mean over several x'), which have rules for more layers.

    Source: Shrikumar et al. 2017, the rescale rule.

    Raises:
        InputError: as `saliency`; the baseline does not fit; or there is another layer in the model.
    """
    check_integer("deep_lift", "batch_size", batch_size)
    explained = read_explained("deep_lift", model, params, state, x, target, floats=True)
    if not hasattr(explained.x, "shape"):
        fail("deep_lift", "x", "one array", x)
    _links(explained.layer, explained.params, explained.state, "")
    begin = as_baseline("deep_lift", baseline, explained.x)
    return over_blocks(_rescaled, aimed(explained, batch_size), batch_size, beside=(begin,))


@jit(static_argnames=("dtype",))
def _rescaled(layer: Layer, params: Params, state: State, rows: tuple, dtype: str | None) -> Attributions:
    x, target, begin = rows
    here, there, multipliers = x, begin, []
    for link in _links(layer, params, state, ""):
        here, there, multiplier = _passed(link, here, there)
        multipliers.append(multiplier)
    count = here.shape[0]
    flat = jax.nn.one_hot(target, here.size // count, dtype=here.dtype)
    gradient = flat.reshape(here.shape)
    for multiplier in reversed(multipliers):
        gradient = multiplier(gradient)
    values = (x - begin) * gradient
    change = jnp.sum(flat * (here - there).reshape(count, -1), axis=1)
    return Attributions(values, change - total(values))


def _passed(link: _Link, here: Array, there: Array) -> tuple[Array, Array, Callable[[Array], Array]]:
    """What the layer makes of both, and the way from the gradient of its output to that of its input."""
    y, vjp = jax.vjp(lambda x: link.layer.apply(link.params, link.state, x)[0], here)
    other = link.layer.apply(link.params, link.state, there)[0]
    if not link.rescaled:
        return y, other, lambda g: vjp(g)[0]
    change = here - there
    near = jnp.abs(change) < _NEAR
    ratio = (y - other) / jnp.where(near, jnp.ones_like(change), change)
    multiplier = jnp.where(near, vjp(jnp.ones_like(y))[0], ratio)
    return y, other, lambda g: g * multiplier


def _links(layer: Layer, params: Params, state: State, name: str) -> list[_Link]:
    """The layers of a chain, one after the other.

    Raises:
        InputError: one of them has no rule here.
    """
    layer = layer.resolved
    if "chain" in layer.traits and layer.children:
        found = []
        for child, inner in layer.children.items():
            path = f"{name}.{child}" if name else child
            found += _links(inner, params.get(child, {}), state.get(child, {}), path)
        return found
    made = layer._factory.public
    rescaled = made is elementwise
    if rescaled:
        function = getattr(bound(by_name(layer.arguments["activation"]))[0], "__name__", "")
        if function in _OF_SEVERAL:
            place = f"the activation{f' in {name}' if name else ''}"
            fail("deep_lift", place, "one of each number by itself", function)
    elif made not in _LINEAR:
        kinds = ", ".join(sorted(kind.__name__ for kind in (*_LINEAR, elementwise)))
        hint = "integrated_gradients takes any model."
        fail("deep_lift", "model", f"a chain of {kinds}", f" {name or 'it'}: {made.__name__}", hint=hint)
    return [_Link(layer, params, state, rescaled)]
