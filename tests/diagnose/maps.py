"""Small nets of every kind with their maps, and how a page is read."""

from __future__ import annotations

import functools
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np

import jaxann as ja
from tests.teach.nets import filled

__all__ = ["KINDS", "Reader", "content_of_page", "drawn", "net", "read"]

_EMPTY = {"meta", "br", "img", "link", "hr", "input"}
KINDS = ("mlp", "cnn", "recurrent", "gpt", "repeat")


class Reader(HTMLParser):
    """Tags, attributes and text of a page whose elements are nested well."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        """Note it."""
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        """It ends what was opened last."""
        if tag not in _EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        """Note it, but for scripts and styles."""
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)


def read(page: str) -> Reader:
    """A page that is well formed."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def content_of_page(page: str) -> dict[str, Any]:
    """What a page shows, as its script reads it."""
    (found,) = re.findall(r'<script type="application/json" id="content">(.*?)</script>', page, re.DOTALL)
    return json.loads(found)


@functools.cache
def net(kind: str) -> tuple[Any, Any, Any, np.ndarray, np.ndarray]:
    """A recipe, parameters, state and a few rows."""
    draw = np.random.default_rng(0)
    ids = draw.integers(0, 5, (4, 3)).astype(np.int32)
    x, y = draw.normal(size=(4, 3)).astype(np.float32), draw.integers(0, 2, 4).astype(np.int32)
    layers = ja.layers
    if kind == "mlp":
        model = ja.models.mlp((5, 2), activation="relu", dropout=0.2)
    elif kind == "cnn":
        model, x = ja.models.resnet((1, 1), 2, stem="cifar", width=2), draw.normal(size=(4, 4, 4, 1)).astype(np.float32)
    elif kind == "recurrent":
        model = ja.models.recurrent_classifier(2, units=3)
        x = draw.normal(size=(4, 3, 2)).astype(np.float32)
    elif kind == "gpt":
        model, x, y = ja.models.gpt(5, features=4, heads=2, blocks=2, context=4), ids, ids[:, ::-1].copy()
    elif kind == "vision":
        model = ja.models.vision_transformer(2, image_size=4, patch=2, features=4, heads=2, blocks=2)
        x = draw.normal(size=(4, 4, 4, 1)).astype(np.float32)
    else:
        inner = layers.sequential({"dense": layers.dense(3), "act": layers.elementwise("tanh")})
        blocks = layers.repeat(layers.residual(inner), 3)
        model = layers.sequential({"first": layers.dense(3), "blocks": blocks, "out": layers.dense(2)})
    params, state = filled(model, x, np.float32)
    recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.sgd(0.01), batch_size=4)
    return recipe, params, state, x, y


@functools.cache
def drawn(kind: str) -> str:
    """The page of that net."""
    recipe, params, state, x, y = net(kind)
    return ja.diagnose.live_map(recipe, params, (x, y), state=state, examples=3).html
