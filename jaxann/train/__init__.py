"""Training: one run as a pure program (`make_run`), its host face (`fit`), populations of runs, `predict`, `evaluate`."""

from jaxann.train.fit import fit
from jaxann.train.population import Population, fit_population
from jaxann.train.predict import evaluate, predict
from jaxann.train.run import Result, Status, make_run

__all__ = ["Population", "Result", "Status", "evaluate", "fit", "fit_population", "make_run", "predict"]
