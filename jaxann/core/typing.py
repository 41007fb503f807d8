"""Names for the types that pass between rooms. No logic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import jax

if TYPE_CHECKING:  # chex takes as long to import as half of jaxann
    from chex import PRNGKey as Key
else:
    Key = jax.Array  # a scalar typed key, jax.random.key(seed)

__all__ = [
    "Array",
    "Device",
    "Hyperparameters",
    "Inputs",
    "Key",
    "Loss",
    "Params",
    "Predictions",
    "Scalar",
    "ScalarOrSchedule",
    "Schedule",
    "ScheduledScalar",
    "Spec",
    "Specs",
    "State",
    "Targets",
    "Updates",
]

Array: TypeAlias = jax.Array  # numpy arrays are taken too wherever a jax function takes them
Device: TypeAlias = Any  # jax.Device, which is no class to a type checker
Hyperparameters: TypeAlias = Mapping[str, Any]  # name -> float, integer, flag, text or tuple, as `build` takes them
Inputs: TypeAlias = Any  # an array, or a tree of them, whose leading axis is the examples
Targets: TypeAlias = Any  # the same
Predictions: TypeAlias = Any  # the same, what a model makes of the inputs
Params: TypeAlias = Any  # nested dicts of arrays with str keys without a dot
State: TypeAlias = Any  # the same, what a layer carries beside its parameters
Updates: TypeAlias = Any  # same structure as the parameters, to be added to them
Scalar: TypeAlias = float | int | jax.Array
Schedule: TypeAlias = Callable[[Any], Any]
ScalarOrSchedule: TypeAlias = Scalar | Schedule
ScheduledScalar: TypeAlias = Any  # the same to the caller; the body of a rule reads the number of its step
Loss: TypeAlias = Callable[[Any, Any], Any]  # (predictions, targets) -> values, one or more an example

Specs: TypeAlias = Any  # a Spec, or a tree of them


class Spec(Protocol):
    """Anything with a shape and a dtype: an array, a jax.ShapeDtypeStruct, a numpy array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        ...

    @property
    def dtype(self) -> Any:
        """Type of an element."""
        ...
