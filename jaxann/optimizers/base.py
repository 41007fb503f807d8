"""What optimizers share: adding updates, chaining, and taking in a foreign pair.

`init(params) -> state`, `update(grads, state, params) -> (updates, state)`; the updates carry their sign and are added.
Memory is kept in float32 or better; updates have the dtype of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Params, Updates
from jaxann.schedules import value_at

__all__ = [
    "apply_updates",
    "as_optimizer",
    "chain",
    "check_learning_rate",
    "custom",
    "learning_rate_at",
    "widened",
    "zeros_like",
]


def apply_updates(params: Params, updates: Updates) -> Params:
    """params + updates, leaf by leaf, in the parameters' dtypes."""
    return jax.tree.map(lambda p, u: (p + u.astype(p.dtype)).astype(p.dtype), params, updates)


def zeros_like(params: Params) -> Params:
    """Zeros in the parameters' shapes, in float32 or better."""
    return jax.tree.map(lambda p: jnp.zeros(p.shape, wide_dtype(p.dtype)), params)


def widened(tree: Any) -> Any:
    """Every leaf in float32 or better."""
    return jax.tree.map(lambda a: a.astype(wide_dtype(a.dtype)), tree)


def check_learning_rate(function: str, learning_rate: Any) -> None:
    """A number >= 0 or a schedule; a tracer passes."""
    if not callable(learning_rate):
        check_range(function, "learning_rate", learning_rate, 0)


@factory(Optimizer, static=("init", "update"))
def custom(init: Callable, update: Callable):
    """An optimizer from two functions of your own or of another library, such as optax.

    Two products are equal, and share one compiled program, when they hold the same two functions. They run under
    JAX's ordinary type promotion, which code of other libraries counts on, whatever the caller has set.
    """

    def begin(params):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return init(params)

    def call(grads, state, params):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return update(grads, state, params)

    return begin, call


def as_optimizer(value: Any, function: str = "chain", argument: str = "each transform") -> Optimizer:
    """An optimizer as it is; anything else with callable `.init` and `.update` as a `custom` one."""
    if isinstance(value, Optimizer):
        return value
    init, update = getattr(value, "init", None), getattr(value, "update", None)
    if callable(init) and callable(update) and not isinstance(value, type):
        return custom(init, update)
    fail(function, argument, "an optimizer with .init and .update", value)


@factory(Optimizer, convert={"transforms": lambda values: tuple(as_optimizer(v) for v in values)})
def chain(*transforms: Optimizer):
    """One transformation of the gradient after the other, `chain(clip_by_global_norm(1.0), adam(1e-3))`.

    Optimizers of optax may stand among them. The state is the tuple of the states.

    Raises:
        InputError: there is none, or one is no optimizer.
    """
    if not transforms:
        fail("chain", "transforms", "at least one optimizer", " none")

    def init(params):
        return tuple(transform.init(params) for transform in transforms)

    def update(grads, state, params):
        after = []
        for transform, own in zip(transforms, state, strict=True):
            grads, own = transform.update(grads, own, params)
            after.append(own)
        return grads, tuple(after)

    return init, update


def learning_rate_at(optimizer: Optimizer, step: Array) -> Array:
    """The learning rate in force at a step: of the last optimizer in a chain that has one, NaN where none is known."""
    rate = _learning_rate(optimizer)
    return jnp.asarray(jnp.nan, jnp.result_type(float)) if rate is None else value_at(rate, step)


def _learning_rate(optimizer: Optimizer) -> Any:
    arguments = optimizer.arguments
    inner = (_learning_rate(transform) for transform in reversed(arguments.get("transforms", ())))
    return arguments.get("learning_rate", next((rate for rate in inner if rate is not None), None))
