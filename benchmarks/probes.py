"""`python -m benchmarks probes`: what `recipe(probes=True)` costs a run.

The same run with and without, one after the other in this process, the order changing every round; what counts is the
ratio within a round. The parameters of both are compared bit for bit.
"""

from __future__ import annotations

import argparse
import functools
import statistics
from typing import Any

from benchmarks import machine, overhead, report
from benchmarks.workloads import WORKLOADS, MissingDataError, load_arrays

EPOCHS = {"mnist-512-512": 1, "mnist-128": 1, "digits": 1000, "rows80": 6000, "iris": 60_000}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--workload", nargs="*", choices=list(EPOCHS), default=list(EPOCHS), help="which workloads (default: all)")
    add("--rounds", type=int, default=9, help="pairs of runs (default: 9)")
    add("--out", type=overhead.Path, default=overhead.RESULTS, help="folder for the result file")
    add("--quick", action="store_true", help="few epochs and rounds, and no result file")


def run(arguments: argparse.Namespace) -> int:
    """Time both, print the table, write the file; return 0."""
    import jax
    import numpy as np

    import jaxann as ja

    console = report.make_console()
    heads = ["workload", "without", "with probes", "with / without", "same bits"]
    table = report.make_table("probes", heads)
    rows = []
    for name in arguments.workload:
        workload = WORKLOADS[name]
        try:
            x, y, _, _ = (jax.device_put(array) for array in load_arrays(workload, quick=arguments.quick))
        except MissingDataError as error:
            console.print(f"{name} skipped: {error}", style="yellow")
            continue
        epochs = max(1, EPOCHS[name] // (20 if arguments.quick else 1))

        def fitted(key: Any, *, probes: bool, workload: Any, epochs: int, data: tuple) -> Any:
            model = ja.models.mlp(workload.sizes[1:])
            recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-3), probes=probes)
            return ja.fit(recipe, data, key=key, epochs=epochs, batch_size=workload.batch_size).params

        given = {"workload": workload, "epochs": epochs, "data": (x, y)}
        contenders = {
            label: functools.partial(fitted, probes=probes, **given)
            for label, probes in (("without", False), ("with", True))
        }
        times = overhead.alternated(contenders, 3 if arguments.quick else arguments.rounds)
        both = [jax.tree.leaves(one(jax.random.key(0))) for one in contenders.values()]
        same = all(np.array_equal(a, b) for a, b in zip(*both, strict=True))
        ratios = [b / a for a, b in zip(*times.values(), strict=True)]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        medians = (statistics.median(values) / epochs for values in times.values())
        table.add_row(name, *map(report.seconds, medians), f"{ratio:.3f}  {low:.3f}..{high:.3f}", str(same))
        rows.append({"workload": name, "epochs": epochs, "seconds": times, "ratio": ratio, "quartiles": [low, high],
                     "same_bits": same})  # fmt: skip
    console.print(table)
    if rows and not arguments.quick:
        path = machine.write_result(arguments.out, "probes", {"rows": rows})
        console.print(f"written: {path}", style="dim", soft_wrap=True)
    return 0
