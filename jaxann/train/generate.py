"""Writing on: what a model of sequences says comes next, fed back to it, as one compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_integer, check_key, check_range, fail
from jaxann.core.logits import below_greatest, softmax
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.results import apart
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Inputs, Key, Params, Scalar, State
from jaxann.train.prompts import Prompt, check_prompt, check_written
from jaxann.train.recipe import Recipe

__all__ = ["checked_settings", "generate", "writing_loop"]


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
        prompt: ids `(batch, time)`, or `Padded` ones of different lengths, each of at least one. Of a model that reads
            one sequence and writes another, `{"source": ..., "target": prompt}`: the target's prompt is at least the id
            that says it begins.
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
    given, static = checked_settings(
        "generate",
        length=length,
        key=key,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        stop=stop,
    )
    layer, params, state, asked = check_prompt("generate", model, params, state, prompt)
    written, finite = _written(layer, params, state, asked, key, given, int(length), **static)
    check_written("generate", finite)
    return written


def checked_settings(
    function: str,
    *,
    length: int,
    key: Key | None = None,
    temperature: Scalar = 1.0,
    top_k: int | None = None,
    top_p: Scalar | None = None,
    min_p: Scalar | None = None,
    repetition_penalty: Scalar | None = None,
    stop: int | None = None,
) -> tuple[dict[str, Any], dict[str, int | None]]:
    """What `writing_loop` takes of the settings of `generate`: those that may be traced, and those that are static.

    Raises:
        InputError: one is out of range.
    """
    check_integer(function, "length", length)
    if key is not None:
        check_key(function, key)
    check_range(function, "temperature", temperature, 0, open_low=True)
    if top_k is not None:
        check_integer(function, "top_k", top_k)
    if top_p is not None:
        check_range(function, "top_p", top_p, 0, 1, open_low=True)
    if min_p is not None:
        check_range(function, "min_p", min_p, 0, 1)
    if repetition_penalty is not None:
        check_range(function, "repetition_penalty", repetition_penalty, 1)
    if stop is not None:
        check_integer(function, "stop", stop, 0)
    given = {"temperature": temperature, "top_p": top_p, "min_p": min_p, "penalty": repetition_penalty}
    return given, {name: n if n is None else int(n) for name, n in (("top_k", top_k), ("stop", stop))}


@jit(static_argnames=("length", "top_k", "stop"))
def _written(
    model: Layer,
    params: Params,
    state: State,
    prompt: Prompt,
    key: Key | None,
    given: dict[str, Any],
    length: int,
    top_k: int | None,
    stop: int | None,
) -> tuple[Array, Array]:
    start, one = writing_loop("generate", model, params, state, prompt, key, given, length, top_k, stop)
    last, written = lax.scan(one, start, jnp.arange(prompt.ids.shape[1] + length - 1, dtype=jnp.int32))
    # Row r's own ids begin after its prompt; place p of `written` is position p + 1.
    places = (prompt.lengths - 1)[:, None] + jnp.arange(length, dtype=jnp.int32)[None]
    return jnp.take_along_axis(written.T, places, 1), last[-1]


def writing_loop(
    function: str,
    model: Layer,
    params: Params,
    state: State,
    prompt: Prompt,
    key: Key | None,
    given: dict[str, Any],
    length: Any,
    top_k: int | None,
    stop: int | None,
) -> tuple[Any, Callable[[Any, Array], tuple[Any, Array]]]:
    """What the loop that writes begins with, and its round: `round(carry, place) -> (carry, id at place + 1)`.

    The last of the carry says of each row whether all logits that count were numbers, `(batch,)`.

    Args:
        function: for the message.
        model, params, state, prompt: of `check_prompt`.
        key: of the draws, or None.
        given, top_k, stop: of `checked_settings`.
        length: ids that count of each row; may be traced.
    """
    ids, lengths, source = prompt
    batch, time = ids.shape
    start = model.start(params, batch, state=state, source=source)
    vocabulary = jax.eval_shape(lambda: model.step(params, start, ids[:, 0], state=state)[0]).shape[-1]
    if stop is not None and stop >= vocabulary:
        fail(function, "stop", f"one of the {vocabulary} ids of the model", stop)
    rows = jnp.arange(batch, dtype=jnp.int32)

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
    return (start, ids[:, 0], *empty), one


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
