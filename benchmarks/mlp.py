"""`python -m benchmarks mlp`: the same multilayer perceptron, trained by every contender in turn."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks import machine, report
from benchmarks.contenders import CONTENDERS, REFERENCE, missing_packages
from benchmarks.harness import Record, alternate, measure_cached, quartiles_of, ratios
from benchmarks.workloads import WORKLOADS, MissingDataError, load_arrays, write_task

RESULTS = Path(__file__).resolve().parent / "results"
FORMAT = 1
"""Version of the layout of the result file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add(
        "--workload", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS), metavar="NAME", help=names(WORKLOADS)
    )
    add(
        "--contender",
        nargs="+",
        choices=list(CONTENDERS),
        default=list(CONTENDERS),
        metavar="NAME",
        help=f"{names(CONTENDERS)}; {REFERENCE} always takes part, since the ratios are taken against it",
    )
    add("--epochs", type=int, default=None, help="epochs of one turn (default: each workload's own)")
    add("--rounds", type=int, default=None, help="counted turns of each contender (default: 7; quick: 3)")
    add("--starts", type=int, default=None, help="fresh processes whose cold start is measured (default: 3; quick: 1)")
    add("--seed", type=int, default=0, help="seed of the first weights and of the shuffles (default: 0)")
    add(
        "--timeout",
        type=float,
        default=900.0,
        help="seconds a contender may take to start or for a turn (default: 900)",
    )
    add("--out", type=Path, default=None, help="folder for the result file (default: benchmarks/results; quick: none)")
    add("--quick", action="store_true", help="few rows, short turns: to see that everything runs, not to quote")


def names(table: Mapping[str, object]) -> str:
    """Return the names of a table for a help text."""
    return f"any of {', '.join(table)} (default: all)"


def middle(values: list[float]) -> float | None:
    """Return the median, or None of nothing."""
    return statistics.median(values) if values else None


def summarise(record: Record, reference: Record, *, epochs: int, flops: int, peak: float | None) -> dict:
    """Draw the figures of the tables from the raw times of one contender."""
    warm = middle(record.rounds)
    summary: dict = {"seconds_per_epoch": None if warm is None else warm / epochs, "seconds_per_turn": warm}
    for label, starts in (("cold", record.cold), ("cold_cached", record.cold_cached)):
        phases = {phase: middle([start[phase] for start in starts]) for phase in (starts[0] if starts else {})}
        total = middle([sum(seconds for phase, seconds in start.items() if phase != "data") for start in starts])
        compiling = None if warm is None or not starts else max(0.0, phases["build"] + phases["first_turn"] - warm)
        summary[label] = {**phases, "total": total, "compile": compiling}
    if warm:
        summary["gflops"] = flops * epochs / warm / 1e9
        summary["share_of_peak"] = summary["gflops"] / peak if peak else None
    against = ratios(record, reference)
    summary["ratio"] = quartiles_of(against) if against else None
    if record.losses:
        summary["loss_first_epoch"] = record.losses[0]
        summary["loss_first_turn"] = record.losses[epochs - 1]
        summary["loss_last"] = record.losses[-1]
    return summary


def measure_workload(name: str, arguments: argparse.Namespace, peak: dict, console: Console) -> dict:
    """Run all contenders on one workload; return everything that goes into the result file."""
    workload = WORKLOADS[name]
    arrays = load_arrays(workload, quick=arguments.quick)
    epochs = arguments.epochs or (workload.quick_epochs if arguments.quick else workload.epochs)
    rounds = arguments.rounds or (3 if arguments.quick else 7)
    starts = arguments.starts or (1 if arguments.quick else 3)
    chosen = [contender for contender in CONTENDERS if contender in {*arguments.contender, REFERENCE}]
    missing = {contender: missing_packages(contender) for contender in chosen}
    present = [contender for contender in chosen if not missing[contender]]

    def tell(line: str) -> None:
        console.print(f"  {name}: {line}", style="dim", highlight=False, markup=False)

    common = {"epochs": epochs, "starts": starts, "timeout": arguments.timeout, "report": tell}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        write_task(Path(folder), workload, arrays, arguments.seed)
        records = alternate(present, Path(folder), rounds=rounds, **common)
        cached = {c: records[c] for c in present if CONTENDERS[c].persistent_cache and records[c].status == "ok"}
        measure_cached(cached, Path(folder), **common)
    for contender in chosen:
        if missing[contender]:
            records[contender] = Record(status=f"not installed: {', '.join(missing[contender])}")
    tell("measuring the matrix-product peak once more")
    peak = machine.measure_peak(quick=arguments.quick, before=peak)
    flops = workload.flops(len(arrays[0]))
    reference = records[REFERENCE]
    found = {}
    for contender in chosen:
        summary = summarise(records[contender], reference, epochs=epochs, flops=flops, peak=peak["all_cores_gflops"])
        found[contender] = {**asdict(records[contender]), "summary": summary}
    return {
        "about": workload.about,
        "sizes": workload.sizes,
        "batch_size": workload.batch_size,
        "rows": len(arrays[0]),
        "test_rows": len(arrays[2]),
        "flops_per_epoch": flops,
        "epochs_per_turn": epochs,
        "quick": arguments.quick,
        "seed": arguments.seed,
        "machine": machine.describe_machine(),
        "peak": peak,
        "contenders": found,
    }


def read_results(path: Path) -> dict:
    """Return the workloads of a result file, none if there is no such file or it is of another layout."""
    try:
        content = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    return content["workloads"] if content.get("format") == FORMAT else {}


def write_results(path: Path, workloads: dict) -> None:
    """Write the workloads measured now over those of the same name; the others stay, each with its own date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": FORMAT, "workloads": read_results(path) | workloads}, indent=1) + "\n")


def cpu_results(folders: list[Path]) -> dict:
    """Return the workloads of the first CPU result file in `folders`."""
    for folder in folders:
        for path in sorted(folder.glob("cpu-*/mlp.json")):
            return read_results(path)
    return {}


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the tables, write the file; return 1 if a contender failed, else 0."""
    console = report.make_console()
    out = arguments.out or (None if arguments.quick else RESULTS)
    console.print("measuring the matrix-product peak", style="dim")
    peak = machine.measure_peak(quick=arguments.quick)
    device = peak["device"]
    report.print_machine(console, machine.describe_machine(), peak)
    measured: dict[str, dict] = {}
    for name in arguments.workload:
        try:
            measured[name] = measure_workload(name, arguments, peak, console)
        except MissingDataError as error:
            console.print(f"{name} skipped: {error}", style="yellow")
            continue
        report.print_workload(console, name, measured[name])
        if out:
            write_results(out / machine.device_name(device) / "mlp.json", measured)
    if out and measured:
        console.print(f"written: {out / machine.device_name(device) / 'mlp.json'}", style="dim", soft_wrap=True)
    if device["platform"] != "cpu":
        report.print_devices(console, measured, cpu_results([out or RESULTS, RESULTS]), device["kind"])
    failed = [
        c for result in measured.values() for c in result["contenders"].values() if c["status"].startswith("failed")
    ]
    return 1 if failed else 0
