"""Labels read off the frames of a model trained with `losses.ctc`: the best path, and a search over labellings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_array, check_floating, check_integer, fail, is_concrete
from jaxann.core.logits import log_softmax
from jaxann.core.programs import jit
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array

__all__ = ["ctc_beam_search", "ctc_greedy"]


def ctc_greedy(
    logits: Array, *, blank: int = 0, lengths: Array | Sequence[int] | None = None
) -> tuple[Array, Array, Array]:
    """The labels of the likeliest path, argmax z_t at each frame: equal neighbours are one, then blanks are dropped.

    Many paths have the same labels, so that those of the best path need not be the likeliest: `ctc_beam_search`.

    Args:
        logits: z, `(..., frames, classes)`, the blank among the classes.
        blank: the class that stands for no label, a Python integer.
        lengths: number of frames that count, `(...)`, in 0..frames; all of them when None.

    Returns:
        `(labels, counts, log_p)`: labels `(..., frames)`, int32, -1 after the last, as `losses.ctc` takes them; how
        many there are, `(...)`; and log of the path's probability, sum over t of max log softmax(z_t), `(...)`,
        float32 or better. NaN of logits that are.

    Peers: TensorFlow's ctc_greedy_decoder, which sums the logits of the path themselves and has the blank last.

    Source: Graves et al. 2006, best path decoding.

    Raises:
        InputError: the logits are no floating-point array of such a shape, blank is no class, lengths do not fit.
    """
    frames = _checked("ctc_greedy", logits, blank, lengths)
    return _greedy(jnp.asarray(logits), frames, blank=int(blank))


def ctc_beam_search(
    logits: Array, *, beams: int = 16, blank: int = 0, lengths: Array | Sequence[int] | None = None
) -> tuple[Array, Array, Array]:
    """The likeliest labels, by a search over their beginnings that sums all paths of each.

        p(labels, t) = p_blank(labels, t) + p_label(labels, t), by how a path of t frames ends: in the blank, or not
        p_blank(l, t) = p(l, t - 1) softmax(z_t)[blank]
        p_label(l, t) = (p_label(l, t - 1) + p_before) softmax(z_t)[l's last],
            p_before = p(l without its last, t - 1), or p_blank of it where its last label is the same

    After each frame the `beams` beginnings of the greatest p go on. With as many as there are it is exact: log_p is
    -`losses.ctc` of the labels. With fewer, what paths of beginnings that were left out would have brought is missing,
    and log_p is at most that.

    Args:
        logits, blank, lengths: as of `ctc_greedy`.
        beams: how many beginnings go on.

    Returns:
        `(labels, counts, log_p)`, likeliest first: labels `(..., beams, frames)`, int32, -1 after the last, as
        `losses.ctc` takes them; how many there are, `(..., beams)`; and log p, `(..., beams)`, float32 or better: -inf
        with no labels where there are fewer labellings than beams. NaN of logits that are.

    Peers: as TensorFlow's ctc_beam_search_decoder (the blank last there) and, without a lexicon or language model,
        torchaudio's ctc_decoder, which by default scores by the best path and not by the sum.

    Source: Graves 2012; Hannun et al. 2014.

    Raises:
        InputError: as of `ctc_greedy`, or beams is no positive integer.
    """
    check_integer("ctc_beam_search", "beams", beams)
    frames = _checked("ctc_beam_search", logits, blank, lengths)
    return _searched(jnp.asarray(logits), frames, beams=int(beams), blank=int(blank))


def _checked(function: str, logits: Any, blank: Any, lengths: Any) -> Array:
    """How many frames of each row count."""
    check_floating(function, "logits", logits)
    shape = np.shape(logits)
    if len(shape) < 2 or shape[-1] < 1:
        fail(function, "logits", "of shape (..., frames, classes)", f" shape {shape}")
    check_integer(function, "blank", blank, 0)
    if blank >= shape[-1]:
        fail(function, "blank", f"one of the classes 0..{shape[-1] - 1}", blank)
    if lengths is None:
        return jnp.full(shape[:-2], shape[-2], jnp.int32)
    lengths = np.asarray(lengths) if isinstance(lengths, Sequence) else lengths
    check_array(function, "lengths", lengths)
    if np.shape(lengths) != shape[:-2]:
        fail(function, "lengths", f"of shape {shape[:-2]}", f" shape {np.shape(lengths)}")
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        fail(function, "lengths", "whole numbers", f" {lengths.dtype}")
    if is_concrete(lengths):
        host = np.asarray(lengths).reshape(-1)
        wrong = (host < 0) | (host > shape[-2])
        if wrong.any():
            row = int(np.argmax(wrong))
            fail(function, "lengths", f"in 0..{shape[-2]}", f" {host[row]} at row {row}")
    return jnp.asarray(lengths).astype(jnp.int32)


def _log_p(logits: Array, lengths: Array) -> tuple[Array, Array]:
    """Log softmax of each frame, `(rows, frames, classes)`, and which of them count, `(rows, frames)`."""
    frames, classes = logits.shape[-2:]
    rows = math.prod(logits.shape[:-2])
    logs = log_softmax(logits.reshape(rows, frames, classes).astype(wide_dtype(logits.dtype)))
    return logs, jnp.arange(frames, dtype=jnp.int32)[None] < lengths.reshape(rows, 1)


@jit(nested=True, static_argnames=("blank",))
def _greedy(logits: Array, lengths: Array, *, blank: int) -> tuple[Array, Array, Array]:
    logs, counts = _log_p(logits, lengths)
    path = jnp.argmax(logs, -1).astype(jnp.int32)
    again = jnp.pad(path[:, 1:] == path[:, :-1], ((0, 0), (min(1, path.shape[1]), 0)))
    kept = counts & ~again & (path != blank)
    order = jnp.argsort(~kept, axis=-1, stable=True)  # those that are kept first, in their order
    number = jnp.sum(kept, -1, dtype=jnp.int32)
    labels = jnp.where(
        jnp.arange(path.shape[1], dtype=jnp.int32)[None] < number[:, None], jnp.take_along_axis(path, order, -1), -1
    )
    total = jnp.sum(jnp.where(counts, jnp.max(logs, -1), 0), -1)
    outer = logits.shape[:-2]
    return labels.reshape(*outer, path.shape[1]), number.reshape(outer), total.reshape(outer)


@jit(nested=True, static_argnames=("beams", "blank"))
def _searched(logits: Array, lengths: Array, *, beams: int, blank: int) -> tuple[Array, Array, Array]:
    logs, counts = _log_p(logits, lengths)
    labels, number, log_p = jax.vmap(lambda one, real: _search(one, real, beams, blank))(logs, counts)
    outer = logits.shape[:-2]
    return labels.reshape(*outer, beams, logits.shape[-2]), number.reshape(*outer, beams), log_p.reshape(*outer, beams)


class _Beams(NamedTuple):
    """Beginnings of labellings of one sequence; of those with some probability no two are the same."""

    labels: Array  # (beams, frames), -1 after the last
    number: Array  # (beams,) of labels
    in_blank: Array  # (beams,) log p of the paths so far that end in the blank
    in_label: Array  # (beams,) of those that end in the last label
    begins: Array  # (beams, beams): whether beam i is a beginning of beam j, or all of it

    @property
    def log_p(self) -> Array:
        return jnp.logaddexp(self.in_blank, self.in_label)


def _search(logs: Array, counts: Array, beams: int, blank: int) -> tuple[Array, Array, Array]:
    """Of one sequence: `(frames, classes)`, `(frames,)`."""
    nothing = jnp.full(beams, -jnp.inf, logs.dtype)
    labels = jnp.full((beams, len(logs)), -1, jnp.int32)
    at_first = nothing.at[0].set(0)  # no labels and no frames
    all_same = jnp.ones((beams, beams), bool)
    last = _Beams(labels, jnp.zeros(beams, jnp.int32), at_first, nothing, all_same)

    def frame(carry: _Beams, given: tuple[Array, Array]) -> tuple[_Beams, None]:
        log, real = given
        return jax.tree.map(lambda new, old: jnp.where(real, new, old), _after(carry, log, blank), carry), None

    if len(logs):
        last, _ = lax.scan(frame, last, (logs, counts))
    log_p = last.log_p
    found = log_p > -jnp.inf
    broken = jnp.any(jnp.isnan(logs) & counts[:, None])
    labels = jnp.where(found[:, None], last.labels, -1)
    return labels, jnp.where(found, last.number, 0), jnp.where(broken, jnp.nan, log_p)


def _after(before: _Beams, log: Array, blank: int) -> _Beams:
    """The beams after one frame more, of log p `(classes,)`."""
    labels, number, in_blank, in_label, begins = before
    beams, classes = len(number), len(log)
    total = before.log_p
    last = jnp.take_along_axis(labels, jnp.maximum(number - 1, 0)[:, None], 1)[:, 0]  # -1 of no labels
    known = jnp.maximum(last, 0)
    # Beam i and one label c more; where c is its last label again, a blank has to be between the two.
    again = jnp.arange(classes, dtype=jnp.int32)[None] == last[:, None]
    grown = jnp.where(again, in_blank[:, None], total[:, None]) + log[None]
    grown = jnp.where((jnp.arange(classes) == blank)[None], -jnp.inf, grown)
    # Beam i and j's last label may be beam j, at most one i for each j: those paths belong there, and there alone.
    alive = total > -jnp.inf
    is_next = begins & (number[None] == number[:, None] + 1) & alive[:, None] & alive[None]
    has, shorter = is_next.any(0), lax.argmax(is_next, 0, jnp.int32)
    from_shorter = jnp.where(has, grown[shorter, known], -jnp.inf)
    grown = grown.at[jnp.where(has, shorter, beams), known].set(-jnp.inf, mode="drop")
    stay_label = jnp.logaddexp(jnp.where(number > 0, in_label + log[known], -jnp.inf), from_shorter)
    stay_blank = total + log[blank]

    scores, which = lax.top_k(jnp.concatenate([jnp.logaddexp(stay_blank, stay_label), grown.reshape(-1)]), beams)
    stays = which < beams
    beam = jnp.where(stays, which, (which - beams) // classes)
    label = ((which - beams) % classes).astype(jnp.int32)
    at_end = (jnp.arange(labels.shape[1], dtype=jnp.int32)[None] == number[beam][:, None]) & ~stays[:, None]
    labels = jnp.where(at_end, label[:, None], labels[beam])
    # What has grown by c begins another one where that goes on with c from the same place.
    goes_on = labels[:, jnp.minimum(number[beam], labels.shape[1] - 1)].T == label[:, None]
    begins = begins[beam][:, beam] & (stays[:, None] | goes_on)
    in_blank = jnp.where(stays, stay_blank[beam], -jnp.inf)
    in_label = jnp.where(stays, stay_label[beam], scores)
    return _Beams(labels, jnp.where(stays, number[beam], number[beam] + 1), in_blank, in_label, begins)
