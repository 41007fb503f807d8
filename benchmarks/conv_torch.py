"""The convolutional nets of `benchmarks conv` once more, as PyTorch's users write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["LAYOUTS", "chosen_device", "layer_runs", "net_of", "step_of", "wait"]

LAYOUTS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}


def chosen_device() -> torch.device:
    """Where JAX computes, as PyTorch calls it."""
    import jax

    return torch.device("cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu")


def wait() -> None:
    """Until all is done that was asked of an accelerator."""
    if chosen_device().type == "cuda":
        torch.cuda.synchronize()


class _Basic(nn.Module):
    """Two convolutions and a skip."""

    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, filters, 3, stride, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(),
            nn.Conv2d(filters, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters),
        )  # fmt: skip
        self.skip = nn.Identity()
        if stride > 1 or channels != filters:
            self.skip = nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + self.skip(x))


def _resnet(blocks: tuple[int, ...], width: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    channels = width
    for stage, number in enumerate(blocks):
        for i in range(number):
            layers.append(_Basic(channels, width * 2**stage, 2 if stage and not i else 1))
            channels = width * 2**stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def _lenet5() -> nn.Module:
    maps = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    return nn.Sequential(*maps, nn.Flatten(), *head)


def _small() -> nn.Module:
    maps = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    maps += [nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*maps, nn.Flatten(), nn.Linear(784, 10))


def net_of(name: str) -> nn.Module:
    """A net by the name that the benchmark gives it."""
    made = {"LeNet-5": _lenet5, "small CNN": _small, "ResNet-20": lambda: _resnet((3, 3, 3), 16)}
    return (made | {"ResNet-18": lambda: _resnet((2, 2, 2, 2), 64)})[name]()


def _tensor(x: np.ndarray, layout: Any) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(x, -1, 1).copy()).to(chosen_device()).contiguous(memory_format=layout)


def step_of(
    name: str, x: np.ndarray, y: np.ndarray, layout: Any, steps: int, compiled: bool = False
) -> Callable[[], None]:
    """So many training steps with SGD of momentum 0.9; where that is asked for, net and loss by `torch.compile`."""
    net = net_of(name).to(chosen_device(), memory_format=layout)
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    images, labels = _tensor(x, layout), torch.from_numpy(y.astype(np.int64)).to(chosen_device())

    def cost(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(net(images), labels)

    if compiled:
        cost = torch.compile(cost)

    def run() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            cost(images, labels).backward()
            optimizer.step()
        wait()

    return run


def layer_runs(
    x: np.ndarray, weight: np.ndarray, delta: np.ndarray, padding: int, layout: Any, times: int
) -> dict[str, Callable[[], Any]]:
    """The convolution alone, and with both gradients."""
    images, above = _tensor(x, layout).requires_grad_(), _tensor(delta, layout)
    kernel = torch.from_numpy(np.transpose(weight, (3, 2, 0, 1)).copy()).to(chosen_device())
    kernel = kernel.contiguous(memory_format=layout)
    kernel.requires_grad_()

    def forward() -> None:
        with torch.no_grad():
            for _ in range(times):
                F.conv2d(images, kernel, padding=padding)
        wait()

    def both() -> None:
        for _ in range(times):
            torch.autograd.grad(F.conv2d(images, kernel, padding=padding), (images, kernel), above)
        wait()

    return {"forward": forward, "and gradients": both}
