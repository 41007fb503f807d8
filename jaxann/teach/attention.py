"""One head of an attention, number by number: what one query takes of each key, and the gradients back through it.

The maps before and behind the heads are dense layers and are shown as such.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxann.layers.attention import distance_buckets
from jaxann.teach.heads import Heads, heads_of
from jaxann.teach.steps import Step, bare, number, operand, quoted, vector
from jaxann.teach.terms import Factor, few, spot, summed
from jaxann.teach.walk import Item, Sizes, gradient, row

__all__ = ["head_backward", "head_forward", "told"]

_MOST_KEYS = 9  # of a query, and queries of a key, that are all shown


class _Query(NamedTuple):
    """What is written out: a position of the first example, in the first head."""

    item: Item
    run: Heads
    sizes: Sizes
    t: int

    @property
    def keys(self) -> list[int]:
        """Those that the query may see."""
        return [int(k) for k in np.flatnonzero(self.run.allowed[0, 0, self.t])]

    @property
    def d(self) -> int:
        return self.run.query.shape[3]

    def name(self, letter: str, *place: int) -> str:
        """`q1[3,2]`."""
        return spot(f"{letter}{self.item.number}", place)

    def of(self, letter: str, array: np.ndarray, t: int, i: int, n: int = 0) -> Factor:
        """A number of a query, a key, a value, or of a slope at one (`dJ/dv`), in the first head."""
        slope, letter = ("dJ/d", letter[-1]) if letter.startswith("dJ/d") else ("", letter)
        return slope + spot(f"{letter}{self.item.number}", (t, i), self.d), float(array[n, t, 0, i])

    def between(self, letter: str, array: np.ndarray, t: int, k: int, n: int = 0) -> Factor:
        """A number of a query and a key."""
        slope, letter = ("dJ/d", letter[-1]) if letter.startswith("dJ/d") else ("", letter)
        return slope + self.name(letter, t, k), float(array[n, 0, t, k])

    def share(self, t: int, k: int, n: int = 0) -> Factor:
        """What is taken of a value: its weight, with dropout that times its factor."""
        return self.between("p" if self.run.keep is None else "w", self.run.taken, t, k, n)

    def step(self, title: str, left: str, terms: Sequence[Sequence[Factor]], total: int, value: float, over: str = ""):
        """A sum of products, all of it over `over`."""
        found = summed(terms, total, self.sizes.digits)
        names, numbers = (f"({side})/{over}" if over else side for side in found)
        return Step(title, f"{left} = {names}", bare(numbers), number(value, self.sizes.digits), value)


def told(item: Item, sizes: Sizes) -> tuple[str, ...]:
    """Which head and query are shown, what the letters are, and whom the query may see."""
    given, shown = item.layer.arguments, _query(item, sizes)
    n, t, d, keys = item.number, shown.t + 1, shown.d, shown.keys
    heads, groups, time = given["heads"], shown.run.groups, shown.run.query.shape[1]

    def columns(first: int) -> str:
        return f"{first + 1} to {first + d}" if d > 1 else str(first + 1)

    turned = ", turned by the position (rotary)" if given["positions"] == "rotary" else ""
    shared = f" {heads // groups} heads share keys and values." if groups < heads else ""
    which = f"Head 1 of {heads}, the query of position {t}." if heads > 1 else f"The query of position {t}."
    dropped = f", w{n} those after dropout" if shown.run.keep is not None else ""
    letters = (
        f"{which} Of {item.source} the columns {columns(0)} are its queries q{n}, {columns(heads * d)} its keys k{n}"
        f"{turned}, {columns((heads + groups) * d)} its values v{n}.{shared} s{n} are the scores, m{n} the greatest "
        f"of them, e{n} their powers, t{n} the sum of these, p{n} the weights{dropped}, o{n} what the heads give. "
        f"Backward, g{n} is the mean of the slopes at the weights, by the weights."
    )
    why = [word for word, holds in (
        ("what comes later", given["causal"]),
        (f"what is {given['window']} or more positions away", given["window"] is not None),
        ("padding", item.trace.sequence_mask is not None),
    ) if holds]  # fmt: skip
    if len(keys) == time:
        return (letters, f"It may see all {time} positions." if time > 1 else "It may see its one position.")
    if not keys:
        return (letters, "It may see no position, and gives 0.")
    seen = f"{keys[0] + 1} to {keys[-1] + 1}" if keys == list(range(keys[0], keys[-1] + 1)) and len(keys) > 1 else (
        ", ".join(str(k + 1) for k in keys[:_MOST_KEYS]) + (", ..." if len(keys) > _MOST_KEYS else "")
    )  # fmt: skip
    mask = f"Of {time} positions it may see {seen}: not {', nor '.join(why)}. The weights of the others are 0."
    return (letters, mask)


def _query(item: Item, sizes: Sizes) -> _Query:
    return _Query(item, heads_of(item), sizes, sizes.place(item.output))


def head_forward(item: Item, sizes: Sizes) -> Iterator[Step]:
    """Scores, exponentials, their sum, weights, and the weighted sum of the values."""
    shown = _query(item, sizes)
    run, t, digits, y = shown.run, shown.t, sizes.digits, row(item.output)
    if shown.keys:
        yield from _vectors(shown)
        yield from _scores(shown)
        yield from _weights(shown)
        for i in few(shown.d):
            terms = [(shown.share(t, k), shown.of("v", run.value, t=k, i=i)) for k in _some(shown.keys)]
            value = float(np.asarray(item.output)[0, t, i])
            left = _output(shown, "", t, i)
            yield shown.step("The values, each times its weight, added up", left, terms, len(shown.keys), value)
    yield Step(f"All {y.size:,} numbers of all heads", item.symbol, "", vector(y, digits), y)


def _some(keys: Sequence[int]) -> Sequence[int]:
    return [keys[i] for i in few(len(keys), _MOST_KEYS)]


def _output(shown: _Query, slope: str, t: int, i: int) -> str:
    """A number of what the heads give: the first head's come first."""
    width = np.shape(shown.item.output)[2]
    return slope + spot(shown.item.symbol, (t, i), width)


def _vectors(shown: _Query) -> Iterator[Step]:
    """The query, and the keys and values that it sees."""
    run, t, digits = shown.run, shown.t, shown.sizes.digits
    each = [("The query", "q", run.query, t)]
    each += [("The keys", "k", run.key, k) for k in _some(shown.keys)]
    each += [("The values", "v", run.value, k) for k in _some(shown.keys)]
    for title, letter, array, place in each:
        values = array[0, place, 0]
        yield Step(title, f"{letter}{shown.item.number}[{place + 1},:]", "", vector(values, digits), values)


def _scores(shown: _Query) -> Iterator[Step]:
    """s = q k/sqrt(d), with the bias of the distance."""
    run, t, d, digits = shown.run, shown.t, shown.d, shown.sizes.digits
    learned = shown.item.layer.arguments["positions"] == "relative"
    away = "" if run.bias is None else ", and what is learned of the distance" if learned else ", less for what is away"
    title = f"Scores: the query times each key, over sqrt(d){away}"
    for k in _some(shown.keys):
        terms = [(shown.of("q", run.query, t, i), shown.of("k", run.key, k, i)) for i in few(d)]
        found, (left, value) = summed(terms, d, digits), shown.between("s", run.scores, t, k)
        names, numbers = (f"({side})/sqrt({d})" for side in found)
        if run.bias is not None and learned:
            kind = int(distance_buckets(jnp.array(t - k), shown.item.layer.arguments["causal"]))
            names = f"{names} + {spot(quoted(f'{shown.item.name}.distances'), (kind, 0))}"
            numbers = f"{numbers} + {operand(run.bias[0, 0, t, k], digits)}"
        elif run.bias is not None and k != t:
            strength = operand(-run.bias[0, 0, t, k] / abs(t - k), digits)
            names, numbers = (f"{side} - {strength} * {abs(t - k)}" for side in (names, numbers))
        yield Step(title, f"{left} = {names}", bare(numbers), number(value, digits), value)


def _weights(shown: _Query) -> Iterator[Step]:
    """p = e^(s - max)/sum: the softmax over the keys that are seen."""
    run, t, digits, keys = shown.run, shown.t, shown.sizes.digits, shown.keys
    scores = {k: shown.between("s", run.scores, t, k) for k in keys}
    greatest, m = max(score for _, score in scores.values()), shown.name("m", t)
    some, rest = _some(keys), len(keys) - len(_some(keys))
    more = f", ... {rest:,} more" if rest else ""
    names, numbers = ", ".join(scores[k][0] for k in some), ", ".join(number(scores[k][1], digits) for k in some)
    title = "Softmax: the greatest score is taken off, which changes no weight and keeps the powers small"
    put_in = f"max({numbers}{more})" if len(keys) > 1 else ""
    right = f"max({names}{more})" if len(keys) > 1 else names
    yield Step(title, f"{m} = {right}", put_in, number(greatest, digits), greatest)
    powers = {k: (shown.name("e", t, k), math.exp(score - greatest)) for k, (_, score) in scores.items()}
    for k in some:
        name, value = powers[k]
        put_in = f"e^({number(scores[k][1], digits)} - {operand(greatest, digits)})"
        yield Step("Softmax: powers", f"{name} = e^({scores[k][0]} - {m})", put_in, number(value, digits), value)
    total = sum(value for _, value in powers.values())
    left = shown.name("t", t)
    yield shown.step("Softmax: their sum", left, [(powers[k],) for k in some], len(keys), total)
    for k in some:
        name, value = shown.between("p", run.shares, t, k)
        put_in = f"{operand(powers[k][1], digits)}/{operand(total, digits)}"
        yield Step("Softmax: weights", f"{name} = {powers[k][0]}/{left}", put_in, number(value, digits), value)
    hidden = [k for k in range(run.shares.shape[3]) if k not in keys]
    for k in hidden[: len(few(len(hidden)))]:
        yield Step("Softmax: weights of what is not seen", shown.name("p", t, k), "", "0", 0.0)
    if run.keep is not None:
        title = "Dropout of weights: each times its factor, drawn for it"
        for k in some:
            name, value = shown.share(t, k)
            factor, (p, before) = number(run.keep[0, 0, t, k], digits), shown.between("p", run.shares, t, k)
            formula, put_in = f"{name} = {factor} {p}", f"{factor} * {operand(before, digits)}"
            yield Step(title, formula, put_in, number(value, digits), value)


def head_backward(item: Item, sizes: Sizes) -> Iterator[Step]:
    """dJ/dv, dJ/dp, through the softmax, and dJ/dq and dJ/dk."""
    shown = _query(item, sizes)
    digits, g = sizes.digits, row(item.trace.input_grad)
    if shown.keys:
        yield from _of_value(shown)
        yield from _of_weights(shown)
        yield from _of_query_and_key(shown)
    if "distances" in item.trace.grads:
        yield from _of_distance(shown)
    yield Step(f"All {g.size:,} numbers of queries, keys and values", gradient(item.source), "", vector(g, digits), g)


def _of_distance(shown: _Query) -> Iterator[Step]:
    """dJ/d of what is learned of a distance: the sum of dJ/ds of all scores at it, of every example."""
    run, t, digits = shown.run, shown.t, shown.sizes.digits
    grads, table = np.asarray(shown.item.trace.grads["distances"]), quoted(f"{shown.item.name}.distances")
    if shown.keys:
        time = run.scores.shape[2]
        apart = jnp.arange(time)[:, None] - jnp.arange(time)[None]
        kinds = np.asarray(distance_buckets(apart, shown.item.layer.arguments["causal"]))
        kind = int(kinds[t, shown.keys[0]])
        pairs = [(int(q), int(k)) for q, k in np.argwhere((kinds == kind) & run.allowed[0, 0])]
        scores = [(shown.between("dJ/ds", run.of_scores, *pairs[i]),) for i in few(len(pairs), _MOST_KEYS)]
        left, value = "dJ/d" + spot(table, (kind, 0)), float(grads[kind, 0])
        found = summed(scores, len(pairs), digits)
        title = "Gradient of what is learned of a distance: the slopes of all scores at it, added"
        if run.scores.shape[0] > 1:
            yield Step(f"{title} over the examples", f"{left} = sum of {found.names}", "", number(value, digits), value)
        else:
            put_in = bare(found.numbers) if len(pairs) > 1 else ""
            yield Step(title, f"{left} = {found.names}", put_in, number(value, digits), value)
    yield Step(f"All {grads.size:,} numbers of distances", f"dJ/d{table}", "", vector(grads, digits), grads)


def _slope(shown: _Query, t: int, i: int) -> Factor:
    return _output(shown, "dJ/d", t, i), float(shown.run.above[0, t, 0, i])


def _seen_by(shown: _Query, k: int) -> list[int]:
    """The queries that may see a key."""
    return [int(t) for t in np.flatnonzero(shown.run.allowed[0, 0, :, k])]


def _shared(shown: _Query) -> int:
    return shown.run.query.shape[2] // shown.run.groups


def _of_value(shown: _Query) -> Iterator[Step]:
    """dJ/dv of one key: of each query that sees it, its weight times the slope there."""
    run, k = shown.run, shown.keys[0]
    queries, each = _seen_by(shown, k), _shared(shown)
    more = f", of {each} heads" if each > 1 else ""
    title = f"Slope of a value: of every query that sees position {k + 1}, its weight times the slope there{more}"
    terms = [(shown.share(t, k), _slope(shown, t, 0)) for t in _some(queries)]
    left, value = shown.of("dJ/dv", run.of_value, k, 0)
    yield shown.step(title, left, terms, len(queries) * each, value)


def _of_weights(shown: _Query) -> Iterator[Step]:
    """dJ/dp = sum of dJ/do v, and dJ/ds = p (dJ/dp - sum of p dJ/dp)."""
    run, t, d, digits, keys = shown.run, shown.t, shown.d, shown.sizes.digits, shown.keys
    for k in _some(keys):
        terms = [(_slope(shown, t, i), shown.of("v", run.value, k, i)) for i in few(d)]
        letter = "p" if run.keep is None else "w"
        left, value = shown.between(f"dJ/d{letter}", run.of_taken, t, k)
        yield shown.step("Slope of the weights: the slope of what came out times each value", left, terms, d, value)
    if run.keep is not None:
        for k in _some(keys):
            left, value = shown.between("dJ/dp", run.of_shares, t, k)
            above, slope = shown.between("dJ/dw", run.of_taken, t, k)
            factor = number(run.keep[0, 0, t, k], digits)
            formula, put_in = f"{left} = {factor} {above}", f"{factor} * {operand(slope, digits)}"
            yield Step("Back through the dropout of weights", formula, put_in, number(value, digits), value)
    total, left = float(np.sum(run.shares[0, 0, t] * run.of_shares[0, 0, t])), shown.name("g", t)
    terms = [(shown.between("p", run.shares, t, k), shown.between("dJ/dp", run.of_shares, t, k)) for k in _some(keys)]
    yield shown.step("Back through the softmax: the mean of the slopes by the weights", left, terms, len(keys), total)
    for k in _some(keys):
        name, value = shown.between("dJ/ds", run.of_scores, t, k)
        (p, share), (of_p, slope) = shown.between("p", run.shares, t, k), shown.between("dJ/dp", run.of_shares, t, k)
        put_in = f"{operand(share, digits)} * ({number(slope, digits)} - {operand(total, digits)})"
        title = "Back through the softmax: each weight times what its slope is above that mean"
        yield Step(title, f"{name} = {p} ({of_p} - {left})", put_in, number(value, digits), value)


def _of_query_and_key(shown: _Query) -> Iterator[Step]:
    """dJ/dq = sum over the keys of dJ/ds k/sqrt(d), dJ/dk = sum over the queries of dJ/ds q/sqrt(d)."""
    run, t, keys, k, each = shown.run, shown.t, shown.keys, shown.keys[0], _shared(shown)
    over = f"sqrt({shown.d})"
    terms = [(shown.between("dJ/ds", run.of_scores, t, j), shown.of("k", run.key, j, 0)) for j in _some(keys)]
    left, value = shown.of("dJ/dq", run.of_query, t, 0)
    yield shown.step("Slope of the query: of every key it sees", left, terms, len(keys), value, over)
    queries = _seen_by(shown, k)
    terms = [(shown.between("dJ/ds", run.of_scores, j, k), shown.of("q", run.query, j, 0)) for j in _some(queries)]
    left, value = shown.of("dJ/dk", run.of_key, k, 0)
    more = f", of {each} heads" if each > 1 else ""
    title = f"Slope of a key: of every query that sees position {k + 1}{more}"
    yield shown.step(title, left, terms, len(queries) * each, value, over)
