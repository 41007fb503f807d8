"""What layers and metrics of a person's own hand back, looked at while a program is traced: it costs nothing later."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import fail
from jaxann.core.products import Layer
from jaxann.core.trees import flatten_named
from jaxann.core.typing import Array, Key, Params, State

__all__ = ["check_state_kept", "fresh_weights", "one_figure"]


def fresh_weights(model: Layer, key: Key, x: Any) -> tuple[Params, State]:
    """What the model draws for inputs like `x`, its parameters floating point: what is trained has a gradient.

    Raises:
        InputError: a parameter is no array, or of whole numbers, flags or complex numbers.
    """
    params, state = model.init(key, x)
    name = model._factory.short_name
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        argument = f"params{jax.tree_util.keystr(path)}"
        if not hasattr(leaf, "dtype") or not hasattr(leaf, "shape"):
            fail(f"{name}.init", argument, "an array", leaf)
        if not jax.dtypes.issubdtype(leaf.dtype, np.floating):
            hint = "What is not trained belongs into the state, which init returns as the second."
            fail(f"{name}.init", argument, "floating point", f" {leaf.dtype} of shape {leaf.shape}", hint=hint)
    return params, state


def check_state_kept(model: Layer, state: State, after: State, *, exactly: bool) -> None:
    """The new state has the shapes and dtypes of the one given, by name; with `exactly` the same empty dicts, too.

    Raises:
        InputError: it has not; the message names the first leaf.
    """
    if _kinds(state) == _kinds(after):
        return
    before, now = (_described(tree) for tree in (state, after))
    for name in [*before, *now]:
        wanted, got = before.get(name, " left out"), now.get(name, " none")
        if wanted != got:
            place = f"state {name!r} after apply" if name else "the state after apply"
            fail(model._factory.short_name, place, f"{wanted[1:]}, as before it", got)
    if exactly:
        fail(model._factory.short_name, "the state after apply", "of the structure before it", " another")


def _kinds(tree: Any) -> tuple:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(np.shape(leaf), jax.dtypes.result_type(leaf)) for leaf in leaves]


def _described(tree: Any) -> dict[str, str]:
    if not isinstance(tree, dict):
        return {"": f" {tree!r}"[:80]}
    return {
        name: f" {jax.dtypes.result_type(leaf)} of shape {np.shape(leaf)}" for name, leaf in flatten_named(tree).items()
    }


def one_figure(name: str, value: Any) -> Array:
    """The figure of a metric as an array of one number.

    Raises:
        InputError: it is a dict, text, None, or complex.
    """
    numbers = isinstance(value, bool | int | float | list | tuple) or hasattr(value, "dtype")
    if not numbers or jax.dtypes.issubdtype(getattr(value, "dtype", np.float32), np.complexfloating):
        hint = "Several figures are several metrics, each under a name of its own."
        got = " a complex number" if numbers else value
        fail(f"metrics[{name!r}]", "the figure", "one real number", got, hint=hint)
    return jnp.asarray(value)
