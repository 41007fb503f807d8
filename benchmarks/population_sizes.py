"""Second part of the population benchmark: time per training against the number of trainings.

The split is fixed (1,437 rows to train on), seeds and learning rates differ from member to member, and all times are
stated for one member and 200 epochs. Large populations run fewer epochs and are scaled up; small ones run all of them,
since a call has costs that do not grow with the epochs. Contenders that train one member after the other are measured
up to 16 members and carried on from there, marked `~`. A size that would take too long is left out, marked `>`.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from rich.console import Console

from benchmarks.harness import rotate
from benchmarks.population_turns import Contest, Report, busy
from benchmarks.population_work import EPOCHS, TRAININGS, member_rates
from benchmarks.report import make_table, number

BASE = "jaxann"
SIZES = (1, 4, 16, 64, 256, 1024)
QUICK_SIZES = (1, 4, 16)
LINEAR_TO = 16


def epochs_for(members: int, *, quick: bool) -> int:
    """Epochs of one turn of a population."""
    full = {1: 200, 4: 200, 16: 200, 64: 100, 256: 50}.get(members, 20 if members > 256 else 100)
    return max(10, full // 5) if quick else full


def measure_sizes(arguments: argparse.Namespace, task: Path, report: Report) -> dict:
    """Size by size, one turn that is not counted and rounds of turns that are; return everything measured."""
    chosen = {name: entry for name, entry in TRAININGS.items() if name in {*arguments.training, BASE}}
    contest = Contest(chosen, task, timeout=arguments.timeout, report=report)
    cells: dict[str, dict[int, dict]] = {name: {} for name in chosen}
    sizes = sorted(arguments.sizes or (QUICK_SIZES if arguments.quick else SIZES))
    try:
        for name in contest.names:
            contest.start(name)
        for members in sizes:
            epochs = arguments.epochs or epochs_for(members, quick=arguments.quick)
            playing = []
            for name in contest.names:
                cell = _foreseen(cells[name], members, epochs, chosen[name].linear, arguments.limit)
                cells[name][members] = cell
                if cell["kind"] == "measured":
                    cell["notes"] = contest.ask(name, "warm", rates=member_rates(members, 0))
                    playing.append(name)
            for round_number in range(1, arguments.rounds + 1):
                for name in rotate([n for n in playing if n in contest.names], round_number):
                    rates = member_rates(members, round_number)
                    turn = contest.ask(name, "train", rates=rates, epochs=epochs, number=round_number)
                    if turn:
                        cells[name][members]["turns"].append(turn)
                        report(f"{members} members, round {round_number}: {name} {turn['seconds']:.3f} s")
            for name in [n for n in playing if n in contest.names]:
                cell, answer = cells[name][members], contest.ask(name, "accuracy")
                cell["accuracy"] = answer and answer["accuracy"]
                times = [turn["seconds"] for turn in cell["turns"]]
                cell["seconds"] = statistics.median(times) / members / epochs * EPOCHS
    finally:
        contest.stop()
    return {
        "sizes": sizes,
        "epochs": EPOCHS,
        "rounds": arguments.rounds,
        "limit_seconds": arguments.limit,
        "contenders": {
            name: {
                "status": contest.status[name],
                "platform": contest.platform.get(name),
                "cells": [cell for cell in cells[name].values() if cell["seconds"] is not None],
            }
            for name in chosen
        },
    }


def _foreseen(known: dict[int, dict], members: int, epochs: int, linear: bool, limit: float) -> dict:
    """The cell of a size before it is measured, or instead: seconds for a member and 200 epochs, and how come by."""
    cell = {"members": members, "epochs": epochs, "kind": "measured", "seconds": None, "turns": [], "accuracy": None}
    before = known[max(known)] if known else None
    if before is None or before["seconds"] is None:
        return cell
    if linear and members > LINEAR_TO:
        return {**cell, "kind": "extrapolated", "seconds": before["seconds"]}
    if before["kind"] == "skipped" or before["seconds"] * members * epochs / EPOCHS > limit:
        return {**cell, "kind": "skipped", "seconds": before["seconds"]}
    return cell


def summarise(result: dict) -> None:
    """Add the ratios to jaxann: medians within a round where both were measured, else of the stated times."""
    own = {cell["members"]: cell for cell in result["contenders"][BASE]["cells"]}
    for found in result["contenders"].values():
        for cell in found["cells"]:
            base = own.get(cell["members"])
            if base is None or "skipped" in (cell["kind"], base["kind"]):
                cell["ratio"] = None
            elif cell["kind"] == "measured":
                pairs = zip(cell["turns"], base["turns"], strict=False)
                cell["ratio"] = statistics.median(mine["seconds"] / other["seconds"] for mine, other in pairs)
            else:
                cell["ratio"] = cell["seconds"] / base["seconds"]
    torch = {cell["members"]: cell for cell in result["contenders"].get("torch_loop", {"cells": []})["cells"]}
    most = max((m for m, cell in own.items() if cell["kind"] == "measured"), default=None)
    result["population_over_one_torch_run"] = None
    if most and 1 in torch:
        quotient = own[most]["seconds"] * most / torch[1]["seconds"]
        result["population_over_one_torch_run"] = {
            "members": most,
            "ratio": quotient,
            "platform": result["contenders"][BASE]["platform"],
            "torch_platform": result["contenders"]["torch_loop"]["platform"],
        }


def milliseconds(value: float) -> str:
    """Write seconds as milliseconds with three significant digits or more."""
    figure = value * 1e3
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def print_sizes(console: Console, result: dict) -> None:
    """Print milliseconds a member, then the ratios to jaxann."""
    extra = " (quick: not to be quoted)" if result["quick"] else ""
    heads = [str(size) for size in result["sizes"]]
    table = make_table(f"ms a member of {EPOCHS} epochs{extra}", ["", *heads])
    ratios = make_table("times fit_population", ["", *heads])
    marks = {"measured": "", "extrapolated": "~", "skipped": "> "}
    for name, found in result["contenders"].items():
        cells = {cell["members"]: cell for cell in found["cells"]}
        label = TRAININGS[name].label
        if found["platform"] and found["platform"] != result["peak"]["device"]["platform"]:
            label += f" (on the {found['platform']})"
        row, shares = [], []
        for size in result["sizes"]:
            cell = cells.get(size)
            text = "-" if cell is None else marks[cell["kind"]] + milliseconds(cell["seconds"])
            row.append(f"> {result['limit_seconds']:.0f} s" if cell and cell["kind"] == "skipped" else text)
            shares.append(f"{marks[cell['kind']]}{cell['ratio']:.2f}" if cell and cell["ratio"] else "-")
        table.add_row(label, *row)
        ratios.add_row(label, *shares)
    console.print(table)
    if any(cell["kind"] == "extrapolated" for c in result["contenders"].values() for cell in c["cells"]):
        console.print(f"~ not measured: one training after the other, carried on from {LINEAR_TO} members", style="dim")
    console.print(ratios)
    for name, found in result["contenders"].items():
        kept = [c for c in found["cells"] if c["accuracy"] is not None]
        figures = ", ".join(f"{c['members']}: {number(c['accuracy'], 3)} ({c['epochs']})" for c in kept)
        if figures:
            console.print(f"accuracy, by members (epochs): {name} {figures}", style="dim", highlight=False)
    against = result["population_over_one_torch_run"]
    if against and against["platform"] == "gpu":
        console.print(
            f"{against['members']} members on the GPU take {against['ratio']:.2f} times as long as one PyTorch run on "
            f"the {against['torch_platform']}"
        )
    for line in result["doubts"]:
        console.print(line, style="yellow", markup=False)


def doubts(result: dict) -> list[str]:
    """What speaks against the comparison: contenders that failed, other load, unequal accuracies."""
    lines = [f"{name} {c['status']}" for name, c in result["contenders"].items() if c["status"] != "ok"]
    cells = [(name, cell) for name, c in result["contenders"].items() for cell in c["cells"]]
    lines += busy([turn for _, cell in cells for turn in cell["turns"]])
    for size in result["sizes"]:
        known = {n: c["accuracy"] for n, c in cells if c["members"] == size and c["accuracy"] is not None}
        middle = statistics.median(known.values()) if known else 0.0
        for name, accuracy in known.items():
            if abs(accuracy - middle) > 0.03:
                lines.append(
                    f"{name}, {size} members: accuracy {accuracy:.3f}, the median is {middle:.3f}: equal work?"
                )
    return lines
