"""`python -m benchmarks memory`: many fits in one process: what is compiled again, how memory grows.

A second call of `ja.fit` with another learning rate, seed, number of epochs or dropout rate should compile nothing, and
a long row of fits should not grow. This counts the programs that XLA compiles and the resident memory, in phases
that each change one setting at every fit, and in a last one that changes all of them.
"""

from __future__ import annotations

import argparse
import gc
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import machine, report
from benchmarks.workloads import WORKLOADS, load_arrays

RESULTS = Path(__file__).resolve().parent / "results"
PHASES = ("learning rate", "seed", "epochs", "dropout", "all four")


@dataclass(frozen=True)
class Setting:
    """What differs from fit to fit."""

    learning_rate: float = 1e-3
    seed: int = 0
    epochs: int = 2
    dropout: float = 0.1


def settings(phase: str, count: int) -> list[Setting]:
    """Return `count` settings that differ in what the phase names."""
    changes = {
        "learning rate": lambda i: {"learning_rate": 1e-3 * 1.01 ** (i + 1)},
        "seed": lambda i: {"seed": i + 1},
        "epochs": lambda i: {"epochs": 1 + i % 5},
        "dropout": lambda i: {"dropout": 0.1 + 0.005 * (i + 1) % 0.5},
    }
    chosen = list(changes) if phase == "all four" else [phase]
    return [Setting(**{key: value for name in chosen for key, value in changes[name](i).items()}) for i in range(count)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--fits", type=int, default=200, help="fits in all, a fifth of them in each phase (default: 200)")
    add("--out", type=Path, default=RESULTS, help="folder for the result file (default: benchmarks/results)")
    add("--quick", action="store_true", help="20 fits, and no result file: to see that everything runs")


def run(arguments: argparse.Namespace) -> int:
    """Fit, count, print the table, write the file; return 0."""
    import jax

    import jaxann as ja

    compiled = 0

    def count(event: str, duration: float, **_: object) -> None:
        nonlocal compiled
        compiled += event == "/jax/core/compile/backend_compile_duration"

    jax.monitoring.register_event_duration_secs_listener(count)
    workload = WORKLOADS["digits"]
    x, y, _, _ = (jax.device_put(array) for array in load_arrays(workload, quick=False))
    process = psutil.Process()

    def fit(setting: Setting) -> None:
        model = ja.models.mlp(workload.sizes[1:], activation="relu", dropout=setting.dropout)
        optimizer = ja.optimizers.adam(setting.learning_rate)
        recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, optimizer)
        key = jax.random.key(setting.seed)
        result = ja.fit(recipe, (x, y), key=key, epochs=setting.epochs, batch_size=workload.batch_size)
        jax.block_until_ready(result.params)

    def resident() -> float:
        gc.collect()
        return process.memory_info().rss / 2**20

    fit(Setting())
    rows = [{"phase": "first fit", "fits": 1, "compiled": compiled, "resident_mib": resident()}]
    in_phase = max(1, (20 if arguments.quick else arguments.fits) // len(PHASES))
    for phase in PHASES:
        before = compiled
        for setting in settings(phase, in_phase):
            fit(setting)
        rows.append({"phase": phase, "fits": in_phase, "compiled": compiled - before, "resident_mib": resident()})

    console = report.make_console()
    table = report.make_table(
        "fits on digits, one process", ["changed at every fit", "fits", "programs compiled", "memory after", "growth"]
    )
    for number, row in enumerate(rows):
        growth = "-" if number == 0 else f"{row['resident_mib'] - rows[number - 1]['resident_mib']:+.1f} MiB"
        table.add_row(row["phase"], str(row["fits"]), str(row["compiled"]), f"{row['resident_mib']:.0f} MiB", growth)
    console.print(table)
    if not arguments.quick:
        path = machine.write_result(arguments.out, "memory", {"phases": rows})
        console.print(f"written: {path}", style="dim", soft_wrap=True)
    return 0
