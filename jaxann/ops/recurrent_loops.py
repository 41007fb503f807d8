"""The loops of recurrence, with their derivatives in the shortest form.

A change of the weights changes every round. Autodiff of the loop adds up dC/dU round by round, an array as large as U
read and written for each; here the derivative is written out,

    dh_t = K_t (q_t + dh_(t-1) U) + ...,    q_t = dz_t + h_(t-1) dU    (K_t derivatives of the gates, all known)

so that q is one product for all times, before the loop, and the backward pass has one product h^T delta after it. The
K too are computed for all times at once. Being a rule for changes forward (`jax.custom_jvp`), it serves jvp, vjp and
derivatives of any order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.nn import sigmoid

from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.ops.dense import dense
from jaxann.ops.gru_change import gru_change
from jaxann.ops.lstm_change import lstm_change

__all__ = ["gru_round", "gru_states", "lstm_round", "lstm_states", "relu_states", "rnn_round", "tanh_states"]


def rnn_round(z: Array, h: Array, weight: Array, relu: bool) -> Array:
    """h'."""
    a = z + dense(h, weight)
    return jax.nn.relu(a) if relu else jnp.tanh(a)


def lstm_round(z: Array, h: Array, c: Array, weight: Array, projection: Array | None) -> tuple[Array, ...]:
    """h', c', the gates after their activations, `(batch, 4 units)`, and o tanh(c')."""
    units = c.shape[-1]
    a = z + dense(h, weight)
    gates = _gates(a, units)
    i, f, g, o = jnp.split(gates, 4, -1)
    c = f * c + i * g
    m = o * jnp.tanh(c)
    return (m if projection is None else dense(m, projection)), c, gates, m


def _gates(a: Array, units: int) -> Array:
    """Sigmoid of all but the third part, whose tanh it is.

    Both of all, and one of them chosen: whole rows go through the processor's vectors, which takes a third of the time
    of the four parts by themselves.
    """
    place = jnp.arange(4 * units)
    third = (place >= 2 * units) & (place < 3 * units)
    return jnp.where(jnp.broadcast_to(third, a.shape), jnp.tanh(a), sigmoid(a))


def gru_round(z: Array, h: Array, weight: Array, bias: Array, kept: Array | None = None) -> tuple[Array, ...]:
    """h', the gates r and u, n, and h U_n + b_n."""
    units = h.shape[-1]
    s = dense(h if kept is None else kept, weight, bias)
    r, u = jnp.split(sigmoid(z[..., : 2 * units] + s[..., : 2 * units]), 2, -1)
    inner = s[..., 2 * units :]
    n = jnp.tanh(z[..., 2 * units :] + r * inner)
    return (1 - u) * n + u * h, r, u, n, inner


def _over(
    one: Callable[..., tuple[tuple[Array, ...], Any]], carry: tuple[Array, ...], z: Array, real: Array | None
) -> tuple[tuple[Array, ...], Any]:
    """What `one(z, *carry) -> (new carry, what else it computed)` gives at all times: the carries, and the rest."""

    def round_of(carry: tuple[Array, ...], at: tuple[Array, Array | None]) -> Any:
        z, real = at
        after, rest = one(z, *carry)
        if real is not None:
            after = tuple(jnp.where(_wide_as(real > 0, new), new, old) for new, old in zip(after, carry, strict=True))
        return after, (after, rest)

    return lax.scan(round_of, carry, (z, real))[1]


def _times(h: Array, keep: Array | None) -> Array:
    return h if keep is None else h * jnp.broadcast_to(keep, h.shape)


def _through(h: Array, turned: Array) -> Array:
    """h U, given U^T, which is made once before the loop: its transpose, d U^T, is then a product of rows and columns
    as they lie in memory, and takes a quarter of the time.
    """
    wide = wide_dtype(h.dtype)
    return lax.dot_general(h, turned, (((1,), (1,)), ((), ())), preferred_element_type=wide).astype(h.dtype)


def _stretched(bias: Array, like: Array) -> Array:
    return jnp.broadcast_to(bias, like.shape)


def _before(first: Array, states: Array) -> Array:
    """The states one time earlier."""
    return jnp.concatenate([first[None], states[:-1]])[: len(states)]  # of no time there are none


def _wide_as(real: Array, array: Array) -> Array:
    return jnp.broadcast_to(real[..., None], array.shape)


# Derivatives. A tangent that is None is 0.


def _known(tangents: tuple) -> list[Any]:
    return [None if t is None or isinstance(t, SymbolicZero) else t for t in tangents]


def _sum(*terms: Array | None) -> Array | None:
    found = [t for t in terms if t is not None]
    total = found[0] if found else None
    for term in found[1:]:
        total = term if total is None else total + term
    return total


def _products(
    h: Array, states: Array, keep: Array | None, weight: Array, dweight: Array | None, dkeep: Array | None
) -> tuple[Array, Array | None]:
    """(h m) of one time earlier, and what the changes of U and m alone bring to (h m) U."""
    earlier = _before(h, states)
    kept = _times(earlier, keep)
    by_weight = None if dweight is None else dense(kept, dweight)
    by_keep = None if dkeep is None else dense(_times(earlier, dkeep), weight)
    return kept, _sum(by_weight, by_keep)


def _rnn_states(relu: bool) -> Callable[..., Array]:
    @jax.custom_jvp
    def states(h: Array, z: Array, weight: Array, keep: Array | None, real: Array | None) -> Array:
        one = lambda z, h: ((rnn_round(z, _times(h, keep), weight, relu),), ())  # noqa: E731
        return _over(one, (h,), z, real)[0][0]

    def derivative(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
        h, z, weight, keep, real = primals
        dh, dz, dweight, dkeep, _ = _known(tangents)
        hs = states(h, z, weight, keep, real)
        slope = jnp.where(hs > 0, jnp.ones_like(hs), 0) if relu else 1 - hs * hs
        if real is not None:
            slope = slope * real[..., None]
        _, q = _products(h, hs, keep, weight, dweight, dkeep)
        q = _sum(q, dz)
        e = jnp.zeros_like(hs) if q is None else slope * q
        turned = weight.T

        def round_of(dh: Array, at: Any) -> tuple[Array, Array]:
            slope, e, real = at
            after = slope * _through(_times(dh, keep), turned) + e
            after = after if real is None else after + (1 - real[:, None]) * dh
            return after, after

        return hs, lax.scan(round_of, jnp.zeros_like(h) if dh is None else dh, (slope, e, real))[1]

    states.defjvp(derivative, symbolic_zeros=True)
    return states


tanh_states = _rnn_states(False)
relu_states = _rnn_states(True)


@jax.custom_jvp
def lstm_states(
    h: Array, c: Array, z: Array, weight: Array, projection: Array | None, keep: Array | None, real: Array | None
) -> tuple[Array, Array]:
    """h and c of all times."""

    def one(z: Array, h: Array, c: Array) -> Any:
        return lstm_round(z, _times(h, keep), c, weight, projection)[:2], ()

    hs, cs = _over(one, (h, c), z, real)[0]
    return hs, cs


def _lstm_derivative(primals: tuple, tangents: tuple) -> tuple[tuple, tuple]:
    h, c, z, weight, projection, keep, real = primals
    dh, dc, dz, dweight, dprojection, dkeep, _ = _known(tangents)

    def one(z: Array, h: Array, c: Array) -> Any:
        h, c, gates, m = lstm_round(z, _times(h, keep), c, weight, projection)
        return (h, c), (gates, None if dprojection is None else m)

    (hs, cs), (gates, m) = _over(one, (h, c), z, real)
    if all(given is None for given in (dh, dc, projection, keep)):  # as in training, mostly
        q = _sum(_products(h, hs, None, weight, dweight, None)[1], dz)
        q = jnp.zeros_like(z) if q is None else q
        return (hs, cs), lstm_change(q, gates, cs, c, weight, real)
    i, f, g, o = jnp.split(gates, 4, -1)
    squashed = jnp.tanh(cs)
    # dc' = f dc + what i, f and g bring;  dm' = what o brings + leak dc', m' = o tanh(c').
    to_c = jnp.concatenate([g * i * (1 - i), _before(c, cs) * f * (1 - f), i * (1 - g * g)], -1)
    to_m, leak = squashed * o * (1 - o), o * (1 - squashed * squashed)
    if real is not None:
        here = real[..., None]
        to_c, to_m, leak, f = to_c * here, to_m * here, leak * here, jnp.where(here > 0, f, 1)
    _, q = _products(h, hs, keep, weight, dweight, dkeep)
    q = _sum(q, dz)
    units = c.shape[-1]
    e_c = jnp.zeros_like(cs) if q is None else _three(to_c * q[..., : 3 * units])
    e_m = jnp.zeros_like(cs) if q is None else to_m * q[..., 3 * units :]
    e_h = None
    if dprojection is not None:
        e_h = dense(m if real is None else m * real[..., None], dprojection)

    turned = weight.T

    def round_of(carry: tuple[Array, Array], at: Any) -> Any:
        dh, dc = carry
        to_c, to_m, leak, f, e_c, e_m, e_h, real = at
        r = _through(_times(dh, keep), turned)
        after_c = f * dc + _three(to_c * r[..., : 3 * units]) + e_c
        after = to_m * r[..., 3 * units :] + leak * after_c + e_m
        if projection is not None:
            after = dense(after, projection)
        after = _sum(after, e_h, None if real is None else (1 - real[:, None]) * dh)
        return (after, after_c), (after, after_c)

    start = (jnp.zeros_like(h) if dh is None else dh, jnp.zeros_like(c) if dc is None else dc)
    return (hs, cs), lax.scan(round_of, start, (to_c, to_m, leak, f, e_c, e_m, e_h, real))[1]


def _three(terms: Array) -> Array:
    a, b, c = jnp.split(terms, 3, -1)
    return a + b + c


lstm_states.defjvp(_lstm_derivative, symbolic_zeros=True)


@jax.custom_jvp
def gru_states(h: Array, z: Array, weight: Array, bias: Array, keep: Array | None, real: Array | None) -> Array:
    """h of all times."""
    one = lambda z, h: ((gru_round(z, h, weight, bias, _times(h, keep))[0],), ())  # noqa: E731
    return _over(one, (h,), z, real)[0][0]


def _gru_derivative(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    h, z, weight, bias, keep, real = primals
    dh, dz, dweight, dbias, dkeep, _ = _known(tangents)

    def one(z: Array, h: Array) -> Any:
        after, *rest = gru_round(z, h, weight, bias, _times(h, keep))
        return (after,), tuple(rest)

    (hs,), (r, u, n, inner) = _over(one, (h,), z, real)
    units = h.shape[-1]
    if dh is None and keep is None:  # as in training, mostly
        q = _sum(_products(h, hs, None, weight, dweight, None)[1], None if dbias is None else _stretched(dbias, z))
        of_gates = None if dz is None else jnp.concatenate([dz[..., : 2 * units], jnp.zeros_like(hs)], -1)
        q, p = _sum(q, of_gates), jnp.zeros_like(hs) if dz is None else dz[..., 2 * units :]
        return hs, gru_change(jnp.zeros_like(z) if q is None else q, p, (r, u, n, inner), hs, h, weight, real)
    earlier = _before(h, hs)
    of_n = (1 - u) * (1 - n * n)
    to_h = jnp.concatenate([of_n * inner * r * (1 - r), (earlier - n) * u * (1 - u), of_n * r], -1)
    if real is not None:
        here = real[..., None]
        to_h, of_n, u = to_h * here, of_n * here, jnp.where(here > 0, u, 1)
    _, q = _products(h, hs, keep, weight, dweight, dkeep)
    if dbias is not None:
        q = _sum(q, _stretched(dbias, z))
    terms = [] if q is None else [_three(to_h * q)]
    if dz is not None:
        of_gates = to_h[..., : 2 * units] * dz[..., : 2 * units]
        terms.append(of_gates[..., :units] + of_gates[..., units:] + of_n * dz[..., 2 * units :])
    e = _sum(*terms)
    e = jnp.zeros_like(hs) if e is None else e
    turned = weight.T

    def round_of(dh: Array, at: Any) -> tuple[Array, Array]:
        to_h, u, e = at
        after = _three(to_h * _through(_times(dh, keep), turned)) + u * dh + e
        return after, after

    return hs, lax.scan(round_of, jnp.zeros_like(h) if dh is None else dh, (to_h, u, e))[1]


gru_states.defjvp(_gru_derivative, symbolic_zeros=True)
