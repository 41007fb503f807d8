"""One row for each public name of the rooms that hold functions and factories; the contracts run over all of them.

Adding a function to a room takes one row in `tests/rows/<room>.py`. A room's types (states, product classes) need none:
they are met through the factory that makes them. What is neither stands in HELPERS with the reason.
"""

from __future__ import annotations

from jaxann import (
    activations,
    data,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    preprocessing,
    regularizers,
    schedules,
)
from jaxann.metrics import streaming
from tests.rows import activations as activation_rows
from tests.rows import augment as augment_rows
from tests.rows import initializers as initializer_rows
from tests.rows import layers as layer_rows
from tests.rows import losses as loss_rows
from tests.rows import metrics as metric_rows
from tests.rows import models as model_rows
from tests.rows import optimizers as optimizer_rows
from tests.rows import preprocessing as preprocessing_rows
from tests.rows import regularizers as regularizer_rows
from tests.rows import schedules as schedule_rows
from tests.rows import sequences as sequence_rows
from tests.rows import sounds_and_texts
from tests.rows import structured as structured_rows
from tests.rows import tables as table_rows
from tests.rows import transforms as transform_rows
from tests.rows.kinds import (
    ActivationRow,
    AugmentRow,
    LayerRow,
    LossRow,
    MetricRow,
    OptimizerRow,
    PreprocessorRow,
    Row,
    ScheduleRow,
)

__all__ = [
    "ACTIVATIONS",
    "AUGMENTS",
    "HELPERS",
    "INITIALIZERS",
    "LAYERS",
    "LOSSES",
    "METRICS",
    "OPTIMIZERS",
    "PREPROCESSORS",
    "PRODUCTS",
    "REGULARIZERS",
    "ROOMS",
    "SCHEDULES",
    "TABLES",
    "TOKENIZERS",
    "ActivationRow",
    "AugmentRow",
    "LayerRow",
    "LossRow",
    "MetricRow",
    "OptimizerRow",
    "PreprocessorRow",
    "Row",
    "ScheduleRow",
]

ROOMS = {
    "activations": activations,
    "initializers": initializers,
    "schedules": schedules,
    "losses": losses,
    "metrics": metrics,
    "metrics.streaming": streaming,
    "layers": layers,
    "optimizers": optimizers,
    "models": models,
    "regularizers": regularizers,
    "data": data,
    "preprocessing": preprocessing,
}

ACTIVATIONS = activation_rows.ACTIVATIONS
INITIALIZERS = initializer_rows.INITIALIZERS
SCHEDULES = schedule_rows.SCHEDULES
LOSSES = loss_rows.LOSSES
METRICS = metric_rows.METRICS
LAYERS = layer_rows.LAYERS + table_rows.COLUMNS + sequence_rows.SEQUENCES + model_rows.MODELS
OPTIMIZERS = optimizer_rows.OPTIMIZERS + structured_rows.OPTIMIZERS_STRUCTURED + transform_rows.TRANSFORMS
REGULARIZERS = regularizer_rows.REGULARIZERS
PREPROCESSORS = preprocessing_rows.PREPROCESSORS
AUGMENTS = augment_rows.AUGMENTS
TOKENIZERS = sounds_and_texts.TOKENIZERS

HELPERS = {
    name: reason
    for rows in (
        activation_rows,
        initializer_rows,
        schedule_rows,
        loss_rows,
        metric_rows,
        layer_rows,
        model_rows,
        optimizer_rows,
        regularizer_rows,
        augment_rows,
        preprocessing_rows,
        structured_rows,
        transform_rows,
    )
    for name, reason in rows.HELPERS.items()
}

PRODUCTS = [
    *INITIALIZERS,
    *SCHEDULES,
    *METRICS,
    *LAYERS,
    *REGULARIZERS,
    *AUGMENTS,
    *TOKENIZERS,
    *PREPROCESSORS,
    *(Row(row.name, lambda row=row: row.build(0.1), row.oracle, row.bad, row.saved) for row in OPTIMIZERS),
]

# Random where they are, or hold something that is; and no regularizers.
_HOLDERS = ("sequential", "rrelu", "dense_block", "encode_sample_decode", "highway", "remat", "repeat")
_MIXED = {f"layers.{name}" for name in _HOLDERS}
_MIXING = ("data.cutmix", "data.cutout", "data.mixup", "data.random_erasing")
_WHOLE = ("optimizers.chain", "optimizers.custom", "optimizers.from_optax", "optimizers.clip_by_global_norm")


def _names(*rows: Row) -> list[str]:
    return [row.name for row in rows]


_NOISY = _names(*(row for row in LAYERS if row.name.startswith("layers.") and row.random and row.name not in _MIXED))
TABLES = {  # what the count and CATALOGUE.md show, by title
    "activations": _names(*ACTIVATIONS),
    "losses": _names(*LOSSES),
    "optimizers": [
        row.name for row in optimizer_rows.OPTIMIZERS + structured_rows.OPTIMIZERS_STRUCTURED if row.name not in _WHOLE
    ],
    "gradient transformations": [*_names(*transform_rows.TRANSFORMS), *_WHOLE],
    "schedules": _names(*SCHEDULES),
    "initializers": [*_names(*INITIALIZERS), "initializers.lsuv"],
    "regularizers": [*_names(*REGULARIZERS), *_NOISY, *_MIXING, "train.monte_carlo_predict"],
    "augmentations": [name for name in _names(*AUGMENTS) if name not in _MIXING],
    "tokenizers": _names(*TOKENIZERS),
    "preprocessors": _names(*PREPROCESSORS),
    "metrics": _names(*METRICS),
    "averages": ["ops.ewma"],
    "layers": [name for name in _names(*LAYERS) if name.startswith("layers.") and name not in _NOISY],
    "models": [name for name in _names(*LAYERS) if name.startswith("models.")],
}
