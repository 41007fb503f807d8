"""Backward rules of the recurrent layers: through time, from the last position to the first.

Of a state h_t the cost hangs on y_t = h_t and on all that comes after it, by h_(t+1). So with E_t = dC/dh_t in full,

    E_t = G_t + (dh_(t+1)/dh_t)^T E_(t+1)

backward through time, and every parameter, being the same at all positions, gets the sum over all of them. With A_t
for what goes into the activations and D_t = dC/dA_t, where A_t = x_t W + b + h_(t-1) U + d:

    dC/dU = sum over t of h_(t-1)^T D_t,    dC/dW = sum of x_t^T D_t,    dC/db = dC/dd = sum of the rows of D_t,
    dC/dx_t = D_t W^T,    and D_t U^T is what h_(t-1) gets of it

At padding h_t = h_(t-1), so E passes, and D_t = 0. With dropout h_(t-1) stands for h_(t-1) m in the products. Source:
Werbos 1990.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import sigmoid

from jaxann import layers
from jaxann.backprop.layers.dense import rows, sum_of_rows
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.padding import zero_padding
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.layers.dropout import keep_factor
from jaxann.layers.recurrent import projected_input
from jaxann.ops.dense import input_gradient, weight_gradient

__all__ = []


@layer_rule(layers.rnn)
def _rnn(call: Call) -> Step:
    """h' = f(A):  D = f'(A) E,  f' = 1 - h'^2 of tanh, and of relu 1 where h' > 0."""
    relu = call.layer.arguments["activation"] == "relu"
    through = _Time(call, call.layer.arguments["units"])

    def forward(h: Array, z: Array) -> tuple[Array, Any]:
        a = z + through.product(h)
        return (jnp.maximum(a, 0) if relu else jnp.tanh(a)), a

    def backward(e: Array, before: Array, after: Array, a: Array) -> tuple[Array, Any, Array]:
        del before, a
        delta = e * ((after > 0).astype(e.dtype) if relu else 1 - after * after)
        return delta, delta, through.back(delta)

    return through.step(forward, backward, through.joined)


@layer_rule(layers.gru)
def _gru(call: Call) -> Step:
    """h' = (1 - u) n + u h,  n = tanh(Z_n + r S_n),  S = h U + d:

        D_n = E (1 - u)(1 - n^2),    D_r = D_n S_n r (1 - r),    D_u = E (h - n) u (1 - u)

    are dC/dZ. Of S it is r D_n that comes to the third part: U and d get (D_r, D_u, r D_n), and W and b get
    (D_r, D_u, D_n). Besides D U^T, h gets E u straight.
    """
    units = call.layer.arguments["units"]
    through = _Time(call, units)
    bias = through.params["recurrent_bias"]

    def forward(h: Array, z: Array) -> tuple[Array, Any]:
        s = through.product(h) + jnp.broadcast_to(bias, z.shape)
        r, u = jnp.split(sigmoid((z + s)[:, : 2 * units]), 2, -1)
        n = jnp.tanh(z[:, 2 * units :] + r * s[:, 2 * units :])
        return (1 - u) * n + u * h, (r, u, n, s[:, 2 * units :])

    def backward(e: Array, before: Array, after: Array, known: Any) -> tuple[Array, Any, Array]:
        del after
        r, u, n, inner = known
        of_n = e * (1 - u) * (1 - n * n)
        of_r, of_u = of_n * inner * r * (1 - r), e * (before - n) * u * (1 - u)
        of_z, of_s = (jnp.concatenate([of_r, of_u, last], -1) for last in (of_n, r * of_n))
        return of_z, of_s, e * u + through.back(of_s)

    return through.step(forward, backward, lambda of_z, of_s: (sum_of_rows(of_z), sum_of_rows(of_s)))


@layer_rule(layers.lstm)
def _lstm(call: Call) -> Step:
    """c' = f c + i g,  m = o tanh(c'),  h' = m P:  with M = E P^T and C = dC/dc' in full,

        C = C of later on + M o (1 - tanh(c')^2)
        D_i = C g i (1 - i),    D_f = C c f (1 - f),    D_g = C i (1 - g^2),    D_o = M tanh(c') o (1 - o)

    c gets C f: no matrix and no activation stands in this way, which is why the gradient lives through long times.
    dC/dP = sum over t of m_t^T E_t. Without P, h' = m and M = E.
    """
    units = call.layer.arguments["units"]
    through = _Time(call, call.layer.arguments["projection"] or units)
    matrix = through.params.get("projection")

    def forward(carry: Any, z: Array) -> tuple[Any, Any]:
        h, c = carry
        i, f, g, o = jnp.split(z + through.product(h), 4, -1)
        i, f, g, o = sigmoid(i), sigmoid(f), jnp.tanh(g), sigmoid(o)
        after = f * c + i * g
        m = o * jnp.tanh(after)
        return (m if matrix is None else m @ matrix, after), (i, f, g, o, m)

    def backward(e: Any, before: Any, after: Any, known: Any) -> tuple[Array, Any, Any]:
        (of_h, of_c), c, squashed = e, before[1], jnp.tanh(after[1])
        i, f, g, o, m = known
        of_m = of_h if matrix is None else of_h @ matrix.T
        of_c = of_c + of_m * o * (1 - squashed * squashed)
        delta = jnp.concatenate(
            [of_c * g * i * (1 - i), of_c * c * f * (1 - f), of_c * i * (1 - g * g), of_m * squashed * o * (1 - o)], -1
        )
        return delta, (delta, of_h, m), (through.back(delta), of_c * f)

    def more(of_h: Array, m: Array) -> dict[str, Array]:
        return {} if matrix is None else {"projection": weight_gradient(rows(m), rows(of_h))}

    def biases(of_z: Array, kept: Any) -> tuple[Array, Array]:
        return through.joined(of_z, kept[0])

    start = tuple(jnp.zeros((call.x.shape[0], n), through.wide) for n in (through.features, units))
    return through.step(forward, backward, biases, start=start, more=lambda kept: more(*kept[1:]))


class _Time:
    """What the three have in common: the loop forward, the loop backward, the sums over all positions."""

    def __init__(self, call: Call, features: int):
        self.call, self.features = call, features
        self.wide = wide_dtype(call.x.dtype)
        self.params = jax.tree.map(lambda p: p.astype(self.wide), call.params)
        self.name = call.layer._factory.short_name
        rate = call.layer.arguments["recurrent_dropout"]
        shape = (call.x.shape[0], features)
        self.keep = keep_factor(self.name, rate, shape, call.key, call.train, self.wide)

    def kept(self, h: Array) -> Array:
        """h m."""
        return h if self.keep is None else h * self.keep

    def product(self, h: Array) -> Array:
        """(h m) U."""
        return self.kept(h) @ self.params["recurrent"]

    def back(self, delta: Array) -> Array:
        """What h gets through the product."""
        return self.kept(delta @ self.params["recurrent"].T)

    def joined(self, of_z: Array, of_s: Array) -> tuple[Array, Array]:
        """The gradients of two biases that are only ever added."""
        del of_s
        total = sum_of_rows(of_z)
        return total, total

    def step(
        self,
        forward: Callable[[Any, Array], tuple[Any, Any]],
        backward: Callable[[Any, Any, Any, Any], tuple[Array, Any, Any]],
        biases: Callable[[Array, Any], tuple[Array, Array]],
        *,
        start: Any = None,
        more: Callable[[Any], dict[str, Array]] = lambda kept: {},
    ) -> Step:
        """The layer's step.

        Args:
            forward: from the states before and z to the states after and what is to be known backward.
            backward: from E, the states before and after and what is known to dC/dz, what `biases` and `more` need, and
                what the states before get.
            biases: the gradients of b and d from the first two of all positions.
            start: the states at first; one, zeros, where it is None.
            more: gradients of other parameters.
        """
        call, mask = self.call, self.call.context.sequence_mask
        x = call.x if mask is None else zero_padding(call.x, mask)
        real = jnp.ones(x.shape[:2], bool) if mask is None else mask.astype(bool)
        single = start is None
        start = jnp.zeros((x.shape[0], self.features), self.wide) if single else start
        z = projected_input(self.name, call.params, x).astype(self.wide)

        def round_of(before: Any, at: Any) -> Any:
            z, real = at
            after, known = forward(before, z)
            after = _where(real, after, before)
            return after, (before, after, known)

        befores, afters, known = lax.scan(round_of, start, (z, real.T))[1]
        hs = afters if single else afters[0]
        y = zero_padding(jnp.swapaxes(hs, 0, 1), real).astype(x.dtype)

        def vjp(g: Array) -> Cotangents:
            g = jnp.swapaxes(zero_padding(g, real), 0, 1).astype(self.wide)

            def round_of(later: Any, at: Any) -> Any:
                g, before, after, known, real = at
                e = later + g if single else (later[0] + g, *later[1:])
                of_z, kept, earlier = backward(e, before, after, known)
                silent = jax.tree.map(jnp.zeros_like, (of_z, kept))
                of_z, kept = _where(real, (of_z, kept), silent)
                return _where(real, earlier, e), (of_z, kept)

            last = jax.tree.map(jnp.zeros_like, start)
            of_z, kept = lax.scan(round_of, last, (g, befores, afters, known, real.T), reverse=True)[1]
            of_s = kept[0] if isinstance(kept, tuple) else kept
            first, second = biases(of_z, kept)
            h = befores if single else befores[0]
            grads = {
                "weight": weight_gradient(rows(jnp.swapaxes(x, 0, 1)).astype(self.wide), rows(of_z)),
                "recurrent": weight_gradient(rows(jax.vmap(self.kept)(h)), rows(of_s)),
                "bias": first,
                "recurrent_bias": second,
                **more(kept),
            }
            grads = {name: grads[name].astype(p.dtype) for name, p in call.params.items()}
            by_x = input_gradient(rows(of_z), self.params["weight"]).reshape(*of_z.shape[:2], x.shape[2])
            delta = jnp.swapaxes(of_z, 0, 1)
            return Cotangents(
                zero_padding(jnp.swapaxes(by_x, 0, 1), real).astype(x.dtype), grads, delta.astype(x.dtype)
            )

        return Step(y, call.state, vjp, drawn=self.keep)


def _where(real: Array, new: Any, old: Any) -> Any:
    """The new where a position is real, else the old, of each array."""
    return jax.tree.map(lambda a, b: jnp.where(jnp.broadcast_to(real[:, None], a.shape), a, b), new, old)


@layer_rule(layers.last_position)
def _last_position(call: Call) -> Step:
    """y = x_last:  dC/dx is G at the last real position, and 0 at all others."""
    y, state = call.apply()
    mask, x = call.context.sequence_mask, call.x
    places = jnp.arange(x.shape[1])[None]
    if mask is None:
        chosen = jnp.broadcast_to(places == x.shape[1] - 1, x.shape[:2])
    else:
        real = mask.astype(bool)
        chosen = real & (places == jnp.max(jnp.where(real, places, 0), 1)[:, None])

    def vjp(g: Array) -> Cotangents:
        return Cotangents(zero_padding(jnp.broadcast_to(g[:, None], x.shape), chosen), {})

    return Step(y, state, vjp)
