"""What a change of its sums makes of a GRU's states, and the way back, written out as one loop; see `lstm_change`.

    dr = r (1 - r) a_r,   du = u (1 - u) a_u,   dn = (1 - n^2) (p_n + r a_n + m dr),     a = q + dh_(t-1) U
    dh_t = (1 - u) dn + (h_(t-1) - n) du + u dh_(t-1)

m is h U_n + b_n. Linear in q, the changes of the sums behind r and u and of m, and in p, that of what the inputs bring
to n.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray

from jaxann.core.typing import Array
from jaxann.ops.linear_loop import linear_loop
from jaxann.ops.lstm_change import chosen, product

__all__ = ["gru_change"]


def gru_change(
    q: Array, p: Array, gates: tuple[Array, ...], states: Array, h: Array, weight: Array, real: Array | None = None
) -> Array:
    """dh of all times.

    Args:
        q: `(time, batch, 3 units)`, but for what the states bring.
        p: `(time, batch, units)`.
        gates: r, u, n and m of all times, `(time, batch, units)` each.
        states: h of all times; h: that before the first.
        weight: U, `(units, 3 units)`.
        real: `(time, batch)`, 0 where the states stay what they were; None for ones.
    """
    return _change(q, p, *gates, states, h, weight, *(() if real is None else (real,)))[0]


def _factors(r: Array, u: Array, n: Array, m: Array, before: Array) -> tuple[Array, Array, Array, Array]:
    """What dh_t has of a_r, a_u, a_n and p_n."""
    of_n = (1 - u) * (1 - n * n)
    return of_n * m * r * (1 - r), (before - n) * u * (1 - u), of_n * r, of_n


def _forward(q: Array, p: Array, r: Array, u: Array, n: Array, m: Array, states: Array, h: Array, *rest: Array) -> Any:
    weight, real = rest[0], rest[1] if len(rest) > 1 else None

    def round_of(dh: Array, at: Any) -> Any:
        q, p, r, u, n, m, before, real = at
        by_r, by_u, by_m, by_p = _factors(r, u, n, m, before)
        of_r, of_u, of_m = jnp.split(q + product(dh, weight), 3, -1)
        after = chosen(real, by_r * of_r + by_u * of_u + by_m * of_m + by_p * p + u * dh, dh)
        return after, after

    before = jnp.concatenate([h[None], states[:-1]])[: len(states)]
    return (lax.scan(round_of, jnp.zeros_like(h), (q, p, r, u, n, m, before, real))[1],)


def _back(of_h: Array, r: Array, u: Array, n: Array, m: Array, states: Array, h: Array, *rest: Array) -> Any:
    """dC/dq and dC/dp of dC/d(dh)."""
    weight, real = rest[0], rest[1] if len(rest) > 1 else None
    turned = weight.T

    def round_of(carry: Array, at: Any) -> Any:
        of_h, r, u, n, m, before, real = at
        of_h = of_h + carry
        by_r, by_u, by_m, by_p = _factors(r, u, n, m, before)
        of_q, of_p = jnp.concatenate([by_r * of_h, by_u * of_h, by_m * of_h], -1), by_p * of_h
        if real is not None:
            of_q, of_p = (chosen(real, one, jnp.zeros_like(one)) for one in (of_q, of_p))
        return chosen(real, product(of_q, turned) + u * of_h, of_h), (of_q, of_p)

    before = jnp.concatenate([h[None], states[:-1]])[: len(states)]
    return lax.scan(round_of, jnp.zeros_like(h), (of_h, r, u, n, m, before, real), reverse=True)[1]


def _kinds(q: ShapedArray, p: ShapedArray, *_: ShapedArray) -> list[ShapedArray]:
    return [ShapedArray(p.shape, p.dtype)]


_change = linear_loop("gru_change", _forward, _back, _kinds, linear=2)
