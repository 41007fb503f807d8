"""Forward and backward pass, written out: the gradients of a whole model without automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.backprop.cost import cost_and_gradient
from jaxann.backprop.deltas import loss_pull
from jaxann.backprop.table import check_rules
from jaxann.backprop.trace import Forward, Trace
from jaxann.backprop.walk import Walk
from jaxann.core.checks import check_choice
from jaxann.core.trees import cast, wide_dtype
from jaxann.core.typing import Array, Key, Params, State
from jaxann.layers import as_layer

__all__ = ["backward", "forward", "value_and_grad"]


def forward(
    model: Any,
    params: Params,
    state: State,
    x: Array,
    key: Key | None = None,
    train: bool | str = True,
    *,
    mask: Array | None = None,
) -> Forward:
    """A^0 = x, Z^l = A^(l-1) W^l + b^l, A^l = f_l(Z^l) for l = 1..L, every number kept by the layer's name.

    The same numbers as `model.apply`, and with the same key the same draw.

    Args:
        model: any made of layers that have a rule.
        params, state: the model's.
        x: `(batch, ...)`.
        key: randomness, for a model that draws.
        train: training mode, as in `apply`.
        mask: `(batch,)`, 0 for padding.

    Raises:
        InputError: a layer or activation has no rule (the message names it and its path), or the model refuses x.
    """
    layer = as_layer(model, "backprop.forward")
    check_rules("backprop.forward", layer)
    walk = Walk(key, train, mask)
    step = walk.forward(layer, params, state, _on_device(x))
    return Forward(step.y, step.state, walk.layers())


def backward(
    model: Any,
    params: Params,
    state: State,
    x: Array,
    y: Any,
    loss: Callable[[Array, Any], Array],
    key: Key | None = None,
    train: bool | str = True,
    *,
    weights: Array | None = None,
    mask: Array | None = None,
) -> Trace:
    """G^L = dC/dA^L, D^l = G^l * f_l'(Z^l), dC/dW^l = A^(l-1)^T D^l, dC/db^l = sum of D^l, G^(l-1) = D^l W^l^T.

    The forward pass, the cost C and the backward pass, l = L..1, each layer by its own rule. The cost is the one that
    training minimizes without a penalty: the weighted mean of the loss. The gradients are those of automatic
    differentiation, to rounding, at the same cost when compiled. Every intermediate number comes back; inside a jitted
    function the unused ones are never stored.

    Args:
        model: any made of layers that have a rule: all of this library's, and yours by `layer_rule`.
        params, state: the model's.
        x: `(batch, ...)`.
        y: targets as the loss takes them.
        loss: one that has a rule: all of this library's, and yours by `loss_rule`. Settings are bound to it by
            `functools.partial`.
        key: randomness, for a model that draws.
        train: training mode, as in `apply`.
        weights: `(batch,)`, what each example counts for; None for ones.
        mask: `(batch,)`, 0 for padding, whose weights should be 0 too.

    Returns:
        A `Trace`: `loss`, `predictions`, `grads`, `input_grad`, `state`, and `layers`, what happened in each by name.

    Source: Rumelhart, Hinton and Williams 1986.

    Raises:
        InputError: a layer, an activation or the loss has no rule (the message names it), the loss does not fit the
            predictions, or the model refuses x.
    """
    layer = as_layer(model, "backprop.backward")
    loss_pull(loss)
    check_rules("backprop.backward", layer)
    x = _on_device(x)
    walk = Walk(key, train, mask)
    step = walk.forward(layer, params, state, x)
    cost, g = cost_and_gradient(loss, _wide(step.y), y, weights)
    got = step.back(g.astype(step.y.dtype))
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    return Trace(cost, step.y, got.grads, got.input_grad if floating else None, step.state, walk.layers())


def value_and_grad(
    model: Any, loss: Callable[[Array, Any], Array], *, train: bool | str = True, compute_dtype: str | None = None
) -> Callable[..., tuple[tuple[Array, tuple[Array, State]], Params]]:
    """`f(params, state, x, y, *, key, weights, mask) -> ((C, (predictions, new state)), gradients)`.

    For a training loop: it stands where `jax.value_and_grad(cost, has_aux=True)` would:

        gradient = ja.backprop.value_and_grad(model, loss)

        def step(carry, batch):
            params, state, memory = carry
            (cost, (predictions, state)), grads = gradient(params, state, *batch, key=key)
            updates, memory = optimizer.update(grads, memory, params)
            return (ja.optimizers.apply_updates(params, updates), state, memory), cost

    Args:
        model, loss: as in `backward`.
        train: training mode, as in `apply`.
        compute_dtype: "bfloat16" or "float16" for the layers' arithmetic; parameters, cost and gradients stay wide.

    Raises:
        InputError: a layer, an activation or the loss has no rule; the message names it.
    """
    layer = as_layer(model, "backprop.value_and_grad")
    if compute_dtype is not None:
        check_choice("backprop.value_and_grad", "compute_dtype", compute_dtype, ("bfloat16", "float16", "float32"))
    loss_pull(loss, "backprop.value_and_grad")
    check_rules("backprop.value_and_grad", layer)

    def value(
        params: Params,
        state: State,
        x: Array,
        y: Any,
        *,
        key: Key | None = None,
        weights: Array | None = None,
        mask: Array | None = None,
    ) -> tuple[tuple[Array, tuple[Array, State]], Params]:
        used, x = params, _on_device(x)
        if compute_dtype is not None:
            used, x = cast(params, compute_dtype), cast(x, compute_dtype)
        trace = backward(layer, used, state, x, y, loss, key, train, weights=weights, mask=mask)
        grads = jax.tree.map(lambda g, p: g.astype(p.dtype), trace.grads, params)
        return (trace.loss, (_wide(trace.predictions), trace.state)), grads

    return value


def _on_device(array: Any) -> Array:
    """A numpy array as JAX has it; jnp.asarray would compile a program before the model's own checks speak."""
    return array if isinstance(array, jax.Array) else jax.device_put(np.asarray(array))


def _wide(predictions: Array) -> Array:
    """In float32 or better, which is what a cost is computed in."""
    wide = wide_dtype(predictions.dtype)
    return predictions if predictions.dtype == wide else predictions.astype(wide)
