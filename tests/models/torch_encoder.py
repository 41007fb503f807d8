"""PyTorch's encoder layer with the weights of a `transformer_block`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = ["encoder_layer"]


def encoder_layer(params: Any, heads: int, activation: str, norm_first: bool, eps: float = 1e-5) -> Any:
    """In training mode: in evaluation PyTorch takes another way, which zeroes what is padded."""
    attend, feed = params["attend"]["body"], params["feed"]["body"]
    norms = (attend["norm"], feed["norm"]) if norm_first else (params["norm0"], params["norm1"])
    features, hidden = feed["dense0"]["weight"].shape
    module = torch.nn.TransformerEncoderLayer(
        features, heads, hidden, 0.0, activation, eps, batch_first=True, norm_first=norm_first, dtype=torch.float64
    )
    pairs = (
        (module.self_attn.in_proj_weight, attend["attention"]["qkv"]["weight"].T),
        (module.self_attn.in_proj_bias, attend["attention"]["qkv"]["bias"]),
        (module.self_attn.out_proj.weight, attend["attention"]["out"]["weight"].T),
        (module.self_attn.out_proj.bias, attend["attention"]["out"]["bias"]),
        (module.linear1.weight, feed["dense0"]["weight"].T),
        (module.linear1.bias, feed["dense0"]["bias"]),
        (module.linear2.weight, feed["dense1"]["weight"].T),
        (module.linear2.bias, feed["dense1"]["bias"]),
        *((getattr(module, f"norm{n + 1}").weight, norm["scale"]) for n, norm in enumerate(norms)),
        *((getattr(module, f"norm{n + 1}").bias, norm["bias"]) for n, norm in enumerate(norms)),
    )
    for weight, value in pairs:
        weight.data = torch.tensor(np.ascontiguousarray(value))
    return module.train()
