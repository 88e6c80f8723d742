"""evaluate.py, and the end of train.py: the guidance sweep of a run, in its folder and in its mirror."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.progress import track
from rich.table import Table
from torch import Tensor

from ..combinations import EMA_GUIDE
from ..config import Config, Guidance
from ..data.shards import digest
from ..devices import device_of
from ..evaluation.intervals import race
from ..evaluation.sweep import (
    ROWS,
    Case,
    Row,
    Seen,
    Store,
    best_row,
    blocks,
    deciding,
    draw,
    joined,
    look,
    picture_values,
    score,
)
from ..files import file_hash
from ..generation.text_to_image import TextToImage, evaluations, guider_of, path_of, precision_of, within
from ..nets.weights import save_arrays
from ..tracking.figures import plot_front, plot_loss, plot_sweep, save_grid, save_table
from ..tracking.mirrors import Sweep
from .compose import WEIGHTS
from .diffusion import load_model
from .exam import Exam, Passport, examine, picture_key
from .report import keep_for_report, make_report
from .run import Run, console, first_rank, refuse_another, say, share_of, take_own_gpu
from .study import SEEN, quality, series_of, study_rows, values_path, verdict, write_tables


class Drawn(NamedTuple):
    """A case that was drawn and seen: its passport, the key of its pictures, how many of it are means of."""

    case: Case
    passport: Passport
    key: str
    drawn: int


def evaluate(configs: Sequence[Config], folder: Path) -> None:
    """The sweep of a finished run, with the overrides of the command; of several configs one after the other."""
    for config in configs[1:]:
        refuse_another(folder, config)
    with Run(configs[0], folder, "evaluate") as run:
        sweep_run(run, configs)


def sweep_run(run: Run, configs: Sequence[Config]) -> None:
    """Pictures that were seen already, in this sweep or in another one of the run, are not drawn again."""
    take_own_gpu()
    asked: Any = None
    made_by: dict[str, Config] = {}  # by the digests of the rows' passports
    for given in configs:
        config = _resolved(given)
        guider, path = guider_of(given.guidance), path_of(given.objective)
        if asked != (config.data, config.evaluation):  # else the last one's judges and references serve
            asked, exam = (config.data, config.evaluation), examine(config, run.folder)
        drawn = _drawn(config, run.folder, exam)
        if not first_rank():
            continue
        known = {digest(r["passport"]) for r in run.record.read("sweep")}
        for one in drawn:
            key = digest(one.passport)
            made_by[key] = config
            if key not in known or not values_path(run.folder, one.passport).is_file():
                nfe = evaluations(config.sampler, guider, path, one.case.scale)
                run.record.write(
                    "sweep", **_row(one, exam, run.folder, config.evaluation.grid, nfe), passport=one.passport
                )
    if first_rank():
        _publish(run, exam, made_by)


def _resolved(config: Config) -> Config:
    """With the steps and the precision that the sampler will have: what passports say."""
    sampler = within(config.sampler, guider_of(config.guidance), path_of(config.objective))
    precision = precision_of(sampler, device_of(config.training))
    return replace(config, sampler=replace(sampler, precision=precision))


def _drawn(config: Config, folder: Path, exam: Exam) -> list[Drawn]:
    """Draw and see all cases of a config, with the other ranks. Returns when all of it is there."""
    e, scales, store = config.evaluation, config.guidance.scales, Store(folder / SEEN)
    count = min(e.samples, len(exam.captions))
    if count < e.samples:
        say(f"evaluation: {count} {exam.split} captions, fewer than evaluation.samples={e.samples}: all are used")
    name, weights = _guider_name(config.guidance), file_hash(folder / WEIGHTS)
    sampler = f"{config.sampler.name}{config.sampler.steps}"
    found = []
    for ema in e.ema:
        cases = [Case(name, sampler, ema, scale) for scale in scales]
        papers = {case: exam.passport(config, weights, count, case.scale, ema) for case in cases}
        keys = {picture_key(papers[case]): case for case in cases}
        size = _whole(e.batch // len(scales), _rows(config))
        work = _Drawing(config, folder, exam, ema, keys, store, size)
        work.until(dict.fromkeys(keys, count))
        counts = dict.fromkeys(keys, count)
        if e.extra and len(cases) > 1:
            chunk = min(size, max(1, e.extra // (2 * len(cases))))
            counts = race(list(keys), count, len(exam.captions), e.extra, chunk, work.look)
        found += [Drawn(case, papers[case] | {"drawn": counts[key]}, key, counts[key]) for key, case in keys.items()]
    return found


def _rows(config: Config) -> int | None:
    """The rows of a net's call: on a CPU always as many, on a GPU as many as there are in a block."""
    return ROWS if device_of(config.training) == "cpu" else None


def _pictures(
    model: TextToImage, exam: Exam, rows: int | None, cases: Sequence[Case], prompts: Sequence[int]
) -> Tensor:
    """uint8 [cases, B, 3, H, W] of B prompts, by their numbers."""
    captions, scales = [exam.captions[i] for i in prompts], [case.scale for case in cases]
    return replace(model, apart=rows is not None).generate(captions, exam.seeds(prompts), *scales)


def _whole(size: int, rows: int | None) -> int:
    """A block of about so many prompts, of whole calls."""
    return max(1, size) if rows is None else max(rows, size // rows * rows)


def _guider_name(g: Guidance) -> str:
    """With the worse network, where there is one: two of them are two guiders."""
    guide = "" if g.guide is None else f"({g.guide if re.fullmatch(EMA_GUIDE, g.guide) else Path(g.guide).stem})"
    return guider_of(g).name + guide


class _Drawing:
    """The cases of one average, {key: case}, drawn block by block with the model that is loaded when it is needed."""

    def __init__(
        self, config: Config, folder: Path, exam: Exam, ema: float, cases: dict[str, Case], store: Store, size: int
    ) -> None:
        self.config, self.folder, self.exam, self.ema = config, folder, exam, ema
        self.cases, self.store, self.size, self.rows = cases, store, size, _rows(config)
        self.counts = dict.fromkeys(cases, 0)
        self.model: TextToImage | None = None

    def generate(self, some: Sequence[Case], prompts: Sequence[int]) -> Tensor:
        if self.model is None:
            self.model = load_model(self.config, self.folder, self.ema)
        return _pictures(self.model, self.exam, self.rows, some, prompts)

    def until(self, counts: dict[str, int]) -> None:
        """Draw what is missing of {key: how many}: cases that have got equally far side by side."""
        e = self.config.evaluation
        for first in sorted(set(self.counts.values())):
            some = {k: c for k, c in self.cases.items() if self.counts[k] == first and counts[k] > first}
            if not some:
                continue
            every = blocks(first, max(counts[k] for k in some), self.size)
            captions, labels = self.exam.captions, self.exam.asked.labels
            judges = self.exam.judges
            work = draw(some, every, captions, labels, self.generate, judges, self.store, e.grid, self.rows, share_of())
            title = f"pictures of {len(some)} scales" + (f", EMA {self.ema:g}" if self.ema else "")
            shown = track(work, title, len(every), console=console, transient=True) if first_rank() else work
            for _ in shown:
                pass
            self.counts |= {k: counts[k] for k in some}

    def look(self, counts: dict[str, int]) -> dict[str, np.ndarray]:
        """Each picture's values of {key: how many}. All ranks see all of them, and so go on alike."""
        self.until(counts)
        seen = {key: self.store.read(key, n) for key, n in counts.items()}
        return {key: deciding(picture_values(s, self.exam.labels(counts[key]))) for key, s in seen.items()}


def _row(one: Drawn, exam: Exam, folder: Path, grid: int, nfe: int) -> Row:
    """The numbers of a case; each picture's values and the first pictures are kept for later comparisons."""
    seen = Store(folder / SEEN).read(one.key, one.drawn)
    row, values = score(seen, exam.labels(one.drawn), exam.judges, one.passport["prompts"]["n"])
    kept = {name: torch.from_numpy(v) for name, v in values.items()}
    save_arrays(values_path(folder, one.passport), {**kept, "pictures": seen["pictures"][:grid]})
    return {**one.case._asdict(), "nfe": nfe, **row}


def quick_measure(config: Config, folder: Path, model: TextToImage) -> Callable[[Any], Row]:
    """What measures a net while it is trained: evaluation.quick pictures at guidance.scale, the rest being the model's."""
    exam = examine(config, folder)
    n, scale = min(config.evaluation.quick, len(exam.captions)), config.guidance.scale
    passport = exam.passport(_resolved(config), "the average at this step", n, scale, 0.0)
    case, rows = Case(_guider_name(config.guidance), config.sampler.name, 0.0, scale), _rows(config)
    draw_some = partial(_pictures, model, exam, rows)

    def measure(net: Any) -> Row:
        model.net = net
        seen: list[Seen] = []
        for block in blocks(0, n, _whole(config.evaluation.batch, rows)):
            seen += look([case], block, exam.captions, exam.asked.labels, draw_some, exam.judges, rows)
        row, _ = score(joined(seen), exam.labels(n), exam.judges, n)
        return {**row, "passport": passport}

    return measure


def _publish(run: Run, exam: Exam, made_by: dict[str, Config]) -> None:
    """Tables, figures, report and mirrors: of all rows of the run that may stand beside those of this command."""
    folder, figures, captions = run.folder, run.folder / "figures", exam.captions
    rows, shown = study_rows(folder)
    best, mine = best_row(rows), [r for r in rows if digest(r["passport"]) in made_by]
    ours = best_row(mine)
    model = load_model(made_by[digest(ours["passport"])], folder, ours["ema"])
    keep_for_report(run, model, captions, float(ours["scale"]), exam.split)
    write_tables(folder / "sweep", {folder.name: rows})
    pictures = {Case(*(r[f] for f in Case._fields)).label: shown[digest(r["passport"])] for r in mine}
    few = {label: images[:8] for label, images in pictures.items()}
    made = [
        plot_sweep(rows, figures / "sweep.png", folder.name),
        plot_front(rows, quality(rows), figures / "front.png", folder.name),
        plot_loss(run.record.curve(), figures / "loss.png"),
        save_table(few, captions[: min(len(i) for i in few.values())], figures / "guidance.png"),
        *[save_grid(i, captions[: len(i)], figures / f"grid-{label}.png") for label, i in pictures.items()],
    ]
    run.record.write("best", **{k: best[k] for k in (*Case._fields, "fid", "clip_score")})
    _print(mine, best)
    say(verdict(rows, best))
    report = make_report([folder], folder / "report.html")
    firsts = [shown[digest(r["passport"])] for r in mine]
    run.mirror.sweep(Sweep(mine, best, exam.seed, firsts, captions, made, report))
    say(f"table {folder / 'sweep.csv'}, figures {figures}, report {report}")


def _print(rows: list[Row], best: Row) -> None:
    several = len({series_of(r) for r in rows}) > 1
    columns = [
        *(["nfe"] if several else []),
        "scale",
        "n",
        "fid",
        "clip_score",
        *[c for c in ("accuracy", "single_object_accuracy", "accuracy_setting") if c in rows[0]],
    ]
    table = Table(*(["case"] if several else []), *[c.replace("_", " ") for c in columns])
    for row in rows:
        cells = [*([series_of(row)] if several else []), *[_cell(row, c) for c in columns]]
        table.add_row(*cells, style="bold" if row is best else None)
    console.print(table)


def _cell(row: Row, column: str) -> str:
    """The number, with half of its 95 % interval where it has one."""
    value = row[column]
    if not isinstance(value, float):
        return str(value)
    half = None
    if f"{column}_low" in row:
        half = (row[f"{column}_high"] - row[f"{column}_low"]) / 2
    elif f"{column}_std" in row:
        half = 1.96 * row[f"{column}_std"]
    return f"{value:.4g}" + (f" ± {half:.2g}" if half else "")
