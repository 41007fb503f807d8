"""Training: the run as one pure program (`make_run`), its host face (`fit`), `predict` and `evaluate`."""

from jaxann.train.fit import fit
from jaxann.train.predict import evaluate, predict
from jaxann.train.run import Result, Status, make_run

__all__ = ["Result", "Status", "evaluate", "fit", "make_run", "predict"]
