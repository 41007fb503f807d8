"""What the population benchmark trains: rows, folds, settings and contenders; and their way to the worker processes.

The network and the batch size are those of the workload `digits` (64-100-10, ReLU, batches of 200, Adam); the rows are
all 1,797 of `ja.data.digits()`, training and test part together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.contenders.base import Task
from benchmarks.workloads import WORKLOADS

WORK = WORKLOADS["digits"]
ROWS = 1797
EPOCHS = 200
FOLDS = 5
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)
"""For scikit-learn the penalty's weight `alpha`, for jaxann the decay of `adamw`: not the same formula, see below."""
DECAYS_NOTE = (
    "scikit-learn adds alpha / (2 n) |W|^2 to the loss of a batch of n, jaxann's adamw decays the weight matrices by "
    "learning_rate x weight_decay a step; both are one more product and sum for each weight, at the same four strengths"
)


@dataclass(frozen=True)
class Entry:
    """One contender."""

    place: str
    """`module:Class`, imported in the worker alone."""
    label: str
    packages: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Dotted names within jaxann without which it is left out."""
    linear: bool = False
    """One training after the other (on each core, where it uses them): n members take n times as long as one."""
    environment: Mapping[str, str] = field(default_factory=dict)


SILENT = {"PYTHONWARNINGS": "ignore"}
"""scikit-learn warns at the end of every training that was not ended early, in each of its processes."""

SEARCHES: dict[str, Entry] = {
    "sklearn": Entry("population_sklearn:Search", "GridSearchCV", ("sklearn", "joblib"), environment=SILENT),
    "jaxann": Entry(
        "population_jaxann:Search", "jaxann cross_validate", ("jax",), needs=("tune.cross_validate", "setup")
    ),
    "patience": Entry(
        "population_jaxann:PatientSearch", "  the same, patience 10", ("jax",), needs=("tune.cross_validate", "setup")
    ),
    "halving": Entry("population_jaxann:HalvingSearch", "jaxann halving", ("jax",), needs=("tune.halving", "setup")),
}

TRAININGS: dict[str, Entry] = {
    "jaxann": Entry(
        "population_jaxann:Population", "jaxann fit_population", ("jax",), needs=("train.fit_population", "setup")
    ),
    "jaxann_loop": Entry("population_jaxann:Loop", "jaxann, loop of fit", ("jax",), linear=True),
    "torch_loop": Entry("population_torch:Loop", "PyTorch, loop", ("torch",), linear=True),
    "torch_vmap": Entry("population_torch:Stacked", "PyTorch, torch.func.vmap", ("torch",)),
    "sklearn": Entry(
        "population_sklearn:Loop",
        "scikit-learn, joblib",
        ("sklearn", "joblib"),
        linear=True,
        environment=SILENT,
    ),
}


def load_rows() -> tuple[np.ndarray, np.ndarray]:
    """All digits: `(1797, 64)` float32 in [0, 1] and `(1797,)` int32."""
    from jaxann.data import digits

    found = digits()
    x = np.concatenate([found.x, found.x_test])
    return x.reshape(len(x), -1), np.concatenate([found.y, found.y_test])


def folds_of(rows: int, folds: int = FOLDS) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and validation rows of each fold: blocks of rows as they come, as scikit-learn's KFold has them."""
    every = np.arange(rows)
    return [(np.setdiff1d(every, held), held) for held in np.array_split(every, folds)]


def settings_of(rates: Sequence[float], decays: Sequence[float]) -> list[tuple[float, float]]:
    """Every learning rate with every decay."""
    return [(rate, decay) for rate in rates for decay in decays]


def shifted(rates: Sequence[float], number: int) -> list[float]:
    """Other learning rates for every round: a library that compiles anew for a number has to do so in the clock."""
    return [rate * (1 + 0.01 * number) for rate in rates]


def member_rates(members: int, number: int) -> list[float]:
    """One learning rate a member, from 0.002 to 0.01."""
    return shifted(np.geomspace(2e-3, 1e-2, members).tolist(), number)


def search_flops(epochs: np.ndarray) -> int:
    """Model FLOPs of a search: the rows really trained on, from the epochs `(settings, folds)` that were run."""
    sizes = np.array([len(train) for train, _ in folds_of(ROWS)])
    return WORK.flops(int((np.asarray(epochs) * sizes).sum()))


def write_rows(folder: Path) -> None:
    """Leave the rows in `folder` for the workers."""
    x, y = load_rows()
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)


def read_rows(folder: str) -> tuple[np.ndarray, np.ndarray]:
    """Read what `write_rows` left."""
    return np.load(Path(folder) / "x.npy"), np.load(Path(folder) / "y.npy")


def split_task(x: np.ndarray, y: np.ndarray, seed: int = 0) -> Task:
    """The fixed split of the second part: the first fold's 1,437 rows to train on and 360 to measure accuracy on."""
    train, held = folds_of(len(x))[0]
    return Task(WORK.sizes, WORK.batch_size, seed, x[train], y[train], x[held], y[held])
