"""Beginnings that look at the data: weights scaled to the layers' outputs, biases that predict the prior."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import (
    check_host_leaves,
    check_integer,
    check_key,
    check_range,
    check_unmasked,
    fail,
    is_concrete,
)
from jaxann.core.keys import fold_name
from jaxann.core.trees import flatten_named, map_named, wide_dtype
from jaxann.core.typing import Array, Inputs, Key, Params, Scalar
from jaxann.initializers.matrices import orthogonal

__all__ = ["log_prior", "lsuv"]


def lsuv(
    apply: Callable[[Params, Inputs], Mapping[str, Array]],
    params: Params,
    batch: Inputs,
    *,
    key: Key,
    tol: Scalar = 0.1,
    max_iter: int = 10,
) -> Params:
    """W <- W / sd(output of its layer), layer after layer from orthonormal W, until |variance - 1| < tol.

    Layer-sequential unit variance: every layer is measured on the data after the ones before it are done, so any
    activation and any depth begins with a signal of variance 1.

    Args:
        apply: `(params, batch) -> {name: output}`, the layers in the order of the computation;
            `layers.layer_outputs(model, state)` makes it from a sequential model. The weight of a layer is the
            parameter `<name>.weight`; layers without one are passed over.
        params: parameters; their weights are drawn anew, the rest stays.
        batch: what `apply` takes: some hundred examples.
        key: randomness of the orthonormal weights.
        tol: positive; how far the variance may be from 1.
        max_iter: divisions a layer at most.

    Returns:
        New parameters.

    Source: Mishkin and Matas 2016.

    Peers: none of PyTorch, Keras and jax.nn has it.

    Raises:
        InputError: no name belongs to a weight, the key is not one typed key, tol is not positive, or max_iter is no
            integer of at least 0.
    """
    check_key("lsuv", key)
    check_range("lsuv", "tol", tol, 0, open_low=True)
    check_integer("lsuv", "max_iter", max_iter, 0)
    check_unmasked("lsuv", "params", params)
    check_unmasked("lsuv", "batch", batch)
    named = flatten_named(params)
    layers = _names(apply, params, batch)
    order = [name for name in layers if f"{name}.weight" in named]
    if not order:
        fail("lsuv", "apply", "a function whose names are those of layers with a parameter 'weight'",
             f" {', '.join(layers) or 'none'}", hint=f"The parameters are {', '.join(named)}.")  # fmt: skip
    orthonormal = orthogonal()
    weights = {
        n: orthonormal.functions(fold_name(key, n), named[f"{n}.weight"].shape, named[f"{n}.weight"].dtype)
        for n in order
    }

    def placed(weights: dict[str, Array]) -> Params:
        full = {f"{name}.weight": weight for name, weight in weights.items()}
        return map_named(lambda name, leaf: full.get(name, leaf), params)

    def variance(output: Array) -> Array:
        return jnp.var(output.astype(wide_dtype(output.dtype))).astype(jnp.float32)

    def body(carry):
        at, tries, weights = carry
        found = apply(placed(weights), batch)
        here = jnp.stack([variance(found[name]) for name in order])[at]
        usable = jnp.isfinite(here) & (here > 0)
        done = (jnp.abs(here - 1) < jnp.asarray(tol, jnp.float32)) | (tries >= max_iter) | ~usable
        factor = jnp.where(done, 1, lax.rsqrt(jnp.where(usable, here, 1)))
        scaled = {
            name: (w * jnp.where(at == i, factor, 1).astype(w.dtype)) for i, (name, w) in enumerate(weights.items())
        }
        return jnp.where(done, at + 1, at), jnp.where(done, 0, tries + 1), scaled

    start = (jnp.int32(0), jnp.int32(0), weights)
    return placed(lax.while_loop(lambda carry: carry[0] < len(order), body, start)[2])


def _names(apply: Callable[..., Mapping[str, Array]], params: Params, batch: Inputs) -> list[str]:
    """The layers in the order of the computation; a dict that JAX hands back would be sorted."""
    found: list[str] = []

    def collect(params, batch):
        named = apply(params, batch)
        if not isinstance(named, Mapping):
            fail("lsuv", "apply", "a function that returns a dict from name to output", f" {type(named).__name__}")
        found.extend(named)
        return ()

    jax.eval_shape(collect, params, batch)
    return found


def _columns(targets: Array) -> Array:
    """(n, outputs) in float32 or better."""
    columns = jnp.reshape(jnp.asarray(targets), (np.shape(targets)[0], -1))
    floating = jnp.issubdtype(columns.dtype, jnp.floating)
    return columns.astype(wide_dtype(columns.dtype) if floating else jnp.float32)


def log_prior(targets: Array, *, classes: int | None = None) -> Array:
    """b_k = log(n_k / n) over classes; log(p / (1 - p)) for one logit; the mean of the targets in regression.

    As the bias of the output layer, beside small weights (`output_init`), it spares training the first steps, which
    would only learn how frequent the classes are: `dense(10, bias_init=constant(log_prior(y, classes=10)))`.

    Args:
        targets: labels 0..classes-1 `(n,)` for two classes or more; 0/1 `(n,)` or `(n, labels)` for `classes=1`;
            numbers `(n,)` or `(n, outputs)` for None.
        classes: number of classes of a softmax; 1 for the logit of a sigmoid (of each label); None for regression.

    Returns:
        `(classes,)`, `(labels,)` or `(outputs,)`, in float32 or better. A class without an example counts as half of
        one, so that every bias is finite.

    Peers: PyTorch, Keras and scikit-learn leave it to the user.

    Raises:
        InputError: there is no example, the shape or a label does not fit, or classes is no positive integer.
    """
    shape = np.shape(targets)
    check_host_leaves("log_prior", "targets", targets)
    if classes is not None:
        check_integer("log_prior", "classes", classes)
    ranks = (1,) if classes is not None and classes > 1 else (1, 2)
    if len(shape) not in ranks or shape[0] == 0:
        expected = "(n,)" if ranks == (1,) else "(n,) or (n, outputs)"
        fail("log_prior", "targets", f"of shape {expected} with at least one example", f" shape {shape}")
    if classes is None:
        check_range("log_prior", "targets", targets, arrays=True)
        return jnp.mean(_columns(targets), 0)
    check_range("log_prior", "targets", targets, 0, max(classes - 1, 1), arrays=True)
    if classes == 1:
        columns = _columns(targets)
        ones, none = jnp.sum(columns, 0), jnp.sum(1 - columns, 0)
        return jnp.log(jnp.maximum(ones, 0.5) / jnp.maximum(none, 0.5))
    if is_concrete(targets) and np.any(np.asarray(targets) != np.round(np.asarray(targets))):
        fail("log_prior", "targets", "whole numbers, the labels", targets)
    # whole numbers: a float32 stands still at 2^24
    counts = jnp.zeros((classes,), jnp.int32).at[jnp.asarray(targets).astype(jnp.int32)].add(1)
    empty = (counts == 0).astype(jnp.float32)
    total = shape[0] + jnp.sum(empty) / 2
    share = (counts.astype(jnp.float32) + empty / 2) / total
    rest = ((shape[0] - counts).astype(jnp.float32) + (jnp.sum(empty) - empty) / 2) / total
    common = share > 0.5  # what is left of 1 has the digits
    return jnp.where(common, jnp.log1p(-jnp.where(common, rest, 0)), jnp.log(share))
