"""The picture of the population benchmark: time per training against the number of trainings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from benchmarks.population_work import TRAININGS

COLOURS = {
    "jaxann": "#c0392b",
    "jaxann_loop": "#e59866",
    "torch_loop": "#85929e",
    "torch_vmap": "#2c3e50",
    "sklearn": "#2e86c1",
}
GAP = 0.05
"""Least distance of two names at the right, as a share of the axis."""


def spread_out(places: Mapping[str, float], gap: float) -> dict[str, float]:
    """Places at least `gap` apart, in the same order, as near to those given as pushing upwards and recentring gets."""
    names = sorted(places, key=places.__getitem__)
    moved: list[float] = []
    for name in names:
        moved.append(max(places[name], moved[-1] + gap) if moved else places[name])
    shift = sum(m - places[n] for m, n in zip(moved, names, strict=True)) / max(len(names), 1)
    return {name: place - shift for name, place in zip(names, moved, strict=True)}


def draw_picture(path: Path, result: dict, device: str) -> None:
    """Write the picture as PNG. Dashes and hollow marks: carried on from smaller populations, not measured."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 4.2), dpi=160)
    lines = {}
    for name, found in result["contenders"].items():
        cells = [cell for cell in found["cells"] if cell["kind"] != "skipped"]
        if not cells:
            continue
        measured = [cell for cell in cells if cell["kind"] == "measured"]
        carried = [cell for cell in cells if cell["kind"] == "extrapolated"]
        style = {"color": COLOURS[name], "linewidth": 2.4 if name == "jaxann" else 1.5, "markersize": 5}

        def points(chosen: list[dict]) -> tuple[list[int], list[float]]:
            return [cell["members"] for cell in chosen], [cell["seconds"] * 1e3 for cell in chosen]

        axes.plot(*points(measured), "o-", **style)
        if carried:
            axes.plot(*points([*measured[-1:], *carried]), "--", **style)
            axes.plot(*points(carried), "o", markerfacecolor="white", **style)
        lines[name] = (cells[-1]["seconds"] * 1e3, found["platform"])
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(result["sizes"], [f"{size:,}" for size in result["sizes"]])
    axes.minorticks_off()
    low, high = (math.log10(limit) for limit in axes.get_ylim())
    low, high = math.floor(low * 2) / 2, math.ceil(high * 2) / 2
    axes.set_ylim(10**low, 10**high)
    ticks = [step * 10**power for power in range(math.floor(low), math.ceil(high) + 1) for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if 10**low <= tick <= 10**high]
    axes.set_yticks(ticks, [f"{tick:,g}" for tick in ticks])
    places = spread_out({name: math.log10(height) for name, (height, _) in lines.items()}, GAP * (high - low))
    for label, (height, platform) in lines.items():
        text = TRAININGS[label].label + (" (CPU)" if platform == "cpu" and not device.startswith("cpu") else "")
        axes.annotate(
            text,
            xy=(result["sizes"][-1], height),
            xytext=(result["sizes"][-1] * 1.25, 10 ** places[label]),
            color=COLOURS[label],
            fontsize=9,
            fontweight="bold" if label == "jaxann" else "normal",
            va="center",
            annotation_clip=False,
        )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e5e8e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("networks trained")
    axes.set_title("milliseconds a network: 64-100-10 on 1,437 digits, 200 epochs", loc="left", fontsize=10)
    note = device
    if any(cell["kind"] == "extrapolated" for c in result["contenders"].values() for cell in c["cells"]):
        note += "; dashed: one training after the other, carried on from 16 networks"
    axes.text(0, -0.19, note, fontsize=7, color="#707b7c", transform=axes.transAxes)
    figure.savefig(path, bbox_inches="tight")
    pyplot.close(figure)
