"""How much each column by itself tells of the targets."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.typing import Array
from jaxann.preprocessing.columns import namespace, nonzero, rowwise
from jaxann.preprocessing.moments import moments, variance

__all__ = ["SCORES"]


def _centred(values: Array, real: Array) -> Array:
    """What each number differs by from its column's mean, divided by the column's deviation; 0 where it is missing, and
    in a constant column.
    """
    xp = namespace(values)
    sums = moments(values)
    varied = variance(sums)
    off = xp.where(real, values - rowwise(sums["mean"], values), 0) / rowwise(nonzero(xp.sqrt(varied)), values)
    return xp.where(rowwise(varied == 0, values), 0, off)


def _pearson(values: Array, targets: Array) -> tuple[Array, Array]:
    """r and the number of examples that count, of each column."""
    xp = namespace(values, targets)
    real = ~xp.isnan(values)
    y = xp.where(real, xp.broadcast_to(targets[:, None], values.shape), np.nan)  # its mean is that of the same examples
    count = xp.sum(real, 0).astype(values.dtype)
    r = xp.sum(_centred(values, real) * _centred(y, real), 0) / xp.maximum(count, 1)
    return xp.clip(r, -1, 1), count


def _correlation(values: Array, targets: Array) -> Array:
    return namespace(values, targets).abs(_pearson(values, targets)[0])


def _f_regression(values: Array, targets: Array) -> Array:
    r, count = _pearson(values, targets)
    return _ratio(r * r * (count - 2), 1 - r * r)


def _f_classification(values: Array, targets: Array) -> Array:
    xp = namespace(values, targets)
    real = ~xp.isnan(values)
    x = _centred(values, real)
    groups, number = _groups(targets)
    members, total = (_by_group(n, groups, number) for n in (real.astype(x.dtype), x))
    means = total / xp.maximum(members, 1)
    inside = xp.where(real, x - means[groups], 0)
    classes = xp.sum(members > 0, 0).astype(x.dtype)
    between = xp.sum(members * means * means, 0) / xp.maximum(classes - 1, 1)
    free = xp.sum(real, 0).astype(x.dtype) - classes
    return _ratio(between * free, xp.sum(inside * inside, 0))


def _groups(targets: Array) -> tuple[Array, int]:
    """The number of each target's group, and how many there are at most; missing targets are in groups of theirs."""
    if not isinstance(targets, jax.Array):
        names, groups = np.unique(targets, return_inverse=True)
        return groups, len(names)
    order = jnp.argsort(targets)
    ordered = targets[order]
    new = jnp.concatenate([jnp.zeros(1, bool), ordered[1:] != ordered[:-1]])
    return jnp.zeros(len(targets), np.int32).at[order].set(jnp.cumsum(new).astype(np.int32)), len(targets)


def _by_group(values: Array, groups: Array, number: int) -> Array:
    if isinstance(values, jax.Array):
        return jax.ops.segment_sum(values, groups, number)
    found = np.zeros((number, values.shape[1]))
    np.add.at(found, groups, values)
    return found


def _ratio(above: Array, below: Array) -> Array:
    """The largest number for something above nothing; 0 for nothing, and where there are too few examples."""
    xp = namespace(above)
    most = float(np.finfo(above.dtype).max)
    ratio = xp.where(below > 0, above / xp.where(below > 0, below, 1), most)
    return xp.where(above > 0, ratio, 0)


SCORES = {"correlation": _correlation, "f_classification": _f_classification, "f_regression": _f_regression}
