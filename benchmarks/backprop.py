"""`python -m benchmarks backprop`: training by gradients written out by hand against automatic differentiation.

The digits MLP is trained with Adam in one jitted program for all epochs, twice: the gradient of a step comes from
`ja.backprop.value_and_grad` or from `jax.value_and_grad` of the same cost. Everything else is equal, the order of the
examples too. The two take turns in this process, the order changing every round; what counts is the ratio of the
median times. Equal loss curves are the proof that the work is the same.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.workloads import WORKLOADS, load_arrays

RESULTS = Path(__file__).resolve().parent / "results"
MOST, UNEQUAL = 1.3, 1e-6  # what the ratio and the distance of the curves are held to


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--rounds", type=int, default=15, help="pairs of runs (default: 15)")
    add("--epochs", type=int, default=300, help="epochs of a run (default: 300)")
    add("--out", type=Path, default=RESULTS, help="folder for the result file (default: benchmarks/results)")
    add("--quick", action="store_true", help="few epochs and rounds, and no result file")


def settings(sizes: tuple[int, ...]) -> dict[str, Any]:
    """The networks that are trained, by name."""
    import jaxann as ja

    widths = sizes[1:]
    return {
        "plain": ja.models.mlp(widths),
        "dropout, batch norm": ja.models.mlp(widths, dropout=0.2, batch_norm=True),
    }


def gradients(model: Any, loss: Callable) -> dict[str, Callable]:
    """Both ways to a gradient: `(params, state, x, y, key=, weights=) -> ((cost, (predictions, state)), gradients)`."""
    import jax
    import jax.numpy as jnp

    import jaxann.backprop as backprop

    def cost(params: Any, state: Any, x: Any, y: Any, key: Any, weights: Any) -> Any:
        predictions, state = model.apply(params, state, x, key=key, train=True, example_mask=weights)
        values = loss(predictions, y)
        return jnp.sum(jnp.where(weights == 0, 0, weights * values)) / jnp.sum(weights), (predictions, state)

    def by_autodiff(params: Any, state: Any, x: Any, y: Any, *, key: Any, weights: Any) -> Any:
        return jax.value_and_grad(cost, has_aux=True)(params, state, x, y, key, weights)

    written = backprop.value_and_grad(model, loss)

    def by_hand(params: Any, state: Any, x: Any, y: Any, *, key: Any, weights: Any) -> Any:
        return written(params, state, x, y, key=key, weights=weights, example_mask=weights)

    return {"by hand": by_hand, "autodiff": by_autodiff}


def training(model: Any, gradient: Callable, epochs: int, batch_size: int) -> Callable:
    """The whole run as one jitted function `(key, x, y) -> losses of the epochs`."""
    import jax
    import jax.numpy as jnp

    import jaxann as ja

    optimizer = ja.optimizers.adam(1e-3)

    def run(key: Any, x: Any, y: Any) -> Any:
        params, state = model.init(key, x[:1])
        rows = x.shape[0]
        steps = -(-rows // batch_size)
        positions = jnp.arange(steps * batch_size, dtype=jnp.int32)
        mask = (positions < rows).astype(x.dtype).reshape(steps, batch_size)

        def step(carry: Any, inputs: Any) -> Any:
            params, state, optimizer_state = carry
            index, weights, key = inputs
            (value, (_, state)), grads = gradient(params, state, x[index], y[index], key=key, weights=weights)
            updates, optimizer_state = optimizer.update(grads, optimizer_state, params)
            return (ja.optimizers.apply_updates(params, updates), state, optimizer_state), value

        def epoch(carry: Any, number: Any) -> Any:
            own = jax.random.fold_in(key, number)
            order = ja.ops.shuffled_positions(own, jnp.minimum(positions, rows - 1), rows)
            inputs = (order.reshape(steps, batch_size), mask, jax.random.split(own, steps))
            carry, values = jax.lax.scan(step, carry, inputs)
            return carry, jnp.mean(values)

        start = (params, state, optimizer.init(params))
        return jax.lax.scan(epoch, start, jnp.arange(epochs))[1]

    return jax.jit(run)


def measured(runs: dict[str, Callable], given: tuple, rounds: int) -> dict[str, Any]:
    """Seconds of each run and round (the first does not count), the ratio of medians, how far apart the curves are."""
    import jax
    import numpy as np

    losses, times = {}, {name: [] for name in runs}
    for number in range(rounds + 1):
        for name in list(runs) if number % 2 else reversed(runs):
            begun = time.perf_counter()
            losses[name] = jax.block_until_ready(runs[name](*given))
            if number:
                times[name].append(time.perf_counter() - begun)
    hand, autodiff = (np.asarray(losses[name], np.float64) for name in runs)
    ratios = [a / b for a, b in zip(*times.values(), strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    ratio = statistics.median(times["by hand"]) / statistics.median(times["autodiff"])
    apart = np.abs(hand - autodiff) / np.maximum(1, np.abs(autodiff))
    return {
        "seconds": times, "ratio": ratio, "quartiles": [low, high],
        "apart": float(apart.max()), "first_apart": float(apart[0]), "last_loss": float(autodiff[-1]),
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Time both, print the table, write the file; return 0."""
    import jax

    import jaxann as ja

    workload = WORKLOADS["digits"]
    x, y, _, _ = (jax.device_put(array) for array in load_arrays(workload, quick=arguments.quick))
    epochs, rounds = (5, 3) if arguments.quick else (arguments.epochs, arguments.rounds)
    console = report.make_console()
    columns = ["digits", "by hand", "autodiff", "by hand / autodiff", "curves apart"]
    table = report.make_table(f"{epochs} epochs in one program", columns)
    rows = {}
    for name, model in settings(workload.sizes).items():
        ways = gradients(model, ja.losses.softmax_cross_entropy)
        runs = {way: training(model, gradient, epochs, workload.batch_size) for way, gradient in ways.items()}
        row = rows[name] = measured(runs, (jax.random.key(0), x, y), rounds)
        medians = [report.seconds(statistics.median(times) / epochs) for times in row["seconds"].values()]
        low, high = row["quartiles"]
        table.add_row(name, *medians, f"{row['ratio']:.2f}  {low:.2f}..{high:.2f}", f"{row['apart']:.1e}")
    console.print(table)
    plain = rows["plain"]
    met = plain["ratio"] <= MOST and plain["apart"] <= UNEQUAL
    console.print(
        f"plain: ratio {plain['ratio']:.2f} (at most {MOST}), curves {plain['apart']:.1e} apart (at most {UNEQUAL}): "
        f"{'met' if met else 'MISSED'}"
    )
    if not arguments.quick:
        path = machine.write_result(arguments.out, "backprop", {"epochs": epochs, "rows": rows})
        console.print(f"written: {path}", style="dim", soft_wrap=True)
    return 0
