"""jaxann: neural networks on JAX, a whole training run as one compiled program.

    import jax, jaxann as ja

    model = ja.models.mlp((512, 512, 10), dropout=0.2)
    recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-3))
    result = ja.fit(recipe, (x, y), key=jax.random.key(0), epochs=20)

Rooms: `models layers activations initializers losses metrics optimizers schedules regularizers preprocessing train tune
data io plot ops neuron backprop diagnose teach core`.
"""

from jaxann import (
    activations,
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
from jaxann.core.errors import CheckpointError, DivergedError, DivergedWarning, InputError, MissingDependencyError
from jaxann.core.programs import leave_out_faults
from jaxann.core.setup import setup
from jaxann.diagnose import summary
from jaxann.io import load, save
from jaxann.teach import explain
from jaxann.train import fit, predict, recipe

__version__ = "0.1.0"

leave_out_faults()  # before anything starts JAX

__all__ = [
    "CheckpointError",
    "DivergedError",
    "DivergedWarning",
    "InputError",
    "MissingDependencyError",
    "activations",
    "backprop",
    "core",
    "data",
    "diagnose",
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
    "regularizers",
    "save",
    "schedules",
    "setup",
    "summary",
    "teach",
    "train",
    "tune",
]
