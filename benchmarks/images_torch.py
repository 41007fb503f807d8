"""The two trainings of `benchmarks images` once more, as PyTorch's users write them, from weights handed in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.conv_torch import chosen_device, net_of, wait
from jaxann.core.products import Layer

__all__ = ["Variational", "give_weights", "train_resnet", "train_variational"]

Rate = Callable[[int], float]


def _leaves(model: Layer, params: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """Arrays of a model in the order of its layers, a weight or scale before its bias."""
    if model.children:
        for name, child in model.children.items():
            yield from _leaves(child, params.get(name, {}))
    else:
        yield from (np.asarray(params[name]) for name in sorted(params, key="bias".__eq__))


def give_weights(net: nn.Module, model: Layer, params: Mapping[str, Any]) -> None:
    """Give a net the weights of ours: kernels (height, width, in, out), matrices (in, out)."""
    with torch.no_grad():
        for own, given in zip(net.parameters(), _leaves(model, params), strict=True):
            axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(given.ndim, (0,))
            own.copy_(torch.from_numpy(np.transpose(given, axes).copy()))


def _batches(count: int, size: int, random: torch.Generator) -> Iterator[torch.Tensor]:
    return iter(torch.randperm(count, generator=random, device=random.device).split(size))


def _cropped(images: torch.Tensor, most: int, random: torch.Generator) -> torch.Tensor:
    """Padded, cut at a random place, half of them mirrored: `(n, channels, 32, 32)`, channels last in memory."""
    n, _, height, width = images.shape
    padded = F.pad(images, (most,) * 4)
    down, right = (torch.randint(2 * most + 1, (n, 1), generator=random, device=random.device) for _ in range(2))
    rows, columns = (torch.arange(m, device=random.device) for m in (height, width))
    rows, columns = rows + down, columns + right
    mirrored = torch.rand((n, 1), generator=random, device=random.device) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    found = padded.permute(0, 2, 3, 1)[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return found.permute(0, 3, 1, 2)


def train_resnet(
    data: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    start: tuple[Layer, Mapping[str, Any]],
    rate: Rate,
    *,
    epochs: int,
    batch_size: int,
    momentum: float,
    decay: float,
    crop: int,
    seed: int,
) -> tuple[Callable[[], None], Callable[[], float]]:
    """A ResNet-20: a function that trains it, and one that gives its accuracy on the test pictures."""
    random = torch.Generator(chosen_device()).manual_seed(seed)
    x, y, x_test, y_test = (torch.from_numpy(np.asarray(a)).to(chosen_device()) for a in data)
    x, x_test = (a.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last) for a in (x, x_test))
    y, y_test = y.long(), y_test.long()
    net = net_of("ResNet-20")
    give_weights(net, *start)
    net = net.to(chosen_device(), memory_format=torch.channels_last)
    decayed = [p for p in net.parameters() if p.ndim > 1]
    groups = [
        {"params": decayed, "weight_decay": decay},
        {"params": [p for p in net.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, 0.1, momentum=momentum, nesterov=True)

    def train() -> None:
        net.train()
        step = 0
        for _ in range(epochs):
            for chosen in _batches(len(x), batch_size, random):
                for group in optimizer.param_groups:
                    group["lr"] = rate(step)
                optimizer.zero_grad()
                F.cross_entropy(net(_cropped(x[chosen], crop, random)), y[chosen]).backward()
                optimizer.step()
                step += 1
        wait()

    def accuracy() -> float:
        net.eval()
        with torch.no_grad():
            found = torch.cat([net(part).argmax(1) for part in x_test.split(500)])
        return (found == y_test).float().mean().item()

    return train, accuracy


class Variational(nn.Module):
    """784 - 512 - 256 - (mean, log variance) - 256 - 512 - 784, with relu between."""

    def __init__(self, widths: tuple[int, ...], features: int):
        super().__init__()
        self.encoder = self._mlp((features, *widths[:-1], 2 * widths[-1]))
        self.decoder = self._mlp((*reversed(widths), features))

    @staticmethod
    def _mlp(sizes: tuple[int, ...]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The logits of the pixels, and mean and log variance of the code."""
        mean, log_variance = self.encoder(x).chunk(2, -1)
        return self.decoder(mean + torch.exp(log_variance / 2) * noise), mean, log_variance


def _divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1)


def _missed(logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


def train_variational(
    x: np.ndarray, start: tuple[Layer, Mapping[str, Any]], rate: Rate, *, widths: tuple[int, ...], epochs: int,
    batch_size: int, seed: int,
) -> tuple[Callable[[], None], Callable[[np.ndarray, int], tuple[float, float]]]:  # fmt: skip
    """A variational autoencoder: a function that trains it, and one for its bound and likelihood of white pixels."""
    random = torch.Generator(chosen_device()).manual_seed(seed)
    images = torch.from_numpy(x).to(chosen_device())
    net = Variational(widths, x.shape[-1])
    give_weights(net, *start)
    net = net.to(chosen_device())
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)

    def train() -> None:
        step = 0
        for _ in range(epochs):
            for chosen in _batches(len(images), batch_size, random):
                optimizer.param_groups[0]["lr"] = rate(step)
                grey = images[chosen]
                white = (torch.rand(grey.shape, generator=random, device=random.device) < grey).float()
                noise = torch.randn((len(white), widths[-1]), generator=random, device=random.device)
                logits, mean, log_variance = net(white, noise)
                optimizer.zero_grad()
                (_missed(logits, white) + _divergence(mean, log_variance)).mean().backward()
                optimizer.step()
                step += 1
        wait()

    def in_nats(test: np.ndarray, samples: int) -> tuple[float, float]:
        """The bound and the estimate of log p(x) by importance, from so many codes a picture."""
        bounds, estimates = [], []
        with torch.no_grad():
            for white in torch.from_numpy(test).to(chosen_device()).split(100):
                noise = torch.randn((samples, len(white), widths[-1]), generator=random, device=random.device)
                logits, mean, log_variance = net(white, noise)
                code = mean + torch.exp(log_variance / 2) * noise
                seen = -_missed(logits, white.expand(samples, -1, -1))
                ratio = 0.5 * (noise**2 + log_variance - code**2).sum(-1)  # log p(code) - log q(code | x)
                bounds.append((seen - _divergence(mean, log_variance)).mean(0))
                estimates.append(torch.logsumexp(seen + ratio, 0) - math.log(samples))
        return float(torch.cat(bounds).mean()), float(torch.cat(estimates).mean())

    return train, in_nats
