"""Schedules: factories of `step -> value`, step counted from 0 in optimizer steps.

They run inside compiled programs: `step` may be traced and of any shape, every number may be traced, the value is
constant outside the schedule's range and exact at its boundaries. `cyclic`, `cosine_restarts` and the decays without an
end have no last step. `reduce_on_plateau` reacts to a measured value; its state is carried by the training program.
"""

from jaxann.schedules.annealing import cosine, cosine_log, cosine_restarts, wsd
from jaxann.schedules.base import constant, custom, scaled, value_at
from jaxann.schedules.cycle import cyclic, linear_one_cycle, one_cycle, slanted_triangular
from jaxann.schedules.decay import (
    exponential,
    inverse_sqrt,
    inverse_time,
    linear,
    multi_step,
    noam,
    piecewise_constant,
    polynomial,
    step,
)
from jaxann.schedules.joined import join, warmup
from jaxann.schedules.plateau import Plateau, PlateauState, reduce_on_plateau

__all__ = [
    "Plateau",
    "PlateauState",
    "constant",
    "cosine",
    "cosine_log",
    "cosine_restarts",
    "custom",
    "cyclic",
    "exponential",
    "inverse_sqrt",
    "inverse_time",
    "join",
    "linear",
    "linear_one_cycle",
    "multi_step",
    "noam",
    "one_cycle",
    "piecewise_constant",
    "polynomial",
    "reduce_on_plateau",
    "scaled",
    "slanted_triangular",
    "step",
    "value_at",
    "warmup",
    "wsd",
]
