"use strict";
/* The parts of the report, in order. */
document.querySelector("h1").textContent = document.title = data.title;
for (const line of data.made) document.getElementById("made").append(line, make("br"));
for (const [name, value] of data.facts) document.querySelector(".facts").append(make("li", value.length > 40 ? {class: "words"} : {}, make("b", {}, value), name));
let opened = () => {};
if (rows.length) {
  if (rows.some(r => r.pictures.length) && data.captions.length) { viewer(); opened = lookOf(); }
  numbersSection();
}
if (data.spread.length) section("Over seeds", make("p", { className: "soft" }, "Means over trainings that differ in their seed alone; bars: one standard deviation over seeds."),
  make("div", { className: "row" }, ...data.spread.map(s => chart(s.series, { x: "guidance scale w", y: s.name, legend: false }))),
  make("p", { className: "legend" }, ...data.spread[0].series.map((s, i) => make("span", {}, make("i", { style: `color: ${colour(i)}` }, "● "), s.name))));
for (const [number, seen] of data.seen.entries()) {
  const shown = make("div", { className: "large", "aria-live": "polite" });
  const films = seen.films.map(([title, frames]) => [title, frames.map((f, j) => picture(f, String(j + 1), `${title}, ${j + 1}`))]);
  const axes = [{ name: "guidance scale w", values: seen.scales.map(show) }, { name: "step", values: seen.times.map((t, j) => `${j + 1} of ${seen.times.length}, t = ${show(t)}`) }];
  const controls = sliders(axes, [Math.min(1, seen.scales.length - 1), Math.floor(seen.times.length / 4)], number ? `step${number}` : "step", ([i, j]) => {
    const words = ["what there is", "predicted with the prompt", "predicted without it", `the difference, × ${show(seen.gains[i][j])}, around gray`, "guided"];
    shown.replaceChildren(...seen.pictures[i][j].map((p, n) => picture(p, words[n])));
    for (const [, frames] of films) frames.forEach((f, n) => f.classList.toggle("now", n === j));
  });
  section("Guidance, seen", make("p", {}, `${seen.run ? seen.run + ": " : ""}“${seen.prompt}”`), make("p", { className: "soft" }, "The net is asked twice, with the prompt and without; guided = without + w (with − without). Move the sliders."),
    ...controls, shown, make("h3", {}, `The film at w = ${show(seen.w)}, from the same noise: a pinch of fresh noise is put back at every step, or none`),
    ...films.flatMap(([title, frames]) => [make("p", { className: "soft" }, title), strip(title, frames)]));
}
for (const film of data.films) {
  const frames = (title, some) => [make("h3", {}, title), strip(title, some.map((f, i) => picture(f, `step ${i + 1}`, `${title}, step ${i + 1}`)))];
  section("From noise to picture", make("p", {}, `${film.run ? film.run + ": " : ""}“${film.caption}”, w = ${show(film.scale)}`), ...frames("What there is", film.noisy), ...frames("What the network believes that it will be", film.guess));
}
for (const run of data.curves) {
  if (!run.losses.length) continue;
  section(data.curves.length > 1 ? `Training of ${run.name}` : "Training", make("div", { className: "row" },
    chart(run.losses.map(l => ({ name: l.name, points: l.points.map(([x, y]) => ({ x, y })) })), { x: "step", y: "loss", log: true }),
    ...(run.speed.length ? [chart([{ name: "images/s", points: run.speed.map(([x, y]) => ({ x, y })) }], { x: "step", y: "images a second" })] : []),
    ...(run.fid.length ? [chart([{ name: "FID", points: run.fid.map(([x, y]) => ({ x, y })) }], { x: "step", y: "FID while training" })] : [])),
    make("p", { className: "soft" }, run.note));
}
if (data.rebuilt.length) section("Reconstructions", make("p", { className: "soft" }, `${data.held_out ? "Held-out" : "Training"} pictures, and below each what is left of it after the autoencoder.`), make("div", { className: "small" }, ...data.rebuilt.map(([a, b]) => make("div", {}, picture(a, "", "original"), picture(b, "", "rebuilt")))));
if (data.contact.length) section("What it was trained on", make("div", { className: "small" }, ...data.contact.map(([source, caption]) => picture(source, caption))));
for (const [title, text] of data.papers) section(title, make("details", {}, make("summary", {}, "show"), make("pre", { tabIndex: 0, role: "group", "aria-label": title }, text)));
for (const [name, href] of data.pages) nav.append(make("a", { className: "page", href }, name));
if (rows.length) refresh();
opened();
goTo();
