"""What every way of writing on asks of its model and its prompts, and what it says when the logits are no numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_int32, check_unmasked, fail, is_concrete
from jaxann.core.padding import check_mask, is_padded
from jaxann.core.products import Layer
from jaxann.core.trees import cast
from jaxann.core.typing import Array, Inputs, Params, State
from jaxann.train.predict import model_of
from jaxann.train.recipe import Recipe
from jaxann.train.weights import model_weights

__all__ = ["Prompt", "check_prompt", "check_written"]


class Prompt(NamedTuple):
    """What is written on."""

    ids: Array  # (batch, time)
    lengths: Array  # (batch,), how many of each row are real
    source: Inputs | None  # what the model reads beside it; None for one that reads nothing


def check_prompt(
    function: str, model: Layer | Recipe, params: Params, state: State, prompt: Inputs
) -> tuple[Layer, Params, State, Prompt]:
    """The model that goes position by position, its weights in the dtype that it computes in, and what it writes on.

    Args:
        function: for the message.
        model, params, state, prompt: as of `generate`.

    Raises:
        InputError: the model cannot go one position at a time, the weights are not its own, a prompt is empty, has gaps
            or holds what is no id, or has no source for a model that reads one.
    """
    check_unmasked(function, "params", params)
    check_unmasked(function, "state", state)
    layer, dtype = model_of(function, model)
    if not layer.carries:
        fail(function, "model", "one that goes position by position, with start and step", layer)
    check_unmasked(function, "prompt", prompt)
    target, source = _sides(function, layer, prompt)
    ids, lengths = _ids(function, target)
    params, state = model_weights(function, layer, params, state, ids if source is None else prompt)
    return layer, params if dtype is None else cast(params, dtype), state, Prompt(ids, lengths, source)


def _sides(function: str, model: Layer, prompt: Inputs) -> tuple[Inputs, Inputs | None]:
    """The prompt by itself, and what the model reads beside it."""
    if "reads_source" not in model.traits:
        return prompt, None
    if not isinstance(prompt, Mapping) or set(prompt) != {"source", "target"}:
        got = f" {sorted(prompt)}" if isinstance(prompt, Mapping) else prompt
        fail(function, "prompt", 'a dict of "source" and "target" for a model that reads one', got)
    rows = [leaf.shape[0] for name in ("source", "target") for leaf in jax.tree.leaves(prompt[name])[:1]]
    if rows[0] != rows[1]:
        fail(function, "prompt", "a source and a target of one batch", f" {rows[0]} and {rows[1]} rows")
    return prompt["target"], prompt["source"]


def _ids(function: str, prompt: Inputs) -> tuple[Array, Array]:
    """The ids and how many of each row there are."""
    values, mask = (prompt.values, prompt.mask) if is_padded(prompt) else (prompt, None)
    if not hasattr(values, "dtype") or not jnp.issubdtype(values.dtype, jnp.integer) or values.ndim != 2:
        shown = f" {values.dtype} of shape {values.shape}" if hasattr(values, "dtype") else values
        fail(function, "prompt", "whole numbers (batch, time)", shown)
    check_int32(function, "prompt", values)
    check_mask(function, "prompt's mask", mask, 2, values)
    time = values.shape[1]
    real = None  # where the mask is known
    if mask is None:
        real = np.ones(values.shape, bool)
    elif is_concrete(mask):
        real = np.asarray(mask).astype(bool)
    if time == 0 or (real is not None and not real.any(1).all()):
        fail(function, "prompt", "of at least one id in each row", " an empty one")
    if real is None:
        return jnp.asarray(values, jnp.int32), jnp.sum(jnp.asarray(mask), 1, dtype=jnp.int32)
    lengths = real.sum(1, dtype=np.int32)
    gaps = (real != (np.arange(time)[None] < lengths[:, None])).any(1)
    if gaps.any():
        fail(function, "prompt", "padded at the end of each row alone", f" a gap in row {int(gaps.argmax())}")
    return jnp.asarray(values, jnp.int32), jnp.asarray(lengths)


def check_written(function: str, finite: Array) -> None:
    """Every row was written from logits that are numbers.

    Args:
        function: for the message.
        finite: `(batch,)`; inside a program nothing is known of it, and nothing is said.

    Raises:
        InputError: one was not.
    """
    if is_concrete(finite) and not np.all(np.asarray(finite)):
        row = int(np.argmin(np.asarray(finite)))
        hint = "Learned positions end at the model's context (rotary ones and recurrent models go on); ids may be none."
        fail(function, "prompt and length", "such that the logits stay numbers", f" NaN in row {row}", hint=hint)
