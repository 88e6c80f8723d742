"use strict";
/* The viewer: pictures of one case, of two cases side by side, or of all scales; sorted by any number that each picture has. */
const rows = data.rows, seriesNames = [...new Set(rows.map(r => r.series))];
let current = rows.length ? Math.max(0, rows.findIndex(r => r.best)) : -1;
const refreshes = [];
const among = () => rows.flatMap((r, i) => r.series === rows[current].series && r.pictures.length ? [i] : []);
const nearest = (name, not = -1) => rows.reduce((best, r, i) => r.series === name && i !== not && (best < 0 || Math.abs(r.scale - rows[current].scale) < Math.abs(rows[best].scale - rows[current].scale)) ? i : best, -1);
const rowOf = label => rows.findIndex(r => r.label === label);
/* The case that the current one is compared with: the chosen one, else the lowest scale of its series, else any other. */
function other() {
  const chosen = rowOf(state.than);
  if (chosen >= 0 && chosen !== current) return chosen;
  return among().find(i => i !== current) ?? rows.findIndex((r, i) => i !== current && r.pictures.length);
}
function refresh() { for (const f of refreshes) f(); }
function pick(i) { if (i >= 0) { current = i; keep({ row: rows[i].label }); refresh(); } }
if (rowOf(state.row) >= 0) current = rowOf(state.row);
changed.push(() => { if (rowOf(state.row) >= 0) current = rowOf(state.row); if (current >= 0) refresh(); });

const lowerIsBetter = name => /^(fid|kid|cmmd|nfe)/.test(name);
const measures = [...new Set(rows.flatMap(r => Object.keys(r.values).filter(k => r.values[k].some(v => v !== null))))];
const value = (i, k, name) => rows[i]?.values[name]?.[k] ?? null;
/* What pictures are sorted by: a number of the current case, or in the view of two cases its difference to the other's. */
function keyOf(k) {
  const a = value(current, k, state.sort);
  if (state.view !== "two") return a;
  const b = value(other(), k, state.sort);
  return a === null || b === null ? null : a - b;
}
/* The numbers of the pictures in the order in which they are shown; pictures without this number come last. */
function order() {
  const found = rows[current].pictures.map((_, k) => k).filter(k => k < data.captions.length);
  if (!measures.includes(state.sort)) return found;
  const way = (state.first === "best" ? -1 : 1) * (lowerIsBetter(state.sort) ? -1 : 1);
  const known = found.filter(k => keyOf(k) !== null).sort((a, b) => way * (keyOf(a) - keyOf(b)) || a - b);
  return [...known, ...found.filter(k => keyOf(k) === null)];
}
const numbers = (i, k) => measures.filter(m => value(i, k, m) !== null).map(m => [spoken(m), show(value(i, k, m))]);
const signed = v => v === null ? "no value" : (v > 0 ? "+" : "") + show(v);
function thumbnail(cases, k) {
  const said = cases.map(i => `${rows[i].label}${numbers(i, k).slice(0, 3).map(([n, v]) => `\n${n} ${v}`).join("")}`).join("\n");
  const b = make("button", { type: "button", className: "look", "data-picture": k, tabIndex: -1, "aria-label": `picture ${k + 1}: ${data.captions[k]}, ${cases.map(i => rows[i].label).join(" beside ")}` },
    ...cases.map(i => make("img", { src: rows[i].pictures[k] || "", alt: "", loading: "lazy" })), make("span", { className: "tip", "aria-hidden": "true" }, `${data.captions[k]}\n${said}`));
  b.addEventListener("click", () => openLook(k, cases));
  return b;
}
function card(cases, k) {
  const score = measures.includes(state.sort) ? [make("span", { className: "score" }, `${spoken(state.sort)} ${state.view === "two" ? signed(keyOf(k)) : show(keyOf(k)) || "no value"}`)] : [];
  return make("figure", {}, thumbnail(cases, k), ...score, make("figcaption", {}, data.captions[k]));
}
function matrix() {
  const cases = among();
  return make("div", { className: "all", tabIndex: 0, role: "group", "aria-label": "pictures of all scales" }, make("table", {},
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "caption"), ...cases.map(i => make("th", { scope: "col", className: i === current ? "now" : "" }, `w ${show(rows[i].scale)}`)))),
    make("tbody", {}, ...order().map(k => make("tr", {}, make("th", { scope: "row" }, data.captions[k]), ...cases.map(i => make("td", {}, rows[i].pictures[k] ? thumbnail([i], k) : "")))))));
}
function labelled(text, control, name = "") { return make("label", { className: name }, text, control); }
/* A choice whose options are made anew each time: [[value, words]]. */
function chooser(options, on, id) {
  const s = make("select", { id }, ...options.map(([v, words]) => make("option", { value: v }, words)));
  s.addEventListener("change", () => on(s.value));
  return s;
}

function viewer() {
  const slider = make("input", { type: "range", min: 0, step: 1, id: "guidance", "aria-label": "guidance scale" });
  slider.addEventListener("input", () => pick(among()[Number(slider.value)]));
  const guider = chooser(seriesNames.map(n => [n, n]), name => pick(nearest(name)), "guider");
  const than = chooser(rows.flatMap(r => r.pictures.length ? [[r.label, r.label]] : []), v => { keep({ than: v }); refresh(); }, "than");
  const sort = chooser([["", "order of the captions"], ...measures.map(m => [m, spoken(m)])], v => { keep({ sort: v }); refresh(); }, "sort");
  const first = chooser([["", "worst first"], ["best", "best first"]], v => { keep({ first: v }); refresh(); }, "first");
  const size = make("input", { type: "range", min: 64, max: 320, step: 4, id: "size" });
  size.addEventListener("input", () => { keep({ size: size.value }); resize(); });
  const resize = () => { if (state.size) document.documentElement.style.setProperty("--side", `${Math.min(640, Math.max(48, Number(state.size) || 116))}px`); size.value = state.size || parseInt(getComputedStyle(document.documentElement).getPropertyValue("--side")) || 116; };
  const views = [["one", "one scale"], ["two", "two side by side"], ["all", "all scales"]].filter(([v]) => v === "one" || rows.filter(r => r.pictures.length).length > 1);
  const choice = make("fieldset", {}, make("legend", {}, "show"), make("div", { className: "choice" }, ...views.map(([v, words]) => {
    const input = make("input", { type: "radio", name: "view", value: v, id: `view-${v}` });
    input.addEventListener("change", () => { keep({ view: v === "one" ? "" : v }); refresh(); });
    return make("label", {}, input, make("span", {}, words));
  })));
  const withWords = labelled("beside", than), firstWords = labelled("order", first), said = make("output", { htmlFor: "guidance" }), place = make("div", {});
  refreshes.push(() => {
    const r = rows[current], two = state.view === "two" && other() >= 0;
    slider.max = among().length - 1;
    slider.value = among().indexOf(current);
    slider.setAttribute("aria-valuetext", r.label);
    guider.value = r.series;
    withWords.hidden = !two;
    for (const o of than.options) o.disabled = o.value === r.label;
    if (two) than.value = rows[other()].label;
    sort.value = measures.includes(state.sort) ? state.sort : "";
    first.value = state.first === "best" ? "best" : "";
    firstWords.hidden = !sort.value;
    for (const i of choice.querySelectorAll("input")) i.checked = i.value === (views.some(([v]) => v === state.view) ? state.view : "one");
    const words = i => `${rows[i].label}: FID ${show(rows[i].fid)}, CLIP score ${show(rows[i].clip_score)}` + (rows[i].accuracy === undefined ? "" : `, captions obeyed ${show(100 * rows[i].accuracy)} %`);
    said.textContent = two ? `Left: ${words(current)}. Right: ${words(other())}.` + (sort.value ? ` Sorted by ${spoken(sort.value)}, left minus right.` : "") : words(current);
    const at = document.activeElement?.closest?.("[data-picture]")?.dataset.picture;
    place.replaceChildren(state.view === "all" && views.length > 1 ? matrix() : make("div", { className: two ? "pictures pairs" : "pictures" }, ...order().map(k => card(two ? [current, other()] : [current], k))));
    const all = [...place.querySelectorAll(".look")];
    (all.find(b => b.dataset.picture === at) || all[0] || {}).tabIndex = 0;
    if (at !== undefined) all.find(b => b.dataset.picture === at)?.focus();
    resize();
  });
  const keys = make("details", {}, make("summary", {}, "keys"), make("p", { className: "soft" },
    ...[["← → ↑ ↓", "go from picture to picture"], ["Enter", "opens it large"], ["[ ]", "the scale before and after"], ["1 2 3", "what is shown"], ["s", "sorts by the next number"], ["r", "worst or best first"], ["+ −", "the size"], ["Esc", "closes"]].flatMap(([k, w]) => [make("kbd", {}, k), ` ${w}; `]),
    "they work while the focus is in this part of the page. The address keeps what you chose: copy it to show it to others."));
  const s = section("Look at the pictures", make("p", { className: "soft" }, "The same noise and captions at every scale. Point at a picture for its caption and numbers; click it for a large view."),
    make("div", { className: "controls" }, choice, ...(seriesNames.length > 1 ? [labelled("guider", guider)] : []), withWords, ...(measures.length ? [labelled("sort by", sort), firstWords] : []), labelled("size", size, "size")),
    slider, make("p", {}, said), place, keys);
  s.addEventListener("keydown", e => viewerKeys(e, place, sort));
}
/* The keys of the viewer; those of a slider or a select stay its own. */
function viewerKeys(e, place, sort) {
  if (e.ctrlKey || e.metaKey || e.altKey || /^(SELECT|INPUT)$/.test(e.target.tagName) && e.target.type !== "radio") return;
  const all = [...place.querySelectorAll(".look")], at = all.indexOf(e.target), cases = among(), now = cases.indexOf(current);
  const columns = all.length ? all.filter(b => Math.abs(b.getBoundingClientRect().top - all[0].getBoundingClientRect().top) < 4).length : 1;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: all.length - 1 - at }[e.key];
  if (step !== undefined && at >= 0) {
    const next = all[at + step];
    if (next) { all[at].tabIndex = -1; next.tabIndex = 0; next.focus(); }
  } else if (e.key === "[" || e.key === "]") pick(cases[now + (e.key === "]" ? 1 : -1)] ?? current);
  else if ("123".includes(e.key)) document.querySelectorAll("input[name=view]")[Number(e.key) - 1]?.click();
  else if (e.key === "s") { keep({ sort: sort.options[(sort.selectedIndex + 1) % sort.options.length].value }); refresh(); }
  else if (e.key === "r") { keep({ first: state.first === "best" ? "" : "best" }); refresh(); }
  else if (e.key === "+" || e.key === "-") { const size = document.getElementById("size"); keep({ size: Math.min(320, Math.max(64, Number(size.value) + (e.key === "+" ? 24 : -24))) }); refresh(); }
  else return;
  e.preventDefault();
}
