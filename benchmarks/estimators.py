"""`python -m benchmarks estimators`: `MLPClassifier` beside scikit-learn's, equal settings, warm and from a cold start.

- digits (1,797 rows, 200 epochs) and MNIST (60,000 rows, 20 epochs, batch 200; needs JAXANN_DATA): a fit each in turns,
  both without stopping early, after a first one of ours that compiles. Test accuracy beside it.
- cold: `import` and a fit of 1,000 rows in a process of its own, in turns; with the programs that an earlier process
  has left on disk, as it is by default, and compiled anew. What Python compiles of the sources is kept, too.
- many: 200 fits with other numbers, seeds and epochs in one process (programs compiled, growth of its resident memory),
  and 100 data sets of 50 to 5,000 rows (programs compiled).
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import machine, report
from benchmarks.workloads import MissingDataError

RESULTS = Path(__file__).resolve().parent / "results"
PARTS = ("digits", "mnist", "cold", "many")
COLD = """
import time
begun = time.perf_counter()
import numpy as np
from {module} import MLPClassifier
x = np.random.default_rng(0).normal(size=(1000, 20))
MLPClassifier(random_state=0, n_iter_no_change=1000).fit(x, (x[:, 0] * x[:, 1] > 0).astype(int))
print(time.perf_counter() - begun)
"""
# What is imported, and whether programs are kept on disk.
STARTS = {
    "jaxann": ("jaxann.estimators", True),
    "jaxann, compiled anew": ("jaxann.estimators", False),
    "scikit-learn": ("sklearn.neural_network", False),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    add = parser.add_argument
    add("--part", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure (default: all)")
    add("--rounds", type=int, default=5, help="rounds of each, in turns (default: 5)")
    add("--data", default=None, help="folder with MNIST; by default $JAXANN_DATA/mnist")
    add("--out", type=Path, default=RESULTS, help="folder for the result file (default: benchmarks/results)")
    add("--quick", action="store_true", help="one round of few rows and epochs, and no result file")


def data_of(part: str, folder: str | None, quick: bool) -> tuple[np.ndarray, ...]:
    """Rows and labels to train on and to test by."""
    if part == "digits":
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        x, y = load_digits(return_X_y=True)
        a, b, c, d = train_test_split(x / 16, y, test_size=0.2, random_state=0, stratify=y)
        return a, c, b, d
    import jaxann as ja

    folder = folder or (os.environ.get("JAXANN_DATA") and os.path.join(os.environ["JAXANN_DATA"], "mnist"))
    if not folder or not os.path.isdir(folder):
        raise MissingDataError("no folder with MNIST; set JAXANN_DATA to the folder with mnist, or give --data")
    found = ja.data.mnist(folder)
    x, x_test = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (found.x, found.x_test))
    rows = 2000 if quick else len(x)
    return x[:rows], found.y[:rows], x_test, found.y_test


def fits(part: str, data: tuple[np.ndarray, ...], rounds: int, quick: bool) -> dict[str, Any]:
    """Seconds of a warm fit of each, by rounds, and the accuracies on the test rows."""
    from sklearn.neural_network import MLPClassifier

    from jaxann import estimators

    epochs = 3 if quick else {"digits": 200, "mnist": 20}[part]
    settings = {"max_iter": epochs, "n_iter_no_change": 100000, "batch_size": 200}
    makers = {"jaxann": estimators.MLPClassifier, "scikit-learn": MLPClassifier}
    x, y, x_test, y_test = data
    makers["jaxann"](random_state=99, **settings).fit(x, y)  # compiled
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    accuracy: dict[str, list[float]] = {name: [] for name in makers}
    for number in range(rounds):
        for name in sorted(makers, reverse=bool(number % 2)):
            begun = time.perf_counter()
            model = makers[name](random_state=number, **settings).fit(x, y)
            seconds[name].append(time.perf_counter() - begun)
            accuracy[name].append(float(model.score(x_test, y_test)))
    ratios = [theirs / ours for ours, theirs in zip(seconds["jaxann"], seconds["scikit-learn"], strict=True)]
    return {"seconds": seconds, "accuracy": accuracy, "ratio": statistics.median(ratios), "epochs": epochs}


def cold(rounds: int) -> dict[str, Any]:
    """Seconds of import and first fit, each in a process of its own; what is kept on disk is there before."""
    seconds: dict[str, list[float]] = {name: [] for name in STARTS}
    with tempfile.TemporaryDirectory(prefix="caches-") as folder:
        for number in range(rounds + 1):
            for name, (module, kept) in sorted(STARTS.items(), reverse=bool(number % 2)):
                settings = {"XDG_CACHE_HOME": folder, "JAX_ENABLE_COMPILATION_CACHE": str(kept).lower()}
                environment = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"} | settings
                command = [sys.executable, "-W", "ignore", "-c", COLD.format(module=module)]
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
                if number:
                    seconds[name].append(float(done.stdout))
    pairs = {name: zip(taken, seconds["scikit-learn"], strict=True) for name, taken in seconds.items()}
    ratios = {name: statistics.median(ours / theirs for ours, theirs in pair) for name, pair in pairs.items()}
    return {"seconds": seconds, "ratio": ratios["jaxann"], "ratios": ratios}


@contextmanager
def compilations() -> Iterator[list[str]]:
    """The programs that are compiled within."""
    import jax.monitoring

    found: list[str] = []

    def heard(event: str, _: float, **about: Any) -> None:
        if event.endswith("backend_compile_duration"):
            found.append(str(about.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(heard)
    yield found


def many(quick: bool) -> dict[str, Any]:
    """Programs and memory of many fits."""
    from jaxann.estimators import MLPClassifier

    random, here = np.random.default_rng(0), psutil.Process()
    x = random.normal(size=(5000, 10))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)

    def fit(number: int, rows: int) -> None:
        settings = {"alpha": 10.0 ** -random.uniform(1, 6), "learning_rate_init": 10.0 ** -random.uniform(2, 4)}
        MLPClassifier(max_iter=2 + number % 5, random_state=number, **settings).fit(x[:rows], y[:rows])

    fit(0, 500), fit(1, 500)
    gc.collect()
    before = here.memory_info().rss
    with compilations() as again:
        for number in range(20 if quick else 200):
            fit(number, 500)
    gc.collect()
    grown = (here.memory_info().rss - before) / 1e6
    other: Callable[[], int] = lambda: int(np.exp(random.uniform(np.log(50), np.log(5000))))  # noqa: E731
    seen = len(again)
    with compilations() as sizes:
        for number in range(10 if quick else 100):
            fit(number, other())
    return {"programs of other numbers": seen, "grown MB": grown, "programs of other sizes": len(sizes)}


def run(arguments: argparse.Namespace) -> int:
    """Measure the parts, print them, write the file; return 0."""
    import jaxann as ja

    ja.setup()
    warnings.simplefilter("ignore")
    console, quick = report.make_console(), arguments.quick
    rounds = 1 if quick else arguments.rounds
    found: dict[str, Any] = {}
    for part in arguments.part:
        try:
            if part in ("digits", "mnist"):
                found[part] = fits(part, data_of(part, arguments.data, quick), rounds, quick)
            else:
                found[part] = cold(rounds) if part == "cold" else many(quick)
        except MissingDataError as error:
            console.print(f"{part} skipped: {error}", style="yellow", soft_wrap=True)
            continue
        _print(console, part, found[part])
    if found and not quick:
        machine.write_result(arguments.out, "estimators", {"parts": found})
    return 0


def _print(console: Any, part: str, found: dict[str, Any]) -> None:
    if part == "many":
        console.print(", ".join(f"{name}: {number:.3g}" for name, number in found.items()))
        return
    shown = report.make_table(part, ["", "median", "accuracy"])
    for name, taken in found["seconds"].items():
        right = found.get("accuracy", {}).get(name)
        shown.add_row(name, report.seconds(statistics.median(taken)), f"{np.mean(right):.4f}" if right else "-")
    console.print(shown)
    what = "of scikit-learn's time over ours" if part != "cold" else "of our time over scikit-learn's"
    console.print(f"median {what}, round by round: {found['ratio']:.2f}")
