"""Beam search: of all that a model may write, the likeliest that are found with so many candidates a position."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_integer, check_range, fail
from jaxann.core.logits import log_softmax
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.results import apart
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Inputs, Params, Scalar, State
from jaxann.train.prompts import Prompt, check_prompt, check_written
from jaxann.train.recipe import Recipe

__all__ = ["beam_search"]


@apart
def beam_search(
    model: Layer | Recipe,
    params: Params,
    state: State,
    prompt: Inputs,
    *,
    length: int,
    beams: int = 4,
    length_penalty: Scalar = 1.0,
    stop: int | None = None,
) -> tuple[Array, Array]:
    """The likeliest continuations that a search finds, each with its score.

        score = log p(y_1 ... y_n | prompt) / n^length_penalty,   log p = sum over t of log softmax(z_t)[y_t]

    n is `length`, or the place of the first `stop`, which counts. At each position the beams, continuations of one
    length, go on with every id, and of all these the likeliest by log p go on; those among them that end in `stop` are
    kept apart, as many as there are beams, the best by score. A prompt is done once nothing that goes on can still
    come among them. With as many beams as there are continuations the search is exact.

    One loop, one position a round, by the model's `step` and what it carries, which goes along with the beams; prompts
    of different lengths go side by side.

    Args:
        model, params, state, prompt: as of `generate`.
        length: how many ids are written at most, for each prompt.
        beams: continuations that are kept. One is the greatest logit each time, unless a later end has a better score.
        length_penalty: exponent of n; 0 for log p itself, which favours what is short; above 1 what is long.
        stop: an id that ends a continuation.

    Returns:
        `(ids, scores)`: ids `(batch, beams, length)`, after a `stop` nothing else than it; scores `(batch, beams)`,
        float32 or better, best first. -inf where there are fewer continuations than beams.

    Peers: as `generate(num_beams=...)` of Hugging Face's transformers with `early_stopping="never"`, whose score this
        is. That of Wu et al. 2016 has ((5 + n) / 6)^length_penalty for n^length_penalty.

    Source: Graves 2012; Sutskever et al. 2014.

    Raises:
        InputError: an argument is out of range, or as of `generate`.
    """
    check_integer("beam_search", "length", length)
    check_integer("beam_search", "beams", beams)
    check_range("beam_search", "length_penalty", length_penalty)
    if stop is not None:
        check_integer("beam_search", "stop", stop, 0)
    layer, params, state, asked = check_prompt("beam_search", model, params, state, prompt)
    size = {"length": int(length), "beams": int(beams), "stop": stop if stop is None else int(stop)}
    found, scores, finite = _searched(layer, params, state, asked, length_penalty, **size)
    check_written("beam_search", finite)
    return found, scores


class _Beams(NamedTuple):
    """Continuations of each prompt, best first; -inf where there is none."""

    ids: Array  # (batch, beams, length)
    scores: Array  # (batch, beams)

    def best(self, count: int) -> _Beams:
        scores, which = lax.top_k(self.scores, count)
        return _Beams(jnp.take_along_axis(self.ids, which[:, :, None], 1), scores)

    def beside(self, others: _Beams) -> _Beams:
        return _Beams(*(jnp.concatenate(pair, 1) for pair in zip(self, others, strict=True)))

    def where(self, rows: Array, others: _Beams) -> _Beams:
        """These in some rows, the others in the rest."""
        ids = jnp.where(rows[:, None, None], self.ids, others.ids)
        return _Beams(ids, jnp.where(rows[:, None], self.scores, others.scores))


class _Search(NamedTuple):
    """Where the loop is."""

    place: Array  # () the position that is read
    inside: Any  # what the model carries, of batch * beams rows
    now: Array  # (batch, beams), the ids that are read
    live: _Beams  # by log p
    ended: _Beams  # by score
    done: Array  # (batch,)
    finite: Array  # (batch,)


@jit(static_argnames=("length", "beams", "stop"))
def _searched(
    model: Layer,
    params: Params,
    state: State,
    prompt: Prompt,
    penalty: Scalar,
    *,
    length: int,
    beams: int,
    stop: int | None,
) -> tuple[Array, Array, Array]:
    ids, lengths, source = prompt
    batch, time = ids.shape
    start, axes = _started(model, params, state, batch * beams, _each(source, beams))
    logits = jax.eval_shape(lambda: model.step(params, start, jnp.repeat(ids[:, 0], beams), state=state)[0])
    vocabulary, dtype = logits.shape[-1], wide_dtype(logits.dtype)
    if stop is not None and stop >= vocabulary:
        fail("beam_search", "stop", f"one of the {vocabulary} ids of the model", stop)

    def score(log_p: Array, count: Array | int) -> Array:
        return log_p / jnp.asarray(count, dtype) ** jnp.asarray(penalty, dtype)

    def one(search: _Search) -> _Search:
        place, inside, now, live, ended, done, finite = search
        z, inside = model.step(params, inside, now.reshape(-1), state=state)
        z = z.reshape(batch, beams, vocabulary).astype(dtype)
        z = jnp.where((now[:, :, None] >= 0) & (now[:, :, None] < vocabulary), z, jnp.nan)  # ids that are none
        written = place + 1 - lengths  # ids that each row has; below 0 within its prompt
        reads = written < 0
        still = reads | done | (written >= length)  # rows in which nothing moves
        finite = finite & ~(jnp.isnan(z).any((1, 2)) & (reads | ~still))
        before, drawn, grown = _grown(live, z, written)
        if stop is not None:
            ends = drawn == stop
            # Those among the best `beams` of all, alive or not, end here and have nothing but `stop` from now on.
            at_end = jnp.where(ends, score(grown.scores, (written + 1)[:, None]), -jnp.inf)
            filled = jnp.where((jnp.arange(length, dtype=jnp.int32)[None] < written[:, None])[:, None], grown.ids, stop)
            ended = ended.where(still, ended.beside(_Beams(filled[:, :beams], at_end[:, :beams])).best(beams))
            grown = grown._replace(scores=jnp.where(ends, -jnp.inf, grown.scores))
            # log p only falls, so that the best that can still come has the next end or the last.
            highest = jnp.max(grown.scores, 1)
            hope = jnp.maximum(score(highest, written + 2), score(highest, length))
            done = done | (~still & (written + 1 < length) & (ended.scores[:, -1] >= hope))
        chosen = lax.top_k(grown.scores, beams)[1]
        before, drawn = (jnp.take_along_axis(a, chosen, 1) for a in (before, drawn))
        before = jnp.where(still[:, None], jnp.arange(beams, dtype=jnp.int32)[None], before)
        rows = (jnp.arange(batch, dtype=jnp.int32)[:, None] * beams + before).reshape(-1)
        inside = jax.tree.map(
            lambda leaf, axis: leaf if axis < 0 else jnp.take(leaf, rows, axis, mode="clip"), inside, axes
        )
        now = jnp.where(reads[:, None], ids[:, jnp.minimum(place + 1, time - 1)][:, None], drawn)
        return _Search(place + 1, inside, now, live.where(still, grown.best(beams)), ended, done, finite)

    def goes_on(search: _Search) -> Array:
        return ~jnp.all(search.done | (search.place + 1 - lengths >= length))

    none = _Beams(jnp.zeros((batch, beams, length), jnp.int32), jnp.full((batch, beams), -jnp.inf, dtype))
    first = none._replace(scores=none.scores.at[:, 0].set(0))  # one beam is the prompt; the others come from it
    now, flags = jnp.repeat(ids[:, :1], beams, 1), jnp.zeros(batch, bool)
    last = lax.while_loop(goes_on, one, _Search(jnp.int32(0), start, now, first, none, flags, ~flags))
    whole = jnp.where(last.done[:, None], -jnp.inf, score(last.live.scores, length))
    found = last.ended.beside(last.live._replace(scores=whole)).best(beams)
    return found.ids, jnp.where(last.finite[:, None], found.scores, jnp.nan), last.finite


def _grown(live: _Beams, z: Array, written: Array) -> tuple[Array, Array, _Beams]:
    """Of all beams with one id more the likeliest, twice as many: at most one of each beam's ends, so enough go on.

    Args:
        live: the beams.
        z: logits `(batch, beams, vocabulary)`.
        written: `(batch,)`, the place of the id.

    Returns:
        Of which beam each is, its id, and what it is.
    """
    beams, vocabulary = z.shape[1:]
    total = (live.scores[:, :, None] + log_softmax(z)).reshape(len(z), beams * vocabulary)
    log_p, which = lax.top_k(total, min(2 * beams, beams * vocabulary))
    before, drawn = which // vocabulary, which % vocabulary
    here = (jnp.arange(live.ids.shape[-1], dtype=jnp.int32)[None] == written[:, None])[:, None]
    grown = jnp.where(here, drawn[:, :, None], jnp.take_along_axis(live.ids, before[:, :, None], 1))
    return before, drawn, _Beams(grown, log_p)


def _each(tree: Any, beams: int) -> Any:
    """What is of each prompt, for each of its beams."""
    return jax.tree.map(lambda a: jnp.repeat(jnp.asarray(a), beams, 0), tree)


def _started(model: Layer, params: Params, state: State, rows: int, source: Any) -> tuple[Any, Any]:
    """What the model carries at first, and of each of its arrays the axis of the rows; -1 for one that all rows share.

    Raises:
        InputError: in one of them several axes, or none by itself, are as long as there are rows.
    """

    def shapes(count: int) -> Any:
        read = jax.tree.map(lambda a: jax.ShapeDtypeStruct((count, *a.shape[1:]), a.dtype), source)
        return jax.eval_shape(lambda m: model.start(params, count, state=state, source=m), read)

    fewer, more = shapes(rows), shapes(rows + 1)

    def axis(a: Any, b: Any) -> int:
        grows = [i for i, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)) if m != n]
        if len(grows) > 1 or any(a.shape[i] != rows for i in grows):
            expected = "one that carries arrays of one axis of sequences, or of none"
            fail("beam_search", "model", expected, f" shape {a.shape} of {rows} and {b.shape} of {rows + 1} sequences")
        return grows[0] if grows else -1

    return model.start(params, rows, state=state, source=source), jax.tree.map(axis, fewer, more)
