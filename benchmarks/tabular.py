"""`python -m benchmarks tabular`: what the defaults for tables reach, beside scikit-learn, boosted trees and TabM.

California housing as it was collected (eight numbers with gaps, one category; needs JAXANN_DATA), and from scikit-learn
breast cancer, wine, digits and diabetes. Nobody is tuned: each contender has its library's defaults, each split (a
fifth of the rows is for the test, of labels the same share of each class) is the same for all, and they take turns
within a split, each time beginning with another. What is compared is the difference within a split: its mean, and the
standard error of that mean over the splits. Splits share rows, so that the error is rather too small than too large.

Regression: root mean squared error. Classification: share of wrong labels, and -log p of the right one. Seconds are
those of one fit on data in memory, compilation included, which jaxann pays at the first split of a table alone; those
of the processor are of all cores together, and hold on a busy machine too.

`tabm` of 32 members and 512 units, the defaults of its package, needs about half an hour for a split of California
housing on two cores, and is not among the contenders unless asked for; `tabm 8x128` has the size of ours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, report
from benchmarks.tabular_contenders import CONTENDERS, DEFAULT, available
from benchmarks.tabular_data import TABLES, Table, load, split
from benchmarks.workloads import MissingDataError

RESULTS = Path(__file__).resolve().parent / "results"
OURS = "jaxann"
TITLES = {"error": "root mean squared error, or share of wrong labels", "log_loss": "-log p of the right label"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--data", default=None, help="folder with california_housing.csv; by default $JAXANN_DATA/tabular")
    add("--table", nargs="+", choices=TABLES, default=list(TABLES), help="tables (default: all)")
    add("--contender", nargs="+", choices=tuple(CONTENDERS), default=list(DEFAULT), help="who takes part")
    add("--splits", type=int, default=10, help="splits of each table (default: 10)")
    add("--first-split", type=int, default=0, help="the first of them; what the result file has already stays")
    add("--out", type=Path, default=RESULTS, help="folder for the result file (default: benchmarks/results)")
    add("--quick", action="store_true", help="one split of 300 rows of each table, and no result file")


def measured(name: str, table: Table, train: np.ndarray, test: np.ndarray, seed: int) -> dict[str, float]:
    """One contender on one split: error, -log p of the right label where there are labels, and seconds of the fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's that 200 epochs were not enough, LightGBM's of empty splits
        begun = time.perf_counter(), time.process_time()
        predict = CONTENDERS[name](table, train, seed)
        spent = {"seconds": time.perf_counter() - begun[0], "processor_seconds": time.process_time() - begun[1]}
        predicted = predict(test)
    y = table.y[test]
    if table.task == "regression":
        return {"error": float(np.sqrt(np.mean((predicted - y) ** 2))), **spent}
    chosen = np.clip(predicted[np.arange(len(y)), y], 1e-15, 1)
    wrong = float(np.mean(predicted.argmax(-1) != y))
    return {"error": wrong, "log_loss": float(-np.mean(np.log(chosen))), **spent}


def paired(rows: dict[str, dict], name: str, figure: str) -> tuple[float, float, float, int]:
    """Mean of a contender; mean of ours less its, within splits, and the standard error of that; number of splits."""
    both = [(row[OURS][figure], row[name][figure]) for row in rows.values() if OURS in row and name in row]
    differences = [ours - theirs for ours, theirs in both]
    error = statistics.stdev(differences) / len(both) ** 0.5 if len(both) > 1 else float("nan")
    return statistics.mean(theirs for _, theirs in both), statistics.mean(differences), error, len(both)


def names_in(rows: dict[str, dict]) -> list[str]:
    """The contenders that share a split with ours, in the order of the list."""
    return [name for name in CONTENDERS if any(OURS in row and name in row for row in rows.values())]


def _print(console: Any, table: str, rows: dict[str, dict]) -> None:
    """A table for each figure."""
    figures = [figure for figure in TITLES if any(figure in found for row in rows.values() for found in row.values())]
    heads = ["contender", "splits", "mean", "jaxann less it", "s.e.", "in %", "median fit", "longest", "processor"]
    for figure in figures:
        shown = report.make_table(f"{table}: {TITLES[figure]}", heads)
        for name in names_in(rows):
            mean, difference, error, count = paired(rows, name, figure)
            compared = [f"{difference:+.4f}", f"{error:.4f}", f"{100 * difference / mean:+.1f}" if mean else "-"]
            wall, processor = (
                [row[name][clock] for row in rows.values() if name in row] for clock in ("seconds", "processor_seconds")
            )
            times = [statistics.median(wall), max(wall), statistics.median(processor)]
            compared = ["", "", ""] if name == OURS else compared
            shown.add_row(name, str(count), f"{mean:.4f}", *compared, *map(report.seconds, times))
        console.print(shown)


def run(arguments: argparse.Namespace) -> int:
    """Train all of them in turns, print the tables, write the file after each split; return 0."""
    import jaxann as ja

    ja.setup()
    console, quick = report.make_console(), arguments.quick
    kept = machine.result_path(arguments.out, "tabular")
    tables: dict[str, dict] = json.loads(kept.read_text())["tables"] if kept.exists() and not quick else {}
    names = available(arguments.contender, lambda told: console.print(told, style="yellow"))
    for name in arguments.table:
        try:
            table = load(name, arguments.data)
        except MissingDataError as error:
            console.print(f"{name} skipped: {error}", style="yellow", soft_wrap=True)
            continue
        rows: dict[str, dict] = {} if quick else tables.setdefault(name, {})
        first = arguments.first_split
        for seed in range(first, first + (1 if quick else arguments.splits)):
            train, test = split(table, seed)
            turn = seed % len(names)
            for contender in names[turn:] + names[:turn]:
                found = measured(contender, table, train[:300] if quick else train, test, seed)
                rows.setdefault(str(seed), {})[contender] = found
                told = ", ".join(f"{figure} {value:.4f}" for figure, value in found.items() if "seconds" not in figure)
                console.print(f"{name}, split {seed}, {contender}: {told}, {found['seconds']:.1f} s", highlight=False)
            if not quick:
                machine.write_result(arguments.out, "tabular", {"tables": tables})
        _print(console, name, rows)
    return 0
