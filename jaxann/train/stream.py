"""Writing on as it is read: the loop of `generate` in chunks, each handed over when it is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypedDict, Unpack

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_choice, check_integer, check_untraced
from jaxann.core.products import Layer
from jaxann.core.programs import hands_over, jit
from jaxann.core.results import apart
from jaxann.core.typing import Array, Inputs, Key, Params, Scalar, State
from jaxann.train.generate import checked_settings, writing_loop
from jaxann.train.prompts import Prompt, check_prompt, check_written
from jaxann.train.recipe import Recipe

__all__ = ["Sampling", "stream"]


class Sampling(TypedDict, total=False):
    """How `stream` draws: arguments of `generate`, with its defaults."""

    temperature: Scalar
    top_k: int | None
    top_p: Scalar | None
    min_p: Scalar | None
    repetition_penalty: Scalar | None
    stop: int | None


@apart
def stream(
    model: Layer | Recipe,
    params: Params,
    state: State,
    prompt: Inputs,
    *,
    length: int,
    key: Key | None = None,
    chunk: int = 16,
    **sampling: Unpack[Sampling],
) -> Iterator[np.ndarray]:
    """What `generate` writes, id for id, handed over chunk by chunk while it is written.

        for ids in ja.train.stream(model, params, state, prompt, length=500, key=key):
            print("".join(alphabet[i] for i in ids[0]), end="", flush=True)

    Two programs, whatever the length: one for the prompt and the first chunk, one for each of the others. The first
    is begun at once, each of the others when it is asked for.

    Args:
        model, params, state, prompt, length, key: as of `generate`.
        chunk: how many ids of each prompt at a time. Smaller ones come sooner, and cost a call of a program each.
        sampling: `temperature`, `top_k`, `top_p`, `min_p`, `repetition_penalty` and `stop`, as of `generate`.

    Returns:
        An iterator over ids `(batch, chunk)`, the last of what is left. It ends early once every prompt has met `stop`:
        what `generate` has from there on is nothing else.

    Peers: as the TextIteratorStreamer of Hugging Face's transformers, without its thread and tokenizer.

    Raises:
        InputError: as of `generate`; at once, but for logits that are no numbers, which the chunk brings to light. Or
            it is called inside of a program.
    """
    hint = "ja.train.generate works inside jit and vmap; a stream is for the host."
    check_untraced("stream", "params and prompt", (params, state, prompt, key), hint)
    check_integer("stream", "chunk", chunk)
    for name in sampling:
        check_choice("stream", "each of sampling", name, Sampling.__annotations__)
    given, static = checked_settings("stream", length=length, key=key, **sampling)
    layer, params, state, asked = check_prompt("stream", model, params, state, prompt)
    fixed = _Fixed(layer, params, state, asked, key, given, np.int32(length))
    begun = _first(fixed, chunk=int(chunk), **static)

    def chunks() -> Iterator[np.ndarray]:
        loop, left, ended = begun, int(length), np.zeros(len(asked.ids), bool)
        while True:
            some = _on_host(loop)[:, :left]
            left -= some.shape[1]
            yield some
            if static["stop"] is not None:
                ended |= (some == static["stop"]).any(1)
            if left == 0 or ended.all():
                return
            loop = _next(loop, fixed, chunk=int(chunk), **static)

    return chunks()


class _Fixed(NamedTuple):
    """What is the same for all chunks: arguments of `writing_loop`, in its order."""

    model: Layer
    params: Params
    state: State
    prompt: Prompt
    key: Key | None
    given: dict[str, Any]
    length: Any


class _Loop(NamedTuple):
    """Where the loop is after a chunk."""

    carry: Any
    place: Array  # the next one
    written: Array  # (batch, time - 1 + chunk), of the places before it: shorter prompts are further on than longer
    ids: Array  # (batch, chunk)


@hands_over
def _on_host(loop: _Loop) -> np.ndarray:
    check_written("stream", loop.carry[-1])
    return np.asarray(loop.ids)


@jit(static_argnames=("chunk", "top_k", "stop"))
def _first(fixed: _Fixed, *, chunk: int, top_k: int | None, stop: int | None) -> _Loop:
    start, one = writing_loop("stream", *fixed, top_k, stop)
    rounds = fixed.prompt.ids.shape[1] - 1 + chunk
    carry, written = lax.scan(one, start, jnp.arange(rounds, dtype=jnp.int32))
    return _Loop(carry, jnp.int32(rounds), written.T, _own(written.T, fixed.prompt.lengths, chunk))


@hands_over
@jit(static_argnames=("chunk", "top_k", "stop"))
def _next(loop: _Loop, fixed: _Fixed, *, chunk: int, top_k: int | None, stop: int | None) -> _Loop:
    _, one = writing_loop("stream", *fixed, top_k, stop)
    carry, more = lax.scan(one, loop.carry, loop.place + jnp.arange(chunk, dtype=jnp.int32))
    written = jnp.concatenate([loop.written, more.T], 1)[:, chunk:]
    return _Loop(carry, loop.place + chunk, written, _own(written, fixed.prompt.lengths, chunk))


def _own(written: Array, lengths: Array, chunk: int) -> Array:
    """Of each row the chunk that begins so many places after its prompt as it does after the others'."""
    return jnp.take_along_axis(written, (lengths - 1)[:, None] + jnp.arange(chunk, dtype=jnp.int32)[None], 1)
