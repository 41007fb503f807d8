"""Pictures of a training run by matplotlib: `learning_curves`, `confusion`, `examples`, `mistakes`; all in `report`.
Of a search: `parallel_coordinates`.

Needs `pip install "jaxann[plots]"`. Figures are made without pyplot, so nothing is kept in the background and no screen
is needed: `figure.savefig("run.png")`.
"""

from jaxann.plot.confusion import confusion
from jaxann.plot.examples import examples, mistakes
from jaxann.plot.learning_curves import learning_curves
from jaxann.plot.parallel import parallel_coordinates
from jaxann.plot.report import report

__all__ = ["confusion", "examples", "learning_curves", "mistakes", "parallel_coordinates", "report"]
