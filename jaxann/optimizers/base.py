"""What optimizers share: adding updates, chaining, and taking in a foreign pair.

`init(params) -> state`, `update(grads, state, params) -> (updates, state)`; the updates carry their sign and are added.
Memory is kept in float32 or better; updates have the dtype of the parameters. A rule that needs more than the gradient
names it after these: `value` (the objective), `value_fn` (the objective of any parameters) and `key`. A rule whose
weights are to be evaluated elsewhere than where it steps returns a third function, `evaluate(state, params) -> params`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory, is_product
from jaxann.core.patterns import Selection, chosen
from jaxann.core.products import Optimizer, accepts
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Params, Scalar, Updates
from jaxann.schedules import value_at

__all__ = [
    "apply_updates",
    "as_optimizer",
    "chain",
    "check_learning_rate",
    "check_not_negative",
    "check_shares",
    "custom",
    "decayed",
    "descended",
    "evaluated_by",
    "full_like",
    "learning_rate_at",
    "looks_at_all",
    "looks_elsewhere",
    "mix",
    "need",
    "rate_of",
    "root",
    "unbiasing",
    "widened",
    "widest",
    "zeros_like",
]


def apply_updates(params: Params, updates: Updates) -> Params:
    """params + updates, leaf by leaf, in the parameters' dtypes."""
    return jax.tree.map(lambda p, u: (p + u.astype(p.dtype)).astype(p.dtype), params, updates)


def zeros_like(params: Params) -> Params:
    """Zeros in the parameters' shapes, in float32 or better."""
    return jax.tree.map(lambda p: jnp.zeros(p.shape, wide_dtype(p.dtype)), params)


def full_like(params: Params, value: Scalar) -> Params:
    """A number everywhere in the parameters' shapes, in float32 or better."""
    return jax.tree.map(lambda p: jnp.full(p.shape, value, wide_dtype(p.dtype)), params)


def widened(tree: Any) -> Any:
    """Every leaf in float32 or better."""
    return jax.tree.map(lambda a: a.astype(wide_dtype(a.dtype)), tree)


def widest(tree: Any) -> Any:
    """float32, or float64 where a leaf is: what a sum over leaves is kept in."""
    dtypes = [wide_dtype(leaf.dtype) for leaf in jax.tree.leaves(tree)]
    return jnp.dtype(np.result_type(np.float32, *dtypes))


def root(square: Array) -> Array:
    """The square root, with slope 0 instead of infinity at 0."""
    return jnp.where(square == 0, 0, jnp.sqrt(jnp.where(square == 0, 1, square)))


def check_learning_rate(function: str, learning_rate: Any) -> None:
    """A number >= 0 or a schedule; a tracer passes."""
    if not callable(learning_rate):
        check_range(function, "learning_rate", learning_rate, 0)


def need(function: str, argument: str, value: Any, reason: str) -> None:
    """What the update has to be given is there."""
    if value is None:
        fail(function, argument, f"given to the update: {reason}", None)


def mix(share: Scalar, old: Array, new: Array) -> Array:
    """share old + (1 - share) new, in the dtype of `new`."""
    share = jnp.asarray(share, new.dtype)
    return share * old + (1 - share) * new


def unbiasing(share: Scalar, step: Array, dtype: Any) -> Array:
    """1 / (1 - share^step): what takes a mean that began at 0 to the size of what it is the mean of.

    One reciprocal for the tree, not a division for every parameter. Above 1/2 as -expm1(step log(share)): in float32
    the power of a share near 1, taken from 1, would keep four or five digits.
    """
    share, step = jnp.asarray(share, dtype), step.astype(dtype)
    near = share > 0.5
    far_from_one = 1 - jnp.where(near, 0, share) ** step
    return 1 / jnp.where(near, -jnp.expm1(step * jnp.log(jnp.where(near, share, 1))), far_from_one)


def check_shares(function: str, **shares: Any) -> None:
    """How slowly means forget: each in [0, 1)."""
    for argument, share in shares.items():
        check_range(function, argument, share, 0, 1, open_high=True)


def check_not_negative(function: str, **numbers: Any) -> None:
    """Each at least 0."""
    for argument, number in numbers.items():
        check_range(function, argument, number, 0)


def descended(rate: Array, direction: Params, params: Params) -> Updates:
    """-rate direction, in the dtypes of the parameters."""
    return jax.tree.map(lambda d, p: (-rate.astype(d.dtype) * d).astype(p.dtype), direction, params)


def decayed(
    function: str, rate: Array, direction: Params, params: Params, weight_decay: Scalar, mask: Selection
) -> Updates:
    """-rate (direction + weight_decay params), the decay on the leaves that `mask` means."""
    meant = chosen(function, "mask", mask, params)

    def one(d, p, decays):
        if decays:
            d = d + jnp.asarray(weight_decay, d.dtype) * p.astype(d.dtype)
        return (-rate.astype(d.dtype) * d).astype(p.dtype)

    return jax.tree.map(one, direction, params, meant)


@factory(Optimizer, static=("init", "update"))
def custom(init: Callable, update: Callable):
    """An optimizer from two functions of your own or of another library, such as optax.

    Two products are equal, and share one compiled program, when they hold the same two functions. They run under
    JAX's ordinary type promotion, which code of other libraries counts on, whatever the caller has set. An update that
    takes `value`, `value_fn` or `grad` as keywords (as optax's L-BFGS does) is given them by the trainer.

    Peers: such a pair is optax's GradientTransformation; PyTorch and Keras have classes to derive from.
    """

    def begin(params):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return init(params)

    def call(grads, state, params, *, value=None, value_fn=None):
        given = {"value": value, "value_fn": value_fn, "grad": grads}
        given = {n: v for n, v in given.items() if v is not None and accepts(update, n)}
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return update(grads, state, params, **given)

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

    Peers: as optax; PyTorch and Keras have none.

    Raises:
        InputError: there is none, or one is no optimizer.
    """
    if not transforms:
        fail("chain", "transforms", "at least one optimizer", " none")

    def init(params):
        return tuple(transform.init(params) for transform in transforms)

    def update(grads, state, params, **more):
        after = []
        for transform, own in zip(transforms, state, strict=True):
            grads, own = transform.update(grads, own, params, **more)
            after.append(own)
        return grads, tuple(after)

    def evaluate(state, params):
        for transform, own in zip(transforms, state, strict=True):
            params = transform.evaluation_params(own, params)
        return params

    return (init, update, evaluate) if any(transform.averages for transform in transforms) else (init, update)


def evaluated_by(optimizer: Optimizer, init: Callable, update: Callable, own: Callable[[Any], Any]) -> tuple:
    """The functions of a rule around another one, with the inner one's evaluation point where it has one.

    Args:
        optimizer: the inner rule.
        init, update: the outer rule's.
        own: from the outer state to the inner one.
    """
    if not optimizer.averages:
        return init, update
    return init, update, lambda state, params: optimizer.evaluation_params(own(state), params)


def looks_at_all(optimizer: Optimizer) -> bool:
    """Whether a rule compares the objective from step to step, so that it has to be that of all examples."""
    return _holds(optimizer, ("optimizers.lbfgs",))


def looks_elsewhere(optimizer: Optimizer) -> bool:
    """Whether a rule takes derivatives of its own, which may fail to be finite where the gradient is."""
    return _holds(optimizer, ("optimizers.sam", "optimizers.sophia"))


def _holds(optimizer: Optimizer, names: tuple[str, ...]) -> bool:
    """Whether it, or a rule inside it, was made by one of these factories."""
    inside = jax.tree.leaves(list(optimizer.arguments.values()), is_leaf=is_product)
    inner = (_holds(node, names) for node in inside if isinstance(node, Optimizer))
    return optimizer._factory.name in names or any(inner)


def learning_rate_at(optimizer: Optimizer, step: Array) -> Array:
    """The learning rate in force at a step: of the last optimizer in a chain that has one, NaN where none is known."""
    rate = rate_of(optimizer)
    return jnp.asarray(jnp.nan, jnp.result_type(float)) if rate is None else value_at(rate, step)


def rate_of(optimizer: Optimizer) -> Any:
    """The learning rate or schedule of the last optimizer in a chain that has one; None where none is known."""
    arguments = optimizer.arguments
    if arguments.get("learning_rate") is not None:
        return arguments["learning_rate"]
    inside = jax.tree.leaves(list(arguments.values()), is_leaf=lambda node: isinstance(node, Optimizer))
    inner = (rate_of(node) for node in reversed(inside) if isinstance(node, Optimizer))
    rate = next((rate for rate in inner if rate is not None), None)
    if callable(rate) and optimizer._factory.name == "optimizers.accumulate":
        steps = arguments["steps"]  # the schedule inside counts updates, not calls
        return lambda step: value_at(rate, step // jnp.asarray(steps, step.dtype))
    return rate
