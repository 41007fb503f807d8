"""Pictures of a training run by matplotlib: `learning_curves`, `confusion`, `examples`, `mistakes`; all in `report`.
Of a search: `parallel_coordinates`. Of what matters to a model: `importance_bars`, `beeswarm`. Of the test of learning
rates: `learning_rate_range`.

Needs `pip install "jaxann[plots]"`. Figures are made without pyplot, so nothing is kept in the background and no screen
is needed: `figure.savefig("run.png")`.
"""

from jaxann.plot.confusion import confusion
from jaxann.plot.examples import examples, mistakes
from jaxann.plot.importance import beeswarm, importance_bars
from jaxann.plot.learning_curves import learning_curves
from jaxann.plot.parallel import parallel_coordinates
from jaxann.plot.rate_range import learning_rate_range
from jaxann.plot.report import report

__all__ = [
    "beeswarm",
    "confusion",
    "examples",
    "importance_bars",
    "learning_curves",
    "learning_rate_range",
    "mistakes",
    "parallel_coordinates",
    "report",
]
