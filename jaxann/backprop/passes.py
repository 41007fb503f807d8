"""Forward and backward pass, written out: the gradients of a whole model without automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxann.backprop.cost import cost_and_gradient
from jaxann.backprop.registry import check_rules, loss_vjp
from jaxann.backprop.step import Context
from jaxann.backprop.trace import Forward, Trace
from jaxann.backprop.walk import Walk, floating
from jaxann.core.checks import check_choice, check_host_leaves, fail
from jaxann.core.modes import TrainMode, check_train
from jaxann.core.padding import Padded, is_padded, zero_padding
from jaxann.core.products import Layer
from jaxann.core.trees import cast, wide_dtype
from jaxann.core.typing import Array, Inputs, Key, Loss, Params, Predictions, State, Targets
from jaxann.layers import as_layer
from jaxann.losses.domains import check_domain

__all__ = ["backward", "forward", "value_and_grad"]


def forward(
    model: Layer,
    params: Params,
    state: State,
    x: Inputs | Padded,
    key: Key | None = None,
    train: bool | TrainMode = True,
    *,
    example_mask: Array | None = None,
    sequence_mask: Array | None = None,
) -> Forward:
    """A^0 = x, Z^l = A^(l-1) W^l + b^l, A^l = f_l(Z^l) for l = 1..L, every number kept by the layer's name.

    The same numbers as `model.apply`, and with the same key the same draw.

    Args:
        model: any made of layers that have a rule.
        params, state: the model's.
        x: `(batch, ...)`, `Padded` sequences, or a tree of arrays, as the model takes it.
        key: randomness, for a model that draws.
        train: training mode, as in `apply`.
        example_mask: `(batch,)`, 0 for padding.
        sequence_mask: `(batch, time)`, 0 for padded positions of sequences; `Padded` x has its own.

    Raises:
        InputError: a layer or activation has no rule (the message names it and its path), `train` is no mode, a mask
            does not fit, or the model refuses x.
    """
    layer = as_layer(model, "backprop.forward")
    check_rules("backprop.forward", layer)
    check_host_leaves("backprop.forward", "params", params)
    x, context = _read("backprop.forward", x, train, example_mask, sequence_mask)
    walk = Walk(key, context)
    step = walk.forward(layer, params, state, x)
    return Forward(step.y, step.state, walk.layers())


def backward(
    model: Layer,
    params: Params,
    state: State,
    x: Inputs | Padded,
    y: Targets,
    loss: Loss,
    key: Key | None = None,
    train: bool | TrainMode = True,
    *,
    weights: Array | None = None,
    example_mask: Array | None = None,
    sequence_mask: Array | None = None,
) -> Trace:
    """G^L = dC/dA^L, D^l = G^l * f_l'(Z^l), dC/dW^l = A^(l-1)^T D^l, dC/db^l = sum of D^l, G^(l-1) = D^l W^l^T.

    The forward pass, the cost C and the backward pass, l = L..1, each layer by its own rule. The cost is the one that
    training minimizes without a penalty: the weighted mean of the loss. The gradients are those of automatic
    differentiation, to rounding, at the same cost when compiled. Every intermediate number comes back; inside a jitted
    function the unused ones are never stored.

    Args:
        model: any made of layers that have a rule: all of this library's, and yours by `layer_rule`.
        params, state: the model's.
        x: `(batch, ...)`, `Padded` sequences, or a tree of arrays, as the model takes it.
        y: targets as the loss takes them; `Padded` ones count at their real positions.
        loss: one that has a rule: all of this library's, and yours by `loss_rule`. Settings are bound to it by
            `functools.partial`.
        key: randomness, for a model that draws.
        train: training mode, as in `apply`.
        weights: `(batch,)`, what each example counts for, or of the shape of the loss's values; None for ones.
        example_mask: `(batch,)`, 0 for padding, whose weights should be 0 too.
        sequence_mask: `(batch, time)`, 0 for padded positions of sequences; `Padded` x has its own. Give `Padded`
            targets too where the loss has values for positions.

    Returns:
        A `Trace`: `loss`, `predictions`, `grads`, `input_grad`, `state`, and `layers`, what happened in each by name.

    Source: Rumelhart, Hinton and Williams 1986.

    Raises:
        InputError: a layer, an activation or the loss has no rule (the message names it), the loss does not fit the
            predictions or takes no such targets, `train` is no mode, a mask does not fit, or the model refuses x.
    """
    layer = as_layer(model, "backprop.backward")
    loss_vjp(loss)
    check_rules("backprop.backward", layer)
    for argument, value in (("params", params), ("y", y), ("weights", weights)):
        check_host_leaves("backprop.backward", argument, value)
    check_domain("backprop.backward", "y", loss, y, weights)
    x, context = _read("backprop.backward", x, train, example_mask, sequence_mask)
    walk = Walk(key, context)
    step = walk.forward(layer, params, state, x)
    values, y = _with_masks(step.y, y)
    cost, g = cost_and_gradient(loss, _wide(values), y, weights)
    got = step.vjp(jax.tree.map(lambda by, p: by.astype(p.dtype), g, values))
    return Trace(cost, step.y, got.grads, got.input_grad if floating(x) else None, step.state, walk.layers())


def value_and_grad(
    model: Layer, loss: Loss, *, train: bool | TrainMode = True, compute_dtype: str | None = None
) -> Callable[..., tuple[tuple[Array, tuple[Predictions, State]], Params]]:
    """`f(params, state, x, y, *, key, weights, example_mask, sequence_mask) -> ((C, (predictions, state)), gradients)`.

    For a training loop: it stands where `jax.value_and_grad(cost, has_aux=True)` would:

        gradient = ja.backprop.value_and_grad(model, loss)

        def step(carry, batch):
            params, state, opt_state = carry
            (cost, (predictions, state)), grads = gradient(params, state, *batch, key=key)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return (ja.optimizers.apply_updates(params, updates), state, opt_state), cost

    Args:
        model, loss: as in `backward`.
        train: training mode, as in `apply`.
        compute_dtype: "bfloat16" or "float16" for the layers' arithmetic; parameters, cost and gradients stay wide.

    Raises:
        InputError: a layer, an activation or the loss has no rule (the message names it), or `train` is no mode.
    """
    layer = as_layer(model, "backprop.value_and_grad")
    train = check_train("backprop.value_and_grad", train)
    if compute_dtype is not None:
        check_choice("backprop.value_and_grad", "compute_dtype", compute_dtype, ("bfloat16", "float16", "float32"))
    loss_vjp(loss, "backprop.value_and_grad")
    check_rules("backprop.value_and_grad", layer)

    def value(
        params: Params,
        state: State,
        x: Inputs | Padded,
        y: Targets,
        *,
        key: Key | None = None,
        weights: Array | None = None,
        example_mask: Array | None = None,
        sequence_mask: Array | None = None,
    ) -> tuple[tuple[Array, tuple[Predictions, State]], Params]:
        used, (x, context) = params, _read("backprop.value_and_grad", x, train, example_mask, sequence_mask)
        if compute_dtype is not None:
            used, x = cast(params, compute_dtype), cast(x, compute_dtype)
        trace = backward(layer, used, state, x, y, loss, key, weights=weights, **context._asdict())
        grads = jax.tree.map(lambda g, p: g.astype(p.dtype), trace.grads, params)
        return (trace.loss, (_wide(trace.predictions), trace.state)), grads

    return value


def _read(function: str, x: Any, train: Any, example_mask: Any, sequence_mask: Any) -> tuple[Inputs, Context]:
    """Inputs as JAX arrays, and what all layers are told beside them, checked."""
    train = check_train(function, train)
    for argument, value in (("x", x), ("example_mask", example_mask), ("sequence_mask", sequence_mask)):
        check_host_leaves(function, argument, value)
    if is_padded(x):
        if sequence_mask is not None:
            fail(function, "sequence_mask", "None where x is Padded, which has a mask of its own", sequence_mask)
        mask = _on_device(x.mask)
        x, sequence_mask = jax.tree.map(lambda leaf: zero_padding(_on_device(leaf), mask), x.values), mask
    elif isinstance(x, dict | tuple) and all(hasattr(leaf, "dtype") for leaf in jax.tree.leaves(x)):
        x = jax.tree.map(_on_device, x)
    else:
        x = _on_device(x)
    masks = [_mask(function, "example_mask", example_mask, 1, x), _mask(function, "sequence_mask", sequence_mask, 2, x)]
    return x, Context(train, *masks)


def _with_masks(predictions: Any, targets: Any) -> tuple[Any, Any]:
    """Predictions without the masks that arose inside the model, and targets with them where they have none."""
    if isinstance(predictions, Padded):
        return predictions.values, targets if is_padded(targets) else Padded(targets, predictions.mask)
    if isinstance(predictions, dict):
        known = targets if isinstance(targets, dict) else {}
        pairs = {name: _with_masks(one, known.get(name)) for name, one in predictions.items()}
        wrapped = {name: pairs[name][1] if name in pairs else one for name, one in known.items()}
        return {name: values for name, (values, _) in pairs.items()}, wrapped if known else targets
    return predictions, targets


def _mask(function: str, argument: str, mask: Any, axes: int, x: Inputs) -> Array | None:
    """A mask over the leading axes of x; of several inputs some may be no sequences."""
    if mask is None:
        return None
    mask = _on_device(mask)
    if mask.ndim != axes:
        shape = "(batch,)" if axes == 1 else "(batch, time)"
        hint = "Padded rows are example_mask=, padded positions of sequences are sequence_mask=."
        fail(function, argument, f"of shape {shape}", f" shape {mask.shape}", hint=hint)
    for leaf in jax.tree.leaves(x) if axes == 1 or hasattr(x, "shape") else ():
        if leaf.shape[:axes] != mask.shape:
            fail(function, argument, f"of x's leading shape {leaf.shape[:axes]}", f" shape {mask.shape}")
    return mask


def _on_device(array: Any) -> Array:
    """A numpy array as JAX has it; jnp.asarray would compile a program before the model's own checks speak."""
    return array if isinstance(array, jax.Array) else jax.device_put(np.asarray(array))


def _wide(predictions: Any) -> Any:
    """In float32 or better, which is what a cost is computed in."""

    def wide(leaf: Array) -> Array:
        dtype = wide_dtype(leaf.dtype)
        return leaf if leaf.dtype == dtype else leaf.astype(dtype)

    return jax.tree.map(wide, predictions)
