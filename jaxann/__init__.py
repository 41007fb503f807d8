"""jaxann: neural networks on JAX, a whole training run as one compiled program.

    import jax, jaxann as ja

    model = ja.models.mlp((512, 512, 10), dropout=0.2)
    result = ja.fit(model, ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-3), (x, y), key=jax.random.key(0),
                    epochs=20)

Rooms: `models layers activations initializers losses metrics optimizers schedules regularizers train tune data io plot
ops neuron backprop diagnose teach core`.
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
    regularizers,
    schedules,
    teach,
    train,
    tune,
)
from jaxann.core.errors import CheckpointError, DivergedError, DivergedWarning, InputError, MissingDependencyError
from jaxann.core.setup import setup
from jaxann.io import load, save
from jaxann.teach import explain
from jaxann.train import fit, predict

__version__ = "0.1.0"

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
    "regularizers",
    "save",
    "schedules",
    "setup",
    "teach",
    "train",
    "tune",
]
