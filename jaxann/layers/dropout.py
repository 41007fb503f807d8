"""The dropout layer."""

from __future__ import annotations

from jaxann.core.checks import check_floating, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.ops import dropout as drop

__all__ = ["dropout"]


@factory(Layer)
def dropout(rate: Scalar):
    """In training, each number is dropped with probability `rate` and the rest divided by 1 - rate; else nothing.

    Args:
        rate: probability of *dropping*, in [0, 1); may be traced, so that another rate compiles nothing.

    No parameters. Not for the output layer. Source: Srivastava et al. 2014.

    Raises:
        InputError: the rate is out of range, or `train=True` comes without a key.
    """
    check_range("dropout", "rate", rate, 0, 1, open_high=True)

    def init(key, spec):
        return {}, {}

    def apply(params, state, x, *, key=None, train=False):
        check_floating("dropout", "x", x)
        if not train:
            return x, state
        if key is None:
            fail("dropout", "key", "given when train=True", None)
        return drop(x, key, rate), state

    return init, apply
