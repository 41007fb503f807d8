"""Attention once more in plain NumPy, between the map before its heads and the map behind them.

Nothing of it is shown before it has met the net's own numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from jaxann.layers.attention import position_bias
from jaxann.teach.cells import met
from jaxann.teach.walk import Item

__all__ = ["Heads", "heads_of"]


class Heads(NamedTuple):
    """All heads of all examples.

    Attributes:
        query, key, value: `(batch, time, heads, d)`, turned where positions are rotary; a group of keys and values once
            for each head that it serves.
        bias: `(1, heads, queries, keys)`, added to the scores; None for none.
        allowed, scores, shares, taken: `(batch, heads, queries, keys)`: who may see whom, q k/sqrt(d) + bias, their
            softmax, and that times what dropout multiplies by.
        keep: what dropout multiplies by; None for no dropout.
        above, of_taken, of_shares, of_scores: dJ/d(output), `(batch, time, heads, d)`; dJ/d(taken), (shares), (scores).
        of_query, of_key, of_value: dJ/d of each, those of keys and values `(batch, time, groups, d)`.
        groups: heads of keys and values.
    """

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    bias: np.ndarray | None
    allowed: np.ndarray
    scores: np.ndarray
    shares: np.ndarray
    taken: np.ndarray
    keep: np.ndarray | None
    above: np.ndarray
    of_taken: np.ndarray
    of_shares: np.ndarray
    of_scores: np.ndarray
    of_query: np.ndarray
    of_key: np.ndarray
    of_value: np.ndarray
    groups: int


def heads_of(item: Item) -> Heads:
    """Forward from what the map before the heads gives, and back from what the map behind them hands down.

    Raises:
        ArithmeticError: what comes out, or a gradient, is not the net's own.
    """
    given, mixed = item.layer.arguments, np.asarray(item.trace.x)
    heads, groups = given["heads"], given["groups"] or given["heads"]
    (batch, time), each = mixed.shape[:2], heads // groups
    d = mixed.shape[2] // (heads + 2 * groups)
    query, key, value = np.split(mixed.reshape(batch, time, -1, d), (heads, heads + groups), 2)
    if given["positions"] == "rotary":
        query, key = _turned(query, 1), _turned(key, 1)
    key, value = (np.repeat(a, each, 2) for a in (key, value))
    with jax.enable_x64(True):  # as the net's own numbers: what is learned of distances is not rounded
        added = position_bias(given["positions"], item.params, heads, time, given["causal"])
    bias = None if added is None else np.asarray(added, np.float64)
    allowed = np.broadcast_to(_allowed(item, time), (batch, heads, time, time))
    scores = np.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(d) + (0 if bias is None else bias)
    shares = _softmax(scores, allowed)
    keep = None if item.trace.drawn is None else np.asarray(item.trace.drawn)
    taken = shares if keep is None else shares * keep
    y = np.einsum("bhqk,bkhd->bqhd", taken, value)
    met(item, "what the heads give", y.reshape(batch, time, -1), item.output)
    above = np.asarray(item.slope).reshape(y.shape)
    of_value = np.einsum("bhqk,bqhd->bkhd", taken, above)
    of_taken = np.einsum("bqhd,bkhd->bhqk", above, value)
    of_shares = of_taken if keep is None else of_taken * keep
    of_scores = shares * (of_shares - np.sum(shares * of_shares, -1, keepdims=True))
    of_query = np.einsum("bhqk,bkhd->bqhd", of_scores, key) / np.sqrt(d)
    of_key = np.einsum("bhqk,bqhd->bkhd", of_scores, query) / np.sqrt(d)
    of_key, of_value = (a.reshape(batch, time, groups, each, d).sum(3) for a in (of_key, of_value))
    sides = [_turned(a, -1) if given["positions"] == "rotary" else a for a in (of_query, of_key)]
    below = np.concatenate([*sides, of_value], 2).reshape(mixed.shape)
    met(item, "what the heads hand down", below, item.trace.input_grad)
    return Heads(query, key, value, bias, allowed, scores, shares, taken, keep, above, of_taken, of_shares, of_scores,
                 of_query, of_key, of_value, groups)  # fmt: skip


def _allowed(item: Item, time: int) -> np.ndarray:
    """Who may see whom, `(batch or 1, 1, queries, keys)`."""
    given, mask = item.layer.arguments, item.trace.sequence_mask
    apart = np.arange(time)[:, None] - np.arange(time)[None]
    allowed = np.ones((1, 1, time, time), bool)
    if given["causal"]:
        allowed = allowed & (apart >= 0)
    if given["window"] is not None:
        allowed = allowed & (np.abs(apart) < given["window"])
    return allowed if mask is None else allowed & np.asarray(mask).astype(bool)[:, None, None]


def _softmax(scores: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Over the keys that may be seen; 0 of all where none may."""
    seen = np.where(allowed, scores, -np.inf)
    greatest = seen.max(-1, keepdims=True, initial=-np.inf)
    powers = np.exp(seen - np.where(np.isfinite(greatest), greatest, 0))
    total = powers.sum(-1, keepdims=True)
    return powers / np.where(total > 0, total, 1)


def _turned(x: np.ndarray, way: int) -> np.ndarray:
    """Each pair of features (i, i + d/2) turned by its position times 10000^(-2 i/d); back again by -1."""
    half = x.shape[3] // 2
    angles = way * np.outer(np.arange(x.shape[1]), 10_000.0 ** (-np.arange(half) / half))[:, None]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * np.cos(angles) - b * np.sin(angles), a * np.sin(angles) + b * np.cos(angles)], -1)
