"""The residual block that is sometimes left out."""

from __future__ import annotations

import jax

from jaxann import ops
from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.layers.base import as_layer, residual, run_child
from jaxann.ops.once import computed_once

__all__ = ["stochastic_depth"]


@factory(
    Layer,
    convert={
        "body": lambda v: as_layer(v, "stochastic_depth", "body"),
        "skip": lambda v: v if v is None else as_layer(v, "stochastic_depth", "skip"),
    },
)
def stochastic_depth(body: Layer, rate: Scalar, *, skip: Layer | None = None):
    """y = skip(x) + body(x) b / (1 - rate) in training, b = 1 with probability 1 - rate for each example;
    else y = skip(x) + body(x).

    Args:
        body: the branch.
        rate: probability of leaving the branch out, in [0, 1); in block l of L customarily rate = (l / L) of the last.
        skip: the other side, the identity when None.

    Parameters and state: those of `residual`, under `body` and `skip`. The branch is computed for every example,
    whether it is left out or not.

    Peers: PyTorch and Keras have none; the paper drops a branch for the whole batch, and scales at test time instead.

    Source: Huang et al. 2016.

    Raises:
        InputError: the rate is out of range, the two sides have different shapes, or `train=True` comes without a key.
    """
    check_range("stochastic_depth", "rate", rate, 0, 1, open_high=True)
    whole = residual(body, skip)

    def apply(params, state, x, *, key=None, train=False, **context):
        if not train:
            return whole.apply(params, state, x, key=key, **context)
        if key is None:
            fail("stochastic_depth", "key", "given when train=True", None)
        x = jax.tree.map(computed_once, x)
        y, after = run_child(body, "body", params, state, x, key=key, train=train, **context)
        y = ops.stochastic_depth(y, fold_name(key, "depth"), rate)
        straight, other = x, {}
        if skip is not None:
            straight, changed = run_child(skip, "skip", params, state, x, key=key, train=train, **context)
            other = {"skip": changed}
        if y.shape != straight.shape:
            fail("stochastic_depth", "body", f"of the same output shape as the skip, {straight.shape}", f" {y.shape}")
        return straight + y, {"body": after, **other}

    return whole.functions._replace(apply=apply)
