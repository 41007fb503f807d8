"""What the map says: health by its limits, groups of boxes, texts of every kind, and a page of moderate size."""

from __future__ import annotations

import re

import numpy as np
import pytest

import jaxann as ja
from jaxann.diagnose.map_content import FIGURES, rounded
from jaxann.diagnose.map_epochs import epochs_of, probed
from jaxann.diagnose.map_groups import groups_of
from jaxann.diagnose.map_health import LEVELS, REASONS, health_of, loss_health
from jaxann.diagnose.map_page import SYMBOLS, page
from jaxann.diagnose.map_texts import FAMILIES, KINDS, text_of
from jaxann.teach.layers import formula_of
from jaxann.train.probing import BY_LAYER
from jaxann.train.taps import Place

_FINE = {"gradient_norm": 1.0, "update_ratio": 1e-3, "std": 1.0, "dead": 0.0, "saturated": 0.0, "nonfinite": 0.0}


def _table(*layers: dict[str, float]) -> np.ndarray:
    """Figures of layers, healthy but for what is given."""
    names = [name.removeprefix("layer_") for name in BY_LAYER]
    return np.array([[{**_FINE, **layer}.get(name, np.nan) for name in names] for layer in layers])


@pytest.mark.parametrize(
    ("name", "value", "level", "reason"),
    [
        ("update_ratio", 9e-6, "warning", "stalled"),
        ("update_ratio", 0.2, "warning", "unstable"),
        ("update_ratio", 0.0, "watch", "still"),
        ("std", 9e-3, "warning", "collapsed"),
        ("std", 101.0, "warning", "blow_up"),
        ("std", 0.2, "watch", "far_std"),
        ("dead", 0.09, "healthy", None),
        ("dead", 0.11, "warning", "dead"),
        ("dead", 0.51, "severe", "dead"),
        ("saturated", 0.24, "healthy", None),
        ("saturated", 0.3, "watch", "some_saturated"),
        ("saturated", 0.51, "warning", "saturated"),
        ("nonfinite", 0.01, "severe", "nonfinite"),
        ("gradient_norm", np.inf, "severe", "nonfinite"),
    ],
)
def test_a_layer_is_judged_by_the_limits(name: str, value: float, level: str, reason: str | None):
    found = health_of([3, 3], _table({name: value}, {}))[0]
    assert LEVELS[found.level] == level and found.reasons == (() if reason is None else (reason,))


def test_a_gradient_is_judged_on_its_way_down():
    norms = (5e-4, 5e-3, 1.0)
    vanishing = health_of([3, 3, 3], _table(*({"gradient_norm": norm} for norm in norms)))
    assert [one.reasons for one in vanishing] == [("vanishing",), ("far_gradient",), ()]
    exploding = health_of([3, 3, 3], _table(*({"gradient_norm": 1 / norm} for norm in norms)))
    assert [one.reasons for one in exploding] == [("exploding",), ("far_gradient",), ()]
    dip = health_of([3, 3, 3], _table({}, {"gradient_norm": 5e-4}, {}))  # the first layer has its gradient
    assert [one.reasons for one in dip] == [(), ("far_gradient",), ()]


def test_what_was_not_measured_is_not_healthy():
    unknown = np.full((1, len(BY_LAYER)), np.nan)
    assert LEVELS[health_of([0], unknown)[0].level] == "not measured"


def test_the_loss_and_jumps_of_the_gradient_are_judged():
    assert loss_health(0.5, 1.0, [1.0, 2.0]).level == 0
    assert loss_health(np.nan, 1.0, []).reasons == ("wrong_loss",)
    assert loss_health(0.5, 2e3, [1.0, np.nan, 1.0]).reasons == ("jump",)


def test_every_level_has_a_symbol_and_every_reason_words():
    assert len(SYMBOLS) == len(LEVELS) == len(set(SYMBOLS))
    assert all(len(text) == 2 and text[1].endswith(".") for text in REASONS.values())


def test_boxes_are_grouped_by_block():
    blocks = [f"blocks.block[{i}].{name}" for i in range(2) for name in ("norm", *(f"feed.dense{j}" for j in range(7)))]
    names = ["embed", *blocks, "head"]
    assert groups_of(names) == ["", *["blocks.block[0]"] * 8, *["blocks.block[1]"] * 8, ""]
    assert groups_of(["block0.body.dense", "block0.body.act", "block0", "out"]) == ["block0"] * 3 + [""]
    flat = [f"dense{i}" for i in range(40)]
    groups = groups_of(flat)
    assert groups[0] == "dense0 to dense9" and groups[-1] == "dense30 to dense39" and len(set(groups)) == 4
    assert groups_of(flat[:20]) == [""] * 20


# Layers that run others and add nothing of their own, and functions that are no layers.
_WITHOUT = frozenset(
    "as_layer branch contractive_encode_decode custom encode_decode encode_sample_decode encoder_decoder "
    "fit_preprocessing layer_outputs remat repeat repeat_members sequential".split()
)


def test_every_layer_has_a_text():
    assert set(ja.layers.__all__) - set(KINDS) == _WITHOUT
    assert not {kind for kind in KINDS if not kind.startswith("(")} - set(ja.layers.__all__)
    assert {text.family for text in KINDS.values()} | {"other"} == set(FAMILIES)
    for layer in (ja.layers.dense(1), ja.layers.max_pool(2), ja.layers.flatten()):  # as an account has them
        assert formula_of(layer).text(layer, True) == text_of(layer._factory.short_name).formula
    rows = {row.number for row in ja.teach.errata("all")}
    cited = {number for texts in FAMILIES.values() for text in texts for number in re.findall(r"E\d+", text)}
    assert cited and not cited - rows
    assert text_of("elementwise (tanh)").formula == "tanh(u)" and text_of("elementwise (mine)").formula == "mine(u)"
    assert text_of("mine").family == "other"


def _last(history: dict[str, np.ndarray]) -> np.ndarray:
    """The figures of the last epoch."""
    return np.stack([history[name][-1] for name in BY_LAYER], 1)


def test_a_deep_net_and_a_long_run_make_a_page_of_moderate_size():
    places = [Place(f"block{i // 5}.layer{i}", (), "dense", (32, 128), 1000) for i in range(50)]
    draw = np.random.default_rng(0)
    history = {name: draw.normal(size=(400, 50)) for name in BY_LAYER}
    history |= {"loss": draw.normal(size=400), "probe_loss": draw.normal(size=400)}
    found = epochs_of(places, _last(history), 0.0, probed(places, history))
    assert found.thinned == 400 - (len(found.positions) - 1) > 0 and found.positions[-2].number == 400
    boxes = [
        {"name": place.name, "kind": "dense", "shape": "batch x 128", "parameters": 1000}
        | {"group": "", "family": "dense", "formula": "u W + b"}
        for place in places
    ]
    epochs = [
        {"number": one.number, "losses": [], "norm": rounded(one.norm)}
        | {"figures": [[rounded(value) for value in row[:8]] for row in one.by_layer]}
        | {"health": [[health.level, *health.reasons] for health in one.health]}
        for one in found.positions
    ]
    content = {"title": "a net", "optimizer": "sgd", "rows": 32, "boxes": [*boxes, boxes[0]], "epochs": epochs}
    content |= {"edges": [[i, i + 1] for i in range(50)], "histograms": [[0, 1, [100] * 16]] * 51, "examples": []}
    content |= {"levels": LEVELS, "reasons": REASONS, "pitfalls": FAMILIES, "figures": list(FIGURES.values())}
    content |= {"missing": []}
    assert len(page(content)) < 1e6
