"""The nets for images once more, in PyTorch's functions, from the papers' tables, with our parameters by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

__all__ = ["TWINS", "Twin"]


def _tensor(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(array))


class Twin:
    """PyTorch's functions on our parameters and statistics; `train` takes the statistics of the batch."""

    def __init__(self, params: Any, state: Any, train: bool):
        self.params, self.state, self.train = params, state, train

    def __call__(self, name: str) -> Twin:
        return Twin(self.params[name], self.state[name], self.train)

    def conv(self, name: str, x: torch.Tensor, stride: int = 1, padding: int = 0, groups: int = 1) -> torch.Tensor:
        own = self.params[name]
        weight, bias = _tensor(own["weight"]).permute(3, 2, 0, 1), own.get("bias")
        return F.conv2d(x, weight, None if bias is None else _tensor(bias), stride, padding, 1, groups)

    def enlarge(self, name: str, x: torch.Tensor) -> torch.Tensor:
        own = self.params[name]
        return F.conv_transpose2d(x, _tensor(own["weight"]).permute(3, 2, 0, 1), _tensor(own["bias"]), 2)

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        own, running = self.params[name], self.state[name]
        values = [_tensor(running[k]) for k in ("mean", "var")] + [_tensor(own[k]) for k in ("scale", "bias")]
        return F.batch_norm(x, *values, self.train, 0.1, 1e-5)

    def layer_norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Of the last axis."""
        own = self.params[name]
        return F.layer_norm(x, x.shape[-1:], _tensor(own["scale"]), _tensor(own["bias"]), 1e-6)

    def dense(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, _tensor(self.params[name]["weight"]).T, _tensor(self.params[name]["bias"]))

    def flat(self, x: torch.Tensor) -> torch.Tensor:
        """Rows in the order of ours, channels last."""
        return x.permute(0, 2, 3, 1).flatten(1)


def _lenet5(t: Twin, x: torch.Tensor) -> torch.Tensor:
    x = F.avg_pool2d(torch.tanh(t.conv("conv0", x, padding=2)), 2)
    x = t.flat(F.avg_pool2d(torch.tanh(t.conv("conv1", x)), 2))
    return t.dense("dense2", torch.tanh(t.dense("dense1", torch.tanh(t.dense("dense0", x)))))


def _vgg11(t: Twin, x: torch.Tensor) -> torch.Tensor:
    for stage, number in enumerate((1, 1, 2, 2, 2)):
        own = t(f"stage{stage}")
        for i in range(number):
            x = own.conv(f"conv{i}", x, padding=1)
            x = F.relu(own.norm(f"norm{i}", x) if f"norm{i}" in own.params else x)
        x = F.max_pool2d(x, 2)
    x = t.flat(F.adaptive_avg_pool2d(x, 2))
    return t.dense("dense2", F.relu(t.dense("dense1", F.relu(t.dense("dense0", x)))))


def _basic(t: Twin, x: torch.Tensor, stride: int) -> torch.Tensor:
    body = t("sum")("body")
    y = F.relu(body.norm("norm0", body.conv("conv0", x, stride, 1)))
    return body.norm("norm1", body.conv("conv1", y, 1, 1))


def _bottleneck(t: Twin, x: torch.Tensor, stride: int) -> torch.Tensor:
    body = t("sum")("body")
    y = F.relu(body.norm("norm0", body.conv("conv0", x)))
    y = F.relu(body.norm("norm1", body.conv("conv1", y, stride, 1)))
    return body.norm("norm2", body.conv("conv2", y))


def _stages(t: Twin, x: torch.Tensor, blocks: tuple[int, ...], block: Any) -> torch.Tensor:
    for stage, number in enumerate(blocks):
        for i in range(number):
            own, stride = t(f"stage{stage}")(f"block{i}"), 2 if stage and not i else 1
            y, skip = block(own, x, stride), x
            if "skip" in own.params["sum"]:
                side = own("sum")("skip")
                skip = side.norm("norm0", side.conv("conv0", x, stride))
            x = F.relu(y + skip)
    return t.dense("dense", x.mean((2, 3)))


def _imagenet_stem(t: Twin, x: torch.Tensor) -> torch.Tensor:
    x = F.relu(t("stem").norm("norm0", t("stem").conv("conv0", x, 2, 3)))
    return F.max_pool2d(x, 3, 2, 1)


def _cifar_stem(t: Twin, x: torch.Tensor) -> torch.Tensor:
    return F.relu(t("stem").norm("norm0", t("stem").conv("conv0", x, 1, 1)))


def _wide(t: Twin, x: torch.Tensor) -> torch.Tensor:
    x = t.conv("conv", x, 1, 1)
    for stage in range(3):
        for i in range(2):
            own, stride = t(f"stage{stage}")(f"block{i}"), 2 if stage and not i else 1
            if i == 0:  # the shape changes: the first normalization is before both sides
                x = F.relu(own.norm("norm0", x))
                body, skip = own("sum")("body"), own("sum").conv("skip", x, stride)
                y = body.conv("conv0", x, stride, 1)
            else:
                body, skip = own("body"), x
                y = body.conv("conv0", F.relu(body.norm("norm0", x)), stride, 1)
            x = skip + body.conv("conv1", F.relu(body.norm("norm1", y)), 1, 1)
    return t.dense("dense", F.relu(t.norm("norm", x)).mean((2, 3)))


def _twice(t: Twin, x: torch.Tensor) -> torch.Tensor:
    return F.relu(t.conv("conv1", F.relu(t.conv("conv0", x, 1, 1)), 1, 1))


def _unet(t: Twin, x: torch.Tensor) -> torch.Tensor:
    def level(own: Twin, x: torch.Tensor) -> torch.Tensor:
        if "down" not in own.params:
            return _twice(own, x)
        skip, below = _twice(own("down"), x), own("sides")("below")
        y = below.enlarge("enlarge", level(below("level"), F.max_pool2d(skip, 2)))
        return _twice(own("up"), torch.cat((skip, y), 1))

    return t.conv("out", level(t("level"), x)).permute(0, 2, 3, 1)


def _densenet(t: Twin, x: torch.Tensor, blocks: tuple[int, ...]) -> torch.Tensor:
    for i, number in enumerate(blocks):
        for j in range(number):
            own = t(f"block{i}")(f"layer{j}")
            y = own.conv("conv0", F.relu(own.norm("norm0", x)))
            x = torch.cat((x, own.conv("conv1", F.relu(own.norm("norm1", y)), 1, 1)), 1)
        if i < len(blocks) - 1:
            own = t(f"transition{i}")
            x = F.avg_pool2d(own.conv("conv0", F.relu(own.norm("norm0", x))), 2)
    return t.dense("dense", F.relu(t.norm("norm", x)).mean((2, 3)))


def _mixing(own: Twin, x: torch.Tensor) -> torch.Tensor:
    return own.dense("dense1", F.gelu(own.dense("dense0", x)))


def _mixer(t: Twin, x: torch.Tensor) -> torch.Tensor:
    x = t.conv("patches", x, 4).flatten(2).transpose(1, 2)
    for i in range(2):
        places, channels = t(f"block{i}")("places")("body"), t(f"block{i}")("channels")("body")
        x = x + _mixing(places, places.layer_norm("norm", x).transpose(1, 2)).transpose(1, 2)
        x = x + _mixing(channels, channels.layer_norm("norm", x))
    return t.dense("dense", t.layer_norm("norm", x).mean(1))


def _convnext(t: Twin, x: torch.Tensor) -> torch.Tensor:
    def norm(own: Twin, x: torch.Tensor) -> torch.Tensor:
        return own.layer_norm("norm", x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    x = norm(t("stem"), t("stem").conv("conv", x, 4))
    for stage, number in enumerate((1, 2)):
        own = t(f"stage{stage}")
        if stage:
            x = own.conv("conv", norm(own, x), 2)
        for i in range(number):
            body = own(f"block{i}")("body")
            y = norm(body, body.conv("conv", x, 1, 3, x.shape[1])).permute(0, 2, 3, 1)
            y = body.dense("dense1", F.gelu(body.dense("dense0", y))) * _tensor(body.params["scale"]["scale"])
            x = x + y.permute(0, 3, 1, 2)
    return t.dense("dense", t.layer_norm("norm", x.mean((2, 3))))


TWINS = {
    "lenet5": _lenet5,
    "vgg11": _vgg11,
    "vgg11_norm": _vgg11,
    "resnet18": lambda t, x: _stages(t, _imagenet_stem(t, x), (2, 2, 2, 2), _basic),
    "resnet50": lambda t, x: _stages(t, _imagenet_stem(t, x), (3, 4, 6, 3), _bottleneck),
    "resnet20": lambda t, x: _stages(t, _cifar_stem(t, x), (3, 3, 3), _basic),
    "wide16": _wide,
    "unet": _unet,
    "densenet": lambda t, x: _densenet(t, _imagenet_stem(t, x), (2, 3)),
    "densenet_cifar": lambda t, x: _densenet(t, t("stem").conv("conv0", x, 1, 1), (2, 2)),
    "mixer": _mixer,
    "convnext": _convnext,
}
