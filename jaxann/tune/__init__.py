"""Tuning: the space of settings, ways to draw from it, splits of the data, searches, and the table each returns."""

from jaxann.tune.bayes import bayes
from jaxann.tune.budget import Budget, budget
from jaxann.tune.cross_validation import cross_validate
from jaxann.tune.dimensions import choice, conditional, integer, log_uniform, uniform
from jaxann.tune.enqueue import Enqueued, enqueue
from jaxann.tune.folds import grouped_k_fold, k_fold, stratified_k_fold, time_series_split
from jaxann.tune.halving import halving, rungs
from jaxann.tune.hyperband import brackets, hyperband
from jaxann.tune.hypergradient import hypergradient
from jaxann.tune.nested import Nested, nested_cross_validate
from jaxann.tune.population_based import Evolution, Exploration, population_based
from jaxann.tune.resampling import resampling
from jaxann.tune.samplers import grid, random, sobol
from jaxann.tune.space import decode, encode
from jaxann.tune.table import Table, load_table

__all__ = [
    "Budget",
    "Enqueued",
    "Evolution",
    "Exploration",
    "Nested",
    "Table",
    "bayes",
    "brackets",
    "budget",
    "choice",
    "conditional",
    "cross_validate",
    "decode",
    "encode",
    "enqueue",
    "grid",
    "grouped_k_fold",
    "halving",
    "hyperband",
    "hypergradient",
    "integer",
    "k_fold",
    "load_table",
    "log_uniform",
    "nested_cross_validate",
    "population_based",
    "random",
    "resampling",
    "rungs",
    "sobol",
    "stratified_k_fold",
    "time_series_split",
    "uniform",
]
