"""PyTorch in the population benchmark: a loop of hand-written trainings, and all members in one `torch.func.vmap`.

`Loop` is the contender `torch_eager` of the other benchmarks (tensors in memory, `index_select`, fused Adam), once for
each member. `Stacked` is what PyTorch's own tutorial on model ensembling shows, made a training: stacked parameters,
`functional_call` under `grad` under `vmap`, Adam written out on the stacked tensors (the optimizers of `torch.optim`
have one learning rate for all members), a shuffle of its own for every member. On a CPU each takes as many threads as
is faster at that number of members: one, or all cores where that saves a tenth.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch.func import functional_call, grad_and_value, vmap

from benchmarks.contenders.base import BETA_1, BETA_2, EPSILON
from benchmarks.contenders.torch_eager import Contestant, build_network
from benchmarks.machine import core_count
from benchmarks.population_work import split_task


def choose_threads(run: Callable[[], None]) -> dict:
    """Set the number of threads, one or all cores, whichever makes `run` faster."""
    run()
    if torch.cuda.is_available():
        return {}
    times: dict[int, list[float]] = {threads: [] for threads in sorted({1, core_count()})}
    while len(times[1]) < 3 or sum(map(sum, times.values())) < 2:
        for threads, own in times.items():
            torch.set_num_threads(threads)
            begun = time.perf_counter()
            run()
            own.append(time.perf_counter() - begun)
    seconds = {threads: statistics.median(own) for threads, own in times.items()}
    one, every = min(seconds), max(seconds)
    best = every if seconds[every] < 0.9 * seconds[one] else one  # waiting threads spin: no more than are of use
    torch.set_num_threads(best)
    return {"threads": best}


class Loop:
    """One network after the other."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.task = split_task(x, y)
        self.platform = "gpu" if torch.cuda.is_available() else "cpu"
        self.trained: list[Contestant] = []

    def warm(self, rates: list[float]) -> dict:
        """Choose the threads."""
        return choose_threads(lambda: self.train(rates[:1], 20, 0))

    def train(self, rates: list[float], epochs: int, number: int) -> None:
        """Train one network for each learning rate."""
        self.trained = []
        for member, rate in enumerate(rates):
            contestant = Contestant(replace(self.task, seed=10_000 * number + member))
            contestant.optimizer.param_groups[0]["lr"] = rate
            contestant.train(epochs)
            self.trained.append(contestant)

    def accuracy(self) -> dict:
        """Mean share of the held-out rows named correctly."""
        return {"accuracy": float(np.mean([contestant.accuracy() for contestant in self.trained]))}


class Stacked:
    """All members side by side."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        torch.set_float32_matmul_precision("high")
        self.task = split_task(x, y)
        self.platform = "gpu" if torch.cuda.is_available() else "cpu"
        self.device = torch.device("cuda" if self.platform == "gpu" else "cpu")
        self.x, self.x_test = (torch.from_numpy(a).to(self.device) for a in (self.task.x, self.task.x_test))
        self.y, self.y_test = (
            torch.from_numpy(a).to(self.device, torch.int64) for a in (self.task.y, self.task.y_test)
        )
        self.network = build_network(self.task.sizes).to(self.device)
        self.gradients = vmap(grad_and_value(self.mean_loss))
        self.params: dict[str, torch.Tensor] = {}

    def mean_loss(self, params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """One member's mean loss of one batch."""
        return torch.nn.functional.cross_entropy(functional_call(self.network, params, (x,)), y)

    def draw(self, members: int) -> dict[str, torch.Tensor]:
        """Stacked first weights: He normal, LeCun normal for the output, zero biases."""
        drawn = {}
        for name, one in self.network.named_parameters():
            if one.ndim == 1:
                drawn[name] = torch.zeros(members, *one.shape, device=self.device)
            else:
                gain = 1 if one.shape[0] == self.task.sizes[-1] else 2
                drawn[name] = torch.randn(members, *one.shape, device=self.device) * math.sqrt(gain / one.shape[1])
        return drawn

    def warm(self, rates: list[float]) -> dict:
        """Choose the threads."""
        return choose_threads(lambda: self.train(rates, max(1, 16 // len(rates)), 0))

    def train(self, rates: list[float], epochs: int, number: int) -> None:
        """Train one network for each learning rate."""
        torch.manual_seed(number)
        members, rows = len(rates), len(self.x)
        self.params = self.draw(members)
        rate = torch.tensor(rates, device=self.device)
        means = {name: torch.zeros_like(value) for name, value in self.params.items()}
        squares = {name: torch.zeros_like(value) for name, value in self.params.items()}
        step = 0
        total = torch.zeros(members, device=self.device)
        for _ in range(epochs):
            order = torch.rand(members, rows, device=self.device).argsort(dim=1)
            total.zero_()
            for index in order.split(self.task.batch_size, dim=1):
                flat = index.reshape(-1)
                x = self.x.index_select(0, flat).view(members, index.shape[1], -1)
                grads, losses = self.gradients(self.params, x, self.y.index_select(0, flat).view_as(index))
                total += losses * index.shape[1]
                step += 1
                self.move(grads, means, squares, rate, step)
        if self.platform == "gpu":
            torch.cuda.synchronize()

    def move(self, grads: dict, means: dict, squares: dict, rate: torch.Tensor, step: int) -> None:
        """One step of Adam for all members, in place."""
        unbias_mean, unbias_square = 1 - BETA_1**step, math.sqrt(1 - BETA_2**step)
        for name, weights in self.params.items():
            gradient, mean, square = grads[name], means[name], squares[name]
            mean.lerp_(gradient, 1 - BETA_1)
            square.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
            scale = (rate / -unbias_mean).view(-1, *[1] * (weights.ndim - 1))
            weights.addcdiv_(mean * scale, square.sqrt().div_(unbias_square).add_(EPSILON))

    def accuracy(self) -> dict:
        """Mean share of the held-out rows named correctly."""
        with torch.no_grad():
            scores = vmap(lambda params: functional_call(self.network, params, (self.x_test,)))(self.params)
        return {"accuracy": float((scores.argmax(-1) == self.y_test).float().mean())}
