"""`python -m benchmarks images`: what nets of pictures reach on real data, beside the same nets in PyTorch.

- A ResNet-20 on the CIFAR-10 images at hand, by the recipe of `scripts/train_resnet.py`: accuracy and time.
- A variational autoencoder on MNIST, by that of `scripts/train_autoencoder.py`: bound and likelihood of test pictures.
- A linear autoencoder on MNIST: the angles between what it spans and the principal components.

Both libraries start from the same weights and have the same rates at the same steps; shuffles, crops, pixels and codes
are drawn by each from the same seed in its own way. They take turns in this process, the order changing with the seed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, report

RESULTS = Path(__file__).resolve().parent / "results"
PARTS = ("pca", "vae", "resnet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--part", nargs="+", choices=PARTS, default=list(PARTS), help="what to train (default: all)")
    add("--runs", type=int, default=3, help="runs, each with a seed of its own (default: 3)")
    add("--first-seed", type=int, default=0, help="the first of them; a file of as many epochs keeps its others")
    add("--epochs", type=int, default=10, help="of the ResNet-20 (default: 10)")
    add("--vae-epochs", type=int, default=25, help="of the variational autoencoder (default: 25)")
    add("--out", type=Path, default=RESULTS, help="folder for the result file (default: benchmarks/results)")
    add("--quick", action="store_true", help="one seed, one epoch of each, and no result file")


def _rate(args: argparse.Namespace, examples: int) -> Callable[[int], float]:
    """The schedule of a training script as a table of numbers."""
    import jax
    import jax.numpy as jnp

    from scripts.train_mnist import rate

    steps = args.epochs * -(-examples // args.batch_size)
    table = np.asarray(jax.vmap(rate(args, examples))(jnp.arange(steps)))
    return lambda step: float(table[step])


def _taken(first: Callable[[], Any], second: Callable[[], Any], swapped: bool) -> list[float]:
    """Seconds of both, in either order."""
    seconds = [0.0, 0.0]
    for place in (1, 0) if swapped else (0, 1):
        begun = time.perf_counter()
        (first, second)[place]()
        seconds[place] = time.perf_counter() - begun
    return seconds


def resnet(folder: str, chosen: range, epochs: int) -> Iterator[dict[str, Any]]:
    """A row for each seed: accuracies on the test pictures, and seconds of the training."""
    import jax

    import jaxann as ja
    from benchmarks import images_torch
    from scripts import train_resnet

    args = train_resnet.parse(["--epochs", str(epochs), "--data", os.path.join(folder, "cifar10"), "--validation", "0"])
    data = ja.data.cifar10(args.data)
    mean, deviation = train_resnet.channels(data.x)
    x, x_test = (np.asarray((a - mean) / deviation, np.float32) for a in (data.x, data.x_test))
    recipe, table = train_resnet.build(args, len(x)), _rate(args, len(x))
    settings = {"epochs": epochs, "batch_size": args.batch_size}
    ja.fit(recipe, (x, data.y), key=jax.random.key(99), epochs=1, batch_size=args.batch_size)  # so that it is compiled
    for seed in chosen:
        key, kept = jax.random.key(seed), {}
        initial = recipe.model.init(key, x[:1])
        train, accuracy = images_torch.train_resnet(
            (x, data.y, x_test, data.y_test), (recipe.model, initial[0]), table, momentum=args.momentum,
            decay=args.weight_decay, crop=args.crop, seed=seed, **settings,
        )  # fmt: skip

        def fit(key: Any = key, initial: Any = initial, kept: dict = kept) -> None:
            kept["result"] = ja.fit(recipe, (x, data.y), key=key, initial=initial, **settings)

        seconds = _taken(fit, train, bool(seed % 2))
        logits = ja.predict(recipe, kept["result"].params, kept["result"].state, x_test)
        reached = float(ja.metrics.accuracy(logits, data.y_test))
        yield {"seed": seed, "accuracy": [reached, accuracy()], "seconds": seconds}


def variational(folder: str, chosen: range, epochs: int) -> Iterator[dict[str, Any]]:
    """A row for each seed: bounds and estimates in nats of the test pictures, and seconds of the training."""
    import jax

    import jaxann as ja
    from benchmarks import images_torch
    from scripts import train_autoencoder as script

    args = script.parse(["--variational", "--epochs", str(epochs), "--data", os.path.join(folder, "mnist")])
    data = ja.data.mnist(args.data)
    x, test = (script.inputs(args, a) for a in (data.x, data.x_test))
    test = (np.random.default_rng(0).random(test.shape, np.float32) < test).astype(np.float32)
    recipe, table = script.build(args, len(x)), _rate(args, len(x))
    settings = {"epochs": epochs, "batch_size": args.batch_size}
    ja.fit(recipe, (x, x), key=jax.random.key(99), epochs=1, batch_size=args.batch_size)  # so that it is compiled
    for seed in chosen:
        key, kept = jax.random.key(seed), {}
        initial = recipe.model.init(key, x[:1])
        train, in_nats = images_torch.train_variational(
            x, (recipe.model, initial[0]), table, widths=(*args.widths, args.code), seed=seed, **settings
        )

        def fit(key: Any = key, initial: Any = initial, kept: dict = kept) -> None:
            kept["result"] = ja.fit(recipe, (x, x), key=key, initial=initial, **settings)

        seconds = _taken(fit, train, bool(seed % 2))
        ours, theirs = script.in_nats(args, recipe.model, kept["result"], test), in_nats(test, args.samples)
        bounds, estimates = zip(ours, theirs, strict=True)
        yield {"seed": seed, "elbo": bounds, "log_likelihood": estimates, "seconds": seconds}


def angles(folder: str, rows: int, steps: int, code: int = 6) -> np.ndarray:
    """Principal angles in radians between a linear autoencoder's decoder and the principal components, smallest first.

    Of the first `rows` test pictures, each pixel less its mean, in one batch: Adam by a cosine. A code of 8 would end
    between two components of nearly the same variance (2.8 and 2.7 %), which take far longer to tell apart.
    """
    import jax

    import jaxann as ja

    x = ja.data.mnist(os.path.join(folder, "mnist")).x_test[:rows].reshape(rows, -1)
    x = x - x.mean(0)
    optimizer = ja.optimizers.adam(ja.schedules.cosine(1e-2, steps))
    recipe = ja.recipe(ja.models.autoencoder((code,), x.shape[1]), ja.losses.squared_error, optimizer)
    result = ja.fit(recipe, (x, x), key=jax.random.key(0), epochs=steps, batch_size=rows)
    decoder = np.asarray(result.params["decoder"]["dense0"]["weight"], np.float64)
    spanned = np.linalg.qr(decoder.T)[0]
    wide = x.astype(np.float64)
    components = np.linalg.eigh(wide.T @ wide)[1][:, -code:]
    missed = np.linalg.svd(spanned - components @ (components.T @ spanned), compute_uv=False)  # sines
    return np.arcsin(np.clip(np.sort(missed), 0, 1))


def run(arguments: argparse.Namespace) -> int:
    """Train all of them, print the tables, write the file; return 0."""
    import jaxann  # noqa: F401  (before JAX is asked for anything: it turns YNNPACK off)

    folder = os.environ.get("JAXANN_DATA")
    if folder is None:
        raise SystemExit("JAXANN_DATA: must name the folder that holds mnist/ and cifar10/")
    quick, console = arguments.quick, report.make_console()
    runs, epochs, vae_epochs = (1, 1, 1) if quick else (arguments.runs, arguments.epochs, arguments.vae_epochs)

    def write(part: str, content: dict[str, Any]) -> None:
        if not quick:
            path = machine.write_result(arguments.out, f"images_{part}", content)
            console.print(f"written: {path}", style="dim", soft_wrap=True)

    for part in arguments.part:
        if part == "pca":
            found = angles(folder, 2_000, 150 if quick else 1_500).tolist()
            console.print(f"linear autoencoder, a code of {len(found)}: greatest principal angle {max(found):.1e}")
            write(part, {"angles": found})
            continue
        many, train, title, names = {
            "vae": (vae_epochs, variational, "Variational autoencoder", {"elbo": "ELBO", "log_likelihood": "log p(x)"}),
            "resnet": (epochs, resnet, "ResNet-20 on CIFAR-10 images", {"accuracy": "accuracy, %"}),
        }[part]
        chosen = range(arguments.first_seed, arguments.first_seed + runs)
        rows = [row for row in _known(arguments.out, part, many) if row["seed"] not in chosen and not quick]
        for row in train(folder, chosen, many):  # the file is written after each seed, so that nothing is lost
            rows = sorted([*rows, row], key=lambda row: row["seed"])
            console.print(_table(f"{title}, {many} epochs: jaxann, PyTorch", rows, names))
            write(part, {"epochs": many, "rows": rows})
    return 0


def _known(out: Path, part: str, epochs: int) -> list[dict[str, Any]]:
    """The rows of an earlier run of as many epochs."""
    path = machine.result_path(out, f"images_{part}")
    content = json.loads(path.read_text()) if path.exists() else {}
    return content["rows"] if content.get("epochs") == epochs else []


def _table(title: str, rows: list[dict[str, Any]], names: dict[str, str]) -> Any:
    """A pair of columns for each figure, ours first, a row a seed, and the means."""
    table = report.make_table(
        title, ["seed", *(c for name in (*names.values(), "seconds") for c in (name, "")), "ratio"]
    )
    means = {name: np.mean([row[name] for row in rows], 0) for name in (*names, "seconds")}
    for row in [*rows, {"seed": "mean", **means}]:
        figures = [f"{100 * v if name == 'accuracy' else v:.2f}" for name in names for v in row[name]]
        ours, theirs = row["seconds"]
        table.add_row(str(row["seed"]), *figures, f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}")
    return table
