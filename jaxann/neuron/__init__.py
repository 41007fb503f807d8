"""One neuron: the threshold unit, the perceptron and its rule, logic gates, and what one layer cannot do."""

from jaxann.neuron.gates import gate, xor_net
from jaxann.neuron.rule import PerceptronReport, fit_perceptron
from jaxann.neuron.unit import margin, mistake_bound, perceptron, threshold_net, threshold_unit

__all__ = [
    "PerceptronReport",
    "fit_perceptron",
    "gate",
    "margin",
    "mistake_bound",
    "perceptron",
    "threshold_net",
    "threshold_unit",
    "xor_net",
]
