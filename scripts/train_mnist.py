"""Train a multi-layer perceptron on MNIST, no augmentation: a few settings as flags, the test set used once.

    python scripts/train_mnist.py --data FOLDER --plot out/mnist.png

The defaults were chosen by hand on the validation part of the training set.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxann as ja
from jaxann.train.recipe import Recipe


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the flags."""
    folder = os.environ.get("JAXANN_DATA")
    parser = argparse.ArgumentParser(
        description="Train a multi-layer perceptron on MNIST and report its test accuracy for several seeds.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--data",
        metavar="FOLDER",
        default=os.path.join(folder, "mnist") if folder else None,
        help="folder with the four idx files, plain or .gz; by default $JAXANN_DATA/mnist, else they are downloaded",
    )
    add("--widths", type=int, nargs="+", default=[512, 512], metavar="N", help="units of each hidden layer")
    add("--epochs", type=int, default=25, help="passes over the training part")
    add("--batch-size", type=int, default=256, help="examples an update")
    add("--learning-rate", type=float, default=4e-3, help="peak of the schedule: linear warmup, then a cosine to 0")
    add("--warmup-epochs", type=float, default=2.0, help="epochs of linear warmup")
    add("--weight-decay", type=float, default=0.02, help="decoupled decay of the weight matrices (AdamW)")
    add("--dropout", type=float, default=0.3, help="probability of dropping a hidden unit")
    add("--label-smoothing", type=float, default=0.1, help="share of the target given evenly to all classes")
    add("--batch-norm", action=argparse.BooleanOptionalAction, default=True, help="normalize before each activation")
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
    add("--save", metavar="PATH", help="write the first seed's model to this .safetensors file")
    add("--plot", metavar="PATH", help="write the first seed's curves, confusion matrix and mistakes to this picture")
    add("--no-progress", action="store_true", help="no progress bar")
    add("--no-test", action="store_true", help="leave the test set alone: for choosing settings")
    return parser.parse_args(arguments)


def build(args: argparse.Namespace, examples: int) -> Recipe:
    """The recipe for these flags. Its model takes the pictures as they are, (n, 28, 28, 1) in [0, 1]."""
    steps = -(-examples // args.batch_size)
    net = ja.models.mlp((*args.widths, 10), dropout=args.dropout or None, batch_norm=args.batch_norm)
    model = ja.layers.sequential({"flatten": ja.layers.flatten(), "mlp": net})
    loss = functools.partial(ja.losses.softmax_cross_entropy, label_smoothing=args.label_smoothing)
    rate = ja.schedules.cosine(args.learning_rate, args.epochs * steps, warmup=int(args.warmup_epochs * steps))
    optimizer = ja.optimizers.adamw(rate, weight_decay=args.weight_decay, mask=ja.optimizers.matrices)
    return ja.recipe(
        model,
        loss,
        optimizer,
        metrics={"accuracy": ja.metrics.accuracy},
        compute_dtype=None if args.compute_dtype == "float32" else args.compute_dtype,
    )


def main(arguments: list[str] | None = None) -> list[float]:
    """Train, report, and return each seed's accuracy on the test set (the validation part with --no-test)."""
    args = parse(arguments)
    data = ja.data.mnist(args.data)
    cut = len(data.x) - args.validation
    train, validation = (data.x[:cut], data.y[:cut]), (data.x[cut:], data.y[cut:]) if args.validation else None
    recipe = build(args, cut)
    accuracies = []
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
        )
        seconds = time.perf_counter() - begun
        line = f"seed {seed}: trained in {seconds:.0f} s"
        if validation is not None:
            line += f", validation accuracy {100 * result.history['validation_accuracy'][-1]:.2f} %"
            accuracies.append(float(result.history["validation_accuracy"][-1]))
        if not args.no_test:
            logits = ja.predict(recipe, result.params, result.state, data.x_test)
            accuracies[seed:] = [float(ja.metrics.accuracy(logits, data.y_test))]
            line += f", test accuracy {100 * accuracies[-1]:.2f} %"
            if seed == 0 and args.plot:
                draw(args.plot, result, logits, data)
        print(line, flush=True)
        if seed == 0 and args.save:
            Path(args.save).parent.mkdir(parents=True, exist_ok=True)
            ja.save(args.save, recipe.model, result.params, result.state)
            print(f"saved {args.save}")
    if len(accuracies) > 1:
        mean, low, high = (100 * f(accuracies) for f in (np.mean, np.min, np.max))
        part = "validation" if args.no_test else "test"
        print(f"{part} accuracy, mean of {len(accuracies)} seeds: {mean:.2f} % ({low:.2f} to {high:.2f})")
    return accuracies


def draw(path: str, result: Any, logits: Any, data: Any) -> None:
    """Curves, confusion matrix and mistakes on one page."""
    from jaxann import plot

    share = 100 * float(ja.metrics.accuracy(logits, data.y_test))
    title = f"MNIST: {share:.2f} % of {len(data.y_test):,} test digits read right"
    figure = plot.report(result.history, logits, data.y_test, data.x_test, classes=data.classes, title=title)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    print(f"drew {path}")


if __name__ == "__main__":
    main()
