"""How the page of the map looks."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2933; --quiet: #52606d; --line: #cbd2d9;
  --card: #f6f7f9; --forward: #2563a8; --back: #b3400b; --focus: #0b4a85; --bar: #7b8794;
  --h0: #17703a; --h1: #7a5b00; --h2: #a8430c; --h3: #b3123c; --h4: #52606d; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e4e7eb; --quiet: #a5b0bb; --line: #3e4852;
  --card: #1c2229; --forward: #6ba8e5; --back: #f08c5a; --focus: #8cc0f5; --bar: #7b8794;
  --h0: #6fce93; --h1: #e2bf55; --h2: #f59e62; --h3: #ff8fa8; --h4: #a5b0bb; } }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { scroll-padding: 4.5rem 0 1rem; }
body { margin: 0 auto; max-width: 76rem; padding: 1.25rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
h3 { font-size: .9rem; margin: 1rem 0 .25rem; color: var(--quiet); }
p { margin: .4rem 0; max-width: 50rem; overflow-wrap: anywhere; }
.quiet, .keys { color: var(--quiet); } .keys { font-size: .875rem; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }

.controls { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: end; margin: 1rem 0 .25rem; }
.control { display: flex; flex-direction: column; gap: .2rem; min-width: 0; }
.control.grow { flex: 1 1 16rem; } .control label { font-size: .875rem; font-weight: 600; }
input[type=range] { width: 100%; height: 1.9rem; margin: 0; accent-color: var(--focus); }
select, .plain { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--bar);
  border-radius: .4rem; padding: .3rem .6rem; max-width: 100%; min-height: 2.1rem; }
.plain { cursor: pointer; }
.state { position: sticky; top: 0; z-index: 3; background: var(--paper); padding: .5rem 0; margin: 0; max-width: none;
  font-weight: 600; font-variant-numeric: tabular-nums; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; padding: 0; margin: .25rem 0; }
.health { font-weight: 600; font-size: .875rem; }
.h0 { color: var(--h0); } .h1 { color: var(--h1); } .h2 { color: var(--h2); } .h3 { color: var(--h3); }
.h4 { color: var(--h4); }

.columns { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 25rem); gap: 1.5rem; align-items: start; }
.scroll { overflow-x: auto; max-width: 100%; }
#map { padding: 4px; }
.canvas { position: relative; min-width: 17rem; padding-right: 1.5rem; }
.canvas > svg { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; overflow: visible; }
.canvas ol { list-style: none; margin: 0; padding: 0; position: relative; }
.canvas li { margin: 0 0 26px; }
.canvas li.block > ol { margin-top: 26px; } .canvas li.block > ol > li:last-child { margin-bottom: 0; }
.box { display: block; width: 100%; text-align: left; font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-left: .4rem solid var(--level); border-radius: .5rem; padding: .4rem .6rem;
  cursor: pointer; }
.box:hover, .box[aria-current=true] { border-color: var(--focus); border-left-color: var(--level); }
.box[aria-current=true] { box-shadow: 0 0 0 1px var(--focus); }
.l0 { --level: var(--h0); } .l1 { --level: var(--h1); } .l2 { --level: var(--h2); } .l3 { --level: var(--h3); }
.l4 { --level: var(--bar); }
.sign { display: inline !important; margin-right: .4em; }
.box span { display: block; overflow-wrap: anywhere; }
.top, .row { display: flex !important; flex-wrap: wrap; justify-content: space-between; gap: 0 .75rem; }
.name { font-weight: 650; } .small { font-size: .82rem; color: var(--quiet); font-variant-numeric: tabular-nums; }
.box .row { align-items: end; } .box .row > .small { flex: 1 1 10rem; }
.block > .box { background: var(--paper); border-style: solid dashed dashed solid; }
.histogram rect { fill: var(--bar); }
path.forward { fill: none; stroke: var(--forward); stroke-width: 1.6; }
path.back { fill: none; stroke: var(--back); stroke-width: 1.6; stroke-dasharray: 5 4; }
path.head { stroke: none; } path.head.forward { fill: var(--forward); } path.head.back { fill: var(--back); }
.chosen path { opacity: .25; } .chosen path.on { opacity: 1; stroke-width: 2.6; }
.chosen path.head.on { stroke-width: 0; }

.panel { position: sticky; top: 3rem; max-height: calc(100vh - 4rem); overflow-y: auto; background: var(--card);
  border: 1px solid var(--line); border-radius: .6rem; padding: .25rem 1rem 1rem; }
.panel h2 { margin: .75rem 0 .1rem; } .panel ul { padding-left: 1.1rem; margin: .25rem 0; }
.panel li { margin: .25rem 0; overflow-wrap: anywhere; }
.formula { font-family: Georgia, "Times New Roman", serif; font-size: 1.05rem; }
.panel table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
.panel td, .panel th { text-align: right; padding: .15rem .3rem; font-weight: 400; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
.panel th[scope=row], .panel th:first-child { text-align: left; } .panel th[scope=col] { color: var(--quiet); }
.panel svg { display: block; width: 100%; height: 4.5rem; } .ends { display: flex; justify-content: space-between; }

#table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums; }
#table caption { text-align: left; color: var(--quiet); padding-bottom: .3rem; }
#table th, #table td { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; font-weight: 400; }
#table thead th { font-weight: 650; } #table tbody th { font-weight: 600; }
#table td:nth-child(n+6):not(:last-child) { text-align: right; white-space: nowrap; }

@media (max-width: 56rem) {
  .columns { display: block; }
  body { padding: 1rem .75rem 3rem; }
  .panel { position: fixed; left: 0; right: 0; bottom: 0; top: auto; max-height: 38vh; z-index: 4;
    border-width: 2px 0 0; border-radius: .8rem .8rem 0 0; box-shadow: 0 -4px 16px rgb(0 0 0 / .18); }
  .panel.empty { display: none; }
  .panel.open { max-height: 62vh; }
  html:has(.panel:not(.empty)) { scroll-padding-bottom: 42vh; }
  html:has(.panel.open) { scroll-padding-bottom: 66vh !important; }
  body:has(.panel:not(.empty)) { padding-bottom: 45vh; }
}
@media (prefers-reduced-motion: no-preference) {
  .chosen path.back.on { animation: flow 1.2s linear infinite; } @keyframes flow { to { stroke-dashoffset: 18; } }
}
@media (forced-colors: active) { path.forward, path.back { stroke: CanvasText; } .histogram rect { fill: CanvasText; } }
@media print { .panel, .controls { display: none; } }
"""
