"""What `sequence` compares with in PyTorch: `nn.LSTM` and `nn.GRU` as they come, and a transformer that writes."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.conv_torch import chosen_device, wait

__all__ = ["GPT", "Language", "gpt_step_of", "recurrent_step_of", "train_language", "written_by"]


class Recurrent(nn.Module):
    """A recurrent layer and a dense one at each position."""

    def __init__(self, cell: str, features: int, units: int, classes: int):
        super().__init__()
        self.rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](features, units, batch_first=True)
        self.head = nn.Linear(units, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `(batch, time, classes)`."""
        return self.head(self.rnn(x)[0])


class Block(nn.Module):
    """Attention and two dense layers, each after a norm and beside the identity."""

    def __init__(self, features: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm0, self.norm1 = nn.LayerNorm(features), nn.LayerNorm(features)
        self.qkv, self.out = nn.Linear(features, 3 * features), nn.Linear(features, features)
        self.dense0, self.dense1 = nn.Linear(features, 4 * features), nn.Linear(4 * features, features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        mixed = self.qkv(self.norm0(x)).chunk(3, -1)
        heads = [t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in mixed]
        y = F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.out(y)
        return x + self.dense1(F.gelu(self.dense0(self.norm1(x)), approximate="tanh"))


class GPT(nn.Module):
    """The structure of `jaxann.models.gpt`."""

    def __init__(self, vocabulary: int, features: int, heads: int, blocks: int, context: int):
        super().__init__()
        self.embed, self.positions = nn.Embedding(vocabulary, features), nn.Embedding(context, features)
        self.blocks = nn.Sequential(*(Block(features, heads) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(features), nn.Linear(features, vocabulary, bias=False)
        self.context = context
        for name, p in self.named_parameters():
            if p.ndim > 1:
                narrow = name.endswith(("out.weight", "dense1.weight"))
                nn.init.normal_(p, std=0.02 / (2 * blocks) ** 0.5 if narrow else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits `(batch, time, vocabulary)`."""
        x = self.embed(ids) + self.positions.weight[: ids.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def _steps(net: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int, compiled: bool) -> Callable[[], None]:
    net = net.to(chosen_device())
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    x, y = x.to(chosen_device()), y.to(chosen_device())

    def cost(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(net(x).flatten(0, 1), y.flatten())

    cost = torch.compile(cost) if compiled else cost

    def run() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            cost(x, y).backward()
            optimizer.step()
        wait()

    return run


def recurrent_step_of(
    cell: str, x: np.ndarray, y: np.ndarray, units: int, classes: int, steps: int, compiled: bool = False
) -> Callable[[], None]:
    """So many training steps of a recurrent layer with a dense one behind it, by AdamW."""
    net = Recurrent(cell, x.shape[-1], units, classes)
    return _steps(net, torch.from_numpy(x), torch.from_numpy(y.astype(np.int64)), steps, compiled)


def gpt_step_of(
    ids: np.ndarray, y: np.ndarray, sizes: dict[str, int], steps: int, compiled: bool = False
) -> Callable[[], None]:
    """So many training steps of a transformer, by AdamW."""
    given = (torch.from_numpy(a.astype(np.int64)) for a in (ids, y))
    return _steps(GPT(**sizes), *given, steps, compiled)


def written_by(sizes: dict[str, int], length: int) -> Callable[[], None]:
    """So many characters one after the other, each from the whole of its last context, as nanoGPT writes."""
    net = GPT(**sizes).to(chosen_device()).eval()

    @torch.no_grad()
    def run() -> None:
        ids = torch.zeros((1, 1), dtype=torch.long, device=chosen_device())
        for _ in range(length):
            shares = torch.softmax(net(ids[:, -net.context :])[:, -1], -1)
            ids = torch.cat([ids, torch.multinomial(shares, 1)], 1)
        wait()

    return run


class Language(nn.Module):
    """The structure of `jaxann.models.recurrent_language_model` of one layer."""

    def __init__(self, cell: str, vocabulary: int, units: int):
        super().__init__()
        self.embed, self.net = nn.Embedding(vocabulary, units), Recurrent(cell, units, units, vocabulary)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits `(batch, time, vocabulary)`."""
        return self.net(self.embed(ids))


def train_language(
    net: nn.Module, ids: np.ndarray, held: tuple[np.ndarray, np.ndarray], rates: list[float], batch: int, context: int
) -> tuple[float, float]:
    """Loss on windows held out, and seconds, after a step for each rate on windows that begin anywhere.

    AdamW with decay 0.1 of matrices and betas 0.9, 0.99, gradients clipped to length 1: nanoGPT's settings.
    """
    net = net.to(chosen_device())
    matrices = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, 1e-3, (0.9, 0.99))
    stream = torch.from_numpy(ids.astype(np.int64))
    begun = time.perf_counter()
    for rate in rates:
        for group in optimizer.param_groups:
            group["lr"] = rate
        starts = torch.randint(len(stream) - context - 1, (batch,))
        x, y = (torch.stack([stream[i + k : i + k + context] for i in starts]).to(chosen_device()) for k in (0, 1))
        optimizer.zero_grad()
        F.cross_entropy(net(x).flatten(0, 1), y.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    wait()
    seconds = time.perf_counter() - begun
    with torch.no_grad():
        x, y = (torch.from_numpy(a.astype(np.int64)).to(chosen_device()) for a in held)
        losses = [
            F.cross_entropy(net(a).flatten(0, 1), b.flatten(), reduction="sum").item()
            for a, b in zip(x.split(256), y.split(256), strict=True)
        ]
    return sum(losses) / held[1].size, seconds
