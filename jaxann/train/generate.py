"""Writing on: what a model of sequences says comes next, fed back to it, as one compiled loop."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_int32, check_integer, check_key, check_range, check_unmasked, fail, is_concrete
from jaxann.core.logits import below_greatest, softmax
from jaxann.core.padding import check_mask, is_padded
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.results import apart
from jaxann.core.trees import cast, wide_dtype
from jaxann.core.typing import Array, Inputs, Key, Params, Scalar, State
from jaxann.train.predict import model_of
from jaxann.train.recipe import Recipe
from jaxann.train.weights import model_weights

__all__ = ["generate"]


@apart
def generate(
    model: Layer | Recipe,
    params: Params,
    state: State,
    prompt: Inputs,
    *,
    length: int,
    key: Key | None = None,
    temperature: Scalar = 1.0,
    top_k: int | None = None,
    top_p: Scalar | None = None,
    min_p: Scalar | None = None,
    repetition_penalty: Scalar | None = None,
    stop: int | None = None,
) -> Array:
    """Prompts written on by what the model says comes next.

    At each position the logits z of what comes next are turned into what is drawn from:

        z -> z / penalty where z > 0, z penalty else, of ids that have been there    (Keskar et al. 2019)
        p = softmax(z / temperature)
        p -> p of the top_k greatest;  of as few of them as have a sum of top_p;  of those of at least
             min_p max p

    One loop, one position a round, by the model's `step` and what it carries, so that nothing is computed twice. The
    prompt goes through the same loop, and so prompts of different lengths go side by side: each goes on where it ends.

    Args:
        model: a model, or a recipe, that gives logits `(batch, time, ids)` for ids `(batch, time)` and has `step`.
        params, state: what `fit` or `load` gave for it.
        prompt: ids `(batch, time)`, or `Padded` ones of different lengths, each of at least one.
        length: how many are written, for each prompt.
        key: of the draws; None takes the greatest logit each time.
        temperature: above 0; below 1 nearer to the greatest logit, above 1 nearer to chance.
        top_k: how many are drawn from.
        top_p: share of the probability that is drawn from, in (0, 1] (nucleus sampling, Holtzman et al. 2020).
        min_p: share of the greatest probability below which nothing is drawn, in [0, 1].
        repetition_penalty: at least 1, against what has been there.
        stop: an id after which a prompt is written on with nothing else than it.

    Returns:
        `(batch, length)`, the ids that were written.

    Peers: as `generate` of Hugging Face's transformers, with the same names; greedy where `do_sample=False` there.

    Raises:
        InputError: an argument is out of range, the model cannot go one position at a time, a prompt is empty or holds
            what is no id, or the model has learned fewer positions than these. Inside a program the last two cannot be
            told.
    """
    check_integer("generate", "length", length)
    if key is not None:
        check_key("generate", key)
    check_range("generate", "temperature", temperature, 0, open_low=True)
    if top_k is not None:
        check_integer("generate", "top_k", top_k)
    if top_p is not None:
        check_range("generate", "top_p", top_p, 0, 1, open_low=True)
    if min_p is not None:
        check_range("generate", "min_p", min_p, 0, 1)
    if repetition_penalty is not None:
        check_range("generate", "repetition_penalty", repetition_penalty, 1)
    if stop is not None:
        check_integer("generate", "stop", stop, 0)
    check_unmasked("generate", "params", params)
    check_unmasked("generate", "state", state)
    layer, dtype = model_of("generate", model)
    if not layer.carries:
        fail("generate", "model", "one that goes position by position, with start and step", layer)
    check_unmasked("generate", "prompt", prompt)
    ids, lengths = _prompt(prompt)
    params, state = model_weights("generate", layer, params, state, ids)
    params = params if dtype is None else cast(params, dtype)
    given = {"temperature": temperature, "top_p": top_p, "min_p": min_p, "penalty": repetition_penalty}
    written, finite = _written(
        layer,
        params,
        state,
        ids,
        lengths,
        key,
        given,
        int(length),
        *(n if n is None else int(n) for n in (top_k, stop)),
    )
    if is_concrete(finite) and not np.all(np.asarray(finite)):
        row = int(np.argmin(np.asarray(finite)))
        hint = "Learned positions end at the model's context (rotary ones and recurrent models go on); ids may be none."
        fail("generate", "prompt and length", "such that the logits stay numbers", f" NaN in row {row}", hint=hint)
    return written


def _prompt(prompt: Inputs) -> tuple[Array, Array]:
    """The ids and how many of each row there are."""
    values, mask = (prompt.values, prompt.mask) if is_padded(prompt) else (prompt, None)
    if not hasattr(values, "dtype") or not jnp.issubdtype(values.dtype, jnp.integer) or values.ndim != 2:
        shown = f" {values.dtype} of shape {values.shape}" if hasattr(values, "dtype") else values
        fail("generate", "prompt", "whole numbers (batch, time)", shown)
    check_int32("generate", "prompt", values)
    check_mask("generate", "prompt's mask", mask, 2, values)
    time = values.shape[1]
    real = None  # where the mask is known
    if mask is None:
        real = np.ones(values.shape, bool)
    elif is_concrete(mask):
        real = np.asarray(mask).astype(bool)
    if time == 0 or (real is not None and not real.any(1).all()):
        fail("generate", "prompt", "of at least one id in each row", " an empty one")
    if real is None:
        return jnp.asarray(values, jnp.int32), jnp.sum(jnp.asarray(mask), 1, dtype=jnp.int32)
    lengths = real.sum(1, dtype=np.int32)
    gaps = (real != (np.arange(time)[None] < lengths[:, None])).any(1)
    if gaps.any():
        fail("generate", "prompt", "padded at the end of each row alone", f" a gap in row {int(gaps.argmax())}")
    return jnp.asarray(values, jnp.int32), jnp.asarray(lengths)


@jit(static_argnames=("length", "top_k", "stop"))
def _written(
    model: Layer,
    params: Params,
    state: State,
    ids: Array,
    lengths: Array,
    key: Key | None,
    given: dict[str, Any],
    length: int,
    top_k: int | None,
    stop: int | None,
) -> tuple[Array, Array]:
    batch, time = ids.shape
    start = model.start(params, batch, state=state)
    vocabulary = jax.eval_shape(lambda: model.step(params, start, ids[:, 0], state=state)[0]).shape[-1]
    if stop is not None and stop >= vocabulary:
        fail("generate", "stop", f"one of the {vocabulary} ids of the model", stop)
    rows = jnp.arange(batch)

    def one(carry: Any, place: Array) -> tuple[Any, Array]:
        inside, now, seen, ended, finite = carry
        seen = seen.at[rows, now].set(True)
        z, inside = model.step(params, inside, now, state=state)
        # Ids that are none give NaN where they are embedded; where a model does something else with them, here.
        z = jnp.where((now[:, None] >= 0) & (now[:, None] < vocabulary), z, jnp.nan)
        finite = finite & ~(jnp.isnan(z).any(-1) & (place < lengths - 1 + length) & ~ended)
        drawn = _drawn(z, seen, None if key is None else jax.random.fold_in(key, place), given, top_k)
        if stop is not None:
            drawn = jnp.where(ended, stop, drawn)
        own = place + 1 < lengths  # the prompt is not over yet
        now = jnp.where(own, ids[:, jnp.minimum(place + 1, time - 1)], drawn)
        ended = ended | (~own & (now == stop)) if stop is not None else ended
        return (inside, now, seen, ended, finite), now

    empty = jnp.zeros((batch, vocabulary), bool), jnp.zeros(batch, bool), jnp.ones(batch, bool)
    last, written = lax.scan(one, (start, ids[:, 0], *empty), jnp.arange(time + length - 1))
    # Row r's own ids begin after its prompt; place p of `written` is position p + 1.
    places = (lengths - 1)[:, None] + jnp.arange(length)[None]
    return jnp.take_along_axis(written.T, places, 1), last[-1]


def _drawn(z: Array, seen: Array, key: Key | None, given: dict[str, Any], top_k: int | None) -> Array:
    """An id of each row."""
    z = z.astype(wide_dtype(z.dtype))
    if given["penalty"] is not None:
        penalty = jnp.asarray(given["penalty"], z.dtype)
        z = jnp.where(seen, jnp.where(z > 0, z / penalty, z * penalty), z)
    if key is None:
        return jnp.argmax(z, -1).astype(jnp.int32)
    z = below_greatest(z) / jnp.asarray(given["temperature"], z.dtype)
    if top_k is not None and top_k < z.shape[-1]:
        kept = jnp.zeros(z.shape, bool).at[jnp.arange(len(z))[:, None], lax.top_k(z, top_k)[1]].set(True)
        z = jnp.where(kept, z, -jnp.inf)
    shares = softmax(z, -1)
    if given["top_p"] is not None:
        order = jnp.argsort(-shares, -1)
        ordered = jnp.take_along_axis(shares, order, -1)
        before = jnp.cumsum(ordered, -1) - ordered  # of all that are greater
        kept = before < jnp.asarray(given["top_p"], z.dtype)
        places = jnp.argsort(order, -1)
        z = jnp.where(jnp.take_along_axis(kept, places, -1), z, -jnp.inf)
    if given["min_p"] is not None:
        lowest = jnp.asarray(given["min_p"], z.dtype) * jnp.max(shares, -1, keepdims=True)
        z = jnp.where(shares >= lowest, z, -jnp.inf)
    return jax.random.categorical(key, z, -1).astype(jnp.int32)
