"""jaxann: neural networks on JAX, a whole training run as one compiled program.

    import jax, jaxann as ja

    model = ja.models.mlp((512, 512, 10), dropout=0.2)
    recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-3))
    result = ja.fit(recipe, (x, y), key=jax.random.key(0), epochs=20)

Rooms: `models layers activations initializers losses metrics optimizers schedules regularizers preprocessing train tune
data io plot ops neuron backprop diagnose advice teach core`, and `estimators` when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxann import (
    activations,
    advice,
    backprop,
    core,
    data,
    diagnose,
    initializers,
    io,
    layers,
    losses,
    metrics,
    models,
    neuron,
    ops,
    optimizers,
    plot,
    preprocessing,
    regularizers,
    schedules,
    teach,
    train,
    tune,
)
from jaxann.advice import recommend
from jaxann.core.errors import CheckpointError, DivergedError, DivergedWarning, InputError, MissingDependencyError
from jaxann.core.programs import leave_out_faults
from jaxann.core.setup import setup
from jaxann.diagnose import summary
from jaxann.io import load, save
from jaxann.teach import explain
from jaxann.train import fit, predict, recipe

if TYPE_CHECKING:
    from jaxann import estimators

__version__ = "0.1.0"

leave_out_faults()  # before anything starts JAX

__all__ = [
    "CheckpointError",
    "DivergedError",
    "DivergedWarning",
    "InputError",
    "MissingDependencyError",
    "activations",
    "advice",
    "backprop",
    "core",
    "data",
    "diagnose",
    "estimators",
    "explain",
    "fit",
    "initializers",
    "io",
    "layers",
    "load",
    "losses",
    "metrics",
    "models",
    "neuron",
    "ops",
    "optimizers",
    "plot",
    "predict",
    "preprocessing",
    "recipe",
    "recommend",
    "regularizers",
    "save",
    "schedules",
    "setup",
    "summary",
    "teach",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    """The room that stands on scikit-learn, and so is loaded when first asked for."""
    if name == "estimators":
        import jaxann.estimators as room

        return room
    raise AttributeError(f"module 'jaxann' has no attribute {name!r}")
