"""The guidance sweep of a run: it draws and scores every case, and writes the tables and figures to the run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..config.schema import Evaluation
from ..data.shards import digest
from ..models.latent_diffusion import LatentDiffusion
from ..nets.weights import has_arrays, read_arrays, save_arrays
from ..progress import tracked
from ..ranks import first_rank, say, share_of
from ..strings import counted
from ..tracking.figures import plot_front, plot_loss, plot_sweep, save_grid, save_table
from ..tracking.record import Record
from .lost.counting import LostCount, say_lost
from .printed import print_rows
from .readiness import cautions, readiness
from .results import SEEN, STUDIED, quality, recorded, study_rows, values_path, write_tables
from .setup import Combination, Measured, Passport, drawer, picture_key
from .statistics.adaptive import ERROR, allocate, growing_looks, planned_looks
from .statistics.ranking import LOOKS, deciding
from .statistics.verdict import best_row, series_of, verdict
from .sweep import (
    Block,
    Case,
    Generate,
    Row,
    Seen,
    Store,
    blocks,
    draw,
    joined,
    look,
    picture_values,
    score,
    unlike,
)

WorkLeft = Callable[[int, int], object]  # network evaluations, and blocks of pictures


class DrawnCase(NamedTuple):
    """A case whose pictures are drawn: its passport, the key of its pictures, the number of pictures, and the numbers at which
    the cases were compared, if it was allowed to stop early."""

    case: Case
    passport: Passport
    key: str
    drawn: int
    looks: list[int]


class Swept(NamedTuple):
    """A finished sweep: its rows, with the first pictures of each, uint8 [N, 3, H, W]; the best of its rows and the combination
    that drew it; the best of all comparable rows of the run; the figures."""

    rows: list[Row]
    pictures: list[np.ndarray]
    best_asked: Row
    made_by: Measured
    best: Row
    figures: list[Path]


def run_sweep(
    combinations: Iterable[Measured],
    folder: Path,
    record: Record,
    config: Mapping[str, Any] | None = None,
    columns: Sequence[str] = (),
    work_left: WorkLeft = lambda *_: None,
) -> Swept | None:
    """Draw and score all combinations. Pictures that this sweep or another sweep of the run has drawn already are not drawn
    again. The other ranks help to draw, but only the first rank returns the result; they return None. `config` holds the keys of
    the run's config, for the tables; `columns` are those to print, if not the usual ones. `work_left` is told what
    is to be drawn next."""
    made_by: dict[str, Measured] = {}  # by the digests of the rows' passports
    for one in combinations:
        drawn = _drawn(one, folder, record, work_left)
        if not first_rank():
            continue
        _score_again(one, drawn[0].passport, folder, record)
        places = [(row, values_path(folder, stored)) for row, stored in recorded(record)]
        known = {digest(row["passport"]) for row, place in places if has_arrays(place, remove=True)}
        for case in drawn:
            key = digest(case.passport)
            made_by[key] = one
            if key not in known:
                nfe = one.evaluations(case.case.scale)
                record.write("sweep", **_row(case, one, folder, nfe), passport=case.passport)
    return _publish(folder, record, made_by, config or {}, columns) if first_rank() else None


def _drawn(one: Measured, folder: Path, record: Record, work_left: WorkLeft) -> list[DrawnCase]:
    """Draw all cases of a combination and compute their features, together with the other ranks. Returns when all are done."""
    e, setup, scales, store = one.settings, one.setup, one.scales, Store(folder / SEEN)
    count = min(e.samples, len(setup.captions))
    if count < e.samples:
        say(
            f"evaluation: {counted(count, f'{setup.split} caption')}, fewer than evaluation.samples={e.samples}: all are used"
        )
    places: dict[str, str] = {}  # keys of older rows, whose passports had another format
    for row, stored in recorded(record):
        places.setdefault(picture_key(row["passport"]), picture_key(stored))
    found = []
    for ema in e.ema:
        cases = [one.case(ema, scale) for scale in scales]
        passports = {case: one.passport(count, case.scale, ema) for case in cases}
        wanted = {case: picture_key(passports[case]) for case in cases}
        keys = {places.get(key, key): case for case, key in wanted.items()}
        size = _block(e.batch // len(scales), setup.rows)
        work = _Drawing(one, ema, keys, store, size, work_left)
        work.until(dict.fromkeys(keys, count))
        looks = _looks(e, count, len(setup.captions), len(cases), size, setup.rows or 1)
        counts, decided = dict.fromkeys(keys, count), e.until == "decided"
        if looks:
            counts = allocate(
                list(keys), looks, e.extra or None, work.look, setup.contents.numpy(), until_decided=decided
            )
        rule = {"until": {"decided": looks, "error": ERROR}} if decided else {}
        found += [
            DrawnCase(case, passports[case] | {"drawn": counts[key]} | rule, key, counts[key], looks)
            for key, case in keys.items()
        ]
    return found


def _looks(e: Evaluation, count: int, most: int, cases: int, size: int, rows: int) -> list[int]:
    """The numbers of pictures at which a sweep compares its cases before it ends; none if they are drawn without a look."""
    if cases < 2 or not (e.extra or e.until == "decided"):
        return []
    if e.until == "decided":
        return growing_looks(count, most, rows)
    return planned_looks(count, most, e.extra, min(size, max(1, e.extra // (2 * cases))))


def _score_again(one: Measured, passport: Passport, folder: Path, record: Record) -> None:
    """Score the older rows of the run that differ from this `passport` in their metrics alone, or in their metrics' code, of the
    stored features. No picture is drawn. The older rows stay in the record."""
    old = recorded(record)
    known = {digest(row["passport"]) for row, _ in old}
    for row, stored in old:
        now = row["passport"] | {"metrics": passport["metrics"]}
        if digest(now) in known or unlike([now, passport], STUDIED):
            continue
        known.add(digest(now))
        place = values_path(folder, stored)
        looks = read_arrays(place).get(LOOKS, torch.empty(0)).int().tolist() if has_arrays(place) else []
        case = DrawnCase(Case(*(row[f] for f in Case._fields)), now, picture_key(stored), now["drawn"], looks)
        try:
            again = _row(case, one, folder, row["nfe"])
        except FileNotFoundError:
            continue
        record.write("sweep", **again, passport=now)


def _block(size: int, rows: int | None) -> int:
    """The size of a block: about `size` prompts, and a multiple of `rows`."""
    return max(1, size) if rows is None else max(rows, size // rows * rows)


class _Drawing:
    """Draws the cases {key: case} of one EMA length, block by block. It loads the model when it first needs it."""

    def __init__(
        self, one: Measured, ema: float, cases: dict[str, Case], store: Store, size: int, work_left: WorkLeft
    ) -> None:
        self.one, self.setup, self.ema, self.work_left = one, one.setup, ema, work_left
        self.cases, self.store, self.size = cases, store, size
        self.counts = dict.fromkeys(cases, 0)
        self.drawer: Generate | None = None
        self.lost = LostCount(one)

    def generate(self, some: Sequence[Case], prompts: Sequence[int]) -> Tensor:
        if self.drawer is None:
            self.drawer = self.one.drawer(self.ema)
        return self.drawer(some, prompts)

    def until(self, counts: dict[str, int]) -> None:
        """Draw the missing pictures of {key: count}. Cases with the same number of pictures are drawn together."""
        keep = self.one.settings.grid
        for first in sorted(set(self.counts.values())):
            some = {k: c for k, c in self.cases.items() if self.counts[k] == first and counts[k] > first}
            if not some:
                continue
            every = blocks(first, max(counts[k] for k in some), self.size)
            captions, labels = self.setup.captions, self.setup.asked.labels
            judges, rows = self.setup.judges, self.setup.rows
            work = draw(
                some, every, captions, labels, self.generate, judges, self.store, keep, rows, share_of(), self.lost.add
            )
            title = f"pictures of {len(some)} scales" + (f", EMA {self.ema:g}" if self.ema else "")
            size = every[0][1] - every[0][0]  # of the largest block
            self.work_left(*self._left(some, every))
            for _ in tracked(work, title, (every[-1][1] - first) * len(some), size * len(some)):
                pass
            self.counts |= {k: counts[k] for k in some}

    def _left(self, cases: dict[str, Case], every: Sequence[Block]) -> tuple[int, int]:
        """The network evaluations, and the blocks, that are still to be done for these cases."""
        missing = [(c, b) for b in every for k, c in cases.items() if not has_arrays(self.store.path(k, b))]
        return sum((b[1] - b[0]) * self.one.evaluations(c.scale) for c, b in missing), len({b for _, b in missing})

    def look(self, counts: dict[str, int]) -> dict[str, np.ndarray]:
        """Each picture's values for {key: count}. All ranks get all values, so all make the same decisions."""
        self.until(counts)
        seen, metrics = {key: self.store.read(key, n) for key, n in counts.items()}, self.setup.judges.metrics
        return {key: deciding(picture_values(s, self.setup.labels(counts[key]), metrics)) for key, s in seen.items()}


def _row(drawn: DrawnCase, one: Measured, folder: Path, nfe: int) -> Row:
    """The row of a case. Each picture's values and the first pictures are saved for later comparisons."""
    seen, setup = Store(folder / SEEN).read(drawn.key, drawn.drawn), one.setup
    say_lost(one, drawn.case, seen)
    row, values = score(seen, setup.labels(drawn.drawn), setup.judges, drawn.passport["prompts"]["n"])
    kept = {name: torch.from_numpy(v) for name, v in values.items()}
    if drawn.looks:
        kept[LOOKS] = torch.tensor(drawn.looks)
    save_arrays(values_path(folder, drawn.passport), {**kept, "pictures": seen["pictures"][: one.settings.grid]})
    return {**drawn.case._asdict(), "nfe": nfe, **row}


def periodic_measure(one: Combination, model: LatentDiffusion) -> Callable[[Any], Row]:
    """The function that measures a net during training: evaluation.quick pictures at guidance.scale. Everything except the net
    comes from `model`."""
    setup, scale = one.setup, one.guider.scale
    n = min(one.settings.quick, len(setup.captions))
    passport, case = one.passport(n, scale, 0.0), Case(one.guider.name, one.sampler.kind, 0.0, scale)
    draw_some = drawer(model, setup)

    def measure(net: Any) -> Row:
        model.net = net
        seen: list[Seen] = []
        for block in blocks(0, n, _block(one.settings.batch, setup.rows)):
            seen += look([case], block, setup.captions, setup.asked.labels, draw_some, setup.judges, setup.rows)
        found = joined(seen)
        say_lost(one, case, found)
        row, _ = score(found, setup.labels(n), setup.judges, n)
        return {**row, "passport": passport}

    return measure


def _publish(
    folder: Path,
    record: Record,
    made_by: dict[str, Measured],
    config: Mapping[str, Any],
    columns: Sequence[str],
) -> Swept:
    """Write the tables and figures of all rows of the run that can be compared with this sweep's rows."""
    figures, captions = folder / "figures", next(reversed(made_by.values())).setup.captions
    rows, shown = study_rows(folder)
    if not any(digest(r["passport"]) in made_by for r in rows):  # all was known, and something else was asked for since
        row, stored = next(one for one in reversed(recorded(record)) if digest(one[0]["passport"]) in made_by)
        record.write("sweep", **{k: v for k, v in row.items() if k != "passport"}, passport=stored)
        rows, shown = study_rows(folder)
    best, mine = best_row(rows), [r for r in rows if digest(r["passport"]) in made_by]
    ours = best_row(mine)
    write_tables(folder / "sweep", {folder.name: rows}, {folder.name: config})
    pictures = {Case(*(r[f] for f in Case._fields)).label: shown[digest(r["passport"])].pictures for r in mine}
    few = {label: images[:8] for label, images in pictures.items()}
    made = [
        plot_sweep(rows, figures / "sweep.png", folder.name),
        plot_front(rows, quality(rows), figures / "front.png", folder.name),
        plot_loss(record.curve(), figures / "loss.png", record.curve("validation")),
        save_table(few, captions[: min(len(i) for i in few.values())], figures / "guidance.png"),
        *[save_grid(i, captions[: len(i)], figures / f"grid-{label}.png") for label, i in pictures.items()],
    ]
    known = readiness(next(reversed(made_by.values())).setup, best["n"])
    record.write("best", **{k: best[k] for k in (*Case._fields, "fid", "clip_score")}, **known)
    spoken = [r for r in rows if r in mine or series_of(r) == series_of(best)]
    print_rows(spoken, best, columns)
    say(f"real pictures in place of {best['n']} drawn ones: FID {known['floor']:.3g}")
    warned = cautions(best["fid"], known)
    say(" ".join(filter(None, [warned, verdict(rows, best, doubted=bool(warned))])))
    if left := len({digest(row["passport"]) for row, _ in recorded(record)}) - len(rows):
        say(
            f"{left} older rows of the record are not in the table: they were drawn, scored or asked for in another way"
        )
    firsts = [shown[digest(r["passport"])].pictures for r in mine]
    return Swept(mine, firsts, ours, made_by[digest(ours["passport"])], best, made)
