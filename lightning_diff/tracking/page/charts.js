"use strict";
/* Charts, drawn as SVG. */
const colour = i => `var(--c${i % 7})`;
function ticks(low, high) {
  const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw)), step = power * [1, 2, 5, 10].find(m => m * power >= raw), found = [];
  for (let n = Math.ceil(low / step); n * step <= high; n++) found.push(Number((n * step).toPrecision(12)));
  return found;
}
/* The numbers of a logarithmic axis: 1, 2, 5, 10, ...; of a short one, which has fewer than three of them, equal steps of 1, 2 or 5. */
function decades(low, high) {
  const found = [];
  for (let p = Math.floor(low); p <= high; p++) found.push(...[1, 2, 5].map(m => Number((m * 10 ** p).toPrecision(12))).filter(v => Math.log10(v) >= low && Math.log10(v) <= high));
  return found.length > 2 ? found : ticks(10 ** low, 10 ** high);
}
/* series: [{name, points: [{x, y, low, high, label, pick}]}]; a point with `pick` is a button. */
function chart(series, { x, y, log = false, legend = true }) {
  const W = 480, H = 300, L = 58, B = 42, T = 12, R = 14, all = series.flatMap(s => s.points).filter(p => !log || p.y > 0);
  const f = v => log ? Math.log10(v) : v;
  const pad = (lo, hi, by) => hi > lo ? [lo - by * (hi - lo), hi + by * (hi - lo)] : hi === 0 ? [0, 1] : [lo - Math.abs(lo) / 10, hi + Math.abs(hi) / 10];
  const dense = all.length > 60;
  const [x0, x1] = pad(Math.min(...all.map(p => p.x)), Math.max(...all.map(p => p.x)), dense ? 0 : .08);
  const [y0, y1] = pad(Math.min(...all.map(p => f(p.low ?? p.y))), Math.max(...all.map(p => f(p.high ?? p.y))), .08);
  const X = v => L + (v - x0) / (x1 - x0) * (W - L - R), Y = v => H - B - (f(v) - y0) / (y1 - y0) * (H - B - T);
  const svg = drawn("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": `${y} against ${x}` });
  svg.append(drawn("rect", { class: "frame", x: L, y: T, width: W - L - R, height: H - B - T }));
  for (const v of ticks(x0, x1)) svg.append(drawn("text", { x: X(v), y: H - B + 16, "text-anchor": "middle" }, show(v)));
  for (const v of log ? decades(y0, y1) : ticks(y0, y1)) svg.append(drawn("text", { x: L - 6, y: Y(v) + 4, "text-anchor": "end" }, show(v)),
    drawn("line", { class: "frame", x1: L, x2: W - R, y1: Y(v), y2: Y(v), opacity: .5 }));
  svg.append(drawn("text", { x: (L + W - R) / 2, y: H - 6, "text-anchor": "middle" }, x));
  svg.append(drawn("text", { transform: `translate(13 ${(H - B + T) / 2}) rotate(-90)`, "text-anchor": "middle" }, y));
  series.forEach((s, i) => {
    const group = drawn("g", { "data-series": s.name }), points = s.points.filter(p => !log || p.y > 0);
    svg.append(group);
    if (s.line !== false) group.append(drawn("polyline", { points: points.map(p => `${X(p.x)},${Y(p.y)}`).join(" "), fill: "none", stroke: colour(i), "stroke-width": 1.6 }));
    for (const p of points) {
      if (p.low !== undefined && p.high > p.low) group.append(drawn("line", { x1: X(p.x), x2: X(p.x), y1: Y(p.low), y2: Y(p.high), stroke: colour(i), opacity: .5 }));
      if (!p.pick) continue;
      const dot = drawn("circle", { class: "point", cx: X(p.x), cy: Y(p.y), r: 6, fill: p.hollow ? "var(--card)" : colour(i), stroke: colour(i), tabindex: 0, role: "button", "aria-label": p.label, "data-key": p.key });
      dot.append(drawn("title", {}, p.label));
      dot.addEventListener("click", p.pick);
      dot.addEventListener("keydown", e => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); p.pick(); } });
      group.append(dot, drawn("text", { x: X(p.x) + 9, y: Y(p.y) - 7 }, p.mark));
    }
    if (legend && series.length > 1) svg.append(drawn("text", { x: W - R - 6, y: T + 16 + 18 * i, "text-anchor": "end" }, `${s.name} `, drawn("tspan", { style: `fill: ${colour(i)}` }, "●")));
  });
  return svg;
}
