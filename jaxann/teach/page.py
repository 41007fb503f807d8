"""An account as a page that stands alone: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Iterable
from itertools import groupby

from jaxann.teach.diagram import draw_diagram
from jaxann.teach.mathematics import as_html
from jaxann.teach.steps import Block, Net, Section, Step
from jaxann.teach.svg import MOST_LABELS, draw

__all__ = ["page"]

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2933; --quiet: #5b6774; --line: #dfe3e8;
  --card: #f6f7f9; --plus: #2563a8; --minus: #c2410c; --result: #0b4a85; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e4e7eb; --quiet: #9aa5b1; --line: #323b45;
  --card: #1c2229; --plus: #6ba8e5; --minus: #f08c5a; --result: #8cc0f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .25rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: .875rem; font-weight: 600; color: var(--quiet); margin: 1rem 0 .25rem; }
p { margin: .4rem 0; max-width: 46rem; overflow-wrap: anywhere; }
h1, h2, h3 { overflow-wrap: anywhere; }
.about { color: var(--quiet); }
figure { margin: 1.5rem 0; }
figcaption { color: var(--quiet); font-size: .875rem; margin-top: .5rem; max-width: 46rem; }
.step { display: flex; flex-wrap: wrap; column-gap: .5rem; padding: .3rem .7rem; margin: .25rem 0;
  background: var(--card); border-radius: .4rem; font-variant-numeric: tabular-nums; }
.step > * { overflow-wrap: anywhere; }
.step i { font-family: Georgia, "Times New Roman", serif; font-size: 1.08em; }
.step sub + sup { margin-left: -.1em; }
sub, sup { font-size: .72em; line-height: 0; }
.result { color: var(--result); font-weight: 650; }

svg.net { display: block; width: 100%; height: auto; margin: 0 auto; }
svg.upright { display: none; }
svg path.skip { fill: none; stroke: var(--plus); stroke-width: 1.4; } svg line.flow { stroke: var(--quiet); }
svg .small { font-size: 11px; } svg .quiet { fill: var(--quiet); }
svg text { fill: var(--ink); text-anchor: middle; font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  font-variant-numeric: tabular-nums; }
svg .name { font-weight: 650; } svg .index { font-size: 10px; }
svg .heading { fill: var(--quiet); font-size: 12px; } svg .left { text-anchor: start; }
svg .symbol { fill: var(--quiet); }
svg .weight { font-size: 12px; font-weight: 600; } svg .slope { font-size: 12px; fill: var(--minus); }
svg .value.slope { font-size: 13px; }
svg .unit { fill: var(--card); stroke: var(--ink); stroke-width: 1.2; }
svg .patch { fill: var(--paper); }
svg line.plus { stroke: var(--plus); } svg line.minus { stroke: var(--minus); stroke-dasharray: 6 3; }
@media (max-width: 640px) { svg.wide { display: none; } svg.upright { display: block; } h1 { font-size: 1.35rem; }
  .step { display: block; } .step > * { display: block; } .step > * + * { padding-left: 1.2rem; text-indent: -.6rem; } }
@media print { .step { break-inside: avoid; } }
"""

_NOTATION = (
    "<i>z</i> is a weighted sum, <i>a</i> = <i>f</i>(<i>z</i>) what the activation makes of it, <i>J</i> the loss, "
    "<i>&delta;</i> = &part;<i>J</i>/&part;<i>z</i>. <i>W</i><sub>21</sub><sup>(1)</sup> is the weight of layer 1 from "
    "its input 2 to its unit 1, counted from 1; a layer with a single unit has one index."
)


def page(
    title: str, text: Iterable[str], sections: Iterable[Section], net: Net | None, diagram: tuple[Block, ...] = ()
) -> str:
    """The account as HTML, with a drawing of the net, or with its diagram; wide and narrow screens, light and dark."""
    body = "\n".join(_section(section) for section in sections)
    about = "\n".join(f'<p class="about">{html.escape(sentence, quote=False)}</p>' for sentence in text)
    about += f'\n<p class="about">{_NOTATION}</p>'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{html.escape(title, quote=False)}</h1>
{about}
{_figure(net)}{_diagram(diagram)}
{body}
</body>
</html>
"""


def _figure(net: Net | None) -> str:
    if net is None:
        return ""
    labelled = any(0 < len(column.edges) <= MOST_LABELS for column in net.columns)
    labels = "On a line its weight, below it in colour the gradient of J by that weight. " if labelled else ""
    caption = (
        f"{labels}In each box z, a, &delta; = &part;J/&part;z and the bias b. Dashed lines are negative weights, thick "
        "ones are large."
    )
    return (
        f"<figure>\n{draw(net, upright=False)}\n{draw(net, upright=True)}\n"
        f"<figcaption>{caption} {html.escape(net.caption, quote=False)}</figcaption>\n</figure>"
    )


def _diagram(diagram: tuple[Block, ...]) -> str:
    if not diagram:
        return ""
    caption = (
        "The layers from top to bottom, with the shape of what each gives and its first numbers. A line at the side "
        "leads past the layers of a branch to where both are added, or to a layer that reads what stands further up."
    )
    return f"<figure>\n{draw_diagram(diagram)}\n<figcaption>{caption}</figcaption>\n</figure>"


def _section(section: Section) -> str:
    text = "".join(f"<p>{html.escape(sentence, quote=False)}</p>" for sentence in section.text)
    groups = (
        f"<h3>{html.escape(title, quote=False)}</h3>\n" + "\n".join(map(_equation, steps))
        for title, steps in groupby(section.steps, key=lambda step: step.title)
    )
    title = html.escape(section.title, quote=False)
    return f"<section>\n<h2>{title}</h2>\n{text}\n" + "\n".join(groups) + "\n</section>"


def _equation(step: Step) -> str:
    sides = [f"<span>{as_html(step.formula)}</span>"]
    if step.substituted:
        sides.append(f"<span>= {as_html(step.substituted)}</span>")
    sides.append(f'<span>= <span class="result">{as_html(step.result)}</span></span>')
    return f'<div class="step">{"".join(sides)}</div>'
