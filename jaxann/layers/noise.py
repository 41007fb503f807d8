"""The layers of Gaussian noise."""

from __future__ import annotations

from jaxann import ops
from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.layers.dropout import noisy

__all__ = ["gaussian_dropout", "gaussian_noise"]


@factory(Layer, traits=("positionwise",))
def gaussian_noise(stddev: Scalar):
    """y = x + n in training, n ~ N(0, stddev^2) for each number; else y = x.

    Args:
        stddev: at least 0; in the units of x.

    No parameters.

    Peers: as Keras' GaussianNoise; PyTorch has none by that name.

    Source: Bishop 1995.

    Raises:
        InputError: stddev is negative, or `train=True` comes without a key.
    """
    check_range("gaussian_noise", "stddev", stddev, 0)
    return noisy("gaussian_noise", lambda x, key: ops.gaussian_noise(x, key, stddev))


@factory(Layer, traits=("positionwise",))
def gaussian_dropout(rate: Scalar):
    """y = x n in training, n ~ N(1, rate / (1 - rate)) for each number; else y = x.

    Args:
        rate: the rate of the dropout whose mean and variance it has, in [0, 1).

    No parameters.

    Peers: as Keras' GaussianDropout; PyTorch has none by that name.

    Source: Srivastava et al. 2014.

    Raises:
        InputError: the rate is out of range, or `train=True` comes without a key.
    """
    check_range("gaussian_dropout", "rate", rate, 0, 1, open_high=True)
    return noisy("gaussian_dropout", lambda x, key: ops.gaussian_dropout(x, key, rate))
