"""Nets for images: small convolutions, or residual nets where there are pictures enough for them."""

from __future__ import annotations

import math

from jaxann.advice.facts import Facts
from jaxann.advice.net import Net, Style, preparation
from jaxann.advice.recommendation import Reason
from jaxann.core.products import Layer
from jaxann.data import pad_and_crop
from jaxann.initializers import init_for
from jaxann.layers import (
    batch_norm,
    conv,
    dense,
    dropout,
    elementwise,
    flatten,
    global_pool,
    max_pool,
    preprocess,
    sequential,
)
from jaxann.models import conv_autoencoder, resnet, resnet_cifar, unet
from jaxann.preprocessing import standard

__all__ = ["image_net", "picture_code_net"]

_RESIDUAL = 5_000  # pictures in colour from which on a residual net pays
_SMALL_SIDE = 64  # up to which the nets of CIFAR-10 are made
_PRETRAINED = 20_000  # larger pictures below which weights of another task help most
_DEEPEST = 500_000  # larger pictures from which on 50 layers pay
_ADAMW = Style(
    "adamw",
    1e-3,
    True,
    False,
    5_000,
    "Steps that do not depend on the size of gradients need little tuning; a rate that falls to 0 settles the weights.",
    "Loshchilov and Hutter 2017, 2019",
)
_SGD = Style(
    "sgd",
    0.1,
    True,
    False,
    8_000,
    "Descent with Nesterov's momentum and a rate that falls to 0: on convolutional nets it ends better than adaptive "
    "steps, given time. For the same reason with few pictures as with many (erratum E56).",
    "He et al. 2016; Wilson et al. 2017; Loshchilov and Hutter 2017",
)
_RELU = Reason(
    "hidden activation",
    "relu, weights he_normal",
    "Its slope is 1 wherever it is not 0, so that gradients pass; with this distribution signals keep their size "
    "through the layers.",
    "Glorot et al. 2011; He et al. 2015",
)


def image_net(facts: Facts) -> Net:
    """The net for pictures of this size and number."""
    height, width, channels = facts.shape
    if facts.places:
        return _unet(facts)
    side = min(height, width)
    notes: tuple[str, ...] = (
        "data.horizontal_flip() beside the crops where a mirrored picture means the same; not of digits, letters, "
        "signs.",
    )
    if side > _SMALL_SIDE and facts.examples < _PRETRAINED:
        notes += (
            f"{facts.examples:,} pictures of this size are few: weights trained on other pictures, all but the last "
            "layer frozen at first, mostly beat a net from scratch (Yosinski et al. 2014).",
        )
    if facts.examples < _RESIDUAL or (channels == 1 and side <= 32):
        return _small(facts, notes)
    if side <= _SMALL_SIDE:
        net, shown = resnet_cifar(20, facts.units), "resnet_cifar(20)"
        why = f"Made for colour pictures of about {side} x {side}: what a block adds to its input is learned, so that "
    else:
        depth = 50 if facts.examples >= _DEEPEST else 18
        net, shown = resnet(depth, facts.units), f"resnet({depth})"
        why = f"For pictures of {height} x {width}: what a block adds to its input is learned, so that "
    why += f"depth does not hinder gradients. {facts.examples:,} pictures are enough for it."
    reasons = (preparation(facts, "standard scale of each channel"), Reason("net", shown, why, "He et al. 2016"), _RELU)
    return Net(lambda rate: _prepared(net), _SGD, reasons, False, (pad_and_crop(max(1, side // 8)),), notes)


def _prepared(net: Layer, last: dict[str, Layer] | None = None) -> Layer:
    return sequential({"prepare": preprocess(standard()), "net": net, **(last or {})})


def _small(facts: Facts, notes: tuple[str, ...]) -> Net:
    """Stages of convolutions, each of half the size and twice the filters of the one before."""
    side = min(facts.shape[:2])
    stages = max(1, min(5, int(math.log2(max(side, 8) / 4))))
    first = 32 if facts.examples >= 2_000 else 16

    def build(rate: float | None) -> Layer:
        layers: dict[str, Layer] = {}
        for i in range(stages):
            for j in range(2):
                name = f"{i}{'ab'[j]}"
                layers[f"conv{name}"] = conv(first * 2**i, 3, padding=1, use_bias=False, kernel_init=init_for("relu"))
                layers[f"norm{name}"] = batch_norm()
                layers[f"act{name}"] = elementwise("relu")
            if side >> i > 1:
                layers[f"pool{i}"] = max_pool(2)
        layers["top"] = flatten() if side <= _SMALL_SIDE else global_pool()
        if rate is not None:
            layers["drop"] = dropout(rate)
        return _prepared(sequential(layers | {"out": dense(facts.units)}))

    shown = f"{stages} stages of two 3 x 3 convolutions, {first} filters doubled each, batch_norm, max_pool"
    shown += ", flatten" if side <= _SMALL_SIDE else ", global_pool"
    shown += ", flatten" if side <= _SMALL_SIDE else ", global_pool"
    why = "Small pictures in grey" if facts.shape[2] == 1 and side <= 32 else f"{facts.examples:,} pictures"
    why += ": a few convolutions, which share their weights over all places, see all that matters; deeper nets pay "
    why += "with more pictures, in colour."
    why += " Where something is says what it is, so the last maps are kept whole." if side <= _SMALL_SIDE else ""
    reasons = (
        preparation(facts, "standard scale of each channel"),
        Reason("net", shown, why, "LeCun et al. 1998; Simonyan and Zisserman 2015; Ioffe and Szegedy 2015"),
        _RELU,
    )
    augment = (pad_and_crop(max(1, side // 8)),) if side >= 16 else ()
    return Net(build, _ADAMW._replace(learning_rate=3e-3), reasons, True, augment, notes)


def _unet(facts: Facts) -> Net:
    """An answer for each place."""
    height, width, _ = facts.shape
    deepest = min(4, max(1, int(math.log2(min(height, width) / 8)))) if min(height, width) >= 8 else 0
    halves = next((n for n in range(deepest, 0, -1) if height % 2**n == width % 2**n == 0), 0)
    filters = 32 if facts.examples >= 500 else 16
    if halves:
        net = unet(facts.units, width=filters, levels=halves, batch_norm=True)
        shown = f"unet(width={filters}, levels={halves})"
        why = "An answer for each place: maps of every size, each joined on the way back with that of the way down."
    else:
        made = [conv(n, 3, padding=1, kernel_init=init_for("relu")) for n in (filters, filters)]
        net = sequential(
            {
                "conv0": made[0],
                "act0": elementwise("relu"),
                "conv1": made[1],
                "act1": elementwise("relu"),
                "out": conv(facts.units, 1),
            }
        )
        shown, why = "two 3 x 3 convolutions", "An answer for each place; sides that are odd cannot be halved."
    reasons = (
        preparation(facts, "standard scale of each channel"),
        Reason("net", shown, why, "Ronneberger, Fischer and Brox 2015"),
        _RELU,
    )
    notes = ("Crops and flips have to move the targets too: data.pad_and_crop(n, targets='same').",)
    return Net(lambda rate: _prepared(net), _ADAMW, reasons, False, notes=notes)


def picture_code_net(facts: Facts) -> Net:
    """An autoencoder of pictures."""
    height, width, channels = facts.shape
    stages = max(1, min(4, int(math.log2(max(min(height, width), 8) / 4))))
    code = max(2, min(facts.components or 32, 128))
    filters = tuple(16 * 2**i for i in range(stages))

    def build(rate: float | None) -> Layer:
        return conv_autoencoder(filters, code, (height, width, channels))

    why = f"Convolutions by steps of 2 to a code of {code} numbers"
    why += ", as many as principal components have 95 % of the variance" if facts.components == code else ""
    reasons = (
        Reason(
            "preparation",
            "none",
            "What goes in is what has to come out; pictures from 0 to 1 are of one size.",
            "Masci et al. 2011",
        ),
        Reason("net", f"conv_autoencoder({filters}, {code})", f"{why}, and back.", "Masci et al. 2011"),
        _RELU,
    )
    notes = ("The recipe is trained on pairs (x, x).",)
    return Net(build, _ADAMW, reasons, False, notes=notes)
