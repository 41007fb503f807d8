"""Recurrence over whole sequences: the plain cell, the LSTM and the GRU.

Arrays have time first, `(time, batch, features)`: what the rounds of a loop read is then a block of memory. What the
inputs bring, z = x W + b, is one product for all times and comes in ready. The loop holds the recurrent product alone;
see `recurrent_loops` for it and its derivatives.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxann.core.checks import check_array, fail
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.ops.recurrent_loops import (
    gru_round,
    gru_states,
    lstm_round,
    lstm_states,
    relu_states,
    rnn_round,
    tanh_states,
)

__all__ = ["gru", "gru_cell", "lstm", "lstm_cell", "rnn", "rnn_cell"]


def rnn_cell(z: Array, h: Array, weight: Array, *, relu: bool = False) -> Array:
    """h' = f(z + h U), f = tanh or relu.

    Args:
        z: `(batch, units)`, x W + b.
        h: `(batch, units)`.
        weight: U, `(units, units)`.
        relu: whether f is relu.

    Source: Elman 1990.

    Raises:
        InputError: an array is masked, or no array of numbers.
    """
    _check("rnn_cell", z=z, h=h, weight=weight)
    return rnn_round(z, h, weight, relu)


def lstm_cell(z: Array, h: Array, c: Array, weight: Array, projection: Array | None = None) -> tuple[Array, Array]:
    """i, f, o = sigmoid(.), g = tanh(.) of the four parts of z + h U;  c' = f c + i g,  h' = (o tanh(c')) P.

    Args:
        z: `(batch, 4 units)`, x W + b in the order i, f, g, o.
        h: `(batch, units)`, or `(batch, features)` of the projection.
        c: `(batch, units)`.
        weight: U, `(units, 4 units)`, or `(features, 4 units)`.
        projection: P, `(units, features)`; None leaves it out.

    Returns:
        `(h', c')`.

    Source: Hochreiter and Schmidhuber 1997, Gers et al. 2000; the projection Sak et al. 2014.

    Raises:
        InputError: an array is masked, or no array of numbers.
    """
    _check("lstm_cell", z=z, h=h, c=c, weight=weight, projection=projection)
    h, c, _, _ = lstm_round(z, h, c, weight, projection)
    return h, c


def gru_cell(z: Array, h: Array, weight: Array, bias: Array) -> Array:
    """r, u = sigmoid(.) of the first two parts of z + h U + b;  n = tanh(z_n + r (h U_n + b_n)),  h' = (1 - u) n + u h.

    Args:
        z: `(batch, 3 units)`, x W + the input's bias in the order r, u, n.
        h: `(batch, units)`.
        weight: U, `(units, 3 units)`.
        bias: b, `(3 units,)`; that of n stands inside the reset gate, so it is not the input's.

    Source: Cho et al. 2014, who have u and 1 - u the other way round.

    Raises:
        InputError: an array is masked, or no array of numbers.
    """
    _check("gru_cell", z=z, h=h, weight=weight, bias=bias)
    return gru_round(z, h, weight, bias)[0]


def rnn(
    z: Array, h: Array, weight: Array, *, relu: bool = False, mask: Array | None = None, keep: Array | None = None
) -> Array:
    """The states h of all times: h_t = f(z_t + (h_(t-1) m) U).

    Args:
        z: `(time, batch, units)`, x W + b.
        h: `(batch, units)`, the state before.
        weight: U, `(units, units)`.
        relu: whether f is relu, not tanh.
        mask: `(time, batch)`; where it is 0 the state stays what it was.
        keep: m, `(batch, units)`, the same at all times; None for 1.

    Returns:
        `(time, batch, units)`.

    Raises:
        InputError: an array is masked, or no array of numbers.
    """
    given = _taken("rnn", z, mask, h=h, z=z, weight=weight, keep=keep)
    return (relu_states if relu else tanh_states)(*given).astype(z.dtype)


def lstm(
    z: Array,
    h: Array,
    c: Array,
    weight: Array,
    projection: Array | None = None,
    *,
    mask: Array | None = None,
    keep: Array | None = None,
) -> tuple[Array, Array]:
    """The states h and c of all times, by `lstm_cell` on z_t, h_(t-1) m and c_(t-1).

    Args:
        z: `(time, batch, 4 units)`, x W + b in the order i, f, g, o.
        h, c: `(batch, features)` and `(batch, units)`, the states before.
        weight: U, `(features, 4 units)`.
        projection: P, `(units, features)`; None leaves it out, and features = units.
        mask: `(time, batch)`; where it is 0 the states stay what they were.
        keep: m, `(batch, features)`, the same at all times; None for 1.

    Returns:
        `(h, c)`, `(time, batch, features)` and `(time, batch, units)`.

    Raises:
        InputError: an array is masked, or no array of numbers.
    """
    given = _taken("lstm", z, mask, h=h, c=c, z=z, weight=weight, projection=projection, keep=keep)
    hs, cs = lstm_states(*given)
    return hs.astype(z.dtype), cs.astype(z.dtype)


def gru(
    z: Array, h: Array, weight: Array, bias: Array, *, mask: Array | None = None, keep: Array | None = None
) -> Array:
    """The states h of all times, by `gru_cell` on z_t and h_(t-1), (h_(t-1) m) U in its products.

    Args:
        z: `(time, batch, 3 units)`, x W + the input's bias in the order r, u, n.
        h: `(batch, units)`, the state before.
        weight: U, `(units, 3 units)`.
        bias: b, `(3 units,)`.
        mask: `(time, batch)`; where it is 0 the state stays what it was.
        keep: m, `(batch, units)`, the same at all times; None for 1.

    Returns:
        `(time, batch, units)`.

    Raises:
        InputError: an array is masked, or no array of numbers.
    """
    return gru_states(*_taken("gru", z, mask, h=h, z=z, weight=weight, bias=bias, keep=keep)).astype(z.dtype)


def _check(function: str, **arrays: Array | None) -> None:
    for argument, value in arrays.items():
        if value is not None:
            check_array(function, argument, value)


def _taken(function: str, like: Array, mask: Array | None, **arrays: Array | None) -> list[Any]:
    """The arrays in float32 or better, as wide as one of them, and what is real as numbers behind them."""
    _check(function, mask=mask, **arrays)
    if mask is not None and mask.shape != like.shape[:2]:
        fail(function, "mask", f"of shape {like.shape[:2]}, (time, batch)", f" shape {mask.shape}")
    wide = wide_dtype(jnp.result_type(like))
    real = None if mask is None else jnp.asarray(mask).astype(bool).astype(wide)
    return [*(None if a is None else jnp.asarray(a, wide) for a in arrays.values()), real]
