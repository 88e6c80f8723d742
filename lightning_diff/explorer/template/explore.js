"use strict";
/* The blocks of explore.html: a table, rows of pictures, pictures that sliders choose, and a movie. */
const shown = p => picture(p.source, p.caption);
const kinds = {
  table: b => [make("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": b.head.join(", ") }, make("table", {},
    make("thead", {}, make("tr", {}, ...b.head.map(c => make("th", { scope: "col" }, c)))),
    make("tbody", {}, ...b.rows.map(r => make("tr", {}, ...r.map((v, i) => i ? make("td", {}, show(v)) : make("th", { scope: "row" }, show(v))))))))],
  rows: b => b.rows.flatMap(r => [make("h3", {}, r.name, " ", make("small", {}, r.note)), strip(r.name, r.pictures.map(shown))]),
  movie: b => [make("div", { className: "movie" }, shown(b))],
  sliders: (b, word) => {
    const place = make("div", { className: "large", "aria-live": "polite" });
    return [...sliders(b.axes, b.axes.map(a => a.start), word, at => place.replaceChildren(...(b.frames[at.join(",")] || []).map(shown))), place];
  },
};
document.querySelector("h1").textContent = document.title = data.title;
document.getElementById("said").textContent = data.said;
data.sections.forEach((s, n) => section(s.title, make("p", { className: "soft" }, s.said), ...s.blocks.flatMap((b, m) => kinds[b.kind](b, `s${n}${m || ""}`))));
for (const [name, href] of data.pages) nav.append(make("a", { className: "page", href }, name));
goTo();
