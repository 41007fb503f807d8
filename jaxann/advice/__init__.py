"""Where to begin: from data and a task to a recipe with a reason for every choice.

facts           what a recommendation rests on;  reading, targets: the same read from data, on the host
recommendation  the result, and how it reads
heads           last layer, loss and metrics, by the task
net             what a family of nets hands to the rest
tables, images, sequences   which net, for how many examples
training        optimizer, rate, batches, epochs, regularization, stopping
recommend       the verb
"""

from jaxann.advice.amounts import in_deviations
from jaxann.advice.facts import Facts
from jaxann.advice.recommend import recommend
from jaxann.advice.recommendation import Reason, Recommendation

__all__ = ["Facts", "Reason", "Recommendation", "in_deviations", "recommend"]
