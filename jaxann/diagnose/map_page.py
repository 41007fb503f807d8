"""The page of the map: it stands alone, no script, font, style or picture from elsewhere.

What is shown lies in it as JSON; the script draws it. Without the script the table has the last figures.
"""

from __future__ import annotations

import html
import json
from typing import Any

from jaxann.diagnose.map_script import SCRIPT
from jaxann.diagnose.map_script_panel import PANEL
from jaxann.diagnose.map_style import STYLE

__all__ = ["SYMBOLS", "as_json", "page"]

SYMBOLS = ("\u2713", "\u25d0", "\u25b2", "\u2715", "\u2013")  # of the levels of health, for those who see no colours


def as_json(content: Any) -> str:
    """JSON that can stand in a script element: no name in it ends the element or begins a comment."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def page(content: dict[str, Any]) -> str:
    """The content as a page, for wide and narrow screens, light and dark."""
    title, boxes = _text(content["title"]), content["boxes"]
    parameters = sum(box["parameters"] for box in boxes)
    layers = len(boxes) - 2
    about = (
        f"{layers:,} layers, {parameters:,} parameters. Figures of layers are of {content['rows']:,} rows as in "
        f"training, steps those of {content['optimizer']} at its first step for the parameters that were given."
    )
    legend = "".join(_mark(content, level, "li") for level in range(len(SYMBOLS)))
    missing = "".join(f"<li>{_text(one)}</li>" for one in content["missing"])
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="quiet">{_text(about)}</p>
</header>
<main>
<noscript><p>Without its script this page shows the table alone.</p></noscript>
<form class="controls" hidden aria-label="What is shown">
{_slider(content)}
<div class="control"><label for="example">Example</label>
<select id="example"><option value="">none</option>{_options(content)}</select></div>
<div class="control"><button type="button" id="all" class="plain">Open all blocks</button></div>
</form>
<p id="state" class="state" role="status"></p>
<ul class="legend" aria-label="Health of a layer">{legend}</ul>
<p class="quiet keys">Solid lines: the way forward. Dashed lines: the gradient on its way back.
Arrow keys move from layer to layer, Enter opens one, Escape closes it.</p>
<div class="columns">
<div class="scroll" id="map" role="region" aria-label="Map of the net, from the input to the loss" hidden></div>
<section id="panel" class="panel empty" aria-label="About a layer" hidden></section>
</div>
<section aria-labelledby="tabletitle">
<h2 id="tabletitle">The same as a table</h2>
<div class="scroll" role="region" aria-label="Table of the layers" tabindex="0">{_table(content)}</div>
</section>
<section aria-labelledby="missing">
<h2 id="missing">What is not shown</h2>
<ul class="quiet">{missing}</ul>
</section>
</main>
<script type="application/json" id="content">{as_json({**content, "symbols": SYMBOLS})}</script>
<script>{SCRIPT}{PANEL}</script>
</body>
</html>
"""


def _text(text: Any) -> str:
    return html.escape(str(text))


def _mark(content: dict[str, Any], level: int, tag: str) -> str:
    return (
        f'<{tag} class="health h{level}"><span aria-hidden="true">{SYMBOLS[level]}</span> '
        f"{_text(content['levels'][level])}</{tag}>"
    )


def _slider(content: dict[str, Any]) -> str:
    last = len(content["epochs"]) - 1
    if last == 0:
        return ""
    return (
        '<div class="control grow"><label for="epoch">Epoch</label>'
        f'<input type="range" id="epoch" min="0" max="{last}" value="{last}" step="1"></div>'
    )


def _options(content: dict[str, Any]) -> str:
    found = []
    for row, one in enumerate(content["examples"]):
        target = "" if one["target"] is None else f", target {one['target']}"
        found.append(f'<option value="{row}">row {row}{_text(target)}, loss {_text(one["loss"])}</option>')
    return "".join(found)


def _table(content: dict[str, Any]) -> str:
    """Every box as a row: what it is, its health, and its figures in the last position."""
    last = content["epochs"][-1]
    heads = ["layer", "kind", "output", "parameters", "health", *content["figures"], "made of"]
    head = "".join(f'<th scope="col">{_text(one)}</th>' for one in heads)
    sources: dict[int, list[str]] = {}
    for source, target in content["edges"]:
        sources.setdefault(target, []).append(content["boxes"][source]["name"])
    body = []
    for at, box in enumerate(content["boxes"]):
        figures = last["figures"][at] if at < len(last["figures"]) else [None] * len(content["figures"])
        if box["name"] == "(loss)":
            figures = [last["norm"], *figures[1:]]
        cells = [box["kind"], box["shape"], f"{box['parameters']:,}" if box["parameters"] else "", _health(content, at)]
        cells += ["" if figure is None else figure for figure in figures]
        cells.append(", ".join(sources.get(at, [])))
        row = "".join(f"<td>{_text(cell)}</td>" for cell in cells)
        body.append(f'<tr><th scope="row">{_text(box["name"])}</th>{row}</tr>')
    caption = "Each layer in the order of the computation. The loss has the gradient of all parameters."
    return (
        f'<table id="table"><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _health(content: dict[str, Any], at: int) -> str:
    level, *reasons = content["epochs"][-1]["health"][at]
    words = ", ".join(content["reasons"][name][0] for name in reasons)
    return content["levels"][level] + (f": {words}" if words else "")
