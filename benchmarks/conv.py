"""`python -m benchmarks conv`: convolutions and steps of convolutional nets against XLA's own form and PyTorch.

All take turns in this process, the order changing every round; what counts is the ratio within a round. Work is done
several times within a run, by a loop inside the program as in training. Batch 64, float32, XLA without YNNPACK (which
importing jaxann sees to). "raw XLA" is `lax.conv_general_dilated` and its derivatives as they come, in the same loop
(where gradients of that form are computed number by number, so it is timed in one round); PyTorch is eager, in the
better of its two layouts, and by `torch.compile` in the same layout. Flax and Keras, on JAX, take a step at a time as
their users do. A population is divided among the devices as `fit_population` does it, after `setup()`, by which each
core of a CPU is one. The peak is the best of several products of 1024 x 1024 matrices by XLA. Of a stack of residual
blocks, `layers.repeat`, it is the compiler that is timed: a step of 32 of them against one of 4.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, report

RESULTS = Path(__file__).resolve().parent / "results"
BATCH = 64
# Side, channels, filters, size of the window, and how often in a run.
LAYERS = {"1-32 of 28": (28, 1, 32, 3, 20), "3-16 of 32": (32, 3, 16, 3, 20), "16-16 of 32": (32, 16, 16, 3, 10),
          "64-64 of 8": (8, 64, 64, 3, 10), "64-64 of 32": (32, 64, 64, 3, 2)}  # fmt: skip
# Side, channels, steps in a run, and millions of products forward for one picture.
NETS = {"LeNet-5": (28, 1, 20, 0.416), "ResNet-20": (32, 3, 4, 40.8), "ResNet-18": (32, 3, 1, 555.4)}
MEMBERS, MEMBER_BATCH = 8, 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--rounds", type=int, default=9, help="rounds of turns (default: 9)")
    add("--out", type=Path, default=RESULTS, help="folder for the result file (default: benchmarks/results)")
    add("--quick", action="store_true", help="two rounds of the smallest layer and net, and no result file")


def model_of(name: str) -> Any:
    """A net by the name that the benchmark gives it."""
    import jaxann as ja

    if name == "small CNN":
        act, pool = ja.layers.elementwise("relu"), ja.layers.max_pool(2)
        maps = {"conv0": ja.layers.conv(8, 3), "act0": act, "pool0": pool}
        maps |= {"conv1": ja.layers.conv(16, 3), "act1": act, "pool1": pool}
        return ja.layers.sequential(maps | {"flat": ja.layers.flatten(), "out": ja.layers.dense(10)})
    models = {
        "LeNet-5": lambda: ja.models.lenet5(activation="relu", pool="max"),
        "ResNet-20": lambda: ja.models.resnet_cifar(20),
        "ResNet-18": lambda: ja.models.resnet(18, 10, stem="cifar"),
    }
    return models[name]()


def steps(name: str, x: np.ndarray, y: np.ndarray, number: int, members: int = 0) -> Callable[[], Any]:
    """So many training steps of our net, of `members` nets at once where that is not 0, in one program."""
    import jax
    import jax.numpy as jnp

    import jaxann as ja

    model, optimizer = model_of(name), ja.optimizers.sgd(0.01, momentum=0.9)

    def step(carry: Any, _: Any) -> Any:
        params, state, inside = carry

        def cost(params: Any) -> Any:
            z, after = model.apply(params, state, x, train=True)
            return jnp.mean(ja.losses.softmax_cross_entropy(z, y)), after

        grads, state = jax.grad(cost, has_aux=True)(params)
        updates, inside = optimizer.update(grads, inside, params)
        return (ja.optimizers.apply_updates(params, updates), state, inside), None

    def run(params: Any, state: Any) -> Any:
        return jax.lax.scan(step, (params, state, optimizer.init(params)), None, length=number)[0][0]

    key, program = jax.random.key(0), run
    if members:
        start = jax.vmap(model.init, (0, None))(jax.random.split(key, members), x)
        devices = math.gcd(members, jax.device_count())
        mesh, split = jax.make_mesh((devices,), ("members",)), jax.sharding.PartitionSpec("members")
        start = jax.device_put(start, jax.sharding.NamedSharding(mesh, split))
        program = jax.shard_map(jax.vmap(run), mesh=mesh, in_specs=split, out_specs=split, check_vma=False)
    else:
        start = model.init(key, x)
    program = jax.jit(program)
    return lambda: jax.block_until_ready(program(*start))


def layer_runs(x: np.ndarray, weight: np.ndarray, delta: np.ndarray, padding: int, times: int, own: bool) -> dict:
    """The convolution alone, and with both gradients, by our operation or XLA's."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    import jaxann as ja

    def conv(x: Any, w: Any) -> Any:
        if own:
            return ja.ops.conv(x, w, padding=padding)
        return lax.conv_general_dilated(x, w, (1, 1), [(padding,) * 2] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    # Each round of the loop is given other arrays, by one number that hangs on the result of the round before: so none
    # is left out, and nothing of it is done once for all rounds.
    def touched(array: Any, number: Any) -> Any:
        return lax.dynamic_update_slice(array, jnp.full((1,) * array.ndim, number), (0,) * array.ndim)

    def repeated(one: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
        def all_rounds(*arrays: Any) -> Any:
            def body(_: Any, arrays: list) -> list:
                return [touched(a, n) for a, n in zip(arrays, one(*arrays), strict=True)]

            return lax.fori_loop(0, times, body, list(arrays))

        return all_rounds

    @repeated
    def forward(x: Any, w: Any, delta: Any) -> Any:
        z = conv(x, w)
        return z[0, 0, 0, 0], z[-1, 0, 0, 0], z[-1, -1, -1, -1]

    @repeated
    def both(x: Any, w: Any, delta: Any) -> Any:
        z, vjp = jax.vjp(conv, x, w)
        by_x, by_w = vjp(delta)
        return by_x[0, 0, 0, 0], by_w[0, 0, 0, 0], z[0, 0, 0, 0]

    given = tuple(map(jnp.asarray, (x, weight, delta)))
    made = {}
    for name, function in (("forward", forward), ("and gradients", both)):
        program = jax.jit(function)
        made[name] = lambda program=program: jax.block_until_ready(program(*given))
    return made


def turns(runs: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Seconds of each run and round; the first does not count, and it and another are all that raw XLA gets."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name in list(runs) if number % 2 else reversed(runs):
            if name == "raw XLA" and number > 1:
                continue
            begun = time.perf_counter()
            runs[name]()
            if number:
                times[name].append(time.perf_counter() - begun)
    return times


def compared(times: dict[str, list[float]], each: float, operations: float, peak: float) -> dict[str, Any]:
    """Milliseconds in all and by round, the ratio to the better layout of PyTorch, and the share of the peak."""
    medians = {name: 1e3 * statistics.median(own) / each for name, own in times.items()}
    theirs = min((name for name in times if name.startswith("PyTorch, ")), key=medians.__getitem__)
    ratios = [a / b for a, b in zip(times["jaxann"], times[theirs], strict=True)]
    share = operations / (medians["jaxann"] / 1e3) / peak
    return {
        "ms": medians,
        "torch": theirs,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "share": share,
        "rounds": {name: [1e3 * seconds / each for seconds in own] for name, own in times.items()},
    }


def _peak() -> float:
    """Operations a second."""
    import jax
    import jax.numpy as jnp

    a, times = jnp.ones((1024, 1024)), []
    product = jax.jit(jnp.dot)
    for _ in range(20):
        begun = time.perf_counter()
        jax.block_until_ready(product(a, a))
        times.append(time.perf_counter() - begun)
    return 2 * 1024**3 / min(times)


def _layer(name: str, rounds: int, peak: float) -> dict[str, Any]:
    from benchmarks import conv_torch

    side, channels, filters, size, times = LAYERS[name]
    random = np.random.default_rng(0)
    x, weight, delta = (
        random.normal(size=shape).astype(np.float32)
        for shape in ((BATCH, side, side, channels), (size, size, channels, filters), (BATCH, side, side, filters))
    )
    given, padding = (x, weight, delta), size // 2
    ways = {"jaxann": layer_runs(*given, padding, times, True), "raw XLA": layer_runs(*given, padding, times, False)}
    for layout, kind in conv_torch.LAYOUTS.items():
        ways[f"PyTorch, {layout}"] = conv_torch.layer_runs(*given, padding, kind, times)
    operations = 2 * BATCH * side**2 * size**2 * channels * filters
    found = {}
    for part, passes in (("forward", 1), ("and gradients", 3)):
        found[part] = compared(turns({k: v[part] for k, v in ways.items()}, rounds), times, passes * operations, peak)
    return found


def _net(name: str, rounds: int, peak: float) -> dict[str, Any]:
    from benchmarks import conv_peers, conv_torch

    side, channels, number, millions = NETS[name]
    random = np.random.default_rng(0)
    x = random.normal(size=(BATCH, side, side, channels)).astype(np.float32)
    y = random.integers(0, 10, BATCH, np.int32)
    ways: dict[str, Callable] = {"jaxann": steps(name, x, y, number)}
    for layout, kind in conv_torch.LAYOUTS.items():
        ways[f"PyTorch, {layout}"] = conv_torch.step_of(name, x, y, kind, number)
    ways["compiled PyTorch"] = conv_torch.step_of(name, x, y, conv_torch.LAYOUTS["channels last"], number, True)
    ways["Flax"] = conv_peers.flax_step_of(name, x, y, number)
    ways["Keras"] = conv_peers.keras_step_of(name, x, y, number)
    return compared(turns(ways, rounds), number, 6e6 * millions * BATCH, peak)


def _population(rounds: int, peak: float) -> dict[str, Any]:
    from benchmarks import conv_torch

    random = np.random.default_rng(0)
    x = random.normal(size=(MEMBER_BATCH, 28, 28, 1)).astype(np.float32)
    y = random.integers(0, 10, MEMBER_BATCH, np.int32)
    ways: dict[str, Callable] = {"jaxann": steps("small CNN", x, y, 5, MEMBERS)}
    for layout, kind in conv_torch.LAYOUTS.items():
        ways[f"PyTorch, {layout}"] = conv_torch.step_of("small CNN", x, y, kind, 5 * MEMBERS)
    return compared(turns(ways, rounds), 5 * MEMBERS, 6e6 * 0.291 * MEMBER_BATCH, peak)


def stack(blocks: int) -> Any:
    """So many residual blocks of one kind between a stem and an end, as of a ResNet without stages."""
    import jaxann as ja

    half = {"conv": ja.layers.conv(16, 3, use_bias=False), "norm": ja.layers.batch_norm()}
    act, body = ja.layers.elementwise("relu"), {}
    for i in (0, 1):
        body |= {f"{name}{i}": layer for name, layer in half.items()} | ({"act": act} if i == 0 else {})
    block = ja.layers.sequential({"sum": ja.layers.residual(ja.layers.sequential(body)), "act": act})
    return ja.layers.sequential(
        {**half, "act": act, "blocks": ja.layers.repeat(block, blocks), "pool": ja.layers.global_pool(),
         "out": ja.layers.dense(10)}
    )  # fmt: skip


def _depth(rounds: int) -> dict[str, Any]:
    """Seconds of compiling a training step of 32 blocks and one of 4, and their ratio within a round."""
    import jax

    import jaxann as ja

    x, y = jax.ShapeDtypeStruct((BATCH, 32, 32, 3), np.float32), jax.ShapeDtypeStruct((BATCH,), np.int32)

    def compiled(blocks: int) -> Callable[[], Any]:
        model = stack(blocks)
        params, state = jax.eval_shape(model.init, jax.random.key(0), x)

        def cost(p: Any, s: Any, x: Any, y: Any) -> Any:
            z, after = model.apply(p, s, x, train=True)
            return ja.losses.softmax_cross_entropy(z, y).mean(), after

        def run() -> Any:
            jax.clear_caches()
            return jax.jit(jax.grad(cost, has_aux=True)).lower(params, state, x, y).compile()

        return run

    times = turns({f"{blocks} blocks": compiled(blocks) for blocks in (32, 4)}, rounds)
    ratios = [a / b for a, b in zip(times["32 blocks"], times["4 blocks"], strict=True)]
    return {"seconds": {n: statistics.median(own) for n, own in times.items()}, "ratio": statistics.median(ratios),
            "rounds": times}  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Time all of them, print the tables, write the file; return 0."""
    import jax

    import jaxann as ja

    ja.setup()  # before JAX is asked for anything
    console, rounds = report.make_console(), 2 if arguments.quick else arguments.rounds
    peak = _peak()
    console.print(f"the peak: {peak / 1e9:.0f} GFLOP/s")
    content: dict[str, Any] = {"batch": BATCH, "peak_gflops": peak / 1e9, "rounds": rounds, "layers": {}, "steps": {}}
    columns = ["batch 64, ms", "jaxann", "raw XLA", "PyTorch", "jaxann / PyTorch", "share of peak"]
    table = report.make_table("One layer", columns)
    for name in list(LAYERS)[: 1 if arguments.quick else None]:
        found = content["layers"][name] = _layer(name, rounds, peak)
        for part, row in found.items():
            table.add_row(f"{name}, {part}", *_cells(row, "jaxann", "raw XLA"))
    console.print(table)
    peers = ("compiled PyTorch", "Flax", "Keras")
    table = report.make_table("One training step, SGD with momentum", [*columns[:2], *peers, *columns[3:]])
    for name in list(NETS)[: 1 if arguments.quick else None]:
        row = content["steps"][name] = _net(name, rounds, peak)
        table.add_row(name, *_cells(row, "jaxann", *peers))
    row = content["population"] = _population(rounds, peak)
    first, *others = _cells(row, "jaxann")
    table.add_row(f"{MEMBERS} small CNNs, of each", first, *[""] * len(peers), *others)
    console.print(table)
    found = content["compiling"] = _depth(2 if arguments.quick else 5)
    told = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in found["seconds"].items())
    console.print(f"compiling residual blocks: {told}, {found['ratio']:.2f}x")
    for path in sorted(RESULTS.glob("cpu-*/conv.json")) if jax.default_backend() != "cpu" else []:
        console.print(_beside(json.loads(path.read_text()), content, path.parent.name))
    if not arguments.quick:
        path = machine.write_result(arguments.out, "conv", content)
        console.print(f"written: {path}", style="dim", soft_wrap=True)
    return 0


def _beside(cpu: dict[str, Any], content: dict[str, Any], name: str) -> Any:
    """The steps on a CPU, by its file of results, and here."""
    table = report.make_table(f"jaxann: {name} and this accelerator", ["ms", name, "here", "times as fast"])
    for net, row in content["steps"].items():
        there, here = cpu["steps"][net]["ms"]["jaxann"], row["ms"]["jaxann"]
        table.add_row(net, f"{there:.2f}", f"{here:.2f}", f"{there / here:.0f}")
    return table


def _cells(row: dict[str, Any], *names: str) -> list[str]:
    low, _, high = statistics.quantiles(row["ratios"], n=4)
    shown = [f"{row['ms'][name]:.2f}" for name in (*names, row["torch"])]
    return [*shown, f"{row['ratio']:.2f}  {low:.2f}..{high:.2f}", f"{row['share']:.0%}"]
