"""A loop that is linear in some of what it is given, with the way back through it written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxann.core.typing import Array

__all__ = ["linear_loop"]


def linear_loop(
    name: str,
    forward: Callable[..., tuple[Array, ...]],
    back: Callable[..., tuple[Array, ...]],
    kinds: Callable[..., list[ShapedArray]],
    linear: int = 1,
) -> Callable[..., tuple[Array, ...]]:
    """`forward(*given)` as an operation whose transpose is `back`.

    Args:
        name: of the operation, in programs.
        forward: from what is given to a tuple of arrays; linear in the first `linear` of what is given.
        back: `back(*cotangents, *others)`, from the cotangents of these arrays, and what else was given, to those of
            the linear ones.
        kinds: the types of the arrays, from those of what is given.
        linear: how many are linear.

    It has derivatives of any order, forward and backward: a change of the linear ones is the operation itself, a change
    of the others that of the plain loop. Members of a batch that is mapped over it go through the plain loop.
    """
    operation = Primitive(name)
    operation.multiple_results = True

    def derivative(primals: tuple, tangents: tuple) -> tuple[list, list]:
        found, others = operation.bind(*primals), primals[linear:]
        changes = []
        if not all(isinstance(t, ad.Zero) for t in tangents[:linear]):
            changes.append(operation.bind(*map(ad.instantiate_zeros, tangents[:linear]), *others))
        if not all(isinstance(t, ad.Zero) for t in tangents[linear:]):
            along = tuple(map(ad.instantiate_zeros, tangents[linear:]))
            changes.append(jax.jvp(lambda *given: forward(*primals[:linear], *given), others, along)[1])
        return found, [sum(terms[1:], terms[0]) for terms in zip(*changes, strict=True)]

    def transposed(cotangents: Any, *given: Any) -> list:
        others = given[linear:]
        return [*back(*map(ad.instantiate_zeros, cotangents), *others), *[None] * len(others)]

    def mapped(args: tuple, axes: tuple) -> tuple[list, list[int]]:
        found = jax.vmap(forward, in_axes=axes)(*args)
        return list(found), [0] * len(found)

    operation.def_impl(jax.jit(lambda *given: list(forward(*given))))
    operation.def_abstract_eval(kinds)
    ad.primitive_jvps[operation] = derivative
    ad.primitive_transposes[operation] = transposed
    batching.primitive_batchers[operation] = mapped
    mlir.register_lowering(operation, mlir.lower_fun(lambda *given: list(forward(*given)), multiple_results=True))
    return lambda *given: tuple(operation.bind(*given))
