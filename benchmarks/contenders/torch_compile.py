"""PyTorch with `torch.compile` around forward pass and loss, whose backward pass is compiled with them.

Otherwise the loop of `torch_eager`: on a CPU the fused Adam it calls beats an optimizer step inside the compiled part.
Shapes are static, so that the last, smaller batch gets a program of its own, compiled in the first epoch. On a GPU the
mode is the one that PyTorch recommends for small steps, CUDA graphs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.contenders import torch_eager


class Contestant(torch_eager.Contestant):
    """The compiled training loop of PyTorch."""

    def build_loss(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Compile forward pass and loss."""
        mode = "reduce-overhead" if self.platform == "gpu" else None
        return torch.compile(lambda x, y: nn.functional.cross_entropy(self.network(x), y), dynamic=False, mode=mode)
