"""What a contender is given, and what it has to offer.

Every contender does the same work: the same float32 rows, the same multilayer perceptron (ReLU between the layers; He
normal weights in the hidden layers, LeCun normal ones in the output layer, zero biases), softmax cross-entropy averaged
over the batch, Adam with the constants below, the same batch size, a fresh shuffle every epoch and every row every
epoch (the last, smaller batch included).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np

LEARNING_RATE = 1e-3
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Task:
    """One workload, as a contender sees it."""

    sizes: tuple[int, ...]
    """Features, hidden units layer by layer, classes."""
    batch_size: int
    seed: int
    x: np.ndarray
    """(rows, features) float32."""
    y: np.ndarray
    """(rows,) int32 class numbers."""
    x_test: np.ndarray
    y_test: np.ndarray

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of the hidden layers."""
        return self.sizes[1:-1]

    @property
    def steps(self) -> int:
        """Batches of one epoch, the last partial one included."""
        return -(-len(self.x) // self.batch_size)


class Contender(Protocol):
    """A model under training. Building one moves the data to the device and draws the first weights."""

    platform: str
    """Where it trains: `cpu`, `gpu` or `tpu`."""

    def __init__(self, task: Task) -> None: ...

    def train(self, epochs: int) -> list[float]:
        """Continue for `epochs` epochs; return their mean losses, once the new weights are ready."""

    def accuracy(self) -> float:
        """Share of the test rows named correctly."""


def share_correct(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose highest score is at their label."""
    return float((scores.argmax(axis=-1) == labels).mean())
