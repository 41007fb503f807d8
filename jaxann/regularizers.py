"""Penalties: terms of the training objective that are functions of the parameters alone, `params -> scalar`.

They are sums, not means: twice the weights, twice the penalty. The sums are kept in float32 or better. Which leaves are
meant says `mask`: weight matrices and kernels unless told otherwise, never biases, norms' scales or slopes; a path
pattern, several of them, or a rule `(name, leaf) -> bool`; None for all. Weight decay is another thing: a penalty
goes through the optimizer as part of the gradient, so that Adam divides it by the gradient's size; `adamw` decays past
it.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, chosen, matrices, selector
from jaxann.core.products import Penalty
from jaxann.core.trees import flatten_named, sum_of_squares, wide_dtype
from jaxann.core.typing import Array, Params, Scalar

__all__ = ["elastic_net", "l1_penalty", "l2_penalty", "l2_sp"]


@factory(Penalty)
def l2_penalty(strength: Scalar, *, half: bool = False, mask: Selection = matrices):
    """P = strength sum w^2; gradient 2 strength w. With half, strength sum w^2 / 2; gradient strength w.

    Args:
        strength: at least 0.
        half: whether to take half of it.
        mask: which leaves are meant.

    Plain descent of rate eta shrinks a weight by 1 - 2 eta strength in each step (1 - eta strength with half).

    Peers: as Keras' regularizers.L2; with half=True as the weight_decay of PyTorch's SGD and Adam, and scikit-learn's
    alpha.

    Source: Hoerl and Kennard 1970.

    Raises:
        InputError: the strength is negative, or (when called) the mask means no leaf.
    """
    check_range("l2_penalty", "strength", strength, 0)
    selector("l2_penalty", "mask", mask)
    factor = 0.5 if half else 1.0

    def penalty(params):
        leaves = _meant("l2_penalty", mask, params).values()
        return _total(
            _times(jnp.asarray(strength, wide_dtype(leaf.dtype)), sum_of_squares(leaf)) * factor for leaf in leaves
        )

    return penalty


@factory(Penalty)
def l1_penalty(strength: Scalar, *, mask: Selection = matrices):
    """P = strength sum |w|; gradient strength sgn(w), 0 at w = 0.

    Descent along this gradient leaves small weights, not zeros; zeros take the proximal step after the optimizer's.

    Args:
        strength: at least 0.
        mask: which leaves are meant.

    Peers: as Keras' regularizers.L1; PyTorch and optax have none.

    Source: Tibshirani 1996.

    Raises:
        InputError: the strength is negative, or (when called) the mask means no leaf.
    """
    check_range("l1_penalty", "strength", strength, 0)
    selector("l1_penalty", "mask", mask)

    def penalty(params):
        leaves = _meant("l1_penalty", mask, params).values()
        return _total(_times(jnp.asarray(strength, wide_dtype(leaf.dtype)), _sum_of_sizes(leaf)) for leaf in leaves)

    return penalty


@factory(Penalty)
def elastic_net(strength: Scalar, l1_ratio: Scalar = 0.5, *, half: bool = False, mask: Selection = matrices):
    """P = strength (r sum |w| + (1 - r) sum w^2), r = l1_ratio; with half, the second sum counts half.

    Args:
        strength: at least 0.
        l1_ratio: in [0, 1]; 1 is `l1_penalty`, 0 is `l2_penalty`.
        half: whether the squares count half.
        mask: which leaves are meant.

    Peers: with half=True as scikit-learn's ElasticNet (alpha, l1_ratio); Keras' regularizers.L1L2 has a strength for
    each sum; PyTorch and optax have none.

    Source: Zou and Hastie 2005.

    Raises:
        InputError: a number is out of range, or (when called) the mask means no leaf.
    """
    check_range("elastic_net", "strength", strength, 0)
    check_range("elastic_net", "l1_ratio", l1_ratio, 0, 1)
    selector("elastic_net", "mask", mask)
    factor = 0.5 if half else 1.0

    def one(leaf):
        wide = wide_dtype(leaf.dtype)
        ratio = jnp.asarray(l1_ratio, wide)
        both = _times(ratio, _sum_of_sizes(leaf)) + _times((1 - ratio) * factor, sum_of_squares(leaf))
        return _times(jnp.asarray(strength, wide), both)

    return lambda params: _total(map(one, _meant("elastic_net", mask, params).values()))


@factory(Penalty)
def l2_sp(strength: Scalar, reference: Params, *, half: bool = False, mask: Selection = None):
    """P = strength sum (w - w0)^2, w0 the weight of that name in the reference; half of it with half.

    Fine-tuning that stays near where it began. Leaves that the reference does not have, such as a new head, are left
    out: give them a penalty of their own.

    Args:
        strength: at least 0.
        reference: nested dicts of arrays, such as the parameters of a trained model; not trained.
        half: whether to take half of it.
        mask: which leaves are meant; all of them unless told otherwise.

    Peers: PyTorch, Keras and optax have none.

    Source: Li, Grandvalet and Davoine 2018.

    Raises:
        InputError: the strength is negative, the reference has no arrays, or (when called) a leaf has another shape
            than in the reference, or no leaf of that name is meant.
    """
    check_range("l2_sp", "strength", strength, 0)
    selector("l2_sp", "mask", mask)
    factor = 0.5 if half else 1.0
    before = flatten_named(reference)
    if not before or not all(hasattr(leaf, "shape") for leaf in before.values()):
        fail("l2_sp", "reference", "nested dicts of arrays", reference)

    def penalty(params):
        leaves = {name: leaf for name, leaf in _meant("l2_sp", mask, params).items() if name in before}
        if not leaves:
            fail("l2_sp", "reference", "parameters with a name in common", f" {', '.join(before)}")
        for name, leaf in leaves.items():
            if np.shape(leaf) != np.shape(before[name]):
                shapes = np.shape(leaf), np.shape(before[name])
                fail("l2_sp", "reference", f"of shape {shapes[0]} at {name}", f" shape {shapes[1]}")
        terms = []
        for name, leaf in leaves.items():
            wide = wide_dtype(leaf.dtype)
            apart = leaf.astype(wide) - jnp.asarray(before[name]).astype(wide)
            terms.append(_times(jnp.asarray(strength, wide), sum_of_squares(apart)) * factor)
        return _total(terms)

    return penalty


def _meant(function: str, mask: Selection, params: Params) -> dict[str, Array]:
    """The floating-point leaves that are meant, by name."""
    flags = flatten_named(chosen(function, "mask", mask, params))
    leaves = {name: leaf for name, leaf in flatten_named(params).items() if flags[name]}
    return {name: leaf for name, leaf in leaves.items() if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)}


def _sum_of_sizes(leaf: Array) -> Array:
    leaf = leaf.astype(wide_dtype(leaf.dtype))
    return jnp.sum(leaf * lax.stop_gradient(jnp.sign(leaf)))  # the slope of jnp.abs at 0 is 1


def _times(factor: Array, total: Array) -> Array:
    """The product, 0 of a factor of 0 and a sum that has overflowed; its slope by a factor of 0 is the sum."""
    return factor * jnp.where((factor == 0) & jnp.isinf(total), 0, total)


def _total(terms: Any) -> Array:
    """The sum of scalars, in the widest of their dtypes."""
    terms = list(terms)
    if not terms:
        return jnp.zeros((), jnp.result_type(float))
    wide = jnp.result_type(*terms) if len({t.dtype for t in terms}) == 1 else jnp.float64
    total = terms[0].astype(wide)
    for term in terms[1:]:
        total = total + term.astype(wide)
    return total
