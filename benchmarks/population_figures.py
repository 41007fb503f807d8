"""Third part of the population benchmark: single figures of one population of jaxann.

- A member's share of the time of a population, over one warm `ja.fit` of the same epochs: the fit runs in a process of
  its own with all cores on one device, and in the population's process with one core; the faster of the two counts.
- The time saved when half of the members stop early: members with a learning rate of 0 and a patience of 1 stop after
  their second epoch, all others have a patience that never ends, so that both runs are one program. It is every
  second member that stops: all those that one of two cores was dealt, until the members are dealt out anew.
- The memory foreseen against the memory taken, see `population_memory`.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from rich.console import Console

from benchmarks.harness import quartiles_of, rotate
from benchmarks.population_memory import compare_memory
from benchmarks.population_turns import Contest, Report, busy
from benchmarks.population_work import EPOCHS, TRAININGS, member_rates
from benchmarks.report import seconds

BAR = 0.55
"""Highest share that is good on two cores: half a fit, and a tenth for everything around it."""
FITS = 8
"""Single fits in one turn: one alone is too short to be timed."""


def measure_figures(arguments: argparse.Namespace, task: Path, report: Report) -> dict:
    """Rounds of one population, single fits, and populations of which all or half run on; then memory."""
    members, epochs = arguments.members, arguments.epochs or (40 if arguments.quick else EPOCHS)
    chosen = {name: TRAININGS[name] for name in ("jaxann", "jaxann_loop")}
    contest = Contest(chosen, task, timeout=arguments.timeout, report=report)
    all_run, half_stop = [False] * members, [member % 2 == 1 for member in range(members)]
    orders = {
        "population": ("jaxann", "train", members, {}),
        "fit": ("jaxann_loop", "train", FITS, {}),
        "fit_on_one_core": ("jaxann", "train_singly", FITS, {}),
        "all_run": ("jaxann", "train_stopping", members, {"stops": all_run}),
        "half_stop": ("jaxann", "train_stopping", members, {"stops": half_stop}),
    }
    turns: dict[str, list[dict]] = {name: [] for name in orders}

    def ask(name: str, round_number: int) -> None:
        worker, do, size, more = orders[name]
        if worker in contest.names:
            rates = member_rates(size, round_number)
            length = epochs if round_number else min(epochs, 30)  # long enough for members to be dealt out anew
            turn = contest.ask(worker, do, rates=rates, epochs=length, number=round_number, **more)
            if turn and round_number:
                turns[name].append({**turn, "members": size})
                report(f"round {round_number}: {name} {turn['seconds']:.3f} s")

    try:
        for name in contest.names:
            contest.start(name)
        for round_number in range(arguments.rounds + 1):  # round 0 compiles
            for name in rotate(list(orders), round_number):
                ask(name, round_number)
    finally:
        contest.stop()
    report("memory, in fresh processes")
    bytes_used = compare_memory(members, 1 if arguments.quick else 3)
    return {"members": members, "epochs": epochs, "status": contest.status, "turns": turns, "memory": bytes_used}


def summarise(result: dict) -> None:
    """Add the figures: medians of ratios within a round."""
    turns = result["turns"]

    def each(name: str) -> list[float]:
        return [turn["seconds"] / turn["members"] for turn in turns[name]]

    result["summary"] = summary = {"seconds": {n: statistics.median(each(n)) for n in turns if turns[n]}}
    fits = {name: summary["seconds"][name] for name in ("fit", "fit_on_one_core") if name in summary["seconds"]}
    if fits and turns["population"]:
        faster = min(fits, key=fits.__getitem__)
        ratios = [mine / one for mine, one in zip(each("population"), each(faster), strict=False)]
        summary["faster_fit"], summary["member_over_fit"] = faster, quartiles_of(ratios)
    if turns["all_run"] and turns["half_stop"]:
        saved = [1 - half / whole for half, whole in zip(each("half_stop"), each("all_run"), strict=False)]
        summary["time_saved"] = quartiles_of(saved)
        ran = [turns[name][-1]["epochs_run"] for name in ("half_stop", "all_run")]
        summary["epochs_saved"] = 1 - ran[0] / ran[1]


def print_figures(console: Console, result: dict) -> None:
    """Print a line for each figure."""
    summary, bytes_used = result["summary"], result["memory"]
    extra = " (quick: not to be quoted)" if result["quick"] else ""
    console.print(f"one population of {result['members']} members, {result['epochs']} epochs{extra}", style="bold")
    if "member_over_fit" in summary:
        ratio, times = summary["member_over_fit"], summary["seconds"]
        fits = ", ".join(f"{name.replace('_', ' ')} {seconds(times[name])}" for name in times if name.startswith("fit"))
        console.print(
            f"a member's time over one warm fit: {ratio['median']:.2f} ({ratio['first_quartile']:.2f} .. "
            f"{ratio['third_quartile']:.2f}; bar on two cores: {BAR}); a member {seconds(times['population'])}, {fits}"
        )
    if "time_saved" in summary:
        saved = summary["time_saved"]
        console.print(
            f"half of the members stop early: {saved['median']:.0%} of the time saved "
            f"({saved['first_quartile']:.0%} .. {saved['third_quartile']:.0%}); "
            f"{summary['epochs_saved']:.0%} of the epochs were not run"
        )
    if "error" in bytes_used:
        console.print(f"memory not measured: {bytes_used['error']}", style="yellow", markup=False)
    else:
        taken = ", ".join(f"{value / 2**20:.0f}" for value in bytes_used["measured_bytes"])
        console.print(
            f"memory of {bytes_used['members']} members of {bytes_used['network']} on {bytes_used['rows']:,} rows: "
            f"{bytes_used['predicted_bytes'] / 2**20:.0f} MiB foreseen, grown by {taken} MiB: "
            f"{bytes_used['measured_over_predicted']:.2f} times as much"
        )
    for line in result["doubts"]:
        console.print(line, style="yellow", markup=False)


def doubts(result: dict) -> list[str]:
    """What speaks against the figures: a process that failed, other load."""
    lines = [f"{name} {status}" for name, status in result["status"].items() if status != "ok"]
    return lines + busy([turn for turns in result["turns"].values() for turn in turns])
