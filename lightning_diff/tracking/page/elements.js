"use strict";
/* What both pages have in common: elements, and the state of the page, which the address keeps behind its #. */
const data = JSON.parse(document.getElementById("data").textContent);
const main = document.querySelector("main");
const show = v => v === null || v === undefined ? "" : typeof v === "number" ? String(Number(v.toPrecision(4))) : String(v);
const spoken = name => name.replace(/^clip_score/, "CLIP score").replace(/^(fid|kid|cmmd|nfe)/, w => w.toUpperCase()).replace(/_/g, " ");
function make(tag, options = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(options)) k in e && k !== "style" && k !== "list" ? e[k] = v : e.setAttribute(k, v);
  e.append(...children);
  return e;
}
function drawn(tag, options, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [k, v] of Object.entries(options)) e.setAttribute(k, v);
  e.append(...children);
  return e;
}
const picture = (source, caption, alt) => make("figure", {}, make("img", { src: source, alt: alt || caption, loading: "lazy" }), make("figcaption", {}, caption));
const strip = (title, frames) => make("div", { className: "strip", tabIndex: 0, role: "group", "aria-label": title }, ...frames);

/* A link to a page holds what was chosen on it: #row=cfg, w = 3&sort=clip_score. Names that a page does not know stay as they are. */
const state = {}, changed = [];
function readAddress() {
  for (const k of Object.keys(state)) delete state[k];
  for (const [k, v] of new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "")) state[k] = v;
}
function keep(changes) {
  for (const [k, v] of Object.entries(changes)) if (v === undefined || v === null || v === "") delete state[k]; else state[k] = String(v);
  const hash = new URLSearchParams(state).toString();
  try { history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search); } catch { /* a page inside another page has no address */ }
}
readAddress();
addEventListener("hashchange", () => { readAddress(); for (const f of changed) f(); goTo(); });

const nav = document.querySelector("nav");
const idOf = title => title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
function goTo() { document.getElementById(state.at)?.scrollIntoView(); }
/* A section with a title, and a link to it at the top of the page. Links to "A: b" and "A: c" are one group, "A: b c". */
function section(title, ...children) {
  const same = [...main.children].filter(s => s.dataset.title === title).length, id = idOf(title) + (same ? `-${same + 1}` : "");
  const s = make("section", { id, "aria-labelledby": `${id}-title`, "data-title": title }, make("h2", { id: `${id}-title` }, title), ...children);
  const [start, end] = title.split(": "), link = make("a", { href: `#at=${id}`, ...(end && { "aria-label": title }) }, end || start);
  link.addEventListener("click", e => { e.preventDefault(); keep({ at: id }); goTo(); });
  const group = [...nav.children].find(g => g.dataset.group === start) || make("span", { className: "group", "data-group": start }, `${start}: `);
  if (end && !same) group.append(link);
  if (!same && !group.isConnected) nav.append(end ? group : link);
  main.append(s);
  return s;
}
/* Sliders that choose: axes [{name, values: [words]}], `start` their places; draw(places) is called at once and after each change.
   `word` names the state's key, so that two groups of sliders do not share one. */
function sliders(axes, start, word, draw) {
  const inputs = axes.map((a, i) => make("input", { type: "range", min: 0, max: a.values.length - 1, step: 1, value: start[i], id: `${word}-${i}` }));
  const said = axes.map(() => make("output", {}));
  function stored() { (state[word] || start.join(".")).split(".").forEach((v, i) => { if (inputs[i]) inputs[i].value = v; }); }
  function refresh() {
    inputs.forEach((input, i) => { said[i].textContent = axes[i].values[input.value]; input.setAttribute("aria-valuetext", axes[i].values[input.value]); });
    draw(inputs.map(i => Number(i.value)));
  }
  for (const i of inputs) i.addEventListener("input", () => { refresh(); keep({ [word]: inputs.map(j => j.value).join(".") }); });
  changed.push(() => { stored(); refresh(); });
  stored();
  refresh();
  return axes.map((a, i) => make("label", { htmlFor: `${word}-${i}` }, `${a.name}: `, said[i], inputs[i]));
}
