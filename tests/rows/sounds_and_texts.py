"""Augmentations of sounds and of texts, and tokenizers."""

from __future__ import annotations

from jaxann import data
from tests.rows.kinds import AugmentRow, Row

__all__ = ["AUGMENTS", "TOKENIZERS"]

_SYNONYMS = {word: (word + 10, word + 20) for word in range(1, 10)}
_SYNONYMS_BAD = (
    {"synonyms": None},
    {"synonyms": {}},
    {"synonyms": {1: ()}},
    {"synonyms": {1: (-1,)}},
    {"synonyms": {1: (2.5,)}},
    {"synonyms": {"cat": (1,)}},
)
_SHARE_BAD = ({"alpha": -0.1}, {"alpha": 1.5}, {"alpha": None}, {"padding_id": -1}, {"padding_id": 1.5})
_TARGETS_BAD = ({"targets": "mask"}, {"targets": None})
_TEXT = {"shape": (6, 9), "ids": 10}
_SOUND = {"shape": (6, 30), "wide": True}
AUGMENTS = [
    AugmentRow(
        "data.additive_noise",
        lambda: data.additive_noise((30.0, 40.0)),
        bad=({"snr": "loud"}, {"snr": (20.0, 0.0)}, {"snr": None}),
        shape=(6, 30, 2),
        wide=True,
    ),
    AugmentRow(
        "data.gain",
        lambda: data.gain(),
        bad=({"decibels": (3.0, -3.0)}, {"decibels": (1.0, 2.0, 3.0)}, {"decibels": None}),
        nothing={"decibels": 0.0},
        **_SOUND,
    ),
    AugmentRow(
        "data.random_deletion",
        lambda: data.random_deletion(0.5, padding_id=0),
        bad=({"probability": 1.5}, {"probability": None}, {"padding_id": -1}, *_TARGETS_BAD),
        nothing={"probability": 0.0},
        **_TEXT,
    ),
    AugmentRow(
        "data.random_insertion",
        lambda: data.random_insertion(_SYNONYMS, 0.4, padding_id=0),
        bad=(*_SYNONYMS_BAD, *_SHARE_BAD, *_TARGETS_BAD),
        nothing={"alpha": 0.0},
        **_TEXT,
    ),
    AugmentRow(
        "data.random_swap",
        lambda: data.random_swap(0.6, padding_id=0),
        bad=(*_SHARE_BAD, *_TARGETS_BAD),
        nothing={"alpha": 0.0},
        **_TEXT,
    ),
    AugmentRow(
        "data.random_window",
        lambda: data.random_window(4, targets="keep"),
        bad=({"length": 0}, {"length": 2.5}, *_TARGETS_BAD),
        shape=(6, 12, 3),
        output=(6, 4, 3),
        nothing={"length": 12},
    ),
    AugmentRow(
        "data.spec_augment",
        lambda: data.spec_augment(time_width=5, frequency_width=4, fill=0.5),
        bad=(
            {"time_masks": -1},
            {"frequency_masks": 1.5},
            {"time_width": -1},
            {"frequency_width": 2.5},
            {"time_share": 1.5},
            {"fill": "mean"},
        ),
        shape=(6, 12, 8),
        wide=True,
        nothing={"time_width": 0, "frequency_width": 0},
    ),
    AugmentRow(
        "data.synonym_replacement",
        lambda: data.synonym_replacement(_SYNONYMS, 0.5, padding_id=0),
        bad=(*_SYNONYMS_BAD, *_SHARE_BAD),
        nothing={"alpha": 0.0},
        **_TEXT,
    ),
    AugmentRow(
        "data.time_shift",
        lambda: data.time_shift(0.5),
        bad=({"fraction": 1.5}, {"fraction": None}, {"wrap": 1}, {"target_fill": None}, *_TARGETS_BAD),
        nothing={"fraction": 0.0},
        **_SOUND,
    ),
    AugmentRow(
        "data.time_stretch",
        lambda: data.time_stretch((0.5, 2.0)),
        "numpy.interp",
        bad=({"rate": 0.0}, {"rate": -1.0}, {"rate": (2.0, 0.5)}, {"rate": None}),
        nothing={"rate": 1.0},
        **_SOUND,
    ),
]
_SPECIAL_BAD = (
    {"special_tokens": "pad"},
    {"special_tokens": ("pad", "pad")},
    {"special_tokens": ("<pad>",)},
    {"special_tokens": (0,)},
)
_TEXTS = ["the cat sat on the mat", "the dog sat on the log", "a naïve café, 日本"]
TOKENIZERS = [
    Row(
        "data.byte_tokenizer",
        lambda: data.byte_tokenizer(special_tokens=("pad", "eos")),
        "Python's UTF-8",
        bad=(*_SPECIAL_BAD, {"errors": "drop"}),
    ),
    Row(
        "data.char_tokenizer",
        lambda: data.char_tokenizer("".join(_TEXTS), special_tokens=("unk",)),
        "Python's text",
        bad=(*_SPECIAL_BAD, {"alphabet": ""}, {"alphabet": 5}),
    ),
    Row(
        "data.subword_tokenizer",
        lambda: data.train_bpe_tokenizer(_TEXTS, 270, special_tokens=("pad", "eos")),
        "tokenizers",
        bad=({"definition": "{"}, {"definition": "nowhere.json"}, {"definition": 5}, {"special_tokens": "pad"}),
    ),
]
