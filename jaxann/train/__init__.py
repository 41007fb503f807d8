"""Training: a run as one pure program (`make_run`), its host face (`fit`), populations, `predict` and `evaluate`."""

from jaxann.train import ensemble
from jaxann.train.export import export_run
from jaxann.train.fit import fit
from jaxann.train.monte_carlo import monte_carlo_predict
from jaxann.train.population import Population, fit_population
from jaxann.train.predict import evaluate, predict
from jaxann.train.run import Result, Status, make_run

__all__ = [
    "Population",
    "Result",
    "Status",
    "ensemble",
    "evaluate",
    "export_run",
    "fit",
    "fit_population",
    "make_run",
    "monte_carlo_predict",
    "predict",
]
