"""`python -m benchmarks language`: language models of tiny Shakespeare's characters, trained here and in PyTorch.

2,000 steps of 12 windows of 64 characters, nanoGPT's setting for a CPU: AdamW by a warmup of 100 steps and a cosine
from 1e-3 to 1e-4 (recurrent nets 4e-3), betas 0.9 and 0.99, decay 0.1 of the matrices, gradients clipped to length 1.

- A transformer of 4 blocks, 4 heads and 128 features with learned positions.
- An LSTM and a GRU of 256 units.

Both sides have the same structure, initial distributions and rates; windows begin anywhere. The loss is that on the
last tenth of the text, in windows side by side, in nats a character. Seconds are those of the training, compilation
included. The file is written after each seed, and seeds that it has already stay.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, report

RESULTS = Path(__file__).resolve().parent / "results"
STEPS, BATCH, CONTEXT, WARMUP, UNITS = 2000, 12, 64, 100, 256
PEAKS = {"gpt": 1e-3, "lstm": 4e-3, "gru": 4e-3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--data", default=None, help="folder with the text, one .txt or .txt.gz; by default $JAXANN_DATA/text")
    add("--kind", nargs="+", choices=tuple(PEAKS), default=list(PEAKS), help="what is trained")
    add("--runs", type=int, default=3, help="seeds")
    add("--first-seed", type=int, default=0, help="the first of them")
    add("--steps", type=int, default=STEPS, help="steps of a training; no result file with others")
    add("--out", type=Path, default=RESULTS, help="folder for the result file (default: benchmarks/results)")


def _text(folder: str | None) -> str:
    data = os.environ.get("JAXANN_DATA")
    place = folder or (os.path.join(data, "text") if data else None)
    found = sorted(Path(place).glob("*.txt*")) if place else []
    if len(found) != 1:
        raise SystemExit(f"--data: a folder with one text file, .txt or .txt.gz, is wanted; {place!r} has {len(found)}")
    raw = gzip.open(found[0]).read() if found[0].suffix == ".gz" else found[0].read_bytes()
    return raw.decode()


def _ours(kind: str, ids: np.ndarray, held: Any, vocabulary: int, steps: int, seed: int) -> tuple[float, float]:
    """Loss on what is held out, and seconds of the training."""
    import jax

    import jaxann as ja

    begun = time.perf_counter()
    if kind == "gpt":
        model = ja.models.gpt(vocabulary, context=CONTEXT)
    else:
        model = ja.models.recurrent_language_model(vocabulary, cell=kind, units=UNITS)
    rates = _rates(kind, steps)
    optimizer = ja.optimizers.chain(
        ja.optimizers.clip_by_global_norm(1.0),
        ja.optimizers.adamw(rates, b2=0.99, weight_decay=0.1, mask=ja.optimizers.matrices),
    )
    every = (len(ids) - 2 * CONTEXT - 1) // (steps * BATCH)
    windows = ja.data.language_windows(ids, 2 * CONTEXT, stride=min(CONTEXT, max(1, every)), remainder="drop")
    # As many as there are steps for, from all of the text: what stands nearest to what is held out teaches most of it.
    chosen = np.linspace(0, len(windows[0]) - 1, steps * BATCH).astype(int)
    windows = tuple(one[chosen] for one in windows)
    recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, optimizer, augment=ja.data.random_window(CONTEXT))
    fitted = ja.fit(recipe, windows, key=jax.random.key(seed), epochs=1, batch_size=BATCH)
    seconds = time.perf_counter() - begun
    return float(ja.train.evaluate(recipe, fitted.params, fitted.state, held)["loss"]), seconds


def _rates(kind: str, steps: int) -> Any:
    import jaxann as ja

    return ja.schedules.cosine(PEAKS[kind], steps, warmup=min(WARMUP, steps // 5), end=PEAKS[kind] / 10)


def _theirs(kind: str, ids: np.ndarray, held: Any, vocabulary: int, steps: int, seed: int) -> tuple[float, float]:
    import torch

    from benchmarks import sequence_torch

    torch.manual_seed(seed)
    if kind == "gpt":
        net = sequence_torch.GPT(vocabulary, 128, 4, 4, CONTEXT)
    else:
        net = sequence_torch.Language(kind, vocabulary, UNITS)
    schedule = _rates(kind, steps)
    rates = [float(rate) for rate in np.asarray([schedule(step) for step in range(steps)])]
    return sequence_torch.train_language(net, ids, held, rates, BATCH, CONTEXT)


def run(arguments: argparse.Namespace) -> int:
    """Train all of them in turns, print the table, write the file; return 0."""
    import jaxann as ja

    ja.setup()
    console, steps = report.make_console(), arguments.steps
    tokenizer = ja.data.char_tokenizer(text := _text(arguments.data))
    ids = tokenizer.encode(text)
    cut = int(0.9 * len(ids))
    held = ja.data.language_windows(ids[cut:], CONTEXT, remainder="drop")
    kept = machine.result_path(arguments.out, "language")
    rows: dict[str, dict[str, Any]] = json.loads(kept.read_text())["rows"] if kept.exists() else {}
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.runs):
        for kind in arguments.kind:
            ways = {"jaxann": _ours, "PyTorch": _theirs}
            order = list(ways) if seed % 2 else list(reversed(ways))
            found = {name: ways[name](kind, ids[:cut], held, tokenizer.vocabulary, steps, seed) for name in order}
            rows.setdefault(kind, {})[str(seed)] = {n: {"loss": f[0], "seconds": f[1]} for n, f in found.items()}
            told = (f"{name} {loss:.4f} in {seconds:.1f} s" for name, (loss, seconds) in found.items())
            console.print(f"{kind}, seed {seed}: {', '.join(told)}")
            if steps == STEPS:
                machine.write_result(arguments.out, "language", {"steps": STEPS, "batch": BATCH, "rows": rows})
    table = report.make_table(
        "Loss on what is held out, nats a character", ["model", "jaxann", "PyTorch", "their time"]
    )
    for kind, own in rows.items():
        means = [statistics.mean(row[n]["loss"] for row in own.values()) for n in ("jaxann", "PyTorch")]
        ratio = statistics.median(row["PyTorch"]["seconds"] / row["jaxann"]["seconds"] for row in own.values())
        table.add_row(kind, *(f"{mean:.4f}" for mean in means), f"{ratio:.2f}x")
    console.print(table)
    return 0
