"""Changes of token ids: what is drawn, what stays, and that padding has no part in it."""

from __future__ import annotations

import collections
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import data
from jaxann.core import Padded, padded
from tests.contract import assert_input_error
from tests.programs import quick_jit

SYNONYMS = {word: (word + 100, word + 200) for word in range(1, 60, 2)}  # odd ids have two
KEYS = jax.random.split(jax.random.key(0), 60)
KEY = jax.random.key(1)
LENGTHS = np.array([12, 7, 3, 1, 0])
IDS = np.where(np.arange(14) < LENGTHS[:, None], 1 + np.arange(5)[:, None] * 12 + np.arange(14), 999).astype(np.int32)
X = padded(IDS, LENGTHS)
LABELS = np.arange(5)
change = quick_jit(lambda augment, keys, x, y: jax.vmap(lambda key: augment(key, x, y))(keys))
MAKERS = {
    "replacement": lambda share, **more: data.synonym_replacement(SYNONYMS, share, **more),
    "insertion": lambda share, **more: data.random_insertion(SYNONYMS, share, **more),
    "swap": lambda share, **more: data.random_swap(share, **more),
    "deletion": lambda share, **more: data.random_deletion(share, **more),
}
every = pytest.mark.parametrize("kind", MAKERS)


def rows(batch: Padded) -> list[list[int]]:
    """The real ids of every row of every draw."""
    values, mask = (np.asarray(a).reshape(-1, a.shape[-1]) for a in batch)
    assert (np.diff(mask.astype(int), axis=1) <= 0).all()  # real ones at the front
    return [row[real].tolist() for row, real in zip(values, mask, strict=True)]


def expected_number(share: float, size: int) -> int:
    return max(1, int(share * size)) if size and share else 0


@every
def test_padding_stays_padding_and_has_no_part(kind: str):
    augment = MAKERS[kind](0.17)  # two of twelve, for which there is room
    new, labels = change(augment, KEYS, X, LABELS)
    assert isinstance(new, Padded) and new.values.dtype == np.int32 and new.mask.dtype == bool
    np.testing.assert_array_equal(labels, np.broadcast_to(LABELS, (60, 5)))
    assert not any(999 in row for row in rows(new))
    room = 14 + np.zeros((5, 6), np.int32)
    longer = Padded(np.concatenate([IDS, room], 1), np.concatenate([X.mask, np.zeros((5, 6), bool)], 1))
    assert rows(change(augment, KEYS, longer, LABELS)[0]) == rows(new)  # as much padding as there may be
    other = Padded(np.where(X.mask, IDS, 3), X.mask)  # and whatever stands in it
    assert rows(change(augment, KEYS, other, LABELS)[0]) == rows(new)
    plain = np.where(X.mask, IDS, 0)
    found, _ = change(augment.replace(padding_id=0), KEYS, plain, LABELS)
    assert [row[row != 0].tolist() for row in np.asarray(found).reshape(-1, 14)] == rows(new)
    assert not rows(new)[4]  # nothing comes of nothing


@every
def test_left_padding_is_taken_as_padding_too(kind: str):
    flipped = Padded(IDS[:, ::-1].copy(), X.mask[:, ::-1].copy())
    new, _ = change(MAKERS[kind](0.4), KEYS, flipped, LABELS)
    values, mask = map(np.asarray, new)
    assert not (values[mask] == 999).any()
    for number, size in enumerate(LENGTHS):
        if kind in ("replacement", "swap"):
            np.testing.assert_array_equal(mask[:, number], np.broadcast_to(flipped.mask[number], (60, 14)))
        if kind == "swap":
            own = set(IDS[number, :size].tolist())
            assert all(set(v[m].tolist()) == own for v, m in zip(values[:, number], mask[:, number], strict=True))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 1.0])
def test_replacement_changes_so_many_by_their_synonyms(share: float):
    new, _ = change(MAKERS["replacement"](share), KEYS, X, LABELS)
    for draw, row in enumerate(rows(new)):
        old = IDS[draw % 5, : LENGTHS[draw % 5]].tolist()
        assert len(row) == len(old)
        changed = [(a, b) for a, b in zip(old, row, strict=True) if a != b]
        assert all(b in SYNONYMS[a] for a, b in changed)
        with_synonyms = sum(token in SYNONYMS for token in old)
        assert len(changed) == min(expected_number(share, len(old)), with_synonyms)
    values = np.asarray(new.values)
    if share == 0.4:  # each position and each synonym alike
        moved = (values[:, 0] != IDS[0]).mean(0)[:12:2]
        np.testing.assert_allclose(moved, 4 / 6, atol=4 * np.sqrt(2 / 9 / 60))
        assert 0.4 < (values[:, 0] > 200)[:, :12].sum() / (values[:, 0] > 100)[:, :12].sum() < 0.6


@pytest.mark.parametrize("share", [0.1, 0.4, 1.0])
def test_insertion_adds_so_many_synonyms_as_there_is_room_for(share: float):
    new, _ = change(MAKERS["insertion"](share), KEYS, X, LABELS)
    places = collections.Counter()
    for draw, row in enumerate(rows(new)):
        old = IDS[draw % 5, : LENGTHS[draw % 5]].tolist()
        added = [token for token in row if token > 100]
        assert [token for token in row if token <= 100] == old  # in their order
        assert {token % 100 for token in added} <= {token for token in old if token in SYNONYMS}
        some = any(token in SYNONYMS for token in old)
        assert len(added) == (min(expected_number(share, len(old)), 14 - len(old)) if some else 0)
        if draw % 5 == 1 and share == 0.1:
            places[next(i for i, token in enumerate(row) if token > 100)] += 1
    if share == 0.1:
        assert set(places) == set(range(8))  # before the first, between any two, after the last


def test_a_full_row_is_not_pushed_out_of_its_end():
    x = padded(np.full((2, 6), 1), np.array([6, 5]))
    new, _ = data.random_insertion(SYNONYMS, 1.0)(KEY, x, LABELS[:2])
    assert np.asarray(new.values)[0].tolist() == [1] * 6 and np.asarray(new.mask).all()


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_swaps_change_two_places_each_time(share: float):
    new, _ = change(MAKERS["swap"](share), KEYS, X, LABELS)
    pairs = collections.Counter()
    for draw, row in enumerate(rows(new)):
        old = IDS[draw % 5, : LENGTHS[draw % 5]].tolist()
        moved = sum(a != b for a, b in zip(old, row, strict=True))
        assert sorted(row) == sorted(old)
        number = expected_number(share, len(old)) if len(old) > 1 else 0
        assert moved <= 2 * number and (number != 1 or moved == 2)
        if draw % 5 == 2 and share == 0.1:
            pairs[tuple(row)] += 1
    if share == 0.1:
        assert len(pairs) == 3 and min(pairs.values()) > 8  # each pair of three alike


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_deletion_leaves_out_each_alike_and_never_all(share: float):
    new, _ = change(MAKERS["deletion"](share), KEYS, X, LABELS)
    kept = rows(new)
    for draw, row in enumerate(kept):
        old = IDS[draw % 5, : LENGTHS[draw % 5]].tolist()
        waiting = iter(old)
        assert all(token in waiting for token in row)  # in their order
        assert len(row) >= min(1, len(old))
        assert share != 1.0 or len(row) == min(1, len(old))
    if share == 0.3:
        np.testing.assert_allclose(np.mean([len(row) for row in kept[::5]]) / 12, 0.7, atol=4 * np.sqrt(0.21 / 720))
    if share == 1.0:
        assert len({row[0] for row in kept[::5]}) > 8  # the one that stays is drawn


@every
def test_each_example_has_its_own_and_the_same_key_the_same(kind: str):
    augment, labels = MAKERS[kind](0.4), np.zeros(6, np.int32)
    same = padded(np.broadcast_to(IDS[0], (6, 14)).copy(), np.full(6, 12))
    new, _ = augment(KEY, same, labels)
    assert len({tuple(row) for row in rows(new)}) > 1
    assert rows(augment(KEY, same, labels)[0]) == rows(new)
    fewer, _ = augment(KEY, Padded(same.values[:2], same.mask[:2]), labels[:2])
    assert rows(fewer) == rows(new)[:2]


@pytest.mark.parametrize("kind", ["insertion", "swap", "deletion"])
def test_targets_of_positions_go_along_or_are_refused(kind: str):
    augment = MAKERS[kind](0.4, targets="same")
    tags = Padded(IDS % 100 + 0.5, X.mask)
    new, moved = augment(KEY, X, tags)
    np.testing.assert_array_equal(moved.mask, new.mask)
    real = np.asarray(new.mask)
    np.testing.assert_array_equal(np.asarray(moved.values)[real], np.asarray(new.values)[real] % 100 + 0.5)
    both = augment(KEY, X, {"a": tags, "b": tags})[1]
    np.testing.assert_array_equal(both["b"].values, moved.values)
    plain = MAKERS[kind](0.4)
    assert_input_error(lambda: plain(KEY, X, tags), "y", given="one a position")
    assert_input_error(lambda: plain(KEY, X, IDS), "y", given="one a position")
    unmasked = LABELS if kind != "deletion" else padded(IDS[:, :3], np.full(5, 3))
    assert_input_error(lambda: augment(KEY, X, unmasked), "y", given="(5,")
    if kind == "deletion":
        assert_input_error(lambda: augment(KEY, X, IDS), "y", given="without a mask")
    assert_input_error(lambda: augment(KEY, {"a": IDS}, tags), "x")
    assert_input_error(lambda: augment(KEY, IDS[0], tags), "x", given="(14,)")


def test_what_cannot_have_padding_is_refused_where_lengths_change():
    for kind in ("insertion", "deletion"):
        message = assert_input_error(lambda k=kind: MAKERS[k](0.4)(KEY, IDS, LABELS), "x", expected="Padded")
        assert "padding_id=" in message
    small = np.ones((2, 4), np.uint8)
    far = data.synonym_replacement({1: (300,)})
    assert_input_error(lambda: far(KEY, small, LABELS[:2]), "x", given="uint8")


def test_a_classifier_of_texts_trains_with_all_of_them():
    tokenizer = data.byte_tokenizer(special_tokens=("pad",))
    texts = ["good fine nice", "bad poor sad", "nice good", "sad bad"] * 8
    x, y = tokenizer.encode_batch(texts, 20), np.array([1, 0, 1, 0] * 8, np.int32)
    net = ja.layers.sequential(
        {"embed": ja.layers.embedding(tokenizer.vocabulary, 8), "pool": ja.layers.global_pool(),
         "out": ja.layers.dense(2)}
    )  # fmt: skip
    a = ord("a")
    chain = (
        data.synonym_replacement({a: (a, a + 32)}, 0.1), data.random_insertion({a: (a,)}, 0.1), data.random_swap(0.1),
        data.random_deletion(0.1),
    )  # fmt: skip
    made = ja.recipe(
        net, ja.losses.softmax_cross_entropy, ja.optimizers.adam(3e-2), augment=chain, batch_size=8,
        metrics={"accuracy": ja.metrics.accuracy},
    )  # fmt: skip
    result = ja.fit(made, (x, y), validation=(x, y), key=jax.random.key(0), epochs=12)
    assert result.history["validation_accuracy"][-1] > 0.9 and np.isfinite(result.history["loss"]).all()


def test_shares_may_be_traced():
    def number(share: Any) -> Any:
        new, _ = data.random_deletion(share)(KEY, X, LABELS)
        return jnp.sum(new.mask)

    found = quick_jit(jax.vmap(number))(jnp.array([0.0, 0.5, 1.0]))
    assert found[0] == LENGTHS.sum() and found[0] > found[1] > found[2] == 4
