"""The kinds of rows, and targets drawn for examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "ActivationRow",
    "AugmentRow",
    "InitializerRow",
    "LayerRow",
    "LossRow",
    "MetricRow",
    "OptimizerRow",
    "PreprocessorRow",
    "Row",
    "ScheduleRow",
    "bits",
    "distributions",
    "labels",
]


@dataclass(frozen=True, eq=False)
class Row:
    """A public name, how to make an example of it, and settings of that example that must be refused."""

    name: str
    build: Callable[..., Any]
    oracle: str = "a formula in NumPy"
    bad: tuple[Mapping[str, Any], ...] = ()
    saved: bool = True  # to_config can write it

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class ActivationRow(Row):
    """`build(x, **setting)` is the function; `reference` the same in NumPy float64, `peer(torch, x)` in PyTorch."""

    kinks: Mapping[float, float] = field(default_factory=dict)  # where the slope jumps: its value there
    limits: tuple[float, float] | None = None  # values at -inf and inf; None for activations of a whole axis
    end_slopes: tuple[float, float] = (0.0, 1.0)  # the same of the slope
    reference: Callable[..., Any] | None = None
    peer: Callable[..., Any] | None = None
    settings: tuple[Mapping[str, Any], ...] = ()  # other parameters; numbers are traced and differentiated
    output: Callable[[tuple[int, ...]], tuple[int, ...]] = tuple  # its shape from the input's
    largest: Mapping[str, float] = field(default_factory=dict)  # magnitude up to which a dtype holds the result
    named: bool = True  # by_name knows it
    takes_integers: bool = False
    nan_slope: float = float("nan")  # the slope at NaN


@dataclass(frozen=True, eq=False)
class InitializerRow(Row):
    """`build()` gives the initializer, `shape` one that it fits."""

    shape: tuple[int, ...] = (6, 5)
    random: bool = True
    exact: bool = True  # the same bits in every program: XLA folds no constant of the distribution into another


@dataclass(frozen=True, eq=False)
class AugmentRow(Row):
    """`build()` gives the augmentation; `nothing` are settings with which it changes nothing."""

    shape: tuple[int, ...] = (6, 5, 7, 2)
    output: tuple[int, ...] | None = None  # the shape afterwards, where it is another
    ids: int | None = None  # its inputs are whole numbers below this one, and nothing else
    mixes: bool = False
    wide: bool = False  # takes floating-point examples only
    nothing: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class LayerRow(Row):
    """`build()` gives the layer.

    `shape` is that of an input, or those of several by name; `sequence` that of an input `(batch, time, ...)`, if the
    layer takes one. `grows` is whether the output of a longer sequence is another one at the same places.
    """

    shape: Any = (4, 5)
    sequence: Any = (3, 4, 5)
    grows: bool = True
    random: bool = False
    stateful: bool = False  # statistics that move in training
    takes_integers: bool = False
    ids: int | None = None  # its inputs are whole numbers below this one, and nothing else


@dataclass(frozen=True, eq=False)
class OptimizerRow(Row):
    """`build(learning_rate)` gives the optimizer, whether it has a rate or not."""

    descends: bool = True  # False for transformations of gradients, which another rule follows
    exact: bool = True  # the same bits in every program: nothing is summed over a leaf or over leaves
    rate: float = 0.1  # at which it finds the parabola's minimum ...
    within: float = 1e-2  # ... so nearly
    proportional: bool = True  # the first update is proportional to the rate


@dataclass(frozen=True, eq=False)
class PreprocessorRow(Row):
    """`build()` gives the preprocessor, `data(random)` examples `(n, columns)` that it takes, by a NumPy generator."""

    data: Callable[[np.random.Generator], Any] | None = None  # numbers of several sizes with missing ones when None
    targets: Callable[[np.random.Generator], Any] | None = None  # one an example, for one that reads them
    pieces: bool = True  # it learns from sums
    in_program: bool = True
    same_inside: bool = True  # a program of 32 bits finds the same to rounding
    by_row: bool = True  # `where` for a row is the same as leaving it out
    keeps_missing: bool = False  # its state holds training rows as they are


@dataclass(frozen=True, eq=False)
class ScheduleRow(Row):
    """`last` is the step from which the value stays, for a schedule that settles; `values` are exact."""

    last: int = 0
    settles: bool = True
    values: Mapping[int, float] | None = None


@dataclass(frozen=True, eq=False)
class LossRow(Row):
    """`build` is the loss; `targets(random, shape)` draws targets for predictions of that shape, by a NumPy generator.

    `event` are the last axes of the predictions, which the values do not have; `domain` makes predictions of any real
    numbers; `extreme` draws the targets that are hardest, `huge` says how far predictions may go where 1e4 overflows;
    `numbers` are hyper-parameters that may be traced; `whole_batch` is for values that belong to a batch.
    """

    targets: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] | None = None
    event: tuple[int, ...] = ()
    domain: Callable[[jax.Array], jax.Array] | None = None
    extreme: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] | None = None
    huge: Mapping[str, float] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    whole_batch: bool = False


@dataclass(frozen=True, eq=False)
class MetricRow(Row):
    """`build()` gives the streaming form, `plain` is the function on whole arrays, if there is one of equal figure.

    `reference(predictions, targets, weights)` is the oracle's figure, in NumPy, of predictions of three columns, which
    `predictions` makes of normal numbers;
    `empty` is that of no examples, `shape` the figure's shape.
    """

    plain: Callable[..., Any] | None = None
    predictions: Callable[[np.ndarray], np.ndarray] = np.asarray
    targets: Callable[[jax.Array, tuple[int, ...]], jax.Array] = jax.random.normal
    reference: Callable[..., Any] | None = None
    empty: float = float("nan")
    shape: tuple[int, ...] = ()


def labels(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.randint(key, shape[:-1], 0, shape[-1])


def bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.bernoulli(key, 0.5, shape).astype(jnp.float32)


def distributions(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.nn.softmax(jax.random.normal(key, shape))
