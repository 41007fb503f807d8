"""A formula in plain text as HTML: indices below, powers above, Greek letters."""

from __future__ import annotations

import html
import re

from jaxann.teach.steps import unquoted

__all__ = ["as_html"]

_WORDS = {"eta": "&eta;", "beta": "&beta;", "delta": "&delta;"}
_SYMBOL = re.compile(
    r"(?<![\w.])(?P<letter>delta|softmax|eta|beta|[abhlpuvxyzJW]|(?:z[fghinoru]|[cefgikmnoqrstw])(?=\d))(?P<layer>\d*)"
    r"(?:\[(?P<index>[\d,:]+)\])?(?![\w(.:])"
)
_POWER = re.compile(
    r"\^(\((?:[^()]|\([^()]*\))*\)|-?[\w.]+(?:e-?\d+)?(?:\[[\d,]+\])?|-?[\ue000-\uf8ff](?:\[[\d,]+\])?)"
)
_GIVEN = re.compile(r'"(?:[^"\\]|\\.)*"')  # a name that was given, as `steps.quoted` writes it
_FIRST = 0xE000  # of the characters that stand for such names meanwhile: no text has them, they are nobody's


def as_html(text: str) -> str:
    """`dJ/dW1[2,1] = x[2] delta1[1]` with the 2,1 below, the layer (1) above, and delta and d as they are printed.

    A name in double quotes is shown as it was given, nothing in it is a power or an index.
    """
    given: list[str] = []

    def kept(found: re.Match[str]) -> str:
        given.append(f'"{html.escape(unquoted(found.group()))}"')
        return chr(_FIRST + len(given) - 1)

    shown = _typeset(_GIVEN.sub(kept, text))
    return re.sub("[\ue000-\uf8ff]", lambda found: given[ord(found.group()) - _FIRST], shown)


def _typeset(text: str) -> str:
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
    text = re.sub(r"(?<![\w.])-(?=[\d.&<(\ue000-\uf8ff])", "&minus;", text)
    return text.replace(" * ", " &middot; ").replace(" - ", " &minus; ")


def _symbol(found: re.Match[str]) -> str:
    letter, layer, index = found.group("letter"), found.group("layer"), found.group("index")
    shown = _WORDS.get(letter, letter)
    below = ""
    if index:
        indices = index.split(",")
        below = f"<sub>{(',' if any(len(i) > 1 or i == ':' for i in indices) else '').join(indices)}</sub>"
    above = f"<sup>({layer})</sup>" if layer else ""
    return f"<i>{shown}</i>{below}{above}"
