"""Augmentations of training examples."""

from __future__ import annotations

from jaxann import data
from tests.rows import sounds_and_texts
from tests.rows.kinds import AugmentRow

__all__ = ["AUGMENTS", "HELPERS"]

HELPERS = {
    "data.cifar10": "reads a set of data",
    "data.digits": "reads a set of data",
    "data.language_windows": "cuts a stream on the host",
    "data.load_tokenizer": "reads a file",
    "data.mnist": "reads a set of data",
    "data.save_tokenizer": "writes a file",
    "data.train_bpe_tokenizer": "gives a subword_tokenizer",
    "data.train_wordpiece_tokenizer": "gives a subword_tokenizer",
}

_FLIP_BAD = (
    {"probability": 1.5},
    {"probability": None},
    {"swap": (0, 1)},
    {"swap": ((0, 1), (1, 2))},
    {"targets": "x"},
)
_MOVE_BAD = ({"fill": "white"}, {"targets": "mask"}, {"target_fill": None})
_RANGE_BAD = ({"value_range": 1.0}, {"value_range": (1.0, 0.0)}, {"value_range": (0.5, 0.5)}, {"value_range": None})
_RANGE = {"value_range": (-2.0, 8.0)}
_COLOURED = (6, 5, 7, 3)
AUGMENTS = [
    AugmentRow(
        "data.mixup",
        lambda: data.mixup(0.4),
        bad=({"alpha": 0.0}, {"alpha": -1.0}),
        mixes=True,
        shape=(6, 3),
        wide=True,
    ),
    AugmentRow("data.cutmix", lambda: data.cutmix(per_example=True), bad=({"alpha": 0.0},), mixes=True),
    AugmentRow(
        "data.cutout",
        lambda: data.cutout(3, fill=0.5),
        bad=({"size": -1}, {"size": 2.5}, {"fill": "white"}, {"fill": None}),
        nothing={"size": 0},
    ),
    AugmentRow(
        "data.random_erasing",
        lambda: data.random_erasing(1.0, fill="noise"),
        bad=({"probability": 1.5}, {"scale": 0.5}, {"scale": (0.5, 0.2)}, {"ratio": (0.0, 1.0)}, {"fill": "white"}),
        nothing={"probability": 0.0},
        wide=True,
    ),
    AugmentRow(
        "data.affine",
        lambda: data.affine(30.0, shear=10.0, fill=0.5),
        "PyTorch, SciPy",
        bad=(
            {"degrees": -1.0},
            {"translate": 0.1},
            {"translate": (0.1, 1.5)},
            {"scale": (0.0, 1.0)},
            {"scale": (1.2, 0.8)},
            {"shear": 90.0},
            *_MOVE_BAD,
        ),
        nothing={"degrees": 0.0, "translate": (0.0, 0.0), "scale": (1.0, 1.0), "shear": 0.0},
    ),
    AugmentRow("data.brightness", lambda: data.brightness(0.5, **_RANGE), bad=({"amount": -0.1}, *_RANGE_BAD)),
    AugmentRow(
        "data.color_jitter",
        lambda: data.color_jitter(0.5, 0.5, 0.5, 0.2, **_RANGE),
        bad=({"brightness": -0.1}, {"contrast": None}, {"saturation": "much"}, {"hue": 0.6}, *_RANGE_BAD),
        shape=_COLOURED,
    ),
    AugmentRow("data.contrast", lambda: data.contrast(0.5, **_RANGE), bad=({"amount": -0.1}, *_RANGE_BAD)),
    AugmentRow(
        "data.gaussian_noise",
        lambda: data.gaussian_noise(2.0),
        bad=({"deviation": -0.1}, *_RANGE_BAD[:3]),
        nothing={"deviation": 0.0},
    ),
    AugmentRow("data.horizontal_flip", lambda: data.horizontal_flip(), bad=_FLIP_BAD, nothing={"probability": 0.0}),
    AugmentRow(
        "data.hue",
        lambda: data.hue(0.5, **_RANGE),
        "Python's colorsys",
        bad=({"amount": -0.1}, {"amount": 0.6}, *_RANGE_BAD),
        shape=_COLOURED,
    ),
    AugmentRow(
        "data.pad_and_crop",
        lambda: data.pad_and_crop(2, fill=0.5),
        "numpy.pad",
        bad=({"padding": -1}, {"padding": 1.5}, {"mode": "wrap"}, *_MOVE_BAD),
        nothing={"padding": 0},
    ),
    AugmentRow(
        "data.rand_augment",
        lambda: data.rand_augment(2, 7.0, **_RANGE),
        "Pillow",
        bad=({"operations": 0}, {"operations": 1.5}, {"magnitude": 11.0}, *_RANGE_BAD, *_MOVE_BAD),
        shape=_COLOURED,
    ),
    AugmentRow(
        "data.random_resized_crop",
        lambda: data.random_resized_crop(),
        "PyTorch",
        bad=(
            {"size": 0},
            {"size": (5, 7, 3)},
            {"size": 2.5},
            {"scale": (0.0, 1.0)},
            {"scale": (0.5, 1.5)},
            {"ratio": (2.0, 1.0)},
            {"method": "cubic"},
            {"targets": "mask"},
        ),
        nothing={"scale": (1.0, 1.0), "ratio": (1.4, 1.4)},
    ),
    AugmentRow(
        "data.rotate",
        lambda: data.rotate(90.0, fill=0.5),
        "PyTorch, SciPy",
        bad=({"degrees": -1.0}, {"degrees": "all"}, *_MOVE_BAD),
        nothing={"degrees": 0.0},
    ),
    AugmentRow("data.saturation", lambda: data.saturation(0.5, **_RANGE), bad=({"amount": -0.1}, *_RANGE_BAD)),
    AugmentRow(
        "data.trivial_augment",
        lambda: data.trivial_augment(**_RANGE),
        "Pillow",
        bad=(*_RANGE_BAD, *_MOVE_BAD),
        shape=_COLOURED,
    ),
    AugmentRow("data.vertical_flip", lambda: data.vertical_flip(), bad=_FLIP_BAD, nothing={"probability": 0.0}),
    *sounds_and_texts.AUGMENTS,
]
