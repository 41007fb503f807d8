"""The script of the map's page: boxes in the order of the computation, lines between them, slider and keys.

Whatever comes from the content goes in as text, never as markup.
"""

from __future__ import annotations

__all__ = ["SCRIPT"]

SCRIPT = r"""
"use strict";
const content = JSON.parse(document.getElementById("content").textContent);
const { boxes, edges, epochs, levels, symbols, reasons, figures } = content;
const SVG = "http://www.w3.org/2000/svg", LANE = 13, MOST_LANES = 6, MANY = 30;
const map = document.getElementById("map"), panel = document.getElementById("panel");
const slider = document.getElementById("epoch"), picker = document.getElementById("example");
let position = epochs.length - 1, row = null, current = null, pinned = false;

function make(tag, kind, text, ...children) {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  if (text !== undefined && text !== null) node.textContent = text;
  node.append(...children);
  return node;
}
function draw(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
const shown = value => value === null || value === undefined ? "none" :
  typeof value === "number" ? (Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3) ?
    value.toExponential(2) : String(Number(value.toPrecision(4)))).replaceAll("-", "\u2212") : value;
const figure = (at, number) => at < boxes.length - 1 ? epochs[position].figures[at][number] :
  number === 0 ? epochs[position].norm : null;
const health = at => epochs[position].health[at];
const words = at => health(at).slice(1).map(name => reasons[name][0]).join(", ");
const isLast = () => position === epochs.length - 1;

// Boxes in groups, and of each group a head that opens and closes it.
const groups = [];
boxes.forEach((box, at) => {
  const last = groups[groups.length - 1];
  if (box.group && last && last.name === box.group) last.members.push(at);
  else groups.push({ name: box.group, members: [at], open: true });
});
for (const group of groups) if (group.name && boxes.length > MANY) group.open = false;

const nodes = boxes.map((box, at) => {
  const button = make("button", "box");
  button.type = "button"; button.dataset.at = at; button.tabIndex = -1;
  button.setAttribute("aria-controls", "panel");
  return button;
});
const canvas = make("div", "canvas"), list = make("ol");
const lines = draw("svg", { "aria-hidden": "true", focusable: "false" });
for (const group of groups) {
  const items = group.members.map(at => make("li", "", null, nodes[at]));
  if (!group.name) { list.append(...items); continue; }
  group.head = make("button", "box"); group.head.type = "button"; group.head.tabIndex = -1;
  group.inner = make("ol", "", null, ...items);
  group.head.addEventListener("click", () => toggle(group, !group.open));
  list.append(make("li", "block", null, group.head, group.inner));
}
canvas.append(lines, list);
map.append(canvas);

function bars(at, width, height) {
  const found = content.histograms[at];
  if (!found || !isLast()) return null;
  const most = Math.max(...found[2], 1), wide = width / found[2].length;
  return draw("svg", { class: "histogram", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true",
    preserveAspectRatio: "none" }, ...found[2].map((count, i) => draw("rect", { x: (i * wide).toFixed(2),
    width: (wide - .8).toFixed(2), y: (height - height * count / most).toFixed(2),
    height: (height * count / most).toFixed(2) })));
}
function mark(level, text) {
  return make("span", `health h${level}`, `${symbols[level]} ${text || levels[level]}`);
}
function exampleLine(at) {
  const one = row === null ? null : content.examples[row];
  if (!one) return null;
  if (at === boxes.length - 1) return `example: loss ${shown(one.loss)}`;
  const forward = one.forward[at], back = one.backward[at];
  return "example: " + (forward ? `norm ${shown(forward[0])}, mean ${shown(forward[1])}` : "no output") +
    (back ? `, gradient norm ${shown(back[0])}` : "");
}
function facts(at) {
  const all = figures.map((name, i) => [name, figure(at, i)]).filter(([, value]) => value !== null);
  const short = { "gradient norm": "gradient", "update ratio": "update", "standard deviation": "deviation",
    "dead share": "dead", "saturated share": "saturated" };
  return all.filter(([name, value]) => short[name] || name === "mean" || (name === "not finite" && value > 0))
    .map(([name, value]) => `${short[name] || name} ${shown(value)}`).join("  \u00b7  ");
}
function fill(at) {
  const box = boxes[at], [level] = health(at), example = exampleLine(at);
  nodes[at].className = `box l${level}`;
  const about = [box.kind, box.shape, box.parameters ? `${box.parameters.toLocaleString("en")} parameters` : ""];
  const losses = epochs[position].losses.map(([name, value]) => `${name} ${shown(value)}`);
  const told = at === boxes.length - 1 ? [...losses, facts(at)] : [facts(at)];
  const text = make("span", "small", told.join("  \u00b7  "));
  const bottom = make("span", "row", null, text), picture = bars(at, 72, 24);
  if (picture) bottom.append(picture);
  const title = words(at) ? `${levels[level]}: ${words(at)}` : levels[level];
  nodes[at].replaceChildren(make("span", "top", null, make("span", "name", box.name), " ", mark(level, title)), " ",
    make("span", "small", about.filter(Boolean).join("  \u00b7  ")), " ", bottom);
  if (example) nodes[at].append(" ", make("span", "small", example));
}
function fillHead(group) {
  const worst = Math.max(...group.members.map(at => health(at)[0] % 4));
  const count = group.members.filter(at => health(at)[0] === worst).length;
  const parameters = group.members.reduce((sum, at) => sum + boxes[at].parameters, 0);
  const norms = group.members.map(at => figure(at, 0)).filter(value => typeof value === "number");
  const range = norms.length ? `  \u00b7  gradient ${shown(Math.min(...norms))} to ${shown(Math.max(...norms))}` : "";
  group.head.className = `box l${worst}`;
  group.head.setAttribute("aria-expanded", String(group.open));
  const sign = make("span", "sign", group.open ? "\u25be" : "\u25b8");
  sign.setAttribute("aria-hidden", "true");
  const size = `${group.members.length} layers  \u00b7  ${parameters.toLocaleString("en")} parameters`;
  group.head.replaceChildren(make("span", "top", null, make("span", "name", null, sign, group.name), " ",
    mark(worst, worst ? `${levels[worst]} in ${count} of ${group.members.length}` : "")), " ",
    make("span", "small", size + range));
}
function toggle(group, open) {
  group.open = open; group.inner.hidden = !open;
  fillHead(group); connect(); nameAll();
}
const inGroup = boxes.map((_, at) => groups.find(group => group.members.includes(at)));
const standIn = at => inGroup[at].name && !inGroup[at].open ? inGroup[at].head : nodes[at];

// Lines: straight between neighbours, through lanes at the left past what stands between.
function connect() {
  const width = canvas.clientWidth, frame = canvas.getBoundingClientRect(), places = new Map(), order = visible(true);
  const pairs = new Map();
  for (const [a, b] of edges) {
    const from = standIn(a), to = standIn(b);
    const ends = [order.indexOf(from), order.indexOf(to)];
    if (from !== to) pairs.set(ends.join(" "), [from, to, ...ends]);
  }
  const plain = order.filter(node => !node.dataset.open), rank = new Map(plain.map((node, i) => [node, i]));
  const far = [], near = [];
  for (const pair of pairs.values()) (Math.abs(rank.get(pair[1]) - rank.get(pair[0])) === 1 ? near : far).push(pair);
  far.sort((a, b) => (a[3] - a[2]) - (b[3] - b[2]) || a[2] - b[2]);
  const taken = [];
  for (const pair of far) {
    let lane = taken.findIndex(used => used.every(([from, to]) => pair[3] <= from || to <= pair[2]));
    if (lane < 0) { lane = taken.length < MOST_LANES ? taken.length : MOST_LANES - 1; }
    (taken[lane] = taken[lane] || []).push([pair[2], pair[3]]); pair.push(lane);
  }
  const gutter = taken.length ? 20 + LANE * taken.length : 6;
  list.style.marginLeft = `${gutter}px`;
  for (const node of order) {
    const at = node.getBoundingClientRect();
    places.set(node, { left: at.left - frame.left, right: at.right - frame.left,
      top: at.top - frame.top, bottom: at.bottom - frame.top });
  }
  const drawn = [];
  const line = (kind, ends, d) => drawn.push(draw("path", { class: kind, "data-ends": ends, d }));
  const upright = (kind, ends, x, y, by) => line(`head ${kind}`, ends, `M ${x - 4} ${y + by} H ${x + 4} L ${x} ${y} Z`);
  const sideways = (kind, ends, x, y) => line(`head ${kind}`, ends, `M ${x - 7} ${y - 4} V ${y + 4} L ${x} ${y} Z`);
  const around = (from, y1, x, y2, to, turn) => `M ${from} ${y1} H ${x + 5} Q ${x} ${y1} ${x} ${y1 + turn} ` +
    `V ${y2 - turn} Q ${x} ${y2} ${x + 5} ${y2} H ${to}`;
  for (const [from, to, first, second] of near) {
    const a = places.get(from), b = places.get(to), middle = (b.left + b.right) / 2, ends = `${first} ${second}`;
    line("forward", ends, `M ${middle - 14} ${a.bottom} V ${b.top - 6}`);
    upright("forward", ends, middle - 14, b.top, -7);
    line("back", ends, `M ${middle + 14} ${b.top} V ${a.bottom + 6}`);
    upright("back", ends, middle + 14, a.bottom, 7);
  }
  for (const [from, to, first, second, lane] of far) {
    const a = places.get(from), b = places.get(to), ends = `${first} ${second}`;
    const x = gutter - 14 - LANE * lane, y1 = a.bottom - 12, y2 = b.top + 12;
    line("forward", ends, around(a.left, y1, x, y2, b.left - 6, 5));
    sideways("forward", ends, b.left, y2);
    line("back", ends, around(b.left, y2 + 10, x + 5, y1 - 10, a.left - 6, -5));
    sideways("back", ends, a.left, y1 - 10);
  }
  lines.replaceChildren(...drawn);
  lines.setAttribute("width", width);
  light();
}
// Buttons in the order of the computation; with the heads of open groups, which no line ends at, or without.
function visible(withHeads) {
  const found = [];
  for (const group of groups) {
    if (!group.name) { found.push(...group.members.map(at => nodes[at])); continue; }
    if (group.open) group.head.dataset.open = "1"; else delete group.head.dataset.open;
    if (withHeads || !group.open) found.push(group.head);
    if (group.open) found.push(...group.members.map(at => nodes[at]));
  }
  return found;
}
function light() {
  const node = current === null ? null : standIn(current), at = node ? visible(true).indexOf(node) : -1;
  lines.classList.toggle("chosen", at >= 0);
  for (const path of lines.children) path.classList.toggle("on", path.dataset.ends.split(" ").includes(String(at)));
}
"""
