"use strict";
/* The numbers of all cases: curves whose points choose, and a table that sorts by any column, worst first. */
function curves() {
  const points = (key, low, high) => seriesNames.map(name => ({ name, points: rows.map((r, i) => ({ r, i })).filter(o => o.r.series === name && o.r[key] !== undefined).map(({ r, i }) => ({
    x: key === "fid" ? r.clip_score : r.scale, y: r[key], low: low(r), high: high(r), key: i, mark: seriesNames.length > 1 && rows.some((q, j) => j < i && q.series === name) && rows.some((q, j) => j > i && q.series === name) ? "" : `w ${show(r.scale)}`, label: `${r.label}: ${spoken(key)} ${show(r[key])}`, pick: () => pick(i) })) }));
  const charts = [chart(points("fid", r => r.fid_std ? r.fid - 2 * r.fid_std : undefined, r => r.fid_std ? r.fid + 2 * r.fid_std : undefined), { x: "CLIP score (100 cos, higher is better)", y: "FID (lower is better)", legend: false })];
  if (rows[0].accuracy !== undefined) charts.push(chart(points("accuracy", r => r.accuracy_low, r => r.accuracy_high), { x: "guidance scale w", y: "share of captions obeyed", legend: false }));
  if (seriesNames.length > 1 && new Set(rows.map(r => r.nfe)).size > 1) charts.push(chart(seriesNames.map(name => ({ name, line: false, points: rows.map((r, i) => ({ r, i })).filter(o => o.r.series === name).map(({ r, i }) => ({
    x: r.nfe, y: r.fid, key: i, hollow: !r.front, mark: "", label: `${r.label}: ${r.nfe} evaluations, FID ${show(r.fid)}`, pick: () => pick(i) })) })), { x: "network evaluations a picture", y: "FID; filled: on the Pareto front", legend: false }));
  return charts;
}
/* A click on a column's name sorts worst first, then best first, then as the run measured. */
function table() {
  const heads = data.columns.map(c => {
    const b = make("button", { type: "button", className: "plain" }, spoken(c));
    b.addEventListener("click", () => {
      const [column, way] = (state.table || ":").split(":");
      keep({ table: column !== c ? `${c}:worst` : way === "worst" ? `${c}:best` : "" });
      refresh();
    });
    return make("th", { scope: "col", "data-column": c }, b);
  });
  const body = make("tbody");
  const made = rows.map((r, i) => {
    const b = make("button", { type: "button", className: "plain" }, r.label);
    b.addEventListener("click", () => pick(i));
    const tr = make("tr", { className: r.best ? "best" : "" }, make("th", { scope: "row" }, b), ...data.columns.slice(1).map(c => make("td", {}, show(r[c]))));
    tr.addEventListener("click", () => pick(i));
    return tr;
  });
  refreshes.push(() => {
    const [column, way] = (state.table || ":").split(":");
    const rising = typeof rows[0][column] === "string" ? way !== "best" : (way === "best") === lowerIsBetter(column);
    const sorted = rows.map((_, i) => i);
    if (data.columns.includes(column)) sorted.sort((a, b) => {
      const [x, y] = [rows[a][column], rows[b][column]];
      if (x === null || y === null || x === undefined || y === undefined) return (x ?? null) === null ? 1 : -1;
      return (rising ? 1 : -1) * (typeof x === "string" ? x.localeCompare(y) : x - y);
    });
    heads.forEach(h => h.dataset.column === column ? h.setAttribute("aria-sort", rising ? "ascending" : "descending") : h.removeAttribute("aria-sort"));
    body.replaceChildren(...sorted.map(i => made[i]));
    made.forEach((tr, i) => tr.classList.toggle("picked", i === current));
  });
  return make("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": "numbers of all cases" }, make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body));
}
function numbersSection() {
  const legend = seriesNames.length > 1 ? [make("p", { className: "legend" }, ...seriesNames.map((n, i) => {
    const b = make("button", { type: "button", className: "plain", "data-series": n }, make("i", { style: `color: ${colour(i)}` }, "● "), n);
    b.addEventListener("click", () => pick(nearest(n)));
    return b;
  }))] : [];
  const shown = section("What guidance does", make("div", { className: "row" }, ...curves()), ...legend, make("p", { className: "soft" }, data.footer), table(), ...(data.verdict ? [make("p", {}, data.verdict)] : []));
  refreshes.push(() => {
    for (const c of shown.querySelectorAll("circle.point")) c.classList.toggle("picked", Number(c.dataset.key) === current);
    for (const e of shown.querySelectorAll("[data-series]")) e.classList.toggle("behind", e.dataset.series !== rows[current].series);
  });
  shown.classList.toggle("crowd", seriesNames.length > 6); /* of many series the chosen one stands out */
}
