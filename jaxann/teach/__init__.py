"""The library explains itself: a training step number by number, and the mistakes that are commonly printed."""

from jaxann.teach.account import Account, explain
from jaxann.teach.errata import SEVERITIES, errata
from jaxann.teach.erratum import Check, Erratum, Figure
from jaxann.teach.examples import EXAMPLES, Example, example
from jaxann.teach.layers import LayerFormula, layer_formula
from jaxann.teach.page import page
from jaxann.teach.steps import Block, Column, Edge, Net, Section, Step, Unit

__all__ = [
    "EXAMPLES",
    "SEVERITIES",
    "Account",
    "Block",
    "Check",
    "Column",
    "Edge",
    "Erratum",
    "Example",
    "Figure",
    "LayerFormula",
    "Net",
    "Section",
    "Step",
    "Unit",
    "errata",
    "example",
    "explain",
    "layer_formula",
    "page",
]
