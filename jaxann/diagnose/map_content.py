"""All that the map shows, as plain data: numbers of four digits, names, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxann.diagnose.map_epochs import Epoch, Epochs
from jaxann.diagnose.map_examples import Figures, Passes
from jaxann.diagnose.map_groups import groups_of
from jaxann.diagnose.map_health import LEVELS, REASONS, Health
from jaxann.diagnose.map_histogram import BINS
from jaxann.diagnose.map_texts import FAMILIES, text_of
from jaxann.diagnose.map_walk import GIVEN
from jaxann.diagnose.map_watch import Noted, function_of, noted_places
from jaxann.train.batches import Batch
from jaxann.train.probing import BY_LAYER
from jaxann.train.recipe import Recipe
from jaxann.train.taps import INPUT, Place

__all__ = ["FIGURES", "LOSS", "Content", "content_of", "rounded"]

LOSS = "(loss)"
FIGURES = {
    "layer_gradient_norm": "gradient norm",
    "layer_update_ratio": "update ratio",
    "layer_mean": "mean",
    "layer_std": "standard deviation",
    "layer_dead": "dead share",
    "layer_saturated": "saturated share",
    "layer_similarity": "similarity",
    "layer_nonfinite": "not finite",
}
_UNKNOWN = Health(LEVELS.index("not measured"), ())
_COLUMNS = [BY_LAYER.index(name) for name in FIGURES]
Content = dict[str, Any]


def rounded(value: Any) -> Any:
    """A number of four digits as JSON has it: None for none, and infinity as a word."""
    number = float(value)
    if math.isnan(number):
        return None
    if math.isinf(number):
        return "infinite" if number > 0 else "-infinite"
    short = float(f"{number:.4g}")
    return int(short) if short.is_integer() and abs(short) < 1e6 else short


def content_of(
    recipe: Recipe,
    places: Sequence[Place],
    epochs: Epochs,
    counted: tuple[Any, Any],
    found: Passes,
    picked: Batch,
    rows: int,
) -> Content:
    """The content of the page, which JSON can hold.

    Args:
        recipe: the model, loss and optimizer.
        places: the layers of the figures.
        epochs: the positions of the slider.
        counted: histograms, of the input and as a watch has seen them.
        found: the passes of the examples.
        picked: the examples.
        rows: of the batch that was measured.
    """
    ran, histograms = _by_name(found.layers), _by_name(noted_places(counted[1]))
    measured = dict(zip(_turns(place.name for place in places), places, strict=True))
    names = _order(list(measured), list(ran))
    keys = [GIVEN if name == INPUT else ran[name, turn].key if (name, turn) in ran else None for name, turn in names]
    position = {key: at for at, key in enumerate(keys) if key is not None}
    boxes = [_box(name, measured.get((name, turn)), ran.get((name, turn))) for name, turn in names]
    boxes.append({"name": LOSS, "kind": function_of(recipe.loss), "shape": "", "parameters": 0})
    edges = [
        [position[source], position[key]]
        for key in position
        for source in sorted(found.before.get(key, ()))
        if source in position
    ]
    edges += [[position[source], len(names)] for source in sorted(found.end) if source in position]
    grouped = iter(groups_of([box["name"] for box in boxes if box["name"] not in (INPUT, LOSS)]))
    for box in boxes:
        outer = box["name"] in (INPUT, LOSS)
        text = text_of(box["name"] if outer else box["kind"])
        box |= {"formula": text.formula, "family": text.family, "group": "" if outer else next(grouped)}
    counts = [counted[0] if n[0] == INPUT else histograms[n].found if n in histograms else None for n in names]
    rows_of = {name: row for row, name in enumerate(measured)}
    rows_at = [rows_of.get(name) for name in names]
    return {
        "title": f"{recipe.model._factory.short_name}: a map of the net",
        "optimizer": " ".join(repr(recipe.optimizer).split()),
        "rows": rows,
        "boxes": boxes,
        "edges": edges,
        "figures": list(FIGURES.values()),
        "levels": list(LEVELS),
        "reasons": REASONS,
        "pitfalls": {family: FAMILIES[family] for family in sorted({box["family"] for box in boxes})},
        "epochs": [_epoch(one, rows_at) for one in epochs.positions],
        "histograms": [*map(_histogram, counts), None],
        "examples": _examples(found, keys, picked),
        "missing": list(_missing(epochs, boxes, keys, rows_at, found)),
    }


def _order(measured: list[tuple[str, int]], ran: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The layers that were measured, and behind the one before it each that only ran."""
    names, at = list(measured), 0
    for name in ran:
        if name in names:
            at = names.index(name)
        else:
            at += 1
            names.insert(at, name)
    return names


def _turns(names: Iterable[str]) -> list[tuple[str, int]]:
    """Each name with how often it stood before: a layer may be called twice."""
    met: dict[str, int] = {}
    found = []
    for name in names:
        met[name] = met.get(name, -1) + 1
        found.append((name, met[name]))
    return found


def _by_name(layers: Sequence[Noted]) -> dict[tuple[str, int], Noted]:
    return dict(zip(_turns(layer.name for layer in layers), layers, strict=True))


def _box(name: str, place: Place | None, noted: Noted | None) -> dict[str, Any]:
    sizes = place.shape if place is not None else noted.seen.shape if noted is not None else ()
    kind = "what the model is given" if name == INPUT else noted.seen.kind if noted else place.kind if place else ""
    shape = " x ".join(["batch", *map(str, sizes[1:])]) if sizes else ""
    return {"name": name, "kind": kind, "shape": shape, "parameters": place.parameters if place else 0}


def _epoch(epoch: Epoch, rows: Sequence[int | None]) -> dict[str, Any]:
    nothing = [None] * len(_COLUMNS)
    return {
        "number": epoch.number,
        "losses": [[name, rounded(value)] for name, value in epoch.losses],
        "norm": rounded(epoch.norm),
        "figures": [
            nothing if row is None else [rounded(epoch.by_layer[row, column]) for column in _COLUMNS] for row in rows
        ],
        "health": [
            [one.level, *one.reasons] for one in (epoch.health[row] if row is not None else _UNKNOWN for row in rows)
        ]
        + [[epoch.health[-1].level, *epoch.health[-1].reasons]],
    }


def _histogram(counts: Any) -> Any:
    """`[least, greatest, counts]`, None where there is none."""
    if counts is None or not np.isfinite(counts).all():
        return None
    return [rounded(counts[BINS]), rounded(counts[BINS + 1]), [int(count) for count in counts[:BINS]]]


def _examples(found: Passes, keys: Sequence[Any], picked: Batch) -> list[dict[str, Any]]:
    targets = [np.asarray(leaf) for leaf in jax.tree.leaves(picked.y)]
    shown = []
    for row, loss in enumerate(found.loss):
        target = targets[0][row] if len(targets) == 1 and targets[0][row].size == 1 else None
        shown.append(
            {
                "target": None if target is None else rounded(target.reshape(())),
                "loss": rounded(loss),
                "forward": [_figures(found.forward, key, row) for key in keys],
                "backward": [_figures(found.backward, key, row) for key in keys],
                "parameters": [
                    rounded(found.parameters[key][row]) if key in found.parameters else None for key in keys
                ],
            }
        )
    return shown


def _figures(figures: Mapping[Any, Figures], key: Any, row: int) -> Any:
    """`[norm, mean]`, and the numbers where they are few; None where there are none."""
    one = figures.get(key)
    if one is None:
        return None
    numbers = [rounded(one.norm[row]), rounded(one.mean[row])]
    return numbers if one.values is None else [*numbers, [rounded(value) for value in one.values[row]]]


def _missing(
    epochs: Epochs, boxes: list[dict[str, Any]], keys: Sequence[Any], rows: Sequence[int | None], found: Passes
) -> Iterable[str]:
    """What the page does not show, in sentences."""
    if not epochs.known:
        yield "There is no slider: the history has no probes. ja.recipe(..., probes=True) notes them in a run."
    else:
        yield "Distributions and examples are those of the parameters that were given, not of earlier epochs."
    if epochs.unprobed:
        yield f"{epochs.unprobed:,} epochs were not probed and have no position of the slider."
    if epochs.thinned:
        yield f"{epochs.thinned:,} probed epochs are left out to keep the page small."
    hidden = [box["name"] for box, key in zip(boxes, keys, strict=False) if key is None]
    if hidden:
        names = ", ".join(hidden[:4]) + (f" and {len(hidden) - 4} more" if len(hidden) > 4 else "")
        yield f"No output is known of {names}: it runs where it cannot be watched, or not at all."
    if None in rows:
        names = ", ".join(sorted({box["kind"] for box, row in zip(boxes, rows, strict=False) if row is None}))
        yield f"Boxes of {names} have no figures of their own: what they give is what the last layer inside gives."
    opaque = sum(key is not None and key not in found.backward for key in keys)
    if opaque:
        yield "Outputs that are no numbers with fractions, or several arrays at once, have no gradient on the map."
    if not found.parameters and any(box["parameters"] for box in boxes):
        yield (
            "The loss compares examples with each other: gradients of outputs are those of the sum over the examples "
            "that can be picked, and no gradient of one example in the parameters is shown."
        )
    yield (
        "An example's loss is its own: without weights of examples and without the penalty. Of outputs of more than 16 "
        "numbers only norm and mean are shown. What is inside of a layer that shows no layers of its own is not shown."
    )
