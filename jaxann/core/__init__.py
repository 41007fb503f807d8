"""Floor 0: types, errors, checks, named trees, keys, and the factories everything is made with."""

from jaxann.core.augmentation import Augment, Mixed
from jaxann.core.config import from_config, to_config
from jaxann.core.errors import CheckpointError, DivergedError, DivergedWarning, InputError, MissingDependencyError
from jaxann.core.factories import batch_axes, factory, is_product
from jaxann.core.keys import fold_name
from jaxann.core.metric_functions import MetricFunctions
from jaxann.core.modes import TrainMode
from jaxann.core.padding import Padded, padded, unpadded
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.core.products import (
    Initializer,
    Layer,
    LayerFunctions,
    Metric,
    Optimizer,
    OptimizerFunctions,
    Penalty,
    Schedule,
)
from jaxann.core.trees import flatten_named, map_named, unflatten_named

__all__ = [
    "Augment",
    "CheckpointError",
    "DivergedError",
    "DivergedWarning",
    "Initializer",
    "InputError",
    "Layer",
    "LayerFunctions",
    "Metric",
    "MetricFunctions",
    "MissingDependencyError",
    "Mixed",
    "Optimizer",
    "OptimizerFunctions",
    "Padded",
    "Penalty",
    "Preprocessor",
    "PreprocessorFunctions",
    "Schedule",
    "TrainMode",
    "batch_axes",
    "factory",
    "flatten_named",
    "fold_name",
    "from_config",
    "is_product",
    "map_named",
    "padded",
    "to_config",
    "unflatten_named",
    "unpadded",
]
