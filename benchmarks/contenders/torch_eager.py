"""PyTorch, eager: tensors in memory, batches by `index_select` from `torch.randperm` (no DataLoader), fused Adam.

On a GPU, float32 products may use TensorFloat-32, as they do in JAX by default.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from benchmarks.contenders.base import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Task, share_correct


def build_network(sizes: tuple[int, ...]) -> nn.Sequential:
    """Stack linear layers with ReLU between them: He normal weights (LeCun normal for the output), zero biases."""
    layers: list[nn.Module] = []
    for index, (units_in, units_out) in enumerate(pairwise(sizes)):
        linear = nn.Linear(units_in, units_out)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="linear" if index == len(sizes) - 2 else "relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Contestant:
    """The ordinary training loop of PyTorch."""

    def __init__(self, task: Task) -> None:
        torch.manual_seed(task.seed)
        torch.set_float32_matmul_precision("high")
        self.task = task
        self.platform = "gpu" if torch.cuda.is_available() else "cpu"
        self.device = torch.device("cuda" if self.platform == "gpu" else "cpu")
        self.x = torch.from_numpy(task.x).to(self.device)
        self.y = torch.from_numpy(task.y).to(self.device, torch.int64)
        self.network = build_network(task.sizes).to(self.device)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=LEARNING_RATE, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True
        )
        self.mean_loss = self.build_loss()

    def build_loss(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Return the function from a batch to its mean loss."""
        return lambda x, y: nn.functional.cross_entropy(self.network(x), y)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Take one step; return the batch's mean loss."""
        self.optimizer.zero_grad()
        loss = self.mean_loss(x, y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def train(self, epochs: int) -> list[float]:
        """Loop over epochs and batches; the losses stay on the device until the turn ends."""
        rows = len(self.x)
        totals = torch.zeros(epochs, device=self.device)
        for epoch in range(epochs):
            for indices in torch.randperm(rows, device=self.device).split(self.task.batch_size):
                loss = self.step(self.x.index_select(0, indices), self.y.index_select(0, indices))
                totals[epoch] += loss * len(indices)
        if self.platform == "gpu":
            torch.cuda.synchronize()
        return (totals / rows).tolist()

    def accuracy(self) -> float:
        """Share of the test rows named correctly."""
        with torch.no_grad():
            scores = self.network(torch.from_numpy(self.task.x_test).to(self.device))
        return share_correct(scores.cpu().numpy(), self.task.y_test)
