"""Train a multi-layer perceptron on MNIST, no augmentation: a few settings as flags, the test set used once.

    python scripts/train_mnist.py --data FOLDER --plot out/mnist.png

The defaults were chosen by hand on the validation part of the training set. What the other `train_*` scripts share
with this one stands here as well, so that it can be run as a file: flags, the loop over the seeds, report and picture.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxann as ja
from jaxann.train.recipe import Recipe


def flags(text: str, name: str, files: str, **defaults: Any) -> argparse.ArgumentParser:
    """A parser of what every training script takes; `text` is its help, `name` the folder of the data."""
    folder = os.environ.get("JAXANN_DATA")
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add(
        "--data",
        metavar="FOLDER",
        default=os.path.join(folder, name) if folder else None,
        help=f"folder with {files}, plain or .gz; by default $JAXANN_DATA/{name}, else they are downloaded",
    )
    add("--epochs", type=int, default=25, help="passes over the training part")
    add("--batch-size", type=int, default=256, help="examples an update")
    add("--learning-rate", type=float, default=4e-3, help="peak of the schedule: linear warmup, then a cosine to 0")
    add("--warmup-epochs", type=float, default=2.0, help="epochs of linear warmup; a fifth of all at most")
    add("--weight-decay", type=float, default=0.02, help="decay of the weight matrices and kernels")
    add(
        "--validation",
        type=int,
        default=5000,
        metavar="N",
        help="examples at the end of the training set held out for choosing settings; 0 trains on all",
    )
    add("--runs", type=int, default=1, metavar="N", help="runs, with the seeds 0 to N-1, one after the other")
    add(
        "--compute-dtype",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="what the layers compute in; parameters stay float32",
    )
    add("--device", choices=("cpu", "gpu", "tpu"), help="where to train; without it JAX takes the fastest")
    add("--save", metavar="PATH", help="write the first seed's model to this .safetensors file")
    add("--plot", metavar="PATH", help="write a picture of the first seed's run: its curves, and what the model does")
    add("--no-progress", action="store_true", help="no progress bar")
    add("--no-test", action="store_true", help="leave the test set alone: for choosing settings")
    parser.set_defaults(**defaults)
    return parser


def smoothing(parser: argparse.ArgumentParser, default: float = 0.1) -> None:
    """The flag of a classifier's loss."""
    note = "share of the target given evenly to all classes"
    parser.add_argument("--label-smoothing", type=float, default=default, help=note)


def rate(args: argparse.Namespace, examples: int) -> Any:
    """Linear warmup, then a cosine to 0 at the last step; a short run warms up for a fifth of it at most."""
    steps = -(-examples // args.batch_size)
    warmup = min(args.warmup_epochs, args.epochs / 5)
    return ja.schedules.cosine(args.learning_rate, args.epochs * steps, warmup=int(warmup * steps))


def adamw(args: argparse.Namespace, examples: int) -> Any:
    """AdamW by that rate, which decays matrices and kernels alone."""
    optimizer = ja.optimizers.adamw
    return optimizer(rate(args, examples), weight_decay=args.weight_decay, mask=ja.optimizers.matrices)


def classifier(args: argparse.Namespace, model: Any, optimizer: Any, augment: tuple = ()) -> Recipe:
    """The recipe of a model of logits, measured by its accuracy."""
    return ja.recipe(
        model,
        functools.partial(ja.losses.softmax_cross_entropy, label_smoothing=args.label_smoothing),
        optimizer,
        metrics={"accuracy": ja.metrics.accuracy},
        augment=augment,
        compute_dtype=compute_dtype(args),
    )


def compute_dtype(args: argparse.Namespace) -> str | None:
    """As a recipe takes it."""
    return None if args.compute_dtype == "float32" else args.compute_dtype


def device(args: argparse.Namespace) -> contextlib.AbstractContextManager:
    """The device that was asked for, for the length of a `with`."""
    if args.device is None:
        return contextlib.nullcontext()
    try:
        return jax.default_device(jax.devices(args.device)[0])
    except RuntimeError as error:
        raise SystemExit(f"--device {args.device}: {error}") from error


def split(args: argparse.Namespace, x: Any, y: Any) -> tuple[tuple, tuple | None]:
    """What is trained on, and the end of it, held out."""
    cut = len(x) - args.validation
    return (x[:cut], y[:cut]), (x[cut:], y[cut:]) if args.validation else None


def run_each(
    args: argparse.Namespace,
    recipe: Recipe,
    train: tuple,
    validation: tuple | None,
    report: Callable[[int, Any], tuple[float | None, str]],
    observers: tuple = (),
) -> list[float]:
    """One run a seed, a line each. `report(seed, result)` gives the figure that is kept of it and the line's end."""
    figures = []
    for seed in range(args.runs):
        begun = time.perf_counter()
        result = ja.fit(
            recipe,
            train,
            validation=validation,
            key=jax.random.key(seed),
            epochs=args.epochs,
            batch_size=args.batch_size,
            progress=not args.no_progress,
            observers=observers,
        )
        seconds = time.perf_counter() - begun
        if seed == 0 and args.save:
            Path(args.save).parent.mkdir(parents=True, exist_ok=True)
            ja.save(args.save, recipe.model, result.params, result.state)
            print(f"saved {args.save}")
        figure, line = report(seed, result)
        print(f"seed {seed}: trained in {seconds:.0f} s{line}", flush=True)
        figures += [] if figure is None else [figure]
    return figures


def summarize(args: argparse.Namespace, name: str, figures: list[float], unit: str = "", factor: float = 1) -> None:
    """The mean of several seeds."""
    if len(figures) > 1:
        mean, low, high = (factor * f(figures) for f in (np.mean, np.min, np.max))
        of = "validation" if args.no_test else "test"
        print(f"{of} {name}, mean of {len(figures)} seeds: {mean:.2f}{unit} ({low:.2f} to {high:.2f})")


def classify(
    args: argparse.Namespace,
    data: ja.data.Dataset,
    build: Callable[[argparse.Namespace, int], Recipe],
    name: str,
) -> list[float]:
    """Train, report, and return each seed's accuracy on the test set (the validation part with --no-test).

    Args:
        args: the flags.
        data: as the model takes it.
        build: the recipe for the flags and a number of examples.
        name: of the data, for the picture's title.
    """
    train, validation = split(args, data.x, data.y)
    recipe = build(args, len(train[0]))

    def report(seed: int, result: Any) -> tuple[float | None, str]:
        accuracy, line = None, ""
        if validation is not None:
            accuracy = float(result.history["validation_accuracy"][-1])
            line += f", validation accuracy {100 * accuracy:.2f} %"
        if not args.no_test:
            logits = ja.predict(recipe, result.params, result.state, data.x_test)
            accuracy = float(ja.metrics.accuracy(logits, data.y_test))
            line += f", test accuracy {100 * accuracy:.2f} %"
            if seed == 0 and args.plot:
                title = f"{name}: {100 * accuracy:.2f} % of {len(data.y_test):,} test pictures read right"
                draw(args.plot, title, result, logits, data, data.x_test)
        return accuracy, line

    accuracies = run_each(args, recipe, train, validation, report)
    summarize(args, "accuracy", accuracies, " %", 100)
    return accuracies


def draw(path: str, title: str, result: Any, logits: Any, data: ja.data.Dataset, pictures: Any) -> None:
    """Curves, confusion matrix and mistakes on one page."""
    from jaxann import plot

    write(plot.report(result.history, logits, data.y_test, pictures, classes=data.classes, title=title), path)


def write(figure: Any, path: str) -> None:
    """Write the picture and say where it is."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    print(f"drew {path}")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the flags."""
    text = "Train a multi-layer perceptron on MNIST and report its test accuracy for several seeds."
    parser = flags(text, "mnist", "the four idx files")
    smoothing(parser)
    add = parser.add_argument
    add("--widths", type=int, nargs="+", default=[512, 512], metavar="N", help="units of each hidden layer")
    add("--dropout", type=float, default=0.3, help="probability of dropping a hidden unit")
    add("--batch-norm", action=argparse.BooleanOptionalAction, default=True, help="normalize before each activation")
    return parser.parse_args(arguments)


def build(args: argparse.Namespace, examples: int) -> Recipe:
    """The recipe for these flags. Its model takes the pictures as they are, (n, 28, 28, 1) in [0, 1]."""
    net = ja.models.mlp((*args.widths, 10), dropout=args.dropout or None, batch_norm=args.batch_norm)
    model = ja.layers.sequential({"flatten": ja.layers.flatten(), "mlp": net})
    return classifier(args, model, adamw(args, examples))


def main(arguments: list[str] | None = None) -> list[float]:
    """Train, report, and return each seed's accuracy on the test set (the validation part with --no-test)."""
    args = parse(arguments)
    with device(args):
        return classify(args, ja.data.mnist(args.data), build, "MNIST")


if __name__ == "__main__":
    main()
