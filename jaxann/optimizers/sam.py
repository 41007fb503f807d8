"""Sharpness-aware minimization: the gradient from where the objective is worst nearby."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.trees import global_norm
from jaxann.core.typing import Scalar
from jaxann.optimizers.base import apply_updates, as_optimizer, check_given, widened, widest, wrapping

__all__ = ["sam"]


@factory(Optimizer, convert={"optimizer": lambda rule: as_optimizer(rule, "sam", "optimizer")}, traits=("wrapper",))
def sam(optimizer: Optimizer, *, rho: Scalar = 0.05, adaptive: bool = False):
    """e = rho g / (|g| + 1e-12);  the optimizer's update for the gradient at w + e, made at w.

    Adaptive: e = rho w^2 g / (|w g| + 1e-12), which does not change when a layer's weights are scaled. The norm is over
    all leaves. A step costs two gradients: the second is of the same batch with the same noise.

    Args:
        optimizer: the rule that steps.
        rho: >= 0, the distance looked at; 0.05 as a rule, 10 times as much for the adaptive form.
        adaptive: whether distances are measured in proportion to the weights.

    Peers: as optax's sam in opaque mode with sync_period=2 and chain(normalize(), sgd(rho)) inside; PyTorch and Keras
        have none.

    Source: Foret et al. 2021; Kwon et al. 2021 (adaptive).

    Raises:
        InputError: rho is negative, or `params` or `value_fn` is missing in the update.
    """
    check_range("sam", "rho", rho, 0)

    def update(grads, state, params, *, value_fn: Any = None, **more):
        check_given("sam", "params", params, "the second gradient is taken beside them")
        check_given("sam", "value_fn", value_fn, "a second gradient is taken")
        wide, weights, dtype = widened(grads), widened(params), widest(params)
        scaled = jax.tree.map(jnp.multiply, weights, wide) if adaptive else wide
        norm = global_norm(jax.tree.map(lambda s: s.astype(dtype), scaled)).astype(dtype)
        factor = jnp.asarray(rho, dtype) / (norm + jnp.asarray(1e-12, dtype))
        upward = jax.tree.map(jnp.multiply, weights, scaled) if adaptive else wide
        offset = jax.tree.map(lambda u: factor.astype(u.dtype) * u, upward)
        worst = jax.grad(value_fn)(apply_updates(params, offset))
        return optimizer.update(worst, state, params, value_fn=value_fn, **more)

    return wrapping(optimizer, optimizer.init, update, lambda state: state)
