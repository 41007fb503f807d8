"""Train a network on real handwritten digits, report how well it reads, save it, load it again, draw it.

Started by `bash scripts/demo`. The digits are part of jaxann: nothing is downloaded.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

import jaxann as ja
from jaxann import plot

ROOT = Path(__file__).resolve().parent.parent
EPOCHS, BATCH, PATIENCE = 40, 64, 10
VALIDATION = 238  # of the 1,438 training pictures, for early stopping; the test pictures play no part in it


def train(data: ja.data.Dataset, *, progress: bool) -> tuple[ja.core.Layer, ja.train.Result]:
    """A perceptron with two hidden layers, stopping early on the validation set: the model and its training."""
    cut = len(data.x) - VALIDATION
    model = ja.layers.sequential(
        {"flatten": ja.layers.flatten(), "mlp": ja.models.mlp((512, 512, 10), dropout=0.3, batch_norm=True)}
    )
    steps = EPOCHS * -(-cut // BATCH)
    recipe = ja.recipe(
        model,
        ja.losses.softmax_cross_entropy,
        ja.optimizers.adamw(ja.schedules.cosine(2e-3, steps), weight_decay=0.01),
        metrics={"accuracy": ja.metrics.accuracy},
        stopping=ja.train.early_stopping(PATIENCE),
    )
    result = ja.fit(
        recipe,
        (data.x[:cut], data.y[:cut]),
        validation=(data.x[cut:], data.y[cut:]),
        key=jax.random.key(0),
        epochs=EPOCHS,
        batch_size=BATCH,
        progress=progress,
    )
    return model, result


def class_report(predicted: np.ndarray, true: np.ndarray, classes: tuple[str, ...]) -> Table:
    """Precision, recall, f1 and number of pictures of each class."""
    table = Table("digit", "precision", "recall", "f1", "pictures", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for label, name in enumerate(classes):
        hits = np.sum((predicted == label) & (true == label))
        precision = hits / max(np.sum(predicted == label), 1)
        recall = hits / max(np.sum(true == label), 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-12)
        table.add_row(name, f"{precision:.3f}", f"{recall:.3f}", f"{f1:.3f}", str(np.sum(true == label)))
    return table


def short(path: Path) -> str:
    """The path from where the user stands, when it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def main() -> int:
    """Run the demo; 1 if the reloaded model does not predict the same bits."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo", help="folder for the model and the picture")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    args = parser.parse_args()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False, soft_wrap=True)

    data = ja.data.digits()
    sizes = f"{len(data.x) - VALIDATION:,} to learn from, {VALIDATION} to know when to stop, {len(data.x_test)} to test"
    console.print(f"\n[bold]Handwritten digits[/bold], 8 x 8 pixels: {sizes}.\n")
    begun = time.perf_counter()
    model, result = train(data, progress=not args.no_progress)
    seconds = time.perf_counter() - begun
    how = "stopped early" if result.status == ja.train.Status.STOPPED else "ran to the end"
    console.print(
        f"\nTrained on {jax.default_backend().upper()} in {seconds:.1f} s, compiling included: "
        f"{how} after {result.epochs_run} epochs, weights of epoch {result.best_epoch + 1}.\n"
    )

    logits = np.asarray(ja.predict(model, result.params, result.state, data.x_test))
    accuracy = float(ja.metrics.accuracy(logits, data.y_test))
    console.print(class_report(logits.argmax(-1), data.y_test, data.classes))
    wrong = int(np.sum(logits.argmax(-1) != data.y_test))
    console.print(f"\n[bold]Test accuracy: {100 * accuracy:.2f} %[/bold]  ({wrong} of {len(logits)} misread)\n")

    saved = out / "digits.safetensors"
    ja.save(saved, model, result.params, result.state)
    again = np.asarray(ja.predict(*ja.load(saved), data.x_test))
    same = again.tobytes() == logits.tobytes()
    console.print(f"Saved {short(saved)} and loaded it again: predictions {'bit-identical' if same else 'DIFFER'}.")

    drawn = out / "digits.png"
    title = f"Handwritten digits: {100 * accuracy:.1f} % of {len(logits)} test pictures read right"
    figure = plot.report(
        result.history,
        logits,
        data.y_test,
        data.x_test,
        classes=data.classes,
        best_epoch=result.best_epoch,
        title=title,
    )
    figure.savefig(drawn)
    console.print(f"Drew {short(drawn)}: how it learned, what it confuses, what it misread.")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
