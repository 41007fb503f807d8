"""The dense layer whose weights are dropped."""

from __future__ import annotations

import jax

from jaxann import ops
from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Initializer, Layer
from jaxann.core.typing import Scalar
from jaxann.layers.dense import dense

__all__ = ["drop_connect_dense"]


@factory(Layer, static=("units", "per_example"), traits=("outputs_last", "positionwise"))
def drop_connect_dense(
    units: int,
    rate: Scalar,
    *,
    per_example: bool = False,
    use_bias: bool = True,
    kernel_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """z = x (W m / (1 - rate)) + b in training, m = 1 with probability 1 - rate for each weight; else z = x W + b.

    Args:
        units: number of outputs.
        rate: probability of dropping a weight, in [0, 1).
        per_example: whether each example (first axis) has a mask of its own, `(batch, in, units)`; else one for all.
        use_bias: whether there is a b; it is not dropped.
        kernel_init, bias_init: as in `dense`.

    Parameters: `weight` `(in, units)`, `bias` `(units,)`, those of `dense`.

    Peers: PyTorch and Keras have none; the paper draws a mask for each example, masks b too, and at test time draws
    from the Gaussian of the mean and variance where this one takes the mean.

    Source: Wan et al. 2013.

    Raises:
        InputError: as `dense`, the rate is out of range, or `train=True` comes without a key.
    """
    check_range("drop_connect_dense", "rate", rate, 0, 1, open_high=True)
    whole = dense(units, use_bias=use_bias, kernel_init=kernel_init, bias_init=bias_init)

    def apply(params, state, x, *, key=None, train=False):
        if not train:
            return whole.apply(params, state, x)
        if key is None:
            fail("drop_connect_dense", "key", "given when train=True", None)
        if per_example and x.ndim > 1:
            keys = jax.random.split(key, x.shape[0])
            return jax.vmap(lambda row, k: _connected(whole, params, row, k, rate))(x, keys), state
        return _connected(whole, params, x, key, rate), state

    return whole.init, apply


def _connected(whole, params, x, key, rate):
    return whole.apply(params | {"weight": ops.dropout(params["weight"], key, rate)}, {}, x)[0]
