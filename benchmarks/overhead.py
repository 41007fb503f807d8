"""`python -m benchmarks overhead`: what the finite guard, the history and the progress bar cost.

The bare run is the same training with the same public parts (model, loss, optimizer, order of examples) and nothing
else: no guard, no gradient norm, no history beside the loss, no bar; one jitted function for all epochs. Against it
runs `ja.fit(..., progress=True)`. Both run in this process, one after the other, the order changing every round; what
counts is the ratio within a round.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.workloads import WORKLOADS, MissingDataError, load_arrays

RESULTS = Path(__file__).resolve().parent / "results"
EPOCHS = {"mnist-512-512": 1, "digits": 1000, "rows80": 6000, "iris": 60_000}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--workload", nargs="*", choices=list(EPOCHS), default=list(EPOCHS), help="which workloads (default: all)")
    add("--rounds", type=int, default=9, help="pairs of runs (default: 9)")
    add("--out", type=Path, default=RESULTS, help="folder for the result file (default: benchmarks/results)")
    add("--quick", action="store_true", help="few epochs and rounds, and no result file")


def bare_run(model: Any, loss: Callable, optimizer: Any, epochs: int, batch_size: int) -> Callable:
    """The whole run as one jitted function of `(key, x, y)`, from public parts, without guard and history."""
    import jax
    import jax.numpy as jnp

    import jaxann as ja

    def run(key: Any, x: Any, y: Any) -> Any:
        params, state = model.init(key, x[:1])
        rows = x.shape[0]
        steps = -(-rows // batch_size)
        positions = jnp.arange(steps * batch_size, dtype=jnp.int32)
        mask = (positions < rows).astype(x.dtype).reshape(steps, batch_size)

        def step(carry: Any, inputs: Any) -> Any:
            params, optimizer_state = carry
            index, weight = inputs

            def mean_loss(params: Any) -> Any:
                batch = (x, y) if steps == 1 else (x[index], y[index])
                values = loss(model.apply(params, state, batch[0])[0], batch[1])
                return jnp.mean(values) if rows % batch_size == 0 else jnp.sum(values * weight) / jnp.sum(weight)

            value, grads = jax.value_and_grad(mean_loss)(params)
            updates, optimizer_state = optimizer.update(grads, optimizer_state, params)
            return (ja.optimizers.apply_updates(params, updates), optimizer_state), value

        def epoch(carry: Any, number: Any) -> Any:
            if steps == 1:
                return step(carry, (positions, mask[0]))
            places = jnp.minimum(positions, rows - 1)
            order = ja.ops.shuffled_positions(jax.random.fold_in(key, number), places, rows)
            carry, values = jax.lax.scan(step, carry, (order.reshape(steps, batch_size), mask))
            return carry, jnp.mean(values)

        return jax.lax.scan(epoch, (params, optimizer.init(params)), jnp.arange(epochs))

    return jax.jit(run)


def run(arguments: argparse.Namespace) -> int:
    """Time both, print the table, write the file; return 0."""
    import jax

    import jaxann as ja

    console = report.make_console()
    table = report.make_table("guard, history and bar against the bare run", ["workload", "bare", "fit", "fit / bare"])
    rows = []
    for name in arguments.workload:
        workload = WORKLOADS[name]
        try:
            x, y, _, _ = (jax.device_put(array) for array in load_arrays(workload, quick=arguments.quick))
        except MissingDataError as error:
            console.print(f"{name} skipped: {error}", style="yellow")
            continue
        epochs = max(1, EPOCHS[name] // (20 if arguments.quick else 1))
        model, loss = ja.models.mlp(workload.sizes[1:]), ja.losses.softmax_cross_entropy
        optimizer = ja.optimizers.adam(1e-3)
        bare = bare_run(model, loss, optimizer, epochs, workload.batch_size)

        fit = functools.partial(ja.fit, ja.recipe(model, loss, optimizer), (x, y), batch_size=workload.batch_size)

        def with_all(key: Any, fit: Callable = fit, epochs: int = epochs) -> Any:
            with contextlib.redirect_stdout(io.StringIO()):
                return fit(key=key, epochs=epochs, progress=True).params

        contenders = {"bare": lambda key, bare=bare, x=x, y=y: bare(key, x, y), "fit": with_all}
        times = alternated(contenders, 3 if arguments.quick else arguments.rounds)
        ratios = [b / a for a, b in zip(times["bare"], times["fit"], strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        medians = {n: statistics.median(t) / epochs for n, t in times.items()}
        ratio = statistics.median(ratios)
        table.add_row(name, *(report.seconds(medians[n]) for n in times), f"{ratio:.3f}  {low:.3f}..{high:.3f}")
        rows.append({"workload": name, "epochs": epochs, "seconds": times, "ratio": ratio, "quartiles": [low, high]})
    console.print(table)
    if rows and not arguments.quick:
        path = machine.write_result(arguments.out, "overhead", {"rows": rows})
        console.print(f"written: {path}", style="dim", soft_wrap=True)
    return 0


def alternated(contenders: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round, after one round that is not counted."""
    import jax

    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        names = list(contenders) if number % 2 else list(reversed(contenders))
        for name in names:
            begun = time.perf_counter()
            jax.block_until_ready(contenders[name](jax.random.key(number)))
            if number:
                times[name].append(time.perf_counter() - begun)
    return times
