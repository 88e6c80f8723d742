"use strict";
/* One picture, large, with its numbers; of two cases, both at the same place and zoom. */
let openLook = () => {};
function lookOf() {
  const title = make("h2", { id: "look-title" }), sides = make("div", { className: "sides" });
  const button = (words, name, on) => { const b = make("button", { type: "button", "aria-label": name }, words); b.addEventListener("click", on); return b; };
  const before = button("←", "the picture before", () => go(-1)), after = button("→", "the picture after", () => go(1));
  const lower = button("w −", "the scale before", () => turn(-1)), higher = button("w +", "the scale after", () => turn(1));
  const nearer = button("+", "zoom in", () => zoom(1.5)), farther = button("−", "zoom out", () => zoom(1 / 1.5));
  const dialog = make("dialog", { id: "look", "aria-labelledby": "look-title" }, make("header", {}, title, before, after, lower, higher, farther, nearer, button("✕", "close", () => dialog.close())), sides);
  let times = 1, two = false, back = null;
  function draw() {
    const k = Number(state.open), shown = order(), at = shown.indexOf(k), cases = two && other() >= 0 ? [current, other()] : [current], scales = among();
    title.textContent = `${at + 1} of ${shown.length}: ${data.captions[k]}`;
    before.disabled = at <= 0;
    after.disabled = at >= shown.length - 1;
    lower.disabled = scales.indexOf(current) <= 0;
    higher.disabled = scales.indexOf(current) >= scales.length - 1;
    sides.replaceChildren(...cases.map(i => {
      const image = make("img", { src: rows[i].pictures[k], alt: `${data.captions[k]}, ${rows[i].label}` });
      image.style.width = `${100 * times}%`;
      return make("figure", {}, make("div", { className: "pane", tabIndex: 0, role: "group", "aria-label": rows[i].label }, image), make("figcaption", {}, rows[i].label),
        make("dl", {}, ...numbers(i, k).flatMap(([n, v]) => [make("dt", {}, n), make("dd", {}, v)])));
    }));
    sides.style.maxWidth = `min(100%, ${cases.length * 68}vh)`;
    const panes = [...sides.querySelectorAll(".pane")];
    for (const p of panes) p.addEventListener("scroll", () => { for (const q of panes) if (q !== p) { q.scrollTop = p.scrollTop; q.scrollLeft = p.scrollLeft; } });
  }
  function go(by) {
    const shown = order(), next = shown[shown.indexOf(Number(state.open)) + by];
    if (next !== undefined) { keep({ open: next }); draw(); }
  }
  function turn(by) { const scales = among(); pick(scales[scales.indexOf(current) + by] ?? current); }
  function zoom(by) { times = Math.min(8, Math.max(1, times * by)); draw(); }
  function show_(k) { times = 1; keep({ open: k }); draw(); if (!dialog.open) dialog.showModal(); }
  openLook = (k, cases) => { back = document.activeElement?.dataset?.picture; two = cases.length > 1; if (cases[0] !== current) pick(cases[0]); show_(k); };
  dialog.addEventListener("close", () => { keep({ open: "" }); [...document.querySelectorAll(".look")].find(b => b.dataset.picture === back)?.focus(); });
  dialog.addEventListener("click", e => { if (e.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", e => {
    const inPane = times > 1 && e.target.className === "pane";
    const done = { "+": () => zoom(1.5), "-": () => zoom(1 / 1.5), "[": () => turn(-1), "]": () => turn(1), ...(inPane ? {} : { ArrowLeft: () => go(-1), ArrowRight: () => go(1), ArrowUp: () => turn(1), ArrowDown: () => turn(-1) }) }[e.key];
    if (done) { e.preventDefault(); done(); }
  });
  document.body.append(dialog);
  function fromAddress() {
    const k = Number(state.open);
    two = state.view === "two";
    if (state.open !== undefined && rows[current].pictures[k] && k < data.captions.length) show_(k);
    else if (dialog.open) dialog.close();
  }
  refreshes.push(() => { if (dialog.open) draw(); });
  changed.push(fromAddress);
  return fromAddress;
}
