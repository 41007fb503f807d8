"""The page: it stands alone, is well formed, shows the same numbers, and draws the net twice."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

import jaxann as ja
from jaxann.teach import example, explain
from jaxann.teach.mathematics import as_html
from jaxann.teach.steps import number, operand, quoted, unquoted, vector
from jaxann.teach.text import lines
from tests.teach.nets import filled, recipe, wide_net

_EMPTY = {"meta", "br", "img", "link", "hr", "rect", "line"}


class _Nesting(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in _EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def account():
    return explain(*example())


def _read(page: str) -> _Nesting:
    reader = _Nesting()
    reader.feed(page)
    assert not reader.open
    return reader


def test_page_stands_alone_and_is_well_formed(account):
    page = account.html()
    reader = _read(page)
    assert not re.search(r"https?:|//|src=|href=|@import|url\(", page)
    assert not reader.tags & {"script", "link", "img", "iframe", "object"}
    assert page.startswith("<!DOCTYPE html>") and "prefers-color-scheme: dark" in page and "width=device-width" in page


def test_page_has_every_result_of_the_account(account):
    text = "".join(_read(account.html()).text).replace("\u2212", "-")
    for section in account.sections:
        assert section.title in text
        for step in section.steps:
            assert step.result in text


@pytest.mark.parametrize("kind", ["wide", "upright"])
def test_drawing_has_weights_gradients_and_units(account, kind: str):
    drawings = re.findall(r"<svg.*?</svg>", account.html(), re.S)
    assert len(drawings) == 2
    (drawing,) = (ElementTree.fromstring(d) for d in drawings if f'class="net {kind}"' in d)
    lines = [e for e in drawing.iter() if e.tag.endswith("line")]
    texts = ["".join(e.itertext()).replace("\u2212", "-") for e in drawing.iter() if e.tag.endswith("text")]
    assert len(lines) == 6
    for shown in (
        "0.2",
        "0.7",
        "0.6",
        "-0.002941",
        "-0.03587",
        "z = 0.52",
        "a = 0.7391",
        "\u03b4 = -0.0503",
        "b = 0.3",
    ):
        assert shown in texts, shown
    _, _, width, height = map(float, drawing.attrib["viewBox"].split())
    for e in drawing.iter():
        if "x" in e.attrib:
            assert 0 <= float(e.attrib["x"]) <= width and 0 <= float(e.attrib["y"]) <= height


def test_labels_of_a_drawing_do_not_lie_on_each_other(account):
    for drawing in re.findall(r"<svg.*?</svg>", account.html(), re.S):
        patches = [
            e.attrib for e in ElementTree.fromstring(drawing).iter() if e.attrib.get("class") in ("patch", "unit")
        ]
        boxes = [[float(p[k]) for k in ("x", "y", "width", "height")] for p in patches if float(p["height"]) > 20]
        for i, (x, y, w, h) in enumerate(boxes):
            for x2, y2, w2, h2 in boxes[:i]:
                assert x >= x2 + w2 - 1 or x2 >= x + w - 1 or y >= y2 + h2 - 1 or y2 >= y + h - 1


def test_page_escapes_names_and_cuts_wide_drawings():
    model, params = wide_net(2, 40, 2)
    page = explain(recipe(model, ja.losses.squared_error), params, np.ones(2), np.zeros(2), names=("<b>&", "y")).html()
    _read(page)
    assert "<b>" not in page and "... 37 more" in page and "dense0, act0: 3 of 40" in page


_EVIL = ('"><img src=q onerror=alert(2)>', "&'", '<i>x" onload="alert(1)', "x^2", "area [m2]", "a * b = c", "a", "x")
_ATTRIBUTES = """class style lang charset name content viewbox role aria-label x y width height rx x1 y1 x2 y2
    stroke-width dy""".split()


@pytest.fixture(scope="module")
def evil():
    """The account of a net whose layers and inputs have hostile and misleading names."""
    layers = ja.layers
    kinds = (
        *(layers.dense(2), layers.elementwise("tanh"), layers.dense(2), layers.prelu(), layers.elementwise("sigmoid")),
        *(layers.elementwise("softmax"), layers.dense(1), layers.elementwise("tanh")),
    )
    model = layers.sequential(dict(zip(_EVIL, kinds, strict=True)))
    params, state = filled(model, np.zeros((1, 4)), np.float32)
    return explain(
        recipe(model, ja.losses.squared_error), params, np.ones(4), np.zeros(1), state=state, names=_EVIL[:4]
    )


def test_no_name_leaves_its_place(evil):
    for page in (evil.html(), evil._replace(net=None).html()):
        reader = _read(page)
        assert not reader.tags & {"img", "script"} and reader.attributes <= set(_ATTRIBUTES)
        text = "".join(reader.text)
        for name in _EVIL:
            assert name in text, name
    branches = ja.layers.sequential({_EVIL[0]: ja.layers.residual(ja.layers.dense(4)), _EVIL[2]: ja.layers.dense(1)})
    params, _ = filled(branches, np.zeros((1, 4)), np.float32)
    forked = explain(recipe(branches, ja.losses.squared_error), params, np.ones(4), np.zeros(1)).html()
    reader = _read(forked)
    assert not reader.tags & {"img", "script"} and reader.attributes <= {*_ATTRIBUTES, "d"}
    (label,) = (ElementTree.fromstring(d).attrib["aria-label"] for d in re.findall(r"<svg.*?</svg>", forked, re.S))
    assert _EVIL[0] in label and _EVIL[2] in label
    labels = [
        ElementTree.fromstring(drawing).attrib["aria-label"]
        for drawing in re.findall(r"<svg.*?</svg>", evil.html(), re.S)
    ]
    assert len(labels) == 2 and all(_EVIL[0] in label and _EVIL[1] in label for label in labels)


def test_names_that_were_given_are_shown_as_they_are():
    names = ("x^2", "area [m2]", "a", "x1", "income")
    model, params = wide_net(5, 2, 1)
    five = explain(recipe(model, ja.losses.squared_error), params, np.ones(5), np.zeros(1), names=names)
    assert "income W1" not in five.html()  # only the first two of five terms are written out
    assert five.net is not None and [unit.name for unit in five.net.columns[0].units] == ['"x^2"', '"area [m2]"', '"a"']
    drawn = re.findall(r'<text class="name"[^>]*>([^<]*)<', five.html())
    assert drawn[:3] == ["x^2", "area [m2]", "a"]

    assert as_html('"x^2" W1[1,1] + "a" W1[2,1]') == (
        "&quot;x^2&quot; <i>W</i><sub>11</sub><sup>(1)</sup> + &quot;a&quot; <i>W</i><sub>21</sub><sup>(1)</sup>"
    ).replace("&quot;", '"')
    assert as_html('e^"x - y"[2] + e^-"a"') == 'e<sup>"x - y"[2]</sup> + e<sup>&minus;"a"</sup>'
    assert as_html(f"dJ/d{quoted(_EVIL[0])}") == ('&part;<i>J</i>/&part;"&quot;&gt;&lt;img src=q onerror=alert(2)&gt;"')


def test_names_that_read_as_part_of_a_formula_are_quoted():
    for name in ("age", "income", "act0", "block0.body.dense0", "sepal_length", "\u00e4ra"):
        assert quoted(name) == name
    for name in (
        "x",
        "a",
        "z1",
        "J",
        "e",
        "delta2",
        "eta",
        "ln",
        "x^2",
        "area [m2]",
        "petal-length",
        "a b",
        "2",
        "1e5",
        "nan",
        "",
    ):
        assert quoted(name) == f'"{name}"' and unquoted(quoted(name)) == name
    for name in _EVIL + ("line\nbreak", "back\\slash", "\ue000\ue001"):
        assert unquoted(quoted(name)) == name and "\n" not in quoted(name)
    assert as_html('"\ue001" + "b"') == '"\ue001" + "b"'


def test_a_layer_with_the_name_of_a_symbol_is_no_symbol():
    model = ja.layers.sequential({"x": ja.layers.prelu(), "z1": ja.layers.dense(1)})
    params, _ = filled(model, np.zeros((1, 2)), np.float32)
    account = explain(
        recipe(model, ja.losses.squared_error), params, np.ones(2), np.zeros(1), names=("first", "second")
    )
    text = str(account)
    assert '  "x" = ' in text and 'x -> "x" (prelu) -> "z1" (2 to 1)' in text
    assert 'z1 = "x"[1] W1[1] + "x"[2] W1[2]' in text and "first" not in text
    assert 'dJ/d"x"[1] = W1[1] delta1' in text  # the layer is no input: its gradient is handed down
    assert "<i>x</i>[1]" not in account.html() and '"x"[1]' in account.html()


@pytest.mark.parametrize("digits", [6, 17])
def test_lines_are_as_wide_as_they_may_be(digits: int, evil):
    model, params = wide_net(4, 40, 3)
    names = ("x^2", "area [m2] = (big + " + "long " * 12, "q" * 50, "a")
    wide = explain(recipe(model, ja.losses.squared_error), params, np.ones(4), np.zeros(3), names=names, digits=digits)
    for account in (explain(*example(), digits=digits), wide, evil):
        for width in (40, 57, 80):
            shown = [line.text + line.result for line in lines(account.title, account.text, account.sections, width)]
            assert max(map(len, shown)) <= width
            whole = "".join("".join(shown).split())
            for section in account.sections:
                assert "".join(section.title.split()) in whole
                for step in section.steps:
                    assert "".join(step.result.split()) in whole


def test_formulas_as_html():
    assert as_html("dJ/dW1[2,1] = x[2] delta1[1]") == (
        "&part;<i>J</i>/&part;<i>W</i><sub>21</sub><sup>(1)</sup> = "
        "<i>x</i><sub>2</sub> <i>&delta;</i><sub>1</sub><sup>(1)</sup>"
    )
    assert as_html("1/(1 + e^-0.52)") == "1/(1 + e<sup>&minus;0.52</sup>)"
    assert as_html("(1 - (-0.5)^2) * 3") == "(1 &minus; (&minus;0.5)<sup>2</sup>) &middot; 3"
    assert as_html("e^(-beta z1[1])") == "e<sup>&minus;<i>&beta;</i> <i>z</i><sub>1</sub><sup>(1)</sup></sup>"
    assert as_html("act0 <- relu") == "act0 &larr; relu"


def test_letters_of_recurrence_and_attention_as_html():
    assert as_html("zi1[3,1] = q2[3,:]") == (
        "<i>zi</i><sub>31</sub><sup>(1)</sup> = <i>q</i><sub>3,:</sub><sup>(2)</sup>"
    )
    assert as_html("e^-zi1[3,1]") == "e<sup>&minus;<i>zi</i><sub>31</sub><sup>(1)</sup></sup>"
    assert as_html("e^(s1[3,2] - m1[3])") == (
        "e<sup><i>s</i><sub>32</sub><sup>(1)</sup> &minus; <i>m</i><sub>3</sub><sup>(1)</sup></sup>"
    )
    assert as_html("dJ/dc1[12,1]/sqrt(v1 + 1e-05)") == (
        "&part;<i>J</i>/&part;<i>c</i><sub>12,1</sub><sup>(1)</sup>/sqrt(<i>v</i><sup>(1)</sup> + 1e-05)"
    )
    assert quoted("zi1") == '"zi1"' and quoted("q2") == '"q2"' and quoted("zip") == "zip"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Of nets with sequences: plain chains, which are drawn, and one with branches and repeated blocks."""
    ids = np.array([[1, 0, 3, 1]])
    model = ja.models.gpt(5, features=4, heads=2, blocks=3, context=8)
    params, state = filled(model, ids)
    deep = recipe(model, ja.losses.softmax_cross_entropy)
    accounts = {name: explain(*example(name)) for name in ("lstm", "attention")}
    accounts["gpt"] = explain(deep, params, ids, ids[:, ::-1], state=state)
    return {name: account.html() for name, account in accounts.items()}


_FONTS = {"small": 11, "heading": 12, "weight": 12, "slope": 12}


@pytest.mark.parametrize("name", ["lstm", "attention", "gpt"])
def test_drawings_of_sequences_fit_screens_of_any_width(name: str, pages):
    drawings = [ElementTree.fromstring(d) for d in re.findall(r"<svg.*?</svg>", pages[name], re.S)]
    assert [d.attrib["class"] for d in drawings] == (["net diagram"] if name == "gpt" else ["net wide", "net upright"])
    for drawing in drawings:
        _, _, width, height = map(float, drawing.attrib["viewBox"].split())
        assert width <= (380 if "wide" not in drawing.attrib["class"] else 1400)
        boxes = [e.attrib for e in drawing.iter() if e.attrib.get("class") == "unit"]
        for e in drawing.iter():
            if "x" in e.attrib:
                assert 0 <= float(e.attrib["x"]) <= width and 0 <= float(e.attrib["y"]) <= height
            if e.tag.endswith("text"):
                size = min([_FONTS[k] for k in e.attrib["class"].split() if k in _FONTS] or [13])
                half, x, y = 0.5 * 0.58 * size * len("".join(e.itertext())), *(float(e.attrib[k]) for k in "xy")
                left = x if "left" in e.attrib["class"] else x - half
                assert left >= 0 and left + 2 * half <= width
                for box in boxes:  # what stands in a box does not stand out of it
                    if float(box["y"]) < y < float(box["y"]) + float(box["height"]):
                        inside = float(box["x"]) <= x <= float(box["x"]) + float(box["width"])
                        assert not inside or "weight" in e.attrib["class"] or half <= float(box["width"]) / 2 + 4
    assert "h1, h2, h3 { overflow-wrap: anywhere; }" in pages[name]  # titles hold long names of layers
    _read(pages[name])


def test_the_diagram_shows_branches_and_repeated_blocks(pages):
    (drawing,) = re.findall(r"<svg.*?</svg>", pages["gpt"], re.S)
    texts = re.findall(r"<text[^>]*>(.*?)</text>", drawing)
    assert "multi_head_attention, 4 x 4" in texts and "2 more blocks like that above, 4 x 4" in texts
    assert len(re.findall(r'<rect class="unit"', drawing)) == 16 and drawing.count('<path class="skip"') == 2
    assert drawing.count('<line class="flow"') == 15
    assert sum(text.startswith("blocks.block.1") for text in texts) == 0
    assert "Backward: blocks.block.2.attend.body.attention (multi_head_attention)" in pages["gpt"]


def test_numbers_as_text():
    assert [number(v, 6) for v in (0.52, -0.0, 1e-9, 123456789.0, float("nan"))] == [
        "0.52",
        "0",
        "1e-09",
        "1.23457e+08",
        "nan",
    ]
    assert operand(-0.5, 3) == "(-0.5)" and operand(0.5, 3) == "0.5"
    assert vector(np.arange(3.0), 3) == "(0, 1, 2)" and vector(np.arange(2000.0), 3) == "(0, 1, ... 1,998 more)"
    assert vector(np.float64(2.0), 3) == "2"
