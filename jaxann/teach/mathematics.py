"""A formula in plain text as HTML: indices below, powers above, Greek letters."""

from __future__ import annotations

import html
import re

__all__ = ["as_html"]

_WORDS = {"eta": "&eta;", "beta": "&beta;", "delta": "&delta;"}
_SYMBOL = re.compile(
    r"(?<![\w.])(?P<letter>delta|softmax|eta|beta|[abhlpuvxyzJW])(?P<layer>\d*)(?:\[(?P<index>[\d,]+)\])?(?![\w(.:])"
)
_POWER = re.compile(r"\^(\((?:[^()]|\([^()]*\))*\)|-?[\w.]+(?:e-?\d+)?(?:\[[\d,]+\])?)")


def as_html(text: str) -> str:
    """`dJ/dW1[2,1] = x[2] delta1[1]` with the 2,1 below, the layer (1) above, and delta and d as they are printed."""
    pieces, end = [], 0
    for found in _POWER.finditer(text):
        power = found.group(1)
        inner = power[1:-1] if power.startswith("(") and not power.startswith("((") else power
        pieces += [_flat(text[end : found.start()]), f"<sup>{_flat(inner)}</sup>"]
        end = found.end()
    return "".join([*pieces, _flat(text[end:])])


def _flat(text: str) -> str:
    text = html.escape(text, quote=False).replace("dJ/d", "&part;J/&part;").replace("&lt;-", "&larr;")
    text = _SYMBOL.sub(_symbol, text)
    text = re.sub(r"(?<![\w.])-(?=[\d.&<(])", "&minus;", text)
    return text.replace(" * ", " &middot; ").replace(" - ", " &minus; ")


def _symbol(found: re.Match[str]) -> str:
    letter, layer, index = found.group("letter"), found.group("layer"), found.group("index")
    shown = _WORDS.get(letter, letter)
    below = ""
    if index:
        parts = index.split(",")
        below = f"<sub>{(',' if any(len(p) > 1 for p in parts) else '').join(parts)}</sub>"
    above = f"<sup>({layer})</sup>" if layer else ""
    return f"<i>{shown}</i>{below}{above}"
