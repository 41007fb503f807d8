"""`python -m benchmarks optimizers`: one step of each optimizer against the same one in optax.

Both step on the same tree of about a million parameters in float32, `update` and the addition in one jitted function
whose memory is given back to it, fed from the same gradients. They take turns of equally many steps in this process,
the order changing every round; what counts is the ratio within a round. Rules that ask for the objective (L-BFGS, SAM,
Sophia, Polyak's step) get the same quadratic one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.optimizer_pairs import PAIRS, Pair

RESULTS = Path(__file__).resolve().parent / "results"
SHAPES = {"hidden0": (784, 512), "hidden1": (512, 512), "hidden2": (512, 512), "output": (512, 128)}
MEDIAN, WORST = 1.0, 1.2  # what the median over all optimizers and the slowest of them are held to


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--only", nargs="*", choices=list(PAIRS), default=list(PAIRS), help="which optimizers (default: all)")
    add("--rounds", type=int, default=15, help="pairs of turns (default: 15)")
    add("--seconds", type=float, default=0.1, help="about how long a turn lasts (default: 0.1)")
    add("--out", type=Path, default=RESULTS, help="folder for the result file (default: benchmarks/results)")
    add("--quick", action="store_true", help="few rounds on a small tree, and no result file")


def tree(quick: bool) -> dict[str, dict[str, Any]]:
    """Parameters like a network's: matrices and vectors, about a million numbers."""
    import jax

    shapes = {name: tuple(max(8, n // 32) for n in shape) for name, shape in SHAPES.items()} if quick else SHAPES
    keys = jax.random.split(jax.random.key(0), len(shapes))
    return {
        name: {"weight": jax.random.normal(key, shape) * shape[0] ** -0.5, "bias": jax.random.normal(key, shape[1:])}
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def contenders(pair: Pair, params: Any) -> dict[str, tuple[Callable, Any]]:
    """`(step, (parameters, state))` of both, from equal parameters; `step(carry, grads) -> carry` is compiled."""
    import jax
    import jax.numpy as jnp
    import optax

    import jaxann as ja

    goal = jax.tree.map(lambda p: jnp.flip(p, 0), params)
    curvature = jax.tree.map(lambda p: jnp.exp(4 * jnp.sin(37 * p)), params)  # from 0.02 to 55

    def value_fn(p: Any) -> Any:
        errors = jax.tree.map(lambda a, b, c: jnp.sum(c * (a - b) ** 2) / 2, p, goal, curvature)
        return sum(jax.tree.leaves(errors))

    def ours(optimizer: Any) -> Callable:
        def step(carry: Any, grads: Any) -> Any:
            params, state = carry
            extra = {"key": jax.random.key(0)}
            if pair.objective:
                value, grads = jax.value_and_grad(value_fn)(params)
                extra |= {"value": value, "value_fn": value_fn}
            updates, state = optimizer.update(grads, state, params, **extra)
            return ja.optimizers.apply_updates(params, updates), state

        return step

    def theirs(optimizer: Any) -> Callable:
        def step(carry: Any, grads: Any) -> Any:
            params, state = carry
            extra = {}
            if pair.objective:
                value, grads = jax.value_and_grad(value_fn)(params)
                extra = pair.extra(value, grads, value_fn)
            updates, state = optimizer.update(grads, state, params, **extra)
            return optax.apply_updates(params, updates), state

        return step

    found = {}
    for name, optimizer, make in (("jaxann", pair.jaxann(), ours), ("optax", pair.optax(value_fn), theirs)):
        own = jax.tree.map(jnp.copy, params)  # given up at the first step
        found[name] = jax.jit(make(optimizer), donate_argnums=0), (own, jax.jit(optimizer.init)(own))
    return found


def measured(pair: Pair, params: Any, grads: Any, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Seconds of a step in each round, and the median and quartiles of the ratios within a round."""
    import jax

    both = contenders(pair, params)
    carries = {}
    for name, (step, carry) in both.items():
        carries[name] = jax.block_until_ready(step(jax.tree.map(lambda a: a.copy(), carry), grads))

    def turn(name: str, steps: int) -> float:
        step, carry = both[name][0], carries[name]
        begun = time.perf_counter()
        for _ in range(steps):
            carry = step(carry, grads)
        jax.block_until_ready(carry)
        carries[name] = carry
        return (time.perf_counter() - begun) / steps

    steps = max(1, int(seconds / max(turn("jaxann", 3), 1e-6)))
    times: dict[str, list[float]] = {name: [] for name in both}
    for number in range(rounds + 1):  # the first is not counted
        for name in list(both) if number % 2 else reversed(both):
            spent = turn(name, steps)
            if number:
                times[name].append(spent)
    ratios = [a / b for a, b in zip(times["jaxann"], times["optax"], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "steps_a_turn": steps, "seconds": times, "ratio": statistics.median(ratios), "quartiles": [low, high]
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Time all pairs, print the table, write the file; return 0."""
    import jax
    import jax.numpy as jnp

    params = tree(arguments.quick)
    grads = jax.tree.map(lambda p: jnp.sin(37 * p) * 0.01, params)
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    console = report.make_console()
    table = report.make_table(f"a step of {size:,} parameters", ["optimizer", "jaxann", "optax", "jaxann / optax"])
    rows = {}
    for name in arguments.only:
        rounds, seconds = (3, 0.01) if arguments.quick else (arguments.rounds, arguments.seconds)
        row = rows[name] = measured(PAIRS[name], params, grads, rounds=rounds, seconds=seconds)
        medians = [report.seconds(statistics.median(times)) for times in row["seconds"].values()]
        low, high = row["quartiles"]
        table.add_row(name, *medians, f"{row['ratio']:.2f}  {low:.2f}..{high:.2f}")
    console.print(table)
    ratios = {name: row["ratio"] for name, row in rows.items()}
    median, worst = statistics.median(ratios.values()), max(ratios, key=ratios.__getitem__)
    verdict = "met" if median <= MEDIAN and ratios[worst] <= WORST else "MISSED"
    console.print(
        f"median over {len(ratios)}: {median:.2f} (at most {MEDIAN}), highest: {ratios[worst]:.2f} for {worst} "
        f"(at most {WORST}): {verdict}"
    )
    if not arguments.quick:
        result = {"parameters": size, "rows": rows, "median": median, "worst": [worst, ratios[worst]]}
        path = machine.write_result(arguments.out, "optimizers", result)
        console.print(f"written: {path}", style="dim", soft_wrap=True)
    return 0
