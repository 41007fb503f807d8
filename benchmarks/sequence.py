"""`python -m benchmarks sequence`: training steps of recurrent nets and of a transformer, and writing, against peers.

All take turns in this process, the order changing every round; what counts is the ratio within a round. Float32, AdamW.

- A recurrent layer of 256 units on sequences of 128 positions of 256 features, batch 32, a dense layer at each
  position. "raw JAX" is a `lax.scan` over the cell as one writes it, with autodiff's own derivative; PyTorch's is its
  fused layer.
- The transformer of nanoGPT's setting for a CPU: 4 blocks, 4 heads, 128 features, windows of 64 of 65 characters, batch
  12.
- 500 characters written by it: here with what `step` carries, in PyTorch from the whole window again each time, as
  nanoGPT does.
- 16 such transformers trained as one population, against 16 runs one after the other.
- Compiling the gradient of 48 blocks, against 4.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, report
from benchmarks.conv import turns

RESULTS = Path(__file__).resolve().parent / "results"
BATCH, TIME, UNITS, CLASSES = 32, 128, 256, 10
POPULATION, DEPTH = "a step of each of 16 GPTs at once", "compiling 48 blocks"
GPT = {"vocabulary": 65, "features": 128, "heads": 4, "blocks": 4, "context": 64}
GPT_BATCH, LENGTH, MEMBERS = 12, 500, 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--rounds", type=int, default=9, help="rounds of turns (default: 9)")
    add("--out", type=Path, default=RESULTS, help="folder for the result file (default: benchmarks/results)")
    add("--quick", action="store_true", help="two rounds, without torch.compile, and no result file")


def _steps(apply: Callable, params: Any, x: np.ndarray, y: np.ndarray, number: int) -> Callable[[], Any]:
    """So many training steps in one program, which is given weights and data."""
    import jax
    import jax.numpy as jnp

    import jaxann as ja

    optimizer = ja.optimizers.adamw(1e-3, weight_decay=0.01)

    @jax.jit
    def program(params: Any, x: Any, y: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            params, inside = carry
            grads = jax.grad(lambda p: jnp.mean(ja.losses.softmax_cross_entropy(apply(p, x), y)))(params)
            updates, inside = optimizer.update(grads, inside, params)
            return (ja.optimizers.apply_updates(params, updates), inside), None

        return jax.lax.scan(step, (params, optimizer.init(params)), None, length=number)[0][0]

    given = jax.device_put((params, x, y))
    return lambda: jax.block_until_ready(program(*given))


def _raw(cell: str) -> Callable[[Any, Any], Any]:
    """The same net as one writes it by hand: a scan over the cell, autodiff."""
    import jax
    import jax.numpy as jnp

    def apply(p: Any, x: Any) -> Any:
        own = p["rnn"]

        def lstm(carry: Any, x: Any) -> Any:
            h, c = carry
            z = x @ own["weight"] + own["bias"] + h @ own["recurrent"] + own["recurrent_bias"]
            i, f, g, o = jnp.split(z, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        def gru(h: Any, x: Any) -> Any:
            z, s = x @ own["weight"] + own["bias"], h @ own["recurrent"] + own["recurrent_bias"]
            (z_r, z_u, z_n), (s_r, s_u, s_n) = jnp.split(z, 3, -1), jnp.split(s, 3, -1)
            r, u = jax.nn.sigmoid(z_r + s_r), jax.nn.sigmoid(z_u + s_u)
            h = (1 - u) * jnp.tanh(z_n + r * s_n) + u * h
            return h, h

        start = jnp.zeros((x.shape[0], UNITS))
        carry, one = ((start, start), lstm) if cell == "lstm" else (start, gru)
        hs = jax.lax.scan(one, carry, jnp.swapaxes(x, 0, 1))[1]
        return jnp.swapaxes(hs, 0, 1) @ p["head"]["weight"] + p["head"]["bias"]

    return apply


def _recurrent(cell: str, rounds: int, quick: bool) -> dict[str, Any]:
    import jax

    import jaxann as ja
    from benchmarks import sequence_torch

    random = np.random.default_rng(0)
    x = random.normal(size=(BATCH, TIME, UNITS)).astype(np.float32)
    y = random.integers(0, CLASSES, (BATCH, TIME), np.int32)
    layer = {"lstm": ja.layers.lstm, "gru": ja.layers.gru}[cell](UNITS)
    model = ja.layers.sequential({"rnn": layer, "head": ja.layers.dense(CLASSES)})
    params, state = model.init(jax.random.key(0), x)
    ways: dict[str, Callable] = {
        "jaxann": _steps(lambda p, x: model.apply(p, state, x, train=True)[0], params, x, y, 2),
        "raw JAX": _steps(_raw(cell), params, x, y, 2),
        "PyTorch": sequence_torch.recurrent_step_of(cell, x, y, UNITS, CLASSES, 2),
    }
    if not quick:
        ways["compiled PyTorch"] = sequence_torch.recurrent_step_of(cell, x, y, UNITS, CLASSES, 2, True)
        ways |= _flax_and_keras(cell, {"units": UNITS, "classes": CLASSES}, x, y, 2)
    return _compared(turns(ways, rounds), 2)


def _transformer(rounds: int, quick: bool) -> dict[str, Any]:
    import jax

    import jaxann as ja
    from benchmarks import sequence_torch

    random = np.random.default_rng(0)
    x, y = random.integers(0, GPT["vocabulary"], (2, GPT_BATCH, GPT["context"]), np.int32)
    model = ja.models.gpt(**GPT)
    params, state = model.init(jax.random.key(0), x)
    ways: dict[str, Callable] = {
        "jaxann": _steps(lambda p, x: model.apply(p, state, x, train=True)[0], params, x, y, 10),
        "PyTorch": sequence_torch.gpt_step_of(x, y, GPT, 10),
    }
    if not quick:
        ways["compiled PyTorch"] = sequence_torch.gpt_step_of(x, y, GPT, 10, True)
        ways |= _flax_and_keras("gpt", GPT, x, y, 10)
    return _compared(turns(ways, rounds), 10)


def _flax_and_keras(kind: str, sizes: dict[str, int], x: Any, y: Any, number: int) -> dict[str, Callable]:
    from benchmarks import sequence_peers

    return {
        "Flax": sequence_peers.flax_step_of(kind, sizes, x, y, number),
        "Keras": sequence_peers.keras_step_of(kind, sizes, x, y, number),
    }


def _population(rounds: int) -> dict[str, Any]:
    """A step of each of 16 transformers as one population, against 16 runs one after the other."""
    import jax

    import jaxann as ja

    random = np.random.default_rng(0)
    rows = 8 * GPT_BATCH
    data = tuple(random.integers(0, GPT["vocabulary"], (2, rows, GPT["context"]), np.int32))
    keys = jax.random.split(jax.random.key(0), MEMBERS)
    given = {"epochs": 1, "batch_size": GPT_BATCH}

    def build(hyper: dict[str, Any]) -> Any:
        model, rate = ja.models.gpt(**GPT), hyper["learning_rate"]
        return ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.adamw(rate, weight_decay=0.01))

    def together() -> None:
        ja.train.fit_population(build, {"learning_rate": np.full(MEMBERS, 1e-3)}, data, keys=keys, **given)

    def each() -> None:
        for key in keys:
            ja.fit(build({"learning_rate": 1e-3}), data, key=key, **given)

    return _compared(turns({"jaxann": together, "one after the other": each}, rounds), 8 * MEMBERS)


def _depth(rounds: int) -> dict[str, Any]:
    """Compiling a training step of 48 blocks, against one of 4."""
    import jax

    import jaxann as ja

    ids = np.zeros((2, 8), np.int32)

    def compiled(blocks: int) -> Callable[[], Any]:
        model = ja.models.gpt(**{**GPT, "blocks": blocks})
        params, state = jax.eval_shape(model.init, jax.random.key(0), ids)

        def cost(p: Any, s: Any, x: Any) -> Any:
            return ja.losses.softmax_cross_entropy(model.apply(p, s, x, train=True)[0], x).mean()

        def run() -> Any:
            jax.clear_caches()
            return jax.jit(jax.grad(cost)).lower(params, state, ids).compile()

        return run

    return _compared(turns({"jaxann": compiled(48), "4 blocks": compiled(4)}, rounds), 1)


def _writing(rounds: int) -> dict[str, Any]:
    import jax

    import jaxann as ja
    from benchmarks import sequence_torch

    model = ja.models.gpt(**GPT, positions="rotary")  # learned ones end with the window
    prompt = np.zeros((1, 1), np.int32)
    params, state = model.init(jax.random.key(0), prompt)

    def write() -> Any:
        written = ja.train.generate(model, params, state, prompt, length=LENGTH, key=jax.random.key(1))
        return jax.block_until_ready(written)

    return _compared(turns({"jaxann": write, "PyTorch": sequence_torch.written_by(GPT, LENGTH)}, rounds), 1)


def _compared(times: dict[str, list[float]], each: int) -> dict[str, Any]:
    """Milliseconds of each round, their medians, and how many times as long the others take within a round."""
    rounds = {name: [1e3 * seconds / each for seconds in own] for name, own in times.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(own, rounds["jaxann"], strict=True))
        for name, own in rounds.items()
        if name != "jaxann"
    }
    return {"ms": {n: statistics.median(own) for n, own in rounds.items()}, "ratio": ratios, "rounds": rounds}


def run(arguments: argparse.Namespace) -> int:
    """Time all of them, print the table, write the file; return 0."""
    import jaxann as ja

    ja.setup()
    console, rounds, quick = report.make_console(), 2 if arguments.quick else arguments.rounds, arguments.quick
    peers = ["raw JAX", "PyTorch", "compiled PyTorch", "Flax", "Keras"]
    table = report.make_table("Sequences: ms, and how many times as long the others take", ["what", "jaxann", *peers])
    content: dict[str, Any] = {"rounds": rounds}
    for name, measured in (
        ("LSTM, a training step", lambda: _recurrent("lstm", rounds, quick)),
        ("GRU, a training step", lambda: _recurrent("gru", rounds, quick)),
        ("GPT, a training step", lambda: _transformer(rounds, quick)),
        (f"GPT, {LENGTH} characters", lambda: _writing(rounds)),
        (POPULATION, lambda: _population(2 if quick else 3)),
        (DEPTH, lambda: _depth(2 if quick else 3)),
    ):
        row = content[name] = measured()
        cells = [f"{row['ratio'][peer]:.2f}x" if peer in row["ratio"] else "-" for peer in peers]
        table.add_row(name, f"{row['ms']['jaxann']:.2f}", *cells)
    console.print(table)
    for name, other in ((POPULATION, "one after the other"), (DEPTH, "4 blocks")):
        console.print(f"{name}: {content[name]['ms']['jaxann']:.4g} ms, {other} {content[name]['ratio'][other]:.2f}x")
    if not quick:
        path = machine.write_result(arguments.out, "sequence", content)
        console.print(f"written: {path}", style="dim", soft_wrap=True)
    return 0
