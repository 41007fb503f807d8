"""Labels of frames: against all paths there are, the loss, and a plain loop."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import losses, ops
from tests.contract import assert_input_error
from tests.programs import quick_jit
from tests.tolerances import assert_close

RANDOM = np.random.default_rng(0)


def _shares(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def _labels(path: Any, blank: int) -> tuple[int, ...]:
    return tuple(int(k) for k, _ in itertools.groupby(path) if k != blank)


def _every_labelling(logits: np.ndarray, blank: int) -> dict[tuple[int, ...], float]:
    """The probability of each labelling, by the sum over all paths."""
    shares, found = _shares(logits), {}
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        labels = _labels(path, blank)
        found[labels] = found.get(labels, 0.0) + float(np.prod(shares[np.arange(len(logits)), path]))
    return found


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("blank", [0, 2])
def test_with_beams_enough_every_labelling_has_its_probability(blank: int):
    logits = RANDOM.normal(size=(6, 4, 3)) * 2
    lengths = np.array([4, 4, 3, 1, 0, 4])
    labels, counts, log_p = quick_jit(lambda z: ops.ctc_beam_search(z, beams=31, blank=blank, lengths=lengths))(logits)
    assert labels.shape == (6, 31, 4) and counts.shape == log_p.shape == (6, 31)
    for row in range(6):
        wanted = _every_labelling(logits[row, : lengths[row]], blank)
        number = len(wanted)
        found = [tuple(int(k) for k in one[:n]) for one, n in zip(labels[row, :number], counts[row], strict=False)]
        assert len(set(found)) == number and set(found) == set(wanted)
        assert_close(np.exp(np.asarray(log_p[row, :number])), [wanted[one] for one in found], "oracle")
        assert (np.diff(np.asarray(log_p[row, :number])) <= 0).all()
        assert (np.asarray(log_p[row, number:]) == -np.inf).all() and (np.asarray(counts[row, number:]) == 0).all()
        after = np.arange(4) >= np.asarray(counts[row])[:, None]
        assert (np.asarray(labels[row])[after] == -1).all() and (np.asarray(labels[row])[~after] >= 0).all()


@pytest.mark.usefixtures("x64")
def test_the_best_labels_have_the_probability_of_the_loss():
    """Of 6 frames and 3 classes there are 127 labellings at most."""
    logits = RANDOM.normal(size=(5, 6, 3))
    lengths = np.array([6, 5, 4, 6, 2])
    labels, _, log_p = ops.ctc_beam_search(logits, beams=127, lengths=lengths)
    exact = -losses.ctc(logits, labels[:, 0], lengths=lengths)
    assert_close(np.asarray(log_p[:, 0]), np.asarray(exact), "oracle")
    assert_close(np.exp(np.asarray(log_p)).sum(1), np.ones(5), "oracle")  # of all labellings
    few = ops.ctc_beam_search(logits, beams=4, lengths=lengths)
    for beam in range(4):
        whole = -losses.ctc(logits, few[0][:, beam], lengths=lengths)
        assert (np.asarray(few[2][:, beam]) <= np.asarray(whole) + 1e-12).all()


def _by_tables(logits: np.ndarray, beams: int, blank: int) -> dict[tuple[int, ...], float]:
    """The same search with beginnings as the keys of a table."""
    kept = {(): (1.0, 0.0)}
    for shares in _shares(logits):
        after: dict[tuple[int, ...], list[float]] = {}
        for labels, (in_blank, in_label) in kept.items():
            own = after.setdefault(labels, [0.0, 0.0])
            own[0] += (in_blank + in_label) * shares[blank]
            if labels:
                own[1] += in_label * shares[labels[-1]]
            for c in set(range(len(shares))) - {blank}:
                before = in_blank if labels and labels[-1] == c else in_blank + in_label
                after.setdefault((*labels, c), [0.0, 0.0])[1] += before * shares[c]
        best = sorted(after.items(), key=lambda one: -sum(one[1]))[:beams]
        kept = {labels: tuple(one) for labels, one in best}
    return {labels: sum(one) for labels, one in kept.items()}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("beams", [1, 2, 5, 12])
def test_narrow_it_is_the_search_over_tables(beams: int):
    """Beginnings that were given up come again, while what goes on from them was kept."""
    logits = RANDOM.normal(size=(8, 14, 4)) * 1.5
    labels, counts, log_p = ops.ctc_beam_search(logits, beams=beams, blank=3)
    for row in range(8):
        wanted = _by_tables(logits[row], beams, 3)
        found = [tuple(int(k) for k in one[:n]) for one, n in zip(labels[row], counts[row], strict=True)]
        assert found == sorted(wanted, key=lambda one: -wanted[one])
        assert_close(np.exp(np.asarray(log_p[row])), [wanted[one] for one in found], "oracle")


@pytest.mark.parametrize("blank", [0, 3])
def test_the_best_path_is_that_of_a_plain_loop(blank: int):
    logits = RANDOM.normal(size=(3, 5, 9, 4)).astype(np.float32)
    lengths = RANDOM.integers(0, 10, (3, 5))
    labels, counts, log_p = quick_jit(lambda z: ops.ctc_greedy(z, blank=blank, lengths=lengths))(logits)
    assert labels.shape == (3, 5, 9) and labels.dtype == counts.dtype == jnp.int32 and log_p.dtype == jnp.float32
    for place in np.ndindex(3, 5):
        own = logits[place][: lengths[place]]
        wanted = _labels(own.argmax(-1), blank)
        assert tuple(np.asarray(labels[place])) == (*wanted, *[-1] * (9 - len(wanted)))
        assert int(counts[place]) == len(wanted)
        np.testing.assert_allclose(log_p[place], np.log(_shares(own).max(-1)).sum(), rtol=1e-5, atol=1e-6)


def test_the_best_path_is_not_always_the_best_labels():
    """Graves's example: blank 0.6, 0.6 against a in a-, -a and aa: 0.36 < 0.64."""
    logits = np.log(np.array([[0.6, 0.4], [0.6, 0.4]], np.float32))
    labels, count, log_p = ops.ctc_greedy(logits)
    assert labels.tolist() == [-1, -1] and int(count) == 0
    np.testing.assert_allclose(np.exp(log_p), 0.36, rtol=1e-5)
    labels, counts, log_p = ops.ctc_beam_search(logits, beams=2)
    assert labels.tolist() == [[1, -1], [-1, -1]] and counts.tolist() == [1, 0]
    np.testing.assert_allclose(np.exp(log_p), [0.64, 0.36], rtol=1e-5)


def test_frames_that_do_not_count_change_nothing():
    logits = RANDOM.normal(size=(4, 6, 5)).astype(np.float32)
    lengths = np.array([6, 3, 0, 5])
    spoiled = np.where((np.arange(6) < lengths[:, None])[..., None], logits, np.nan)
    for decode in (ops.ctc_greedy, ops.ctc_beam_search):
        together = decode(spoiled, lengths=lengths)
        for row, length in enumerate(lengths):
            alone = decode(logits[row, :length])
            np.testing.assert_array_equal(np.asarray(together[0])[row, ..., :length], alone[0])
            np.testing.assert_array_equal(np.asarray(together[1])[row], alone[1])
            np.testing.assert_allclose(np.asarray(together[2])[row], alone[2], rtol=1e-5, atol=1e-6)
        broken = decode(np.where(np.arange(5) == 2, np.nan, logits))
        assert np.isnan(np.asarray(broken[2])).all()


def test_impossible_labels_and_half_precision():
    """-inf at a class, as a model may write it."""
    logits = np.where(np.arange(4) == 2, -np.inf, RANDOM.normal(size=(3, 5, 4))).astype(np.float32)
    labels, _, log_p = ops.ctc_beam_search(logits, beams=400)
    assert not (np.asarray(labels) == 2).any()
    np.testing.assert_allclose(np.exp(np.asarray(log_p, np.float64)).sum(1), 1, rtol=1e-5)
    assert not np.isnan(np.asarray(ops.ctc_greedy(logits)[2])).any()
    half = ops.ctc_beam_search(jnp.asarray(logits, jnp.bfloat16))
    assert half[2].dtype == jnp.float32
    np.testing.assert_allclose(half[2][:, 0], ops.ctc_beam_search(logits)[2][:, 0], rtol=0.05)


def test_what_padded_logits_say_is_read_by_their_mask():
    """A model of padded sequences: what it writes goes into the loss as it comes."""
    logits = RANDOM.normal(size=(2, 4, 3)).astype(np.float32)
    given = ja.core.padded(logits, np.array([4, 2]))
    lengths = np.asarray(given.mask).sum(1)
    labels, counts, _ = jax.jit(lambda z, n: ops.ctc_beam_search(z, beams=3, lengths=n))(given.values, lengths)
    assert np.isfinite(losses.ctc(logits, labels[:, 0], lengths=lengths)).all()
    assert (np.asarray(counts)[1] <= 2).all()


@pytest.mark.parametrize("decode", [ops.ctc_greedy, ops.ctc_beam_search])
def test_decoding_refuses_what_it_cannot_read(decode: Any):
    logits = np.zeros((2, 3, 4), np.float32)
    assert_input_error(lambda: decode(logits.astype(np.int32)), "logits", given="int32")
    assert_input_error(lambda: decode(logits[0, 0]), "logits", given="shape (4,)")
    assert_input_error(lambda: decode(logits, blank=4), "blank")
    assert_input_error(lambda: decode(logits, blank=-1), "blank")
    assert_input_error(lambda: decode(logits, lengths=np.array([3])), "lengths", given="shape (1,)")
    assert_input_error(lambda: decode(logits, lengths=[3, 4]), "lengths", given="4 at row 1")
    assert_input_error(lambda: decode(logits, lengths=np.ones(2, np.float32)), "lengths", given="float32")
    if decode is ops.ctc_beam_search:
        assert_input_error(lambda: decode(logits, beams=0), "beams")
