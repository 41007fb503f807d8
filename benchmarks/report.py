"""The tables that a run prints."""

from __future__ import annotations

import statistics

from rich.console import Console
from rich.table import Table

from benchmarks.contenders import REFERENCE

UNEQUAL_LOSS = 0.5
"""Relative distance of a loss from the median of all contenders above which the work is called in doubt."""
UNEQUAL_ACCURACY = 0.03
"""Absolute distance of an accuracy from the median of all contenders above which the work is called in doubt."""


def make_console() -> Console:
    """Return a console that keeps the tables whole where the output is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def make_table(title: str, columns: list[str]) -> Table:
    """Return a table whose first column is text and whose others are figures."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def seconds(value: float | None) -> str:
    """Write seconds with three significant digits; small times in milliseconds or microseconds."""
    if not value:
        return "-" if value is None else "0 s"
    factor, unit = (1, "s") if value >= 1 else (1e3, "ms") if value >= 1e-3 else (1e6, "us")
    figure = value * factor
    return f"{figure:.{max(0, 2 - len(str(int(figure))) + 1)}f} {unit}"


def number(value: float | None, digits: int = 4) -> str:
    """Write a plain figure."""
    return "-" if value is None else f"{value:.{digits}f}"


def print_machine(console: Console, description: dict, peak: dict) -> None:
    """Print what the run takes place on."""
    versions = ", ".join(f"{name} {version}" for name, version in description["versions"].items())
    cores = f"{description['cores']} cores, {description['memory_gib']} GiB"
    console.print(
        f"{description['cpu']}, {cores}; JAX device: {peak['device']['kind']}; commit {description['commit']}"
    )
    console.print(versions, style="dim")
    one = "" if peak["one_core_gflops"] is None else f", {peak['one_core_gflops']:.0f} on one core"
    best = "unknown" if peak["all_cores_gflops"] is None else f"{peak['all_cores_gflops']:.0f} GFLOP/s"
    console.print(f"best float32 matrix product: {best}{one}")
    for name, probe in peak["probes"].items():
        if "error" in probe:
            console.print(f"peak by {name} failed: {probe['error']}", style="yellow", markup=False)


def print_warm(console: Console, name: str, result: dict) -> None:
    """Print times per epoch, ratios, and the proof that the work was the same: losses after n epochs, test accuracy."""
    shape = "-".join(map(str, result["sizes"]))
    turn = f"{result['epochs_per_turn']} epoch{'s' if result['epochs_per_turn'] > 1 else ''} a turn"
    title = f"{name}: {shape}, batch {result['batch_size']}, {result['rows']} rows, {turn}"
    title += " (quick: not to be quoted)" if result["quick"] else ""
    last = max(len(found["losses"]) for found in result["contenders"].values())
    epochs = {"loss_first_epoch": 1, "loss_first_turn": result["epochs_per_turn"], "loss_last": last}
    if result["epochs_per_turn"] == 1:
        del epochs["loss_first_turn"]
    losses = {key: f"loss({epoch})" for key, epoch in epochs.items()}
    table = make_table(
        title,
        ["warm", "time an epoch", f"time / {REFERENCE}", "quartiles", "of peak", *losses.values(), "accuracy"],
    )
    for contender, found in result["contenders"].items():
        summary, ratio = found["summary"], found["summary"]["ratio"]
        if summary["seconds_per_epoch"] is None:
            continue
        share = summary.get("share_of_peak")
        elsewhere = found["platform"] != result["peak"]["device"]["platform"]
        table.add_row(
            f"{contender} (on the {found['platform']})" if elsewhere else contender,
            seconds(summary["seconds_per_epoch"]),
            "-" if ratio is None else f"{ratio['median']:.2f}",
            "-" if ratio is None else f"{ratio['first_quartile']:.2f} .. {ratio['third_quartile']:.2f}",
            "-" if share is None else f"{share:.1%}",
            *(number(summary[key]) for key in losses),
            number(found["accuracy"]),
        )
    console.print(table)


def print_cold(console: Console, result: dict) -> None:
    """Print the seconds from the start of the process to the end of the first turn, and their parts."""
    phases = ["build", "turn 1", "compile", "total"]
    title = f"a fresh process, to the end of epoch {result['epochs_per_turn']}; and with JAX's compilation cache filled"
    table = make_table(title, ["cold", "import", *phases, f"cached: {phases[0]}", *phases[1:]])
    for contender, found in result["contenders"].items():
        cold, cached = found["summary"]["cold"], found["summary"]["cold_cached"]
        if cold["total"] is None:
            continue
        table.add_row(
            contender,
            seconds(cold["start"] + cold["import"]),
            *(seconds(cold[part]) for part in ("build", "first_turn", "compile", "total")),
            *(seconds(cached.get(part)) for part in ("build", "first_turn", "compile", "total")),
        )
    console.print(table)


def doubts(result: dict) -> list[str]:
    """Return what speaks against a fair comparison: unequal work, busy waiters, other load on the machine."""
    counted = {name: found for name, found in result["contenders"].items() if found["rounds"]}
    lines = []
    for what, limit, relative in (("loss_first_turn", UNEQUAL_LOSS, True), ("accuracy", UNEQUAL_ACCURACY, False)):
        values = {name: found["summary"].get(what, found.get(what)) for name, found in counted.items()}
        values = {name: value for name, value in values.items() if value is not None}
        middle = statistics.median(values.values()) if values else 0.0
        for name, value in values.items():
            if abs(value - middle) > limit * (abs(middle) if relative else 1.0):
                label = "accuracy" if what == "accuracy" else "loss after the first turn"
                lines.append(f"{name}: {label} {value:.4f}, the median of all is {middle:.4f}: is the work the same?")
    for name, found in counted.items():
        if (found["summary"].get("share_of_peak") or 0) > 1:
            lines.append(f"{name}: more than the measured peak, which other load must have lowered")
    turns = sum(sum(found["rounds"]) for found in counted.values())
    for what, text in (("waiting_cpu", "waiting contenders"), ("foreign_cpu", "other processes")):
        share = sum(sum(found[what]) for found in counted.values()) / turns / result["machine"]["cores"] if turns else 0
        if share > 0.02:
            lines.append(f"{text} used {share:.0%} of the processor during the counted turns: do not quote them")
    return lines


def print_workload(console: Console, name: str, result: dict) -> None:
    """Print everything about one workload."""
    print_warm(console, name, result)
    print_cold(console, result)
    for contender, found in result["contenders"].items():
        for line in [*([] if found["status"] == "ok" else [found["status"]]), *found["notes"]]:
            console.print(f"{contender} {line}", style="red" if "failed" in line else "yellow", markup=False)
    for line in doubts(result):
        console.print(line, style="yellow", markup=False)
    console.print()


def print_devices(console: Console, measured: dict, on_cpu: dict, kind: str) -> None:
    """Print warm times on the CPU (from its result file) against those on the accelerator, where both exist."""
    if not on_cpu:
        console.print("no CPU result file to compare with: run the same command on a CPU first", style="dim")
        return
    for name in measured:
        if name not in on_cpu:
            continue
        cpu = f"CPU ({on_cpu[name]['machine']['cpu']}, {on_cpu[name]['machine']['cores']} cores)"
        table = make_table(f"{name}: an epoch on CPU and accelerator", ["", cpu, kind, "CPU / accelerator"])
        for contender, found in measured[name]["contenders"].items():
            here = found["summary"]["seconds_per_epoch"]
            there = on_cpu[name]["contenders"].get(contender, {"summary": {}})["summary"].get("seconds_per_epoch")
            quotient = f"{there / here:.2f}" if here and there else "-"
            table.add_row(contender, seconds(there), seconds(here), quotient)
        console.print(table)
