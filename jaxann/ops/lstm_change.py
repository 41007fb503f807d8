"""What a change of its sums makes of an LSTM's states, and the way back, written out as one loop.

    dc_t = f dc_(t-1) + (g i (1 - i)) a_i + (c_(t-1) f (1 - f)) a_f + (i (1 - g^2)) a_g,     a = q_t + dh_(t-1) U
    dh_t = tanh(c_t) o (1 - o) a_o + o (1 - tanh(c_t)^2) dc_t

is linear in q. Left to itself, autodiff turns the loop round with every factor of it laid out for all times beforehand,
more memory than the loop itself goes through. Here the way back has its factors made in its rounds of what is there
anyway, the gates and the cell, and gives dC/dq for all times as it goes.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray

from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.ops.linear_loop import linear_loop

__all__ = ["chosen", "lstm_change", "product"]


def lstm_change(
    q: Array, gates: Array, cells: Array, c: Array, weight: Array, real: Array | None = None
) -> tuple[Array, Array]:
    """dh and dc of all times.

    Args:
        q: `(time, batch, 4 units)`, the change of the sums behind the gates but for what the states bring.
        gates: i, f, g, o after their activations, of the same shape.
        cells: c of all times, `(time, batch, units)`.
        c: that before the first time, `(batch, units)`.
        weight: U, `(units, 4 units)`.
        real: `(time, batch)`, 0 where the states stay what they were; None for ones.
    """
    return _change(q, gates, cells, c, weight, *(() if real is None else (real,)))  # pyright: ignore[reportReturnType]


def _factors(gates: Array, before: Array, now: Array) -> tuple[Array, Array, Array, Array]:
    """Of a_i, a_f, a_g side by side and of a_o; of dc' in dh'; and of dc in dc'."""
    i, f, g, o = jnp.split(gates, 4, -1)
    squashed = jnp.tanh(now)
    to_c = jnp.concatenate([g * i * (1 - i), before * f * (1 - f), i * (1 - g * g)], -1)
    return to_c, squashed * o * (1 - o), o * (1 - squashed * squashed), f


def _forward(
    q: Array, gates: Array, cells: Array, c: Array, weight: Array, real: Array | None = None
) -> tuple[Array, Array]:
    units = c.shape[-1]

    def round_of(carry: tuple[Array, Array], at: Any) -> Any:
        dh, dc = carry
        q, gates, before, now, real = at
        to_c, to_m, leak, f = _factors(gates, before, now)
        a = q + product(dh, weight)
        brought = to_c * a[..., : 3 * units]
        after = f * dc + brought[..., :units] + brought[..., units : 2 * units] + brought[..., 2 * units :]
        dh, dc = chosen(real, to_m * a[..., 3 * units :] + leak * after, dh), chosen(real, after, dc)
        return (dh, dc), (dh, dc)

    before = jnp.concatenate([c[None], cells[:-1]])[: len(cells)]
    return lax.scan(round_of, (jnp.zeros_like(c), jnp.zeros_like(c)), (q, gates, before, cells, real))[1]


def _back(
    of_h: Array, of_c: Array, gates: Array, cells: Array, c: Array, weight: Array, real: Array | None = None
) -> tuple[Array]:
    """dC/dq of dC/d(dh) and dC/d(dc)."""
    turned = weight.T  # once, so that each round has a product of rows and columns as they lie in memory

    def round_of(carry: tuple[Array, Array], at: Any) -> Any:
        gates, before, now, of_h, of_c, real = at
        to_c, to_m, leak, f = _factors(gates, before, now)
        of_h, of_c = of_h + carry[0], of_c + carry[1]
        inner = of_c + leak * of_h
        of_a = jnp.concatenate([to_c * jnp.concatenate([inner] * 3, -1), to_m * of_h], -1)
        of_a = of_a if real is None else chosen(real, of_a, jnp.zeros_like(of_a))
        return (chosen(real, product(of_a, turned), of_h), chosen(real, f * inner, of_c)), of_a

    before = jnp.concatenate([c[None], cells[:-1]])[: len(cells)]
    given = (gates, before, cells, of_h, of_c, real)
    return (lax.scan(round_of, (jnp.zeros_like(c), jnp.zeros_like(c)), given, reverse=True)[1],)


def chosen(real: Array | None, new: Array, old: Array) -> Array:
    """The new where a position is real, else the old."""
    return new if real is None else jnp.where(jnp.broadcast_to((real > 0)[:, None], new.shape), new, old)


def _like(array: ShapedArray) -> ShapedArray:
    return ShapedArray(array.shape, array.dtype)


def product(x: Array, weight: Array) -> Array:
    """x W, summed in float32 or better: as it is, for both ways through the loop are written out."""
    return lax.dot(x, weight, preferred_element_type=wide_dtype(x.dtype)).astype(x.dtype)


_change = linear_loop("lstm_change", _forward, _back, lambda q, gates, cells, *_: [_like(cells), _like(cells)])
