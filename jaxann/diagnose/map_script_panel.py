"""The second half of the page's script: what is said of one layer, the table, and what keys and controls do."""

from __future__ import annotations

__all__ = ["PANEL"]

PANEL = r"""
function table(heads, rows) {
  const body = rows.map(([name, ...cells]) => {
    const first = make("th", "", name); first.scope = "row";
    return make("tr", "", null, first, ...cells.map(cell => make("td", "", cell)));
  });
  const top = heads.map(text => { const head = make("th", "", text); head.scope = "col"; return head; });
  return make("table", "", null, ...(heads.length ? [make("thead", "", null, make("tr", "", null, ...top))] : []),
    make("tbody", "", null, ...body));
}
function distribution(at) {
  const found = content.histograms[at];
  if (!found) return [];
  if (!isLast()) return [make("h3", "", "How its numbers are distributed"),
    make("p", "quiet", "Known of the parameters that were given: the last position of the slider.")];
  const picture = bars(at, 320, 72), most = found[2].indexOf(Math.max(...found[2]));
  const step = (found[1] - found[0]) / found[2].length;
  picture.removeAttribute("aria-hidden"); picture.removeAttribute("width"); picture.removeAttribute("height");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `Numbers from ${shown(found[0])} to ${shown(found[1])}, most from ` +
    `${shown(found[0] + step * most)} to ${shown(found[0] + step * (most + 1))}`);
  return [make("h3", "", "How its numbers are distributed"), picture,
    make("div", "ends small", null, make("span", "", shown(found[0])), make("span", "", shown(found[1])))];
}
function ofExample(at) {
  if (row === null) return [make("p", "quiet", "Pick an example to see what it makes of this layer.")];
  const one = content.examples[row], title = make("h3", "", `Row ${row}`);
  if (at === boxes.length - 1) return [title, table([], [["loss", shown(one.loss)]])];
  const forward = one.forward[at] || [null, null], back = one.backward[at] || [null, null];
  const lines = [["norm", shown(forward[0]), shown(back[0])], ["mean", shown(forward[1]), shown(back[1])]];
  if (boxes[at].parameters) lines.push(["norm, of the parameters", "", shown(one.parameters[at])]);
  (forward[2] || []).forEach((value, i) => lines.push([`unit ${i + 1}`, shown(value), shown(back[2] && back[2][i])]));
  return [title, table(["of", "forward", "gradient"], lines)];
}
function about(at) {
  const box = boxes[at], [level, ...why] = health(at), listed = texts =>
    make("ul", "", null, ...texts.map(text => make("li", "", text)));
  const title = make("h2", "", box.name);
  title.tabIndex = -1; title.id = "layer";
  const first = [title, make("p", "quiet", [box.kind, box.shape].filter(Boolean).join(", ")),
    make("p", "", null, mark(level))];
  if (why.length) first.push(listed(why.map(name => reasons[name][1])));
  const texts = [make("h3", "", "Formula"), make("p", "formula", box.formula), make("h3", "", "Pitfalls"),
    listed(content.pitfalls[box.family])];
  if (!pinned) return [...first, ...texts, make("p", "quiet", "Enter, or a click, shows all of its figures.")];
  const known = figures.map((name, i) => [name, figure(at, i)]).filter(([, value]) => value !== null);
  const close = make("button", "plain", "Close"); close.type = "button";
  close.addEventListener("click", () => shut());
  const heading = make("h3", "", isLast() ? "Figures" : `Figures after epoch ${epochs[position].number}`);
  const measured = table([], known.map(([name, value]) => [name, shown(value)]));
  return [...first, heading, measured, ...distribution(at), ...ofExample(at), ...texts, close];
}
function show(at, open) {
  if (pinned && !open && at !== current) return;
  current = at; pinned = Boolean(open) || pinned;
  panel.classList.remove("empty"); panel.classList.toggle("open", pinned);
  panel.replaceChildren(...about(at));
  for (const node of nodes) node.removeAttribute("aria-current");
  nodes[at].setAttribute("aria-current", "true");
  light();
}
// Nothing is chosen: on a wide screen a hint stands there, on a narrow one nothing.
function clear() {
  pinned = false; current = null;
  nodes.forEach(node => node.removeAttribute("aria-current"));
  panel.classList.add("empty"); panel.classList.remove("open");
  panel.replaceChildren(make("p", "quiet", "Point at a layer, or move to one with the arrow keys: " +
    "what it computes and what goes wrong there stands here."));
  light();
}
function shut() {
  const node = current === null ? null : standIn(current);
  pinned = false;
  if (node) node.focus();
  clear();
}
function rove(node) { for (const other of visible(true)) other.tabIndex = other === node ? 0 : -1; }
function nameAll() {
  const all = visible(true);
  if (!all.some(node => node.tabIndex === 0)) rove(all[0]);
}
map.addEventListener("focusin", event => {
  const node = event.target.closest(".box");
  if (!node) return;
  rove(node);
  if (node.dataset.at === undefined) return clear();
  if (pinned && Number(node.dataset.at) !== current) pinned = false;
  show(Number(node.dataset.at), false);
});
map.addEventListener("mouseover", event => {
  const node = event.target.closest(".box");
  const hovers = matchMedia("(hover: hover)").matches;
  if (node && node.dataset.at !== undefined && hovers) show(Number(node.dataset.at), false);
});
map.addEventListener("click", event => {
  const node = event.target.closest(".box");
  if (!node || node.dataset.at === undefined) return;
  pinned = false; show(Number(node.dataset.at), true);
  panel.scrollTop = 0;
  nodes[current].scrollIntoView({ block: "nearest" }); // on a narrow screen the panel lies over the end of the map
  document.getElementById("layer").focus({ preventScroll: true });
});
map.addEventListener("keydown", event => {
  const all = visible(true), at = all.indexOf(event.target.closest(".box"));
  const next = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0,
    End: all.length - 1 }[event.key];
  if (at < 0 || next === undefined) return;
  event.preventDefault();
  const node = all[Math.min(Math.max(next, 0), all.length - 1)];
  rove(node); node.focus();
});
document.addEventListener("keydown", event => {
  if (event.key === "Escape" && current !== null) shut();
});
function fillTable() {
  const rows = document.querySelectorAll("#table tbody tr");
  rows.forEach((line, at) => {
    const cells = line.children, [level] = health(at);
    cells[4].textContent = levels[level] + (words(at) ? `: ${words(at)}` : "");
    figures.forEach((_, i) => { cells[5 + i].textContent = figure(at, i) === null ? "" : shown(figure(at, i)); });
  });
}
function tell() {
  const epoch = epochs[position];
  const when = epoch.number === null ? "The parameters that were given" : `After epoch ${epoch.number}`;
  const count = level => boxes.filter((_, at) => health(at)[0] === level).length;
  const bad = [3, 2].filter(count).map(level => `${count(level)} ${levels[level]}`).join(", ");
  const text = `${when}: ${epoch.losses.map(([name, value]) => `${name} ${shown(value)}`).join(", ")}. ` +
    (bad ? `Layers: ${bad}.` : "No layer with a warning.");
  document.getElementById("state").textContent = text;
  if (slider) slider.setAttribute("aria-valuetext", when);
}
function refresh() {
  boxes.forEach((_, at) => fill(at));
  for (const group of groups) if (group.name) fillHead(group);
  fillTable(); tell(); connect(); nameAll();
  if (current !== null) panel.replaceChildren(...about(current));
}
if (slider) slider.addEventListener("input", () => { position = Number(slider.value); refresh(); });
picker.addEventListener("change", () => { row = picker.value === "" ? null : Number(picker.value); refresh(); });
const named = groups.filter(group => group.name), all = document.getElementById("all");
const label = () => { all.textContent = named.every(group => group.open) ? "Close all blocks" : "Open all blocks"; };
all.parentElement.hidden = !named.length;
all.addEventListener("click", () => {
  const open = !named.every(group => group.open);
  for (const group of named) { group.open = open; group.inner.hidden = !open; }
  refresh(); label();
});
for (const group of named) { group.inner.hidden = !group.open; group.head.addEventListener("click", label); }
label();
document.querySelector(".controls").hidden = false; map.hidden = false; panel.hidden = false;
document.querySelector(".controls").addEventListener("submit", event => event.preventDefault());
clear(); refresh();
if (window.ResizeObserver) new ResizeObserver(() => connect()).observe(canvas);
"""
