"""Every rule against a transcription of its documented formula: 1,000 given gradients, float64.

The transcriptions are plain NumPy, in `references_*.py` beside this file; each module's CASES is
`{name: (optimizer, reference)}` with `reference(start, grads, values) -> updates` as `given_gradients` says.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
import pytest

from tests.optimizers.given_gradients import START, STEPS, gradients, path, values
from tests.tolerances import assert_close

MODULES = ("references_elementwise", "references_structured")
CASES: dict[str, Any] = {}
for _name in MODULES:
    if importlib.util.find_spec(f"tests.optimizers.{_name}") is not None:
        CASES |= importlib.import_module(f"tests.optimizers.{_name}").CASES


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CASES)
def test_optimizer_follows_its_formula_on_given_gradients(name: str):
    optimizer, reference = CASES[name]
    start = {leaf: value.copy() for leaf, value in START.items()}
    expected = reference(start, gradients(), values())
    assert len(expected) == STEPS
    for leaf, updates in path(optimizer).items():
        theirs = np.stack([update[leaf] for update in expected])
        assert np.abs(theirs).max() > 0  # it has moved
        assert_close(updates, theirs, "oracle")
        assert_close(updates[:7], theirs[:7], "oracle")  # later steps may be far larger
