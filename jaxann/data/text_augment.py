"""Random changes of token ids `(batch, time)`, plain or `Padded`, at a fixed length: what Wei and Zou 2019 call EDA.

A synonym is an id too. In plain x the ids equal to `padding_id` are padding;
None where there is none. Padding stays padding, and what is drawn does not depend on how much of it there is. How many
tokens of n are changed is max(1, floor(alpha n)), as in the paper's code, and none where alpha is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.augmentation import Augment
from jaxann.core.checks import check_choice, check_count, check_integer, check_range, fail, is_concrete
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.padding import Padded, is_padded
from jaxann.core.typing import Array, Inputs, Key, Scalar, Targets
from jaxann.data.pictures import draw_each, uniforms
from jaxann.data.sequences import as_arrays, check_along, first_real, ranked, sequence_of, take_along, whole_below

__all__ = ["random_deletion", "random_insertion", "random_swap", "synonym_replacement"]


def _pairs(synonyms: Any) -> Any:
    """A dict as a tuple of pairs, which is what a program's structure can hold."""
    if not isinstance(synonyms, Mapping):
        return synonyms
    return tuple((word, tuple(np.ravel(others).tolist())) for word, others in synonyms.items())


def _table(function: str, synonyms: Any) -> np.ndarray:
    """Row i: the synonyms of id i, and -1 in the places left over."""
    expected = "a dict from ids to the ids of their synonyms, with at least one"
    good = isinstance(synonyms, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], tuple) for pair in synonyms
    )
    if not good or not any(others for _, others in synonyms):
        fail(function, "synonyms", expected, synonyms)
    for word, others in synonyms:
        for number in (word, *others):
            check_integer(function, f"synonyms[{word!r}]", number, 0)
            if number >= 2**31:
                fail(function, f"synonyms[{word!r}]", "ids below 2^31", number)
    table = np.full((1 + max(word for word, _ in synonyms), max(len(others) for _, others in synonyms)), -1, np.int32)
    for word, others in synonyms:
        table[word, : len(others)] = others
    return table


@factory(Augment, static=("synonyms",), convert={"synonyms": _pairs})
def synonym_replacement(synonyms: Mapping[int, Sequence[int]], alpha: Scalar = 0.1, *, padding_id: int | None = None):
    """x_t -> a random synonym of x_t at max(1, floor(alpha n)) random positions of those that have synonyms, n real
    tokens in the sequence.

    Args:
        synonyms: from an id to those that may stand in its place, {12: (40, 77)}; an id that is not in it has none.
        alpha: share of the tokens, in [0, 1].
        padding_id: an id that is padding in plain x; None for none.

    Takes ids `(batch, time)` or `Padded`. The targets stay: a label of the sequence, or of each position (the tag of a
    word). Targets that are tokens themselves, of a language model, would be those from before.

    Peers: as the paper's code, which replaces every occurrence of a word at once, by synonyms of WordNet; PyTorch and
    Keras have none.

    Source: Wei and Zou 2019.

    Raises:
        InputError: an argument is out of range, or (when called) x holds no ids.
    """
    name = "synonym_replacement"
    table = _table(name, synonyms)
    check_range(name, "alpha", alpha, 0, 1)
    _check_padding(name, padding_id)

    def one(key: Key, ids: Array, real: Array) -> Array:
        has = real & _has(table, ids)
        size, count = jnp.sum(real, dtype=jnp.int32), jnp.sum(has, dtype=jnp.int32)
        number = jnp.minimum(_number(alpha, size), count)
        which = jnp.where(has, uniforms(fold_name(key, "which"), len(ids)), 2)
        order = jnp.argsort(jnp.argsort(which))  # 0 for the lowest
        others = jax.vmap(lambda token, share: _synonym(table, token, share))
        new = others(ids, uniforms(fold_name(key, "synonym"), len(ids)))
        return jnp.where(has & (order < number), new, ids)

    def change(key, x, y, example_mask):
        ids, real = _tokens(name, x, y, padding_id, table=table)
        keys = draw_each(lambda own: own, key, ids.shape[0])
        new = jax.vmap(one)(keys, ids, real)
        return (Padded(new, x.mask) if isinstance(x, Padded) else new), y

    return change


@factory(Augment, static=("synonyms",), convert={"synonyms": _pairs})
def random_insertion(
    synonyms: Mapping[int, Sequence[int]],
    alpha: Scalar = 0.1,
    *,
    padding_id: int | None = None,
    targets: str = "keep",
):
    """max(1, floor(alpha n)) times: a random synonym of a random token of the n real ones goes in at a random place.

    The sequence grows into its padding, and no further: as many go in as there is padding for, so that no token falls
    off the end. Real tokens stand at the front afterwards.

    Args:
        synonyms: from an id to those that may stand in its place, as of `synonym_replacement`.
        alpha: share of the tokens, in [0, 1].
        padding_id: the id that is padding in plain x, which has to be given there.
        targets: "keep" for one target a sequence; "same" moves targets `(batch, time, ...)` along, and what goes in has
            the target of the token whose synonym it is.

    Takes ids `(batch, time)` or `Padded`.

    Peers: as the paper's code, whose sequences have no fixed length; PyTorch and Keras have none.

    Source: Wei and Zou 2019.

    Raises:
        InputError: an argument is out of range, or (when called) x holds no ids or cannot have padding, or the targets
            are not those that were asked for.
    """
    name = "random_insertion"
    table = _table(name, synonyms)
    check_range(name, "alpha", alpha, 0, 1)
    _check_padding(name, padding_id)
    check_choice(name, "targets", targets, ("keep", "same"))

    def one(key: Key, ids: Array, real: Array) -> tuple[Array, Array, Array]:
        source = first_real(real)
        here = jnp.arange(len(ids), dtype=jnp.int32)
        count = jnp.sum(real, dtype=jnp.int32)
        has = (here < count) & _has(table, ids[source])
        number = jnp.where(jnp.any(has), jnp.minimum(_number(alpha, count), len(ids) - count), 0)
        first, origin = ids[source], source

        def insert(turn: Array, both: tuple[Array, Array]) -> tuple[Array, Array]:
            share = uniforms(jax.random.fold_in(key, turn), 3)
            word = ranked(has, whole_below(share[0], jnp.sum(has, dtype=jnp.int32)))
            token = _synonym(table, first[word], share[1])
            place = whole_below(share[2], count + turn + 1)

            def shifted(old: Array, new: Array) -> Array:
                return jnp.where(here < place, old, jnp.where(here == place, new, jnp.roll(old, 1)))

            return shifted(both[0], token), shifted(both[1], origin[word])

        tokens, source = lax.fori_loop(0, number, insert, (first, source))
        return tokens, source, here < count + number

    def change(key, x, y, example_mask):
        ids, real = _tokens(name, x, y, padding_id, targets, table=table, needs_padding=True)
        keys = draw_each(lambda own: own, key, ids.shape[0])
        return _moved(x, y, *jax.vmap(one)(keys, ids, real), padding_id, targets)

    return change


@factory(Augment)
def random_swap(alpha: Scalar = 0.1, *, padding_id: int | None = None, targets: str = "keep"):
    """max(1, floor(alpha n)) times: two random tokens of the n real ones change places.

    Args:
        alpha: share of the tokens, in [0, 1].
        padding_id: an id that is padding in plain x; None for none.
        targets: "keep" for one target a sequence; "same" moves targets `(batch, time, ...)` along.

    Takes ids `(batch, time)` or `Padded`.

    Peers: as the paper's code, which after three draws of one place twice swaps nothing. Keras Hub's RandomSwap has
    a rate for each token, a greatest number and tokens to be spared; PyTorch has none.

    Source: Wei and Zou 2019.

    Raises:
        InputError: an argument is out of range, or (when called) x holds no ids, or the targets are not those that were
            asked for.
    """
    name = "random_swap"
    check_range(name, "alpha", alpha, 0, 1)
    _check_padding(name, padding_id)
    check_choice(name, "targets", targets, ("keep", "same"))

    def one(key: Key, ids: Array, real: Array) -> tuple[Array, Array, Array]:
        places = first_real(real)
        count = jnp.sum(real, dtype=jnp.int32)
        number = jnp.where(count < 2, 0, _number(alpha, count))

        def swap(turn: Array, source: Array) -> Array:
            share = uniforms(jax.random.fold_in(key, turn), 2)
            a = whole_below(share[0], count)
            b = jnp.mod(a + 1 + whole_below(share[1], count - 1), jnp.maximum(count, 1))
            a, b = places[a], places[b]
            return source.at[a].set(source[b]).at[b].set(source[a])

        source = lax.fori_loop(0, number, swap, jnp.arange(len(ids), dtype=jnp.int32))
        return ids[source], source, real

    def change(key, x, y, example_mask):
        ids, real = _tokens(name, x, y, padding_id, targets)
        keys = draw_each(lambda own: own, key, ids.shape[0])
        return _moved(x, y, *jax.vmap(one)(keys, ids, real), padding_id, targets)

    return change


@factory(Augment)
def random_deletion(probability: Scalar = 0.1, *, padding_id: int | None = None, targets: str = "keep"):
    """Each real token left out with this probability, and those that stay moved to the front; where all would be left
    out, one drawn at random stays.

    Args:
        probability: in [0, 1].
        padding_id: the id that is padding in plain x, which has to be given there.
        targets: "keep" for one target a sequence; "same" moves targets along, which are `Padded`, for what is left out
            leaves padding.

    Takes ids `(batch, time)` or `Padded`.

    Peers: as the paper's code, whose sequences have no fixed length. Keras Hub's RandomDeletion has a greatest number
    and tokens to be spared; PyTorch has none.

    Source: Wei and Zou 2019.

    Raises:
        InputError: the probability is out of range, or (when called) x holds no ids or cannot have padding, or the
            targets are not those that were asked for.
    """
    name = "random_deletion"
    check_range(name, "probability", probability, 0, 1)
    _check_padding(name, padding_id)
    check_choice(name, "targets", targets, ("keep", "same"))

    def one(key: Key, ids: Array, real: Array) -> tuple[Array, Array, Array]:
        share = uniforms(key, len(ids) + 1)
        keep = real & (share[1:] >= jnp.asarray(probability).astype(share.dtype))
        lone = ranked(real, whole_below(share[0], jnp.sum(real, dtype=jnp.int32)))
        here = jnp.arange(len(ids), dtype=jnp.int32)
        keep = jnp.where(jnp.any(keep), keep, real & (here == lone))
        source = first_real(keep)
        return ids[source], source, here < jnp.sum(keep, dtype=jnp.int32)

    def change(key, x, y, example_mask):
        for leaf in jax.tree.leaves(y, is_leaf=is_padded) if targets == "same" else ():
            if not is_padded(leaf):
                fail(name, "y", "Padded for targets='same'", f" shape {np.shape(leaf)}, without a mask")
        ids, real = _tokens(name, x, y, padding_id, targets, needs_padding=True)
        keys = draw_each(lambda own: own, key, ids.shape[0])
        return _moved(x, y, *jax.vmap(one)(keys, ids, real), padding_id, targets)

    return change


def _check_padding(function: str, padding_id: Any) -> None:
    if padding_id is not None:
        check_count(function, "padding_id", padding_id)


def _tokens(
    function: str,
    x: Any,
    y: Targets,
    padding_id: Scalar | None,
    targets: str | None = None,
    *,
    table: np.ndarray | None = None,
    needs_padding: bool = False,
) -> tuple[Array, Array]:
    """The ids `(batch, time)`, and which of them are real; the targets are looked at, too."""
    largest = 0 if table is None else int(table.max())
    if padding_id is not None and is_concrete(padding_id):
        largest = max(largest, int(padding_id))
    ids, mask = sequence_of(function, x, (2,), "(batch, time)", "ids", largest)
    if mask is None and padding_id is None and needs_padding:
        hint = "Sequences change their length here: say which id is padding, padding_id=..., or give Padded x."
        fail(function, "x", "Padded, or padding_id given", f" shape {ids.shape}", hint=hint)
    if targets is not None:
        check_along(function, ids, y, targets)
    ids, real = as_arrays(ids, mask)
    if real is not None:
        return ids, real
    if padding_id is not None:
        return ids, ids != jnp.asarray(padding_id).astype(ids.dtype)
    return ids, jnp.ones(ids.shape, bool)


def _number(alpha: Scalar, size: Array) -> Array:
    """max(1, floor(alpha size)); 0 where alpha or the size is 0."""
    share = jnp.asarray(alpha).astype(jnp.result_type(float))
    number = jnp.floor(share * size.astype(share.dtype)).astype(jnp.int32)
    return jnp.where((share > 0) & (size > 0), jnp.maximum(number, 1), 0)


def _has(table: np.ndarray, ids: Array) -> Array:
    """Which ids have a synonym."""
    inside = (ids >= 0) & (ids < table.shape[0])
    return inside & jnp.any(jnp.asarray(table) >= 0, 1)[jnp.clip(ids, 0, table.shape[0] - 1)]


def _synonym(table: np.ndarray, token: Array, share: Array) -> Array:
    """The synonym of one id that a share in [0, 1) says."""
    row = jnp.asarray(table)[jnp.clip(token, 0, table.shape[0] - 1)]
    there = row >= 0
    return row[ranked(there, whole_below(share, jnp.sum(there, dtype=jnp.int32)))].astype(token.dtype)


def _moved(
    x: Inputs,
    y: Targets,
    tokens: Array,
    source: Array,
    real: Array,
    padding_id: Scalar | None,
    targets: str,
) -> tuple[Inputs, Targets]:
    """The new tokens with padding after them, and targets as of the positions that they come from."""
    fill = jnp.asarray(0 if padding_id is None else padding_id).astype(tokens.dtype)

    def along(leaf: Any) -> Any:
        new = take_along(leaf, source)
        return Padded(new.values, new.mask.astype(bool) & real) if is_padded(leaf) else new

    if targets == "same":
        y = jax.tree.map(along, y, is_leaf=is_padded)
    if isinstance(x, Padded):
        return Padded(jnp.where(real, tokens, fill), real), y
    return jnp.where(real, tokens, fill) if padding_id is not None else tokens, y
