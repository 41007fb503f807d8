"""The mistakes that are commonly printed in textbooks and notes, what is right, and a check of each that runs."""

from __future__ import annotations

from jaxann.core.checks import fail
from jaxann.teach import (
    errata_activations,
    errata_backprop,
    errata_depth,
    errata_descent,
    errata_losses,
    errata_neuron,
    errata_practice,
)
from jaxann.teach.erratum import Erratum

__all__ = ["SEVERITIES", "errata"]

SEVERITIES = {
    "S": "a wrong result for whoever programs it",
    "I": "imprecise, or claimed too widely",
    "N": "notation, or something left out",
}

_ROOMS = (
    errata_activations,
    errata_backprop,
    errata_depth,
    errata_descent,
    errata_losses,
    errata_neuron,
    errata_practice,
)
_ROWS = {row.number: row for row in sorted((r for room in _ROOMS for r in room.ROWS), key=lambda r: int(r.number[1:]))}


def errata(which: str = "all") -> tuple[Erratum, ...]:
    """The errata, E1 to E69, in their order; `row.run()` computes the figures that show it.

    Args:
        which: "all"; "S", "I" or "N" for one severity; or a number such as "E3".

    Raises:
        InputError: there is no such row or severity.
    """
    if which not in ("all", *SEVERITIES, *_ROWS):
        fail("errata", "which", f"all, one of {', '.join(SEVERITIES)}, or a row from E1 to E{len(_ROWS)}", which)
    return tuple(row for row in _ROWS.values() if which in ("all", row.severity, row.number))
