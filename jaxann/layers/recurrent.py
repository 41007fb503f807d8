"""Recurrent layers: the plain one, the LSTM and the GRU, over whole sequences and one position at a time.

All take `(batch, time, features)` and give `(batch, time, units)`: the state at each position. `last_position` keeps
the last one, `bidirectional` reads both ways, `sequential` stacks. Where a position is padding the state stays what it
was, and the output is 0 there. `start` and `step` do the same one position at a time, in evaluation mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxann import ops
from jaxann.core.checks import check_choice, check_floating, check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.padding import zero_padding
from jaxann.core.products import Initializer, Layer, LayerFunctions
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key, Params, Scalar
from jaxann.initializers import uniform
from jaxann.layers.dropout import keep_factor

__all__ = ["gru", "last_position", "lstm", "projected_input", "rnn"]


@factory(Layer, static=("units", "activation"))
def rnn(
    units: int,
    *,
    activation: str = "tanh",
    recurrent_dropout: Scalar | None = None,
    kernel_init: Initializer | None = None,
    recurrent_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """h_t = f(x_t W + b + h_(t-1) U + d), f = tanh or relu; y_t = h_t, and h_0 = 0.

    Args:
        units: number of units.
        activation: "tanh" or "relu".
        recurrent_dropout: probability of dropping a number of h in h U, in [0, 1), drawn once for a sequence and the
            same at all its positions (Gal and Ghahramani 2016, "variational"); None for no dropout.
            `spatial_dropout` before the layer does that with x.
        kernel_init, recurrent_init, bias_init: distributions of W, of U, and of b and d; U(-1/sqrt(units),
            1/sqrt(units)) when None.

    Parameters: `weight` `(in, units)`, `recurrent` `(units, units)`, `bias` and `recurrent_bias` `(units,)`, in the
    dtype of the spec.

    Peers: as PyTorch's RNN, whose matrices are the transposes. Keras' SimpleRNN has one bias and glorot_uniform and
    orthogonal weights.

    Source: Elman 1990.

    Raises:
        InputError: an argument is out of range, x is no `(batch, time, features)`, or `train=True` comes without a key
            where there is dropout.
    """
    check_choice("rnn", "activation", activation, ("tanh", "relu"))
    relu = activation == "relu"
    drawn = kernel_init, recurrent_init, bias_init

    def whole(params, z, keep, mask):
        start = jnp.zeros((z.shape[1], units), z.dtype)
        return ops.rnn(z, start, params["recurrent"], relu=relu, mask=mask, keep=keep)

    def one(params, z, h):
        h = ops.rnn_cell(z, h, params["recurrent"].astype(h.dtype), relu=relu)
        return h, h

    def initial(params, batch):
        return jnp.zeros((batch, units), wide_dtype(params["weight"].dtype))

    return _recurrent("rnn", units, 1, drawn, recurrent_dropout, whole, one, initial)


@factory(Layer, static=("units", "projection"))
def lstm(
    units: int,
    *,
    projection: int | None = None,
    forget_bias: Scalar = 0.0,
    recurrent_dropout: Scalar | None = None,
    kernel_init: Initializer | None = None,
    recurrent_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """Long short-term memory: a cell c that is added to, behind gates; y_t = h_t, and h_0 = c_0 = 0.

        i, f, o = sigmoid(.), g = tanh(.) of the four parts of x_t W + b + h_(t-1) U + d
        c_t = f c_(t-1) + i g,    h_t = o tanh(c_t)

    Args:
        units: number of cells.
        projection: number of features of h_t = (o tanh(c_t)) P; None leaves P out.
        forget_bias: added to the part of b that f has; 1 keeps what is in the cell at first (Jozefowicz et al. 2015).
        recurrent_dropout: probability of dropping a number of h in h U, in [0, 1), drawn once for a sequence and the
            same at all its positions; None for no dropout. `spatial_dropout` before the layer does that with x.
        kernel_init, recurrent_init, bias_init: distributions of W, of U and P, and of b and d, each gate by itself;
            U(-1/sqrt(units), 1/sqrt(units)) when None.

    Parameters: `weight` `(in, 4 units)`, `recurrent` `(units, 4 units)`, `bias` and `recurrent_bias` `(4 units,)`, in
    the order i, f, g, o; `projection` `(units, projection)` where there is one, `recurrent` then
    `(projection, 4 units)`.

    Peers: as PyTorch's LSTM, whose matrices are the transposes. Keras' and flax's have one bias, forget_bias 1 (Keras),
    glorot_uniform or lecun_normal and orthogonal weights.

    Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000; Sak et al. 2014.

    Raises:
        InputError: an argument is out of range, x is no `(batch, time, features)`, or `train=True` comes without a key
            where there is dropout.
    """
    check_range("lstm", "forget_bias", forget_bias)
    if projection is not None:
        check_integer("lstm", "projection", projection)
    features = units if projection is None else projection
    drawn = kernel_init, recurrent_init, bias_init

    def whole(params, z, keep, mask):
        h, c = (jnp.zeros((z.shape[1], n), z.dtype) for n in (features, units))
        return ops.lstm(z, h, c, params["recurrent"], params.get("projection"), mask=mask, keep=keep)[0]

    def one(params, z, carry):
        h, c = carry
        matrix = params.get("projection")
        matrix = None if matrix is None else matrix.astype(h.dtype)
        after = ops.lstm_cell(z, h, c, params["recurrent"].astype(h.dtype), matrix)
        return after[0], after

    def initial(params, batch):
        return tuple(jnp.zeros((batch, n), wide_dtype(params["weight"].dtype)) for n in (features, units))

    def more(key, params, dtype):
        bias = params["bias"]
        shift = jnp.where(jnp.arange(4 * units) // units == 1, jnp.asarray(forget_bias, dtype), 0)
        params = params | {"bias": bias + shift.astype(bias.dtype)}
        if projection is None:
            return params
        draw = recurrent_init or _plain(units)
        return params | {"projection": draw(fold_name(key, "projection"), (units, projection), dtype)}

    return _recurrent("lstm", units, 4, drawn, recurrent_dropout, whole, one, initial, features, more)


@factory(Layer, static=("units",))
def gru(
    units: int,
    *,
    recurrent_dropout: Scalar | None = None,
    kernel_init: Initializer | None = None,
    recurrent_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """Gated recurrent unit; y_t = h_t, and h_0 = 0.

        r, u = sigmoid(.) of the first two parts of x_t W + b + h_(t-1) U + d
        n = tanh((x_t W + b)_n + r (h_(t-1) U + d)_n),    h_t = (1 - u) n + u h_(t-1)

    Args:
        units: number of units.
        recurrent_dropout: probability of dropping a number of h in h U, in [0, 1), drawn once for a sequence and the
            same at all its positions; None for no dropout. `spatial_dropout` before the layer does that with x.
        kernel_init, recurrent_init, bias_init: distributions of W, of U, and of b and d, each gate by itself;
            U(-1/sqrt(units), 1/sqrt(units)) when None.

    Parameters: `weight` `(in, 3 units)`, `recurrent` `(units, 3 units)`, `bias` and `recurrent_bias` `(3 units,)`, in
    the order r, u, n. The reset gate r acts after the product with U_n, so that d_n cannot be a part of b_n.

    Peers: as PyTorch's GRU, whose matrices are the transposes and which calls u z; and Keras' with reset_after=True,
    whose order is u, r, n. Cho et al. have u and 1 - u the other way round, and r before the product.

    Source: Cho et al. 2014.

    Raises:
        InputError: an argument is out of range, x is no `(batch, time, features)`, or `train=True` comes without a key
            where there is dropout.
    """
    drawn = kernel_init, recurrent_init, bias_init

    def whole(params, z, keep, mask):
        start = jnp.zeros((z.shape[1], units), z.dtype)
        return ops.gru(z, start, params["recurrent"], params["recurrent_bias"], mask=mask, keep=keep)

    def one(params, z, h):
        h = ops.gru_cell(z, h, params["recurrent"].astype(h.dtype), params["recurrent_bias"].astype(h.dtype))
        return h, h

    def initial(params, batch):
        return jnp.zeros((batch, units), wide_dtype(params["weight"].dtype))

    return _recurrent("gru", units, 3, drawn, recurrent_dropout, whole, one, initial)


@factory(Layer, traits=("ends_sequence",))
def last_position():
    """The last position of each sequence, `(batch, time, ...) -> (batch, ...)`; no parameters.

    It is the last one that is real; of a sequence of padding alone it is 0.

    Peers: Keras' recurrent layers with return_sequences=False; in PyTorch one takes h_n.

    Raises:
        InputError: x has no positions, or holds no floating numbers.
    """

    def init(key, spec):
        return {}, {}

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        check_floating("last_position", "x", x)
        if x.ndim < 2 or x.shape[1] == 0:
            fail("last_position", "x", "of shape (batch, time, ...), with at least one position", f" shape {x.shape}")
        if sequence_mask is None:
            return x[:, -1], state
        x = zero_padding(x, sequence_mask)
        place = jnp.max(jnp.where(sequence_mask.astype(bool), jnp.arange(x.shape[1])[None], 0), 1)
        return jnp.take_along_axis(x, place.reshape(-1, *(1,) * (x.ndim - 1)), 1)[:, 0], state

    return init, apply


def projected_input(name: str, params: Params, x: Array) -> Array:
    """x W + b for all positions, time first; for the cells whose second bias may join the first, with both."""
    bias = params["bias"] if name == "gru" else params["bias"] + params["recurrent_bias"]
    return ops.dense(jnp.swapaxes(x, 0, 1), params["weight"], bias)


def _plain(units: int) -> Initializer:
    bound = 1 / math.sqrt(units)
    return uniform(-bound, bound)


def _recurrent(
    name: str,
    units: int,
    gates: int,
    drawn: tuple[Initializer | None, ...],
    rate: Scalar | None,
    whole: Callable[..., Array],
    one: Callable[..., tuple[Array, Any]],
    initial: Callable[[Params, int], Any],
    features: int | None = None,
    more: Callable[[Key, Params, Any], Params] = lambda key, params, dtype: params,
) -> LayerFunctions:
    """The functions of a recurrent layer.

    Args:
        name: the layer's, for messages.
        units, gates: the axis of the outputs of the parameters has so many gates, each of so many units.
        drawn: the distributions of W, U and the biases, or None.
        rate: of the dropout in h U, or None.
        whole: the outputs `(time, batch, features)` from `(params, z, keep, mask)`, z the inputs' part.
        one: a position's output and carry from `(params, z, carry)`.
        initial: the carry at first from `(params, batch)`.
        features: of the output, where they are not the units.
        more: from `(key, params, dtype)` the parameters with what only this one has.
    """
    check_integer(name, "units", units)
    if rate is not None:
        check_range(name, "recurrent_dropout", rate, 0, 1, open_high=True)
    width = units if features is None else features

    def init(key, spec):
        check_floating(name, "spec", spec)
        if len(spec.shape) != 3 or spec.shape[-1] < 1:
            fail(name, "spec", "of shape (batch, time, features) with at least one", f" shape {tuple(spec.shape)}")

        def each_gate(parameter: str, initializer: Initializer | None, *rows: int) -> Array:
            draw, own = initializer or _plain(units), fold_name(key, parameter)
            return jnp.concatenate([draw(fold_name(own, str(g)), (*rows, units), spec.dtype) for g in range(gates)], -1)

        params = {
            "weight": each_gate("weight", drawn[0], spec.shape[-1]),
            "recurrent": each_gate("recurrent", drawn[1], width),
            "bias": each_gate("bias", drawn[2]),
            "recurrent_bias": each_gate("recurrent_bias", drawn[2]),
        }
        return more(key, params, spec.dtype), {}

    def check(params, x, axes, shape):
        known = params["weight"].shape[0]
        if x.ndim != axes or x.shape[-1] != known:
            fail(name, "x", f"of shape ({shape}, {known})", f" shape {x.shape}")
        if x.dtype != params["weight"].dtype:
            fail(name, "x", f"of the weight's dtype {params['weight'].dtype}", f" {x.dtype}")

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        check(params, x, 3, "batch, time")
        if sequence_mask is not None:
            x = zero_padding(x, sequence_mask)
        keep = keep_factor(name, rate, (x.shape[0], width), key, train, x.dtype)
        mask = None if sequence_mask is None else sequence_mask.T
        y = jnp.swapaxes(whole(params, projected_input(name, params, x), keep, mask), 0, 1)
        return (y if sequence_mask is None else zero_padding(y, sequence_mask)), state

    def step(params, carry, x):
        check(params, x, 2, "batch")
        z = projected_input(name, params, x[:, None])[0].astype(wide_dtype(x.dtype))
        y, carry = one(params, z, carry)
        return y.astype(x.dtype), carry

    return LayerFunctions(init, apply, start=initial, step=step)
