"""The positions of the map's slider: the epochs that were probed, and the state that was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxann.core.checks import fail
from jaxann.diagnose.map_health import Health, health_of, loss_health
from jaxann.train.probing import BY_LAYER
from jaxann.train.taps import Place

__all__ = ["Epoch", "Epochs", "Probed", "epochs_of", "probed"]

_MOST_ROWS = 6000  # of figures on a page, layers times positions
_NORM, _NONFINITE = (BY_LAYER.index(f"layer_{name}") for name in ("gradient_norm", "nonfinite"))


class Epoch(NamedTuple):
    """One position of the slider."""

    number: int | None  # of the epoch, counted from 1; None for the state that was given
    losses: tuple[tuple[str, float], ...]  # by name
    norm: float  # of the gradient of all parameters
    by_layer: np.ndarray  # (layers, len(BY_LAYER))
    health: tuple[Health, ...]  # of each layer, then of the loss


class Epochs(NamedTuple):
    """All positions, and how many epochs were left out: not probed, and thinned for the size of the page."""

    positions: tuple[Epoch, ...]
    unprobed: int
    thinned: int
    known: bool  # whether there were probes at all


class Probed(NamedTuple):
    """What a history knows of the epochs that were probed."""

    table: np.ndarray  # (epochs, layers, len(BY_LAYER))
    numbers: list[int]  # of the epochs, counted from 1
    losses: list[tuple[tuple[str, float], ...]]
    missing: int  # epochs that were not probed


def epochs_of(places: Sequence[Place], by_layer: np.ndarray, loss: float, known: Probed) -> Epochs:
    """The positions, the state that was given last.

    Args:
        places: the layers of the figures.
        by_layer, loss: of a probe of that state.
        known: from `probed`.
    """
    table, numbers, losses, missing = known
    norms = np.sqrt(np.nansum(np.square(table[..., _NORM].astype(np.float64)), 1))
    every = max(1, -(-len(numbers) * len(places) // _MOST_ROWS))
    kept = [at for at in range(len(numbers)) if (len(numbers) - 1 - at) % every == 0]
    parameters = [place.parameters for place in places]
    found = []
    for at in kept:
        health = (*health_of(parameters, table[at]), loss_health(losses[at][0][1], norms[at], norms[:at]))
        found.append(Epoch(numbers[at], losses[at], float(norms[at]), table[at], health))
    value = float(loss)
    norm = float(np.sqrt(np.nansum(np.square(by_layer[:, _NORM].astype(np.float64)))))
    health = (*health_of(parameters, by_layer), loss_health(value, norm, norms))
    found.append(Epoch(None, (("loss", value),), norm, np.asarray(by_layer), health))
    return Epochs(tuple(found), missing, len(numbers) - len(kept), bool(numbers))


def probed(places: Sequence[Place], history: Mapping[str, Any] | None) -> Probed:
    """The probes of one run, nothing for a history without.

    Raises:
        InputError: the history's figures are those of another number of layers, or of several runs.
    """
    if history is None or any(name not in history for name in BY_LAYER):
        return Probed(np.zeros((0, len(places), len(BY_LAYER))), [], [], 0)
    table = np.stack([np.asarray(history[name]) for name in BY_LAYER], -1)
    if table.ndim != 3 or table.shape[1] < len(places):
        expected = f"of one run with {len(places)} layers"
        fail("live_map", "history", expected, f" figures of shape {table.shape[:-1]}")
    table = table[:, : len(places)]
    kept = [at for at in range(len(table)) if not np.isnan(table[at, :, _NONFINITE]).all()]
    losses = [
        tuple(
            (shown, float(np.asarray(history[name])[at]))
            for name, shown in (("loss", "loss"), ("validation_loss", "validation loss"))
            if name in history
        )
        or (("loss", float(np.asarray(history["probe_loss"])[at])),)
        for at in kept
    ]
    ran = len(table) if "loss" not in history else int(np.sum(~np.isnan(np.asarray(history["loss"], np.float64))))
    return Probed(table[kept], [at + 1 for at in kept], losses, max(0, ran - len(kept)))
