"""The kinds of product: what their factories return and how they are called.

Layer        init(key, spec) -> (params, state);  apply(params, state, x, *, key, train, mask) -> (y, state)
Optimizer    init(params) -> state;               update(grads, state, params, ...) -> (updates, state)
Schedule     schedule(step) -> value
Initializer  initializer(key, shape, dtype) -> array
Metric       init() -> sums;  update(sums, predictions, targets, weights) -> sums;  compute(sums) -> value
Penalty      penalty(params) -> scalar
Augment      augment(key, x, y, mask) -> (x, y)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxann.core.checks import check_key
from jaxann.core.factories import Product, product_class
from jaxann.core.typing import Array, Key, Params, Spec, State, Updates

__all__ = ["Augment", "Initializer", "Layer", "Metric", "Mixed", "Optimizer", "Penalty", "Schedule", "accepts"]


def accepts(function: Callable, name: str) -> bool:
    """Whether a function takes an argument of this name."""
    code = getattr(function, "__code__", None)
    if code is not None:
        named = name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        return named or bool(code.co_flags & inspect.CO_VARKEYWORDS)
    try:  # a partial or compiled function, or an object that can be called
        parameters = inspect.signature(function).parameters
        return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    except (TypeError, ValueError):
        return False


@product_class
class Layer(Product):
    """A layer or a whole model. Its factory returns the pair `(init, apply)`."""

    __slots__ = ()

    def init(self, key: Key, spec: Spec) -> tuple[Params, State]:
        """Parameters and state for inputs like `spec` (an array or anything with `.shape` and `.dtype`).

        Args:
            key: one typed key, `jax.random.key(seed)`.
            spec: shape `(..., features)`; leading axes are batch and do not matter.

        Returns:
            Two nested dicts of arrays with equal nesting of names; `{}` where a layer has none.

        Raises:
            InputError: the key is not one typed key, or the shape does not fit the layer.
        """
        check_key(f"{self._factory.short_name}.init", key)
        return self.functions[0](key, spec)

    def apply(
        self,
        params: Params,
        state: State,
        x: Array,
        *,
        key: Key | None = None,
        train: bool | str = False,
        mask: Array | None = None,
    ) -> tuple[Array, State]:
        """The layer's output, and its new state.

        Args:
            params, state: from `init`.
            x: `(batch, ..., features)`.
            key: randomness for `train=True`; needed if and only if the layer is random.
            train: training mode; `False` draws nothing and changes no state. "noise": dropout and the like are on,
                statistics are those of evaluation; "statistics": the new state is that of this batch alone. A layer
                with neither noise nor statistics takes both for True.
            mask: `(batch,)`, 1 for a real example and 0 for padding; padding does not count in batch statistics.

        Returns:
            `(y, state)`; the state keeps its structure, shapes and dtypes.
        """
        apply = self.functions[1]
        if accepts(apply, "mask"):
            return apply(params, state, x, key=key, train=train, mask=mask)
        return apply(params, state, x, key=key, train=train)


@product_class
class Optimizer(Product):
    """An optimizer or a transformation of gradients. Its factory returns the pair `(init, update)`.

    One that keeps better weights than those it steps with (an average of them) returns a third function,
    `evaluation_params(state, params) -> params`.

    It unpacks like optax's pair (`init, update = optimizer`), so it works inside `optax.chain` and
    `flax.nnx.Optimizer`.
    """

    __slots__ = ()

    def init(self, params: Params) -> Any:
        """The optimizer's memory for these parameters: a NamedTuple of arrays."""
        return self.functions[0](params)

    def update(
        self,
        grads: Updates,
        state: Any,
        params: Params | None = None,
        *,
        value: Array | None = None,
        value_fn: Callable[[Params], Array] | None = None,
        key: Key | None = None,
    ) -> tuple[Updates, Any]:
        """Updates to be *added* to the parameters, and the new memory.

        The trainer always gives the last three; most rules read none of them.

        Args:
            grads: gradients with the structure of `params`.
            state: from `init` or the previous `update`.
            params: the parameters the gradients were taken at.
            value: the objective at `params`.
            value_fn: the objective as a function of the parameters, on the same batch with the same noise: for rules
                that search a line, look at a second gradient or at the curvature.
            key: randomness for this step.
        """
        update = self.functions[1]
        given = {"value": value, "value_fn": value_fn, "key": key}
        return update(grads, state, params, **{n: v for n, v in given.items() if accepts(update, n)})

    @property
    def averages(self) -> bool:
        """Whether the weights to be evaluated are others than those it steps with."""
        return len(self.functions) > 2

    def evaluation_params(self, state: Any, params: Params) -> Params:
        """The weights to be evaluated and kept: an average for rules that make one, else `params`."""
        return self.functions[2](state, params) if self.averages else params

    def __iter__(self) -> Iterator[Callable]:
        return iter((self.init, self.update))


@product_class
class Schedule(Product):
    """A value that depends on the step, such as a learning rate. Its factory returns `step -> value`."""

    __slots__ = ()

    def __call__(self, step: Array | int) -> Array:
        """The value at a step counted from 0; any shape of `step`, the value has the same."""
        return self.functions(jnp.asarray(step))


@product_class
class Initializer(Product):
    """A law for initial weights. Its factory returns `(key, shape, dtype) -> array`."""

    __slots__ = ()

    def __call__(self, key: Key, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        """An array of this shape and dtype drawn from the law."""
        check_key(self._factory.short_name, key)
        return self.functions(key, tuple(shape), dtype)


@product_class
class Metric(Product):
    """A figure of merit that can be gathered piece by piece. Its factory returns `(init, update, compute)`.

    The pieces are sums, so that any split of the data, merged in any order, gives the whole-array figure.
    """

    __slots__ = ()

    def init(self) -> Any:
        """The empty sums: a NamedTuple of arrays."""
        return self.functions[0]()

    def update(self, sums: Any, predictions: Array, targets: Array, weights: Array | None = None) -> Any:
        """The sums with more examples counted in; `weights` has the shape of the leading axes, 0 leaves one out."""
        return self.functions[1](sums, predictions, targets, weights)

    def compute(self, sums: Any) -> Array:
        """The figure from the sums."""
        return self.functions[2](sums)

    def __call__(self, predictions: Array, targets: Array, weights: Array | None = None) -> Array:
        """The figure on whole arrays."""
        return self.compute(self.update(self.init(), predictions, targets, weights))


@product_class
class Penalty(Product):
    """A term added to the training objective. Its factory returns `params -> scalar`."""

    __slots__ = ()

    def __call__(self, params: Params) -> Array:
        """The term for these parameters, in float32 or better."""
        return self.functions(params)


class Mixed(NamedTuple):
    """Targets of examples that are mixtures: `share` of the first, the rest of the second.

    The trainer takes share loss(predictions, first) + (1 - share) loss(predictions, second).
    """

    first: Array  # the examples' own targets
    second: Array
    share: Array  # (batch,), in [0, 1]


@product_class
class Augment(Product):
    """A random change of training examples inside the program. Its factory returns `(key, x, y, mask) -> (x, y)`.

    The targets come back as they are, or as `Mixed` with them as the first.
    """

    __slots__ = ()

    def __call__(self, key: Key, x: Array, y: Array, mask: Array | None = None) -> tuple[Array, Array | Mixed]:
        """The changed examples and their targets.

        Args:
            key: randomness.
            x: `(batch, ...)`.
            y: `(batch, ...)`.
            mask: `(batch,)`, 0 for padding.
        """
        check_key(self._factory.short_name, key)
        return self.functions(key, x, y, mask)
