"""Names are drawn as they are: a dollar sign begins no formula."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.text import Text

from jaxann import plot

X, TRUE, GUESSED = np.zeros((3, 4, 4)), np.array([0, 1, 1]), np.array([0, 0, 1])
NAMES = ["$5 to $10", r"over $\frac"]  # as a formula, the one loses its dollars and the other cannot be read
HISTORY = {"loss": np.ones(2), "$a_$b$": np.ones(2)}


@pytest.mark.parametrize(
    ("figure", "shown"),
    [
        (lambda: plot.confusion(GUESSED, TRUE, classes=NAMES).figure, NAMES),
        (lambda: plot.mistakes(X, GUESSED, TRUE, classes=NAMES), []),
        (lambda: plot.examples(X[:2], NAMES, title="$x$ ^ $"), [*NAMES, "$x$ ^ $"]),
        (lambda: plot.learning_curves(HISTORY, "$a_$b$").figure, ["$a $b$"]),
        (lambda: plot.report(HISTORY, GUESSED, TRUE, X, classes=NAMES, metric="$a_$b$"), NAMES),
    ],
    ids=["confusion", "mistakes", "examples", "learning_curves", "report"],
)
def test_dollar_signs_are_drawn_as_they_are(figure, shown):
    drawn = figure()
    drawn.savefig(io.BytesIO(), format="png")
    texts = [text.get_text() for text in drawn.findobj(Text)]
    for name in shown:
        assert name.replace("$", r"\$") in texts  # as matplotlib writes a plain dollar sign
