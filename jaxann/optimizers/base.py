"""What optimizers share: adding updates, chaining, and taking in a foreign pair.

`init(params) -> state`, `update(grads, state, params) -> (updates, state)`; the updates carry their sign and are added.
State is kept in float32 or better; updates have the dtype of the parameters. A rule that needs more than the gradient
names it after these: `value` (the objective), `value_fn` (the objective of any parameters) and `key`. What else there
is to say of a rule (the weights to evaluate, its learning rate, traits) it declares, see `OptimizerFunctions`.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.binding import accepts
from jaxann.core.checks import check_choice, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, chosen
from jaxann.core.products import Optimizer, OptimizerFunctions
from jaxann.core.trees import check_arrays, flatten_named, map_named, wide_dtype
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, Updates
from jaxann.optimizers.frozen import freezes, frozen_leaves, held
from jaxann.schedules import value_at
from jaxann.schedules.base import is_schedule

__all__ = [
    "apply_updates",
    "as_optimizer",
    "bias_correction_factor",
    "chain",
    "check_decay_rates",
    "check_given",
    "check_learning_rate",
    "check_not_negative",
    "custom",
    "descent",
    "descent_with_decay",
    "ema_update",
    "foreign_functions",
    "frozen_leaves",
    "full_like",
    "inner_optimizers",
    "leaf_learning_rates",
    "learning_rate_at",
    "learning_rate_of",
    "nonzero",
    "safe_sqrt",
    "widened",
    "widest",
    "wrapping",
    "zeros_like",
]


def apply_updates(params: Params, updates: Updates) -> Params:
    """params + updates, leaf by leaf, in the parameters' dtypes.

    Raises:
        InputError: a leaf is no array, or the two differ in names or shapes.
    """
    check_arrays("apply_updates", "params", params)
    check_arrays("apply_updates", "updates", updates)
    named, given = flatten_named(params), flatten_named(updates)
    for name in [*named, *given]:
        if name not in given or name not in named:
            expected = f"{'there' if name in named else 'left out'}, as in the parameters"
            fail("apply_updates", f"updates {name}".strip(), expected, " none" if name in named else given[name])

    def moved(name, p, u):
        p, u = (leaf if hasattr(leaf, "dtype") else np.asarray(leaf) for leaf in (p, u))
        if u.shape != p.shape:
            fail("apply_updates", f"updates {name}", f"of the parameters' shape {p.shape}", f" shape {u.shape}")
        if u.dtype == jax.dtypes.float0:
            return p
        for argument, leaf in (("params", p), ("updates", u)):
            if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.extended):
                fail("apply_updates", f"{argument} {name}", "numbers", leaf)
        if jnp.issubdtype(u.dtype, jnp.complexfloating) and not jnp.issubdtype(p.dtype, jnp.complexfloating):
            fail("apply_updates", f"updates {name}", f"real, as the parameters ({p.dtype})", f" {u.dtype}")
        return (p + u.astype(p.dtype)).astype(p.dtype)

    return map_named(lambda name, p: moved(name, p, given[name]), params)


def zeros_like(params: Params) -> Params:
    """Zeros in the parameters' shapes, in float32 or better."""
    return jax.tree.map(lambda p: jnp.zeros(p.shape, wide_dtype(p.dtype)), params)


def full_like(function: str, argument: str, value: Scalar, params: Params) -> Params:
    """A number everywhere in the parameters' shapes, in float32 or better."""
    check_range(function, argument, value)
    return jax.tree.map(lambda p: jnp.full(p.shape, value, wide_dtype(p.dtype)), params)


def widened(tree: Any) -> Any:
    """Every leaf in float32 or better."""
    return jax.tree.map(lambda a: a.astype(wide_dtype(a.dtype)), tree)


def widest(tree: Any) -> Any:
    """float32, or float64 where a leaf is: what a sum over leaves is kept in."""
    dtypes = [wide_dtype(leaf.dtype) for leaf in jax.tree.leaves(tree)]
    return jnp.dtype(np.result_type(np.float32, *dtypes))


def safe_sqrt(square: Array) -> Array:
    """The square root, with slope 0 instead of infinity at 0."""
    return jnp.where(square == 0, 0, jnp.sqrt(jnp.where(square == 0, 1, square)))


def nonzero(divisor: Array) -> Array:
    """1 in the place of 0, so that a gradient that has always been 0 makes a step of 0 with eps = 0 too.

    Where one divides by a square root it stands inside the root: the compiler multiplies by its reciprocal at once.
    """
    return jnp.where(divisor == 0, 1, divisor)


def check_learning_rate(function: str, learning_rate: ScalarOrSchedule) -> None:
    """A number >= 0 or a schedule; a tracer passes."""
    if not is_schedule(learning_rate):
        check_range(function, "learning_rate", learning_rate, 0)


def check_given(function: str, argument: str, value: Any, reason: str) -> None:
    """What the update has to be given is there."""
    if value is None:
        fail(function, argument, f"given to the update: {reason}", None)


def ema_update(decay: Scalar, old: Array, new: Array) -> Array:
    """decay old + (1 - decay) new, in the dtype of `new`: one step of an exponential moving average."""
    decay = jnp.asarray(decay, new.dtype)
    return decay * old + (1 - decay) * new


def bias_correction_factor(decay: Scalar, step: Array, dtype: Any) -> Array:
    """1 / (1 - decay^step): what takes an average that began at 0 to the size of what it is the average of.

    One reciprocal for the tree, not a division for every parameter. Above 1/2 as -expm1(step log(decay)): in float32
    the power of a decay near 1, taken from 1, would keep four or five digits.
    """
    decay, step = jnp.asarray(decay, dtype), step.astype(dtype)
    near_one = decay > 0.5
    far_from_one = 1 - jnp.where(near_one, 0, decay) ** step
    return 1 / jnp.where(near_one, -jnp.expm1(step * jnp.log(jnp.where(near_one, decay, 1))), far_from_one)


def check_decay_rates(function: str, **decay_rates: Any) -> None:
    """How slowly averages forget: each in [0, 1)."""
    for argument, decay in decay_rates.items():
        check_range(function, argument, decay, 0, 1, open_high=True)


def check_not_negative(function: str, **numbers: Any) -> None:
    """Each at least 0."""
    for argument, number in numbers.items():
        check_range(function, argument, number, 0)


def descent(rate: Array, direction: Params, params: Params) -> Updates:
    """-rate direction, in the dtypes of the parameters."""
    return jax.tree.map(lambda d, p: (-rate.astype(d.dtype) * d).astype(p.dtype), direction, params)


def descent_with_decay(
    function: str, rate: Array, direction: Params, params: Params, weight_decay: Scalar, mask: Selection
) -> Updates:
    """-rate (direction + weight_decay params), the decay on the leaves that `mask` means."""
    selected = chosen(function, "mask", mask, params)

    def one(d, p, decays):
        if decays:
            d = d + jnp.asarray(weight_decay, d.dtype) * p.astype(d.dtype)
        return (-rate.astype(d.dtype) * d).astype(p.dtype)

    return jax.tree.map(one, direction, params, selected)


@factory(Optimizer, static=("init", "update", "evaluation_params", "traits"))
def custom(
    init: Callable,
    update: Callable,
    *,
    evaluation_params: Callable | None = None,
    traits: tuple[str, ...] = (),
):
    """An optimizer from functions of your own, `init(params)` and `update(grads, state, params)`.

    `init` returns the state, `update` the pair (updates, state); updates are added to the parameters. An update that
    names `value` (the objective), `value_fn` (the objective of any parameters), `key` (randomness), `weight` (what the
    batch counts for) or `grad` among its arguments is given them by the trainer: enough for a rule with a line search,
    with a second gradient such as SAM, or with noise. The functions run under JAX's ordinary type promotion, which code
    of other libraries counts on, whatever
    the caller has set. Two products are equal, and share one compiled program, when they hold the same functions. For
    numbers that change without compiling anew make a factory of your own with `jaxann.core.factory`.

    Args:
        init, update: as above.
        evaluation_params: `(state, params) -> params`, the weights to evaluate and keep, for a rule that averages; None
            for those it steps with.
        traits: what the rule declares of itself, see `Optimizer.TRAITS`: "whole_batch" for one that compares the
            objective from step to step. Its updates are checked in every step unless it declares "finite_updates".

    Peers: such a pair is optax's GradientTransformation; PyTorch and Keras have classes to derive from.

    Raises:
        InputError: something that is to be called cannot be, or an unknown trait.
    """
    for argument, function in (("init", init), ("update", update), ("evaluation_params", evaluation_params)):
        if not callable(function) and not (function is None and argument == "evaluation_params"):
            fail("custom", argument, "a function", function)
    traits = (traits,) if isinstance(traits, str) else traits
    for trait in traits:
        check_choice("custom", "each of traits", trait, Optimizer.TRAITS)
    return foreign_functions(init, update, evaluation_params, traits=traits)


def foreign_functions(
    init: Callable,
    update: Callable,
    evaluation_params: Callable | None = None,
    *,
    like: Callable | None = None,
    **declared: Any,
) -> OptimizerFunctions:
    """Functions not written for jaxann's settings, under JAX's ordinary promotion, given what the update names.

    Args:
        init, update, evaluation_params: the functions.
        like: an update whose parameters tell what it is to be given, where `update` itself takes anything.
        declared: further fields of `OptimizerFunctions`.
    """
    named = update if like is None else like
    unnamed = {"key", "weight"} - set(_parameters(named))

    def call_init(params):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return init(params)

    def call_update(grads, state, params, *, value=None, value_fn=None, key=None, weight=None):
        given = {"value": value, "value_fn": value_fn, "key": key, "weight": weight, "grad": grads}
        given = {name: v for name, v in given.items() if v is not None and accepts(named, name)}
        for name in unnamed:  # optax's chains hand `**extra_args` on to objectives, which know neither
            given.pop(name, None)
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return update(grads, state, params, **given)

    def call_evaluation(state, params):
        assert evaluation_params is not None
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return evaluation_params(state, params)

    return OptimizerFunctions(
        call_init, call_update, None if evaluation_params is None else call_evaluation, **declared
    )


def _parameters(function: Callable) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def as_optimizer(value: Any, function: str = "chain", argument: str = "each transform") -> Optimizer:
    """An optimizer as it is; anything else with callable `.init` and `.update` as a `custom` one.

    Every fresh `optax.adam(1e-3)` holds fresh functions, so it compiles a program of its own: `from_optax(optax.adam,
    learning_rate=1e-3)` compiles once for all its rates.

    Raises:
        InputError: it is neither.
    """
    if isinstance(value, Optimizer):
        return value
    init, update = getattr(value, "init", None), getattr(value, "update", None)
    if callable(init) and callable(update) and not isinstance(value, type):
        return custom(init, update)
    fail(function, argument, "an optimizer with .init and .update", value)


@factory(
    Optimizer,
    convert={"transforms": lambda values: tuple(as_optimizer(v) for v in values)},
    traits=("splits_leaves", "chain", "finite_updates"),
)
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
        if any(map(freezes, transforms)):  # what one of them holds no other may move, in whatever order they stand
            grads = jax.tree.map(held, frozen(state, grads), grads)
        return grads, tuple(after)

    def frozen(state, params):
        flags = [frozen_leaves(one, own, params) for one, own in zip(transforms, state, strict=True)]
        return jax.tree.map(lambda *each: functools.reduce(operator.or_, each), *flags)

    def evaluate(state, params):
        for transform, own in zip(transforms, state, strict=True):
            params = transform.evaluation_params(own, params)
        return params

    averages = any(transform.averages for transform in transforms)
    freezing = frozen if any(map(freezes, transforms)) else None
    return OptimizerFunctions(init, update, evaluate if averages else None, frozen_leaves=freezing)


def wrapping(
    optimizer: Optimizer, init: Callable, update: Callable, inner_state: Callable[[Any], Any]
) -> OptimizerFunctions:
    """The functions of a rule around another one, with the inner one's evaluation point where it has one.

    Args:
        optimizer: the inner rule.
        init, update: the outer rule's.
        inner_state: from the outer state to the inner one.
    """

    def evaluate(state, params):
        return optimizer.evaluation_params(inner_state(state), params)

    def frozen(state, params):
        return frozen_leaves(optimizer, inner_state(state), params)

    return OptimizerFunctions(
        init, update, evaluate if optimizer.averages else None, frozen_leaves=frozen if freezes(optimizer) else None
    )


def inner_optimizers(arguments: Any) -> list[Optimizer]:
    """The optimizers that stand directly among a product's arguments, or in one of them, in their order."""
    found = jax.tree.leaves(arguments, is_leaf=lambda node: isinstance(node, Optimizer))
    return [node for node in found if isinstance(node, Optimizer)]


def learning_rate_of(optimizer: Optimizer) -> ScalarOrSchedule | None:
    """The learning rate or schedule in force: its own, or that of the last optimizer inside that has one, or None."""
    own = _own_learning_rate(optimizer)
    if own is not None:
        return own
    inside = (learning_rate_of(one) for one in reversed(inner_optimizers(list(optimizer.arguments.values()))))
    return next((rate for rate in inside if rate is not None), None)


def learning_rate_at(optimizer: Optimizer, step: Array) -> Array:
    """The learning rate in force at a step: of the last optimizer in a chain that has one, NaN where none is known."""
    rate = learning_rate_of(optimizer)
    return jnp.asarray(jnp.nan, jnp.result_type(float)) if rate is None else value_at(rate, step)


def leaf_learning_rates(optimizer: Optimizer, step: Array, params: Params) -> Params:
    """The rate of each leaf at a step, a scalar for a leaf: 0 where it is frozen or the step is only gathered for.

    Args:
        optimizer: any rule, rules around rules too. One whose leaves have different rates says so by
            `OptimizerFunctions.leaf_learning_rates`.
        step: int32 (), calls made before this one.
        params: for the names.
    """
    declared = getattr(optimizer.functions, "leaf_learning_rates", None)
    if declared is not None:
        return declared(step, params)
    if _own_learning_rate(optimizer) is None:
        for one in reversed(inner_optimizers(list(optimizer.arguments.values()))):
            if learning_rate_of(one) is not None:
                return leaf_learning_rates(one, step, params)
    rate = learning_rate_at(optimizer, step)
    return jax.tree.map(lambda p: rate, params)


def _own_learning_rate(optimizer: Optimizer) -> ScalarOrSchedule | None:
    """What its body declares, else its argument of that name."""
    declared = getattr(optimizer.declared, "learning_rate", None)
    return optimizer.arguments.get("learning_rate") if declared is None else declared
