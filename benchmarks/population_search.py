"""First part of the population benchmark: 5 folds times 20 settings of the digits, searched by every contender.

Cold is a fresh process up to the end of its first search, reading the rows left out: import, compilation (no cache on
disk) and all trainings. Warm is a later search in that process, with another seed and other learning rates.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.harness import quartiles_of, rotate
from benchmarks.population_turns import Contest, Report, busy
from benchmarks.population_work import (
    DECAYS,
    DECAYS_NOTE,
    EPOCHS,
    FOLDS,
    RATES,
    SEARCHES,
    search_flops,
    shifted,
)
from benchmarks.report import make_table, seconds

BASE = "sklearn"
"""The contender that ratios are taken against."""
QUICK = {"rates": (3e-3, 1e-2), "decays": (1e-4, 1e-2), "epochs": 30}


def measure_search(arguments: argparse.Namespace, task: Path, report: Report) -> dict:
    """Cold searches in fresh processes, then rounds of warm ones; return everything measured."""
    chosen = {name: entry for name, entry in SEARCHES.items() if name in arguments.search}
    rates, decays, epochs = RATES, DECAYS, EPOCHS
    if arguments.quick:
        rates, decays, epochs = QUICK["rates"], QUICK["decays"], QUICK["epochs"]
    contest = Contest(chosen, task, timeout=arguments.timeout, report=report)
    cold: dict[str, list[dict]] = {name: [] for name in chosen}
    warm: dict[str, list[dict]] = {name: [] for name in chosen}
    found: dict[str, dict] = {}

    def search(name: str, number: int, **more: str) -> dict | None:
        given = {"rates": shifted(rates, number), "decays": decays, "epochs": epochs, "number": number}
        answer = contest.ask(name, "search", **given, **more)
        if answer and not more:
            accuracy = np.array(answer.pop("accuracy"))
            found[name] = {"accuracy": accuracy, "epochs": np.array(answer.pop("epochs"))}
            best = int(accuracy.mean(axis=1).argmax())
            answer |= {
                "mean_accuracy": float(accuracy.mean()),
                "best_accuracy": float(accuracy.mean(axis=1)[best]),
                "best": answer.pop("settings")[best],
                "trained": int(found[name]["epochs"].sum()),
                "flops": search_flops(found[name]["epochs"]),
            }
        return answer

    wide = None
    try:
        for start in range(arguments.starts):
            for name in rotate(contest.names, start):
                worker = contest.start(name)
                turn = worker and search(name, 0)
                if turn:
                    startup = worker.startup
                    total = turn["seconds"] + startup["start"] + startup["import"] + startup["build"]
                    cold[name].append({**startup, **turn, "total": total})
                    report(f"cold start {start + 1}: {name} {total:.2f} s, best accuracy {turn['best_accuracy']:.4f}")
                if start < arguments.starts - 1:
                    contest.stop(name)
        for number in range(1, arguments.rounds + 1):
            for name in rotate(contest.names, number):
                turn = search(name, number)
                if turn:
                    warm[name].append(turn)
                    report(f"round {number}: {name} {turn['seconds']:.2f} s, best accuracy {turn['best_accuracy']:.4f}")
        if BASE in contest.names:
            wide = search(BASE, arguments.rounds, dtype="float64")
    finally:
        contest.stop()
    return {
        "settings": len(rates) * len(decays),
        "trainings": len(rates) * len(decays) * FOLDS,
        "epochs": epochs,
        "rates": rates,
        "decays": decays,
        "decays_note": DECAYS_NOTE,
        "float64_seconds": wide["seconds"] if wide else None,
        "contenders": {
            name: {
                "status": contest.status[name],
                "platform": contest.platform.get(name),
                "cold": cold[name],
                "warm": warm[name],
                "accuracy": found[name]["accuracy"].tolist() if name in found else None,
                "epochs": found[name]["epochs"].tolist() if name in found else None,
            }
            for name in chosen
        },
    }


def summarise(result: dict, peak: float | None) -> None:
    """Add the figures of the table to what was measured, under `summary`."""
    base = result["contenders"].get(BASE, {"cold": [], "warm": []})
    full = result["trainings"] * result["epochs"]
    for found in result["contenders"].values():
        cold, warm = found["cold"], found["warm"]
        summary: dict = {}
        if cold:
            summary["cold_seconds"] = statistics.median(turn["total"] for turn in cold)
        if warm:
            summary["warm_seconds"] = statistics.median(turn["seconds"] for turn in warm)
            summary["mean_accuracy"] = statistics.median(turn["mean_accuracy"] for turn in warm)
            summary["best_accuracy"] = statistics.median(turn["best_accuracy"] for turn in warm)
            summary["share_trained"] = statistics.median(turn["trained"] / full for turn in warm)
            summary["gflops"] = statistics.median(turn["flops"] / turn["seconds"] / 1e9 for turn in warm)
            summary["share_of_peak"] = summary["gflops"] / peak if peak else None
        for label, mine, theirs, key in (
            ("cold_ratio", cold, base["cold"], "total"),
            ("warm_ratio", warm, base["warm"], "seconds"),
        ):
            ratios = [other[key] / own[key] for own, other in zip(mine, theirs, strict=False)]
            summary[label] = quartiles_of(ratios) if ratios else None
        found["summary"] = summary


def print_search(console: Console, result: dict) -> None:
    """Print the table of the search."""
    title = (
        f"search: {result['settings']} settings x 5 folds, {result['trainings']} trainings of {result['epochs']} epochs"
    )
    title += " (quick: not to be quoted)" if result["quick"] else ""
    heads = ["", "cold", "warm", "cold x", "warm x", "quartiles", "epochs", "mean", "best", "GF/s", "peak"]
    table = make_table(title, heads)
    for name, found in result["contenders"].items():
        summary = found["summary"]
        if "warm_seconds" not in summary:
            continue
        cold, warm = summary["cold_ratio"], summary["warm_ratio"]
        share = summary["share_of_peak"]
        elsewhere = found["platform"] != result["peak"]["device"]["platform"]
        table.add_row(
            SEARCHES[name].label + (f" (on the {found['platform']})" if elsewhere else ""),
            seconds(summary.get("cold_seconds")),
            seconds(summary["warm_seconds"]),
            f"{cold['median']:.2f}" if cold else "-",
            f"{warm['median']:.2f}" if warm else "-",
            f"{warm['first_quartile']:.2f}..{warm['third_quartile']:.2f}" if warm else "-",
            f"{summary['share_trained']:.0%}",
            f"{summary['mean_accuracy']:.4f}",
            f"{summary['best_accuracy']:.4f}",
            f"{summary['gflops']:.1f}",
            "-" if share is None else f"{share:.0%}",
        )
    console.print(table)
    console.print(
        "cold x, warm x: how many times as fast as scikit-learn; epochs: run, of all; mean, best: accuracy on the "
        "held-out rows, over all trainings and of the best setting; GF/s, peak: 10^9 operations a second in the "
        "products of the rows trained on, and their share of the fastest product seen here",
        style="dim",
    )
    console.print(DECAYS_NOTE, style="dim")
    base = result["contenders"].get(BASE)
    if base and result["float64_seconds"]:
        last = base["warm"][-1]["seconds"] if base["warm"] else None
        times = f", {result['float64_seconds'] / last:.2f} times its float32" if last else ""
        line = (
            f"scikit-learn on float64, which is what its load_digits returns: {result['float64_seconds']:.1f} s{times}"
        )
        console.print(line, style="dim")
    for line in result["doubts"]:
        console.print(line, style="yellow", markup=False)


def doubts(result: dict) -> list[str]:
    """What speaks against the comparison: contenders that failed, other load, unequal accuracies."""
    lines = [f"{name} {c['status']}" for name, c in result["contenders"].items() if c["status"] != "ok"]
    lines += busy([turn for c in result["contenders"].values() for turn in c["warm"]])
    whole = ("sklearn", "jaxann")
    means = {n: result["contenders"][n]["summary"].get("mean_accuracy") for n in whole if n in result["contenders"]}
    if len(means) == 2 and None not in means.values() and abs(means["sklearn"] - means["jaxann"]) > 0.03:
        lines.append(f"mean accuracies {means['sklearn']:.4f} and {means['jaxann']:.4f}: is the work the same?")
    for name in whole:
        epochs = result["contenders"].get(name, {}).get("epochs")
        if epochs and np.min(epochs) < result["epochs"]:
            lines.append(f"{name}: a training ended after {np.min(epochs)} epochs")
    return lines
