"""The kinds of product: what their factories return and how they are called.

Layer        init(key, spec) -> (params, state);  apply(params, state, x, *, key, train, ...) -> (y, state)
             and, where something is carried: start(params, batch) -> carry; step(params, carry, x) -> (y, carry)
Optimizer    init(params) -> state;               update(grads, state, params, ...) -> (updates, state)
Schedule     schedule(step) -> value
Initializer  initializer(key, shape, dtype) -> array
Metric       init() -> sums;  update(sums, predictions, targets, weights) -> sums;  compute(sums) -> value
Penalty      penalty(params) -> scalar
Augment      augment(key, x, y, example_mask) -> (x, y)

A factory's body returns these functions as a plain tuple, or as `LayerFunctions`, `OptimizerFunctions` or
`MetricFunctions` where there is more to say: the children of a layer made of layers, what an optimizer evaluates.
Everything that looks inside a model (summaries, the backward pass, explanations, gradient checks) reads
`Layer.children`; everything that asks what a product can or needs reads the traits that it declares. Nothing asks for
the name of a factory.

Which rows of a batch are padding (`example_mask`) and which positions of a sequence are (`sequence_mask`) are two
things with two names. A layer made of layers hands both to every child (`**context` in `layers.base`). A layer whose
`apply` takes neither cannot be influenced by padding: rows are independent, and it declares "positionwise" where
positions are too; one that does not is refused a sequence_mask rather than left in the dark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxann.core.binding import accepts
from jaxann.core.checks import (
    check_array,
    check_floating_leaves,
    check_key,
    check_pair,
    check_unmasked,
    fail,
    traceable,
)
from jaxann.core.domains import check_answers, check_known_weights
from jaxann.core.factories import Product, product_class
from jaxann.core.modes import TrainMode, check_train
from jaxann.core.padding import Padded, check_mask, zero_padding
from jaxann.core.programs import tell_of_faults
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Inputs, Key, Params, Spec, State, Updates
from jaxann.core.watch import watched

__all__ = [
    "Initializer",
    "Layer",
    "LayerFunctions",
    "Metric",
    "Optimizer",
    "OptimizerFunctions",
    "Penalty",
    "Schedule",
]


class LayerFunctions(NamedTuple):
    """What the body of a layer's factory returns when it is more than `(init, apply)`."""

    init: Callable
    apply: Callable
    children: Mapping[str, Layer] = MappingProxyType({})  # the layers inside, by the name of their parameters
    start: Callable | None = None
    step: Callable | None = None
    traits: Iterable[str] = ()
    alias_of: Layer | None = None  # the layer that it is, under another name and with other arguments
    fit: Callable | None = None  # (params, state, x, where) -> state, learned from all data before training


@product_class
class Layer(Product):
    """A layer or a whole model. Its factory returns `(init, apply)`, or `LayerFunctions`."""

    __slots__ = ()
    TRAITS = frozenset(
        (
            "chain",  # its children run one after the other, each on the output of the one before
            "positionwise",  # each position by itself; in evaluation alone for one that takes a sequence_mask
            "activation",  # a function of its input alone, whose values far to the left and right are its limits
            "takes_missing",  # NaN may be in its input, and something is put in its place
            "ends_sequence",  # its output has no positions, or brings their mask along as Padded
            # Which axis of its `weight`, multiplied and nothing else, has the outputs: `layers.weight_norm` asks.
            "outputs_last",
            "outputs_before_last",
            # Its one child stands for several, one after the other: parameters, state and carry have an axis of them.
            "stacked",
            "wraps",  # it is the layer that it is given, run in another way: names, children, parameters are that one's
            "reads_source",  # it reads a second sequence, the same at every position: its `start` is given that one
        )
    )

    @property
    def children(self) -> Mapping[str, Layer]:
        """The layers inside by name, in the order of the computation; empty for one that is not made of layers.

        A child's parameters and state are `params[name]` and `state[name]`, its key the parent's folded with the name.
        """
        return getattr(self.declared, "children", {})

    @property
    def resolved(self) -> Layer:
        """The layer that it is: itself, or the one that it is another name of, whose rules are its own."""
        inner = getattr(self.declared, "alias_of", None)
        return self if inner is None else inner.resolved

    @property
    def alias(self) -> LayerFunctions:
        """What a factory returns whose product is this layer under another name."""
        return LayerFunctions(*self.functions)._replace(traits=tuple(self.traits), alias_of=self)

    @property
    def carries(self) -> bool:
        """Whether something is carried from one call to the next: it has `start` and `step`."""
        return getattr(self.declared, "step", None) is not None

    def init(self, key: Key, spec: Spec) -> tuple[Params, State]:
        """Parameters and state for inputs like `spec`.

        Args:
            key: one typed key, `jax.random.key(seed)`.
            spec: an array, or anything with `.shape` and `.dtype`, of shape `(batch, ..., features)`, or a tree of
                these for a model of several inputs; the lengths of the leading axes do not matter.

        Returns:
            Two nested dicts of arrays with equal nesting of names; `{}` where a layer has none.

        Raises:
            InputError: the key is not one typed key, or the shape does not fit the layer.
        """
        check_key(f"{self._factory.short_name}.init", key)
        with traceable(self._factory.short_name, "init"):
            made = self.functions[0](key, spec.values if isinstance(spec, Padded) else spec)
        return check_pair(self._factory.short_name, "init", "(params, state)", made)

    def apply(
        self,
        params: Params,
        state: State,
        x: Inputs,
        *,
        key: Key | None = None,
        train: bool | TrainMode = False,
        example_mask: Array | None = None,
        sequence_mask: Array | None = None,
    ) -> tuple[Any, State]:
        """The layer's output, and its new state.

        Args:
            params, state: from `init`.
            x: `(batch, ..., features)`, or a tree of arrays for a model of several inputs. `Padded` values are taken
                apart here: padding is set to 0, and the mask is the sequence_mask.
            key: randomness for `train=True`; needed if and only if the layer is random.
            train: training mode; `False` draws nothing and changes no state. See `TrainMode` for the two others.
            example_mask: `(batch,)`, 1 for a real example and 0 for padding, which counts in no statistics.
            sequence_mask: `(batch, time)`, 1 for a real position of a sequence `(batch, time, ...)`, 0 for padding.

        Returns:
            `(y, state)`; the state keeps its structure, shapes and dtypes.

        Raises:
            InputError: `train` is no mode, a mask has another shape, or a sequence_mask is given to a layer that
                neither takes one nor declares that it computes each position by itself.
        """
        tell_of_faults()
        name, apply = self._factory.short_name, self.functions[1]
        train = check_train(name, train)
        check_unmasked(name, "x", x)
        if isinstance(x, Padded):
            if sequence_mask is not None:
                fail(name, "sequence_mask", "None where x is Padded, which has a mask of its own", sequence_mask)
            x, sequence_mask = zero_padding(x.values, x.mask), x.mask
        masks = {}
        if accepts(apply, "example_mask"):
            check_mask(name, "example_mask", example_mask, 1, x)
            masks["example_mask"] = example_mask
        if accepts(apply, "sequence_mask"):
            check_mask(name, "sequence_mask", sequence_mask, 2, x)
            masks["sequence_mask"] = sequence_mask
        elif sequence_mask is not None and "positionwise" not in self.traits:
            hint = (
                'Take sequence_mask= in its apply, or declare traits=("positionwise",) where positions are independent.'
            )
            fail(name, "sequence_mask", "None for a layer that does not heed it", sequence_mask, hint=hint)
        with traceable(name, "apply"):
            found = watched(self, params, lambda: apply(params, state, x, key=key, train=train, **masks), sequence_mask)
        return check_pair(name, "apply", "(y, state)", found)

    def start(
        self, params: Params, batch: int, *, state: State | None = None, source: Inputs | Padded | None = None
    ) -> Any:
        """What `step` carries before the first step, for so many sequences at once.

        Args:
            params, state: from `init`; the state may be left out where there is none.
            batch: number of sequences.
            source: `(batch, time, ...)` or `Padded`, the second sequence of a layer that reads one beside its own.

        Raises:
            InputError: the layer carries nothing, or it reads a source and none is given, or the other way round.
        """
        name = self._factory.short_name
        if not self.carries:
            fail(name, "start", "asked of a layer with start and step", " one without")
        if ("reads_source" in self.traits) != (source is not None):
            expected = "given, for the layer reads one" if source is None else "None for a layer that reads none"
            fail(f"{name}.start", "source", expected, source if source is None else " one")
        start = self.functions.start
        given = {"state": state} if accepts(start, "state") else {}
        return start(params, batch, **given, **({} if source is None else {"source": source}))

    def step(self, params: Params, carry: Any, x: Inputs, *, state: State | None = None) -> tuple[Any, Any]:
        """One position of each sequence, in evaluation mode: `(y, carry)`.

        Args:
            params, state: from `init`; the state, which is never changed here, may be left out where there is none.
            carry: from `start` or the step before.
            x: `(batch, features)`.

        Raises:
            InputError: the layer carries nothing.
        """
        if not self.carries:
            fail(self._factory.short_name, "step", "asked of a layer with start and step", " one without")
        step = self.functions.step
        with traceable(self._factory.short_name, "step"):
            return step(params, carry, x, **({"state": state} if accepts(step, "state") else {}))


class OptimizerFunctions(NamedTuple):
    """What the body of an optimizer's factory returns when it is more than `(init, update)`."""

    init: Callable
    update: Callable
    evaluation_params: Callable | None = None  # (state, params) -> params
    learning_rate: Any = None  # the number or schedule in force, where it is no argument of that name
    leaf_learning_rates: Callable | None = None  # (step, params) -> the rate of each leaf, where they differ
    traits: Iterable[str] = ()
    frozen_leaves: Callable | None = None  # (state, params) -> a flag for each leaf, True where it may not be moved


@product_class
class Optimizer(Product):
    """An optimizer or a transformation of gradients. Its factory returns `(init, update)`, or `OptimizerFunctions`.

    One that keeps better weights than those it steps with (an average of them) returns a third function,
    `evaluation_params(state, params) -> params`. It unpacks like optax's pair (`init, update = optimizer`), so it works
    inside `optax.chain` and `flax.nnx.Optimizer`.
    """

    __slots__ = ()
    TRAITS = frozenset(
        (
            "whole_batch",  # compares the objective from step to step, which has to be that of all examples each time
            "finite_updates",  # finite gradients give finite updates; without it each update is looked at
            "decays_by_mask",  # its argument `mask` says which leaves its argument `weight_decay` is for
            "wrapper",  # the optimizers inside make the step, so that what scales the step has to go inside
            "chain",  # the optimizers inside act one after the other, the last makes the step
            "splits_leaves",  # takes leaves of any dtype and gives each rule inside its own
            "limits_gradients",  # what comes out is of bounded size, whatever finite gradient comes in: a clip
        )
    )

    def init(self, params: Params) -> Any:
        """The optimizer's state for these parameters: a NamedTuple of arrays.

        Rules of many rates, for `vmap` to take apart, begin at one state.
        """
        self._check_leaves("params", params)
        return self.declared[0](params)

    def update(
        self,
        grads: Updates,
        state: Any,
        params: Params | None = None,
        *,
        value: Array | None = None,
        value_fn: Callable[[Params], Array] | None = None,
        key: Key | None = None,
        weight: Array | None = None,
    ) -> tuple[Updates, Any]:
        """Updates to be *added* to the parameters, and the new state.

        The trainer always gives the last four; most rules read none of them.

        Args:
            grads: gradients with the structure of `params`.
            state: from `init` or the previous `update`.
            params: the parameters the gradients were taken at.
            value: the objective at `params`.
            value_fn: the objective of any parameters, on the same batch with the same noise.
            key: randomness for this step.
            weight: what the batch counts for in a mean over batches, the sum of its examples' weights.
        """
        self._check_leaves("grads", grads)
        update = self.functions[1]
        given = {"value": value, "value_fn": value_fn, "key": key, "weight": weight}
        with traceable(self._factory.short_name, "update"):
            return update(grads, state, params, **{n: v for n, v in given.items() if accepts(update, n)})

    def _check_leaves(self, argument: str, tree: Any) -> None:
        if "splits_leaves" not in self.traits:
            check_floating_leaves(self._factory.short_name, argument, tree)

    @property
    def averages(self) -> bool:
        """Whether the weights to be evaluated are others than those it steps with."""
        declared = self.declared
        return len(declared) > 2 and declared[2] is not None

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
    """A distribution of initial weights. Its factory returns `(key, shape, dtype) -> array`."""

    __slots__ = ()

    def __call__(self, key: Key, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        """An array of this shape and dtype, drawn in float32 or better: what is rounded is the draw, not its ways."""
        check_key(self._factory.short_name, key)
        return self.functions(key, tuple(shape), wide_dtype(dtype)).astype(dtype)


@product_class
class Metric(Product):
    """A figure of merit, gathered piece by piece. Its factory returns `(init, update, compute)`, or `MetricFunctions`.

    The pieces are sums, so that any split of the data, merged in any order, gives the whole-array figure.
    """

    __slots__ = ()
    # The last three: targets are labels where there are several classes, below its argument `classes` if it has one.
    # "takes_classes" alone answers no binary question; the two others say what answers one: 0 and 1 (or -1 and 1), or
    # anything in [0, 1].
    TRAITS = frozenset(("higher_is_better", "lower_is_better", "takes_classes", "takes_labels", "takes_probabilities"))

    def init(self) -> Any:
        """The empty sums: a NamedTuple of arrays."""
        return self.functions[0]()

    def update(self, sums: Any, predictions: Array, targets: Array, weights: Array | None = None) -> Any:
        """The sums with more examples counted in.

        `weights` are `(examples,)`, or of the targets' shape or first axes: 0 leaves one out, whatever it holds.
        Known targets of a metric of classes are looked at first; traced ones that are no class give NaN.

        Raises:
            InputError: a target is no class, or answers no binary question; a known weight is below 0 or not finite.
        """
        for argument, value in (("predictions", predictions), ("targets", targets)):
            if value is not None:  # a metric of one's own may do without targets
                check_array(self._factory.short_name, argument, value)
        check_known_weights(self._factory.short_name, weights)
        classes = self._arguments.get("classes")
        check_answers(self._factory.short_name, self.traits, predictions, targets, weights, classes=classes)
        return self.functions[1](sums, predictions, targets, weights)

    def compute(self, sums: Any) -> Array:
        """The figure from the sums."""
        return self.functions[2](sums)

    def __call__(self, predictions: Array, targets: Array, weights: Array | None = None) -> Array:
        """The figure on whole arrays, which are looked at as `update` does."""
        return self.compute(self.update(self.init(), predictions, targets, weights))


@product_class
class Penalty(Product):
    """A term added to the training objective. Its factory returns `params -> scalar`."""

    __slots__ = ()

    def __call__(self, params: Params) -> Array:
        """The term for these parameters, in float32 or better."""
        with traceable(self._factory.short_name, "value"):
            return self.functions(params)
