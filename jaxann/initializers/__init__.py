"""Initial weights: factories of `(key, shape, dtype) -> array`, and beginnings that look at the data.

Fans of a weight: dense `(in, out)`, convolution `(height, width, in / groups, out)`;
fan_in = receptive field * in, fan_out = receptive field * out. Initializers whose variance follows from the fans keep
the second moment of the signal: He for relu (slope 0 on half the line), Glorot for functions with slope 1 at 0, LeCun
for the linear unit.
"""

from jaxann.initializers.data import log_prior, lsuv
from jaxann.initializers.distributions import constant, normal, ones, truncated_normal, uniform, zeros
from jaxann.initializers.matrices import delta_orthogonal, dirac, identity, orthogonal, sparse
from jaxann.initializers.scaling import (
    fans,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    torch_linear,
    variance_scaling,
)
from jaxann.initializers.selection import gain, init_for, output_init

__all__ = [
    "constant",
    "delta_orthogonal",
    "dirac",
    "fans",
    "gain",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "init_for",
    "lecun_normal",
    "lecun_uniform",
    "log_prior",
    "lsuv",
    "normal",
    "ones",
    "orthogonal",
    "output_init",
    "sparse",
    "torch_linear",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "zeros",
]
