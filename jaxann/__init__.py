"""jaxann: neural networks on JAX, a whole training run as one compiled program.

    import jax, jaxann as ja

    model = ja.models.mlp((512, 512, 10), dropout=0.2)
    recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-3))
    result = ja.fit(recipe, (x, y), key=jax.random.key(0), epochs=20)

Rooms: `models layers activations initializers losses metrics optimizers schedules regularizers preprocessing train tune
data io plot ops neuron backprop diagnose advice teach estimators core`. Each is loaded when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from jaxann.core.errors import CheckpointError, DivergedError, DivergedWarning, InputError, MissingDependencyError
from jaxann.core.programs import leave_out_faults
from jaxann.core.setup import setup
from jaxann.core.tables import rooms_are_loaded_by

if TYPE_CHECKING:
    from jaxann import (
        activations,
        advice,
        backprop,
        core,
        data,
        diagnose,
        estimators,
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

# Where the names that are no rooms come from; all others of `__all__` that are not here yet are rooms.
_NAMES = {
    "explain": "teach",
    "fit": "train",
    "load": "io",
    "predict": "train",
    "recipe": "train",
    "recommend": "advice",
    "save": "io",
    "summary": "diagnose",
}
_ROOMS = tuple(name for name in __all__ if name.islower() and name not in _NAMES and name != "setup")


def __getattr__(name: str) -> Any:
    """A room, or one of the names that stand in one, when first asked for."""
    if name in _ROOMS:
        return import_module(f"jaxann.{name}")
    if name in _NAMES:
        return globals().setdefault(name, getattr(import_module(f"jaxann.{_NAMES[name]}"), name))
    raise AttributeError(f"module 'jaxann' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _load(room: str | None) -> None:
    """Load a room, if it is one, or all for None; of `estimators` what can stand in a file, where its library is."""
    for name in _ROOMS if room is None else {room}.intersection(_ROOMS):
        if name != "estimators":
            import_module(f"jaxann.{name}")
        elif find_spec("sklearn"):
            import_module("jaxann.estimators.heads")


rooms_are_loaded_by(_load)
