"""`python -m benchmarks tuning`: what clever searches find, against the searches they claim to beat.

`halving` runs the full grid and successive halving over the same settings on California housing (needs JAXANN_DATA);
`bayes` runs Bayesian and random search with equally many trials, in pairs, on several seeds, on the digits.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import machine
from benchmarks.workloads import DATA_VARIABLE, MissingDataError

RESULTS = Path(__file__).resolve().parent / "results"
GRID = {"learning_rate": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2], "weight_decay": [1e-5, 1e-3, 1e-1, 1.0]}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--part", nargs="+", choices=("halving", "bayes"), default=["halving", "bayes"], help="which parts")
    add("--rounds", type=int, default=5, help="pairs of searches in `bayes`, rounds in `halving` (default 5)")
    add("--trials", type=int, default=32, help="trials of a search in `bayes` (default 32)")
    add("--epochs", type=int, default=54, help="epochs of a run that trains to the end, in `halving` (default 54)")
    add("--write", action="store_true", help="write tuning.json into the results")
    add("--out", type=Path, default=RESULTS, help="folder for --write")


def california() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Standardized features (the category one-hot, gaps filled by the median) and standardized log values."""
    path = Path(os.environ.get(DATA_VARIABLE, ".")) / "tabular" / "california_housing.csv"
    if not path.is_file():
        raise MissingDataError(f"no {path.name}: set {DATA_VARIABLE} to the folder with tabular/")
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    numbers = np.array([[float(v) if v else np.nan for v in row[:-1]] for row in rows])
    kinds = sorted({row[-1] for row in rows})
    one_hot = np.array([[row[-1] == kind for kind in kinds] for row in rows], float)
    order = np.random.default_rng(0).permutation(len(rows))
    cut = int(0.8 * len(rows))
    first, rest = order[:cut], order[cut:]
    x, y = numbers[:, :-1], np.log(numbers[:, -1])
    x = np.where(np.isnan(x), np.nanmedian(x[first], 0), x)
    x = np.concatenate([(x - x[first].mean(0)) / x[first].std(0), one_hot], 1).astype(np.float32)
    y = ((y - y[first].mean()) / y[first].std()).astype(np.float32)[:, None]
    return (x[first], y[first]), (x[rest], y[rest])


def measure_halving(arguments: argparse.Namespace, tell: Any) -> dict:
    """Grid and halving on the same settings, keys and split, in turns; rmse is in standard deviations of log value."""
    import jax

    import jaxann as ja

    warnings.simplefilter("ignore", ja.DivergedWarning)  # high rates are part of the grid
    train, test = california()
    data = tuple(np.concatenate(arrays) for arrays in zip(train, test, strict=True))
    rows = np.arange(len(data[0]))
    split = [(rows[: len(train[0])], rows[len(train[0]) :])]
    # two runs a setting: a fairer comparison, and an even number of members for two devices in every round
    validation = ja.tune.resampling(folds=split, repeats=2)

    def build(hyper: dict[str, Any]) -> Any:
        optimizer = ja.optimizers.adamw(hyper["learning_rate"], weight_decay=hyper["weight_decay"])
        return ja.recipe(
            ja.models.mlp((64, 64, 1)),
            ja.losses.squared_error,
            optimizer,
            metrics={"rmse": ja.metrics.rmse},
            stopping=ja.train.early_stopping(None, monitor="validation_rmse", restore_best=False),
        )

    settings = ja.tune.grid(GRID)
    count = len(settings["learning_rate"])
    found = []
    for seed in range(arguments.rounds + 1):
        common = {"key": jax.random.key(seed), "epochs": arguments.epochs, "batch_size": 128, "validation": validation}
        turn: dict[str, Any] = {}
        for name in ("grid", "halving") if seed % 2 else ("halving", "grid"):
            begun = time.perf_counter()
            # the grid is halving that drops nobody: one comparison, after the last epoch
            first = arguments.epochs if name == "grid" else max(1, arguments.epochs // 9)
            table = ja.tune.halving(build, settings, data, min_epochs=first, **common)
            turn[name] = {
                "seconds": time.perf_counter() - begun,
                "rmse": float(np.nanmin(table.mean["rmse"][table.order[:1]])),
                "epochs": int(table.epochs.sum()),
                "best": table.best,
            }
        if seed == 0:
            continue  # the first turn compiles
        found.append(turn)
        tell(
            f"halving, seed {seed}: grid {turn['grid']['rmse']:.4f} in {turn['grid']['seconds']:.1f} s, "
            f"halving {turn['halving']['rmse']:.4f} in {turn['halving']['seconds']:.1f} s"
        )
    time_share = statistics.median(t["halving"]["seconds"] / t["grid"]["seconds"] for t in found)
    worse = statistics.median(t["halving"]["rmse"] / t["grid"]["rmse"] - 1 for t in found)
    epochs = found[0]["halving"]["epochs"] / found[0]["grid"]["epochs"]
    tell(
        f"halving of {count} settings on California housing: {time_share:.0%} of the grid's time ({epochs:.0%} of its "
        f"epochs), best rmse {worse:+.2%} of the grid's (medians of {len(found)} seeds)"
    )
    return {"turns": found, "settings": count, "time_share": time_share, "rmse_worse": worse, "epoch_share": epochs}


def measure_bayes(arguments: argparse.Namespace, tell: Any) -> dict:
    """Bayesian and random search with equal trials, epochs, splits and keys; the best validation loss counts."""
    import jax

    import jaxann as ja

    warnings.simplefilter("ignore", ja.DivergedWarning)
    digits = ja.data.digits()
    x, y = digits.x.reshape(-1, 64), digits.y
    space = {
        "learning_rate": ja.tune.log_uniform(1e-5, 1.0),
        "weight_decay": ja.tune.log_uniform(1e-6, 10.0),
        "b1": ja.tune.uniform(0.0, 0.99),
        "dropout": ja.tune.uniform(0.0, 0.9),
        "smoothing": ja.tune.uniform(0.0, 0.9),
    }

    def build(hyper: dict[str, Any]) -> Any:
        optimizer = ja.optimizers.adamw(
            hyper["learning_rate"], b1=hyper["b1"], weight_decay=hyper["weight_decay"], mask=ja.optimizers.matrices
        )
        return ja.recipe(ja.models.mlp((32, 10), dropout=hyper["dropout"]), ja.losses.softmax_cross_entropy, optimizer)

    pairs = []
    for seed in range(arguments.rounds):
        order = np.random.default_rng(seed).permutation(len(x))
        common = {"epochs": 10, "batch_size": 64, "validation": (x[order[1000:]], y[order[1000:]])}
        common["key"] = jax.random.key(seed)
        train = (x[order[:1000]], y[order[:1000]])
        bayes = ja.tune.bayes(build, space, train, trials=arguments.trials, generation=4, **common)
        drawn = ja.tune.random(space, arguments.trials, key=jax.random.key(1000 + seed))
        chance = ja.tune.halving(build, drawn, train, min_epochs=10, **common)
        pairs.append({"bayes": float(np.nanmin(bayes.mean["loss"])), "random": float(np.nanmin(chance.mean["loss"]))})
        tell(f"bayes, seed {seed}: {pairs[-1]['bayes']:.4f}, random {pairs[-1]['random']:.4f}")
    won = sum(pair["bayes"] < pair["random"] for pair in pairs)
    ratio = statistics.median(pair["bayes"] / pair["random"] for pair in pairs)
    tell(
        f"Bayesian search with {arguments.trials} trials: lower validation loss than random search on {won} of "
        f"{len(pairs)} seeds, median ratio {ratio:.2f}"
    )
    return {"pairs": pairs, "trials": arguments.trials, "won": won, "ratio": ratio}


def _device() -> dict[str, str]:
    import jax

    device = jax.devices()[0]
    return {"platform": device.platform, "kind": device.device_kind}


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write."""
    import jaxann as ja

    ja.setup()
    console = Console(soft_wrap=True)
    measurements = {}
    for part in arguments.part:
        measure = {"halving": measure_halving, "bayes": measure_bayes}[part]
        try:
            measurements[part] = measure(arguments, lambda line: console.print(line, highlight=False))
        except MissingDataError as error:
            console.print(f"{part} skipped: {error}", style="yellow")
    if arguments.write:
        earlier = arguments.out / machine.device_name(_device()) / "tuning.json"
        if earlier.exists():
            measurements = json.loads(earlier.read_text())["parts"] | measurements
        console.print(f"written: {machine.write_result(arguments.out, 'tuning', {'parts': measurements})}")
    return 0
