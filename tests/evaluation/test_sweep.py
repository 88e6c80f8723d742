"""Blocks: numbers do not depend on ranks, on the size of a block, or on a kill; what is known is not drawn again."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_diff.evaluation.statistics.ranking import against_the_best
from lightning_diff.evaluation.statistics.verdict import best_row
from lightning_diff.evaluation.sweep import Case, Judges, Store, blocks, draw, front, score, unlike
from tests.evaluation.conftest import CAPTIONS, N

CASES = {f"k{w}": Case("cfg", "euler20", 0.0, float(w)) for w in (1, 2, 3)}


class Generator:
    """A picture is a function of its prompt and its scale. What is asked for is noted."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []

    def __call__(self, cases: Sequence[Case], prompts: Sequence[int]) -> Tensor:
        self.asked.append((len(cases), prompts[0], prompts[-1] + 1))
        rows = []
        for case in cases:
            draws = [torch.Generator().manual_seed(int(100 * case.scale) + i) for i in prompts]
            rows.append(
                torch.stack([torch.randint(0, 256, (3, 16, 16), generator=g, dtype=torch.uint8) for g in draws])
            )
        return torch.stack(rows)


def run(judges: Judges, folder: Path, size: int, rows: int | None = None) -> tuple[list[dict[str, object]], Generator]:
    generator, store = Generator(), Store(folder)
    for _ in draw(CASES, blocks(0, N, size), CAPTIONS, {}, generator, judges, store, 4, rows):
        pass
    seen = [store.read(key, N) for key in CASES]
    assert all(s["pictures"].shape == (4, 3, 16, 16) for s in seen)
    found = [score(s, {}, judges, N) for s in seen]
    rows = [row for row, _ in found]
    against_the_best(rows, [values for _, values in found])
    return rows, generator


def test_rows_do_not_depend_on_the_block(judges: Judges, tmp_path: Path) -> None:
    alone, _ = run(judges, tmp_path / "a", 8)
    other, _ = run(judges, tmp_path / "c", 3)
    for a, b in zip(alone, other, strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_with_as_many_prompts_in_each_call_the_bits_do_not_depend_on_the_block(judges: Judges, tmp_path: Path) -> None:
    """Whatever the processor makes of other sizes: blocks that begin anywhere, and the last one, which is not full."""
    whole, generator = run(judges, tmp_path / "a", N, rows=8)
    assert {stop - first for _, first, stop in generator.asked} == {8, 4}  # of 24, four are the last prompt again
    for size in (1, 3, 8, 13):
        assert run(judges, tmp_path / f"{size}", size, rows=8)[0] == whole


def test_a_killed_sweep_draws_what_is_missing_alone(judges: Judges, tmp_path: Path) -> None:
    whole, _ = run(judges, tmp_path / "a", 8)
    interrupted = draw(CASES, blocks(0, N, 8), CAPTIONS, {}, Generator(), judges, Store(tmp_path / "b"), 4, None)
    next(interrupted)
    Store(tmp_path / "b").path("k2", (0, 8)).unlink()
    again, generator = run(judges, tmp_path / "b", 8)
    assert again == whole
    assert generator.asked == [(1, 0, 8), (3, 8, 16), (3, 16, 20)]
    assert run(judges, tmp_path / "b", 8)[1].asked == []


def test_the_best_row_is_behind_nothing(judges: Judges, tmp_path: Path) -> None:
    rows, _ = run(judges, tmp_path, 8)
    best = max(rows, key=lambda r: r["clip_score"])  # type: ignore[arg-type,return-value]
    assert (
        best["behind_low"] == best["behind_high"] == 0.0
        and best["best"]
        and sum(map(bool, [r["best"] for r in rows])) == 1
    )
    assert best_row(rows) is best and min(r["fid_behind"] for r in rows) == 0.0  # type: ignore[type-var]
    assert all(r["behind_low"] <= r["clip_score"] - best["clip_score"] <= r["behind_high"] for r in rows)  # type: ignore[operator]


def test_unlike_passports_are_named() -> None:
    a = {"weights": "1", "reference": {"n": 5}, "prompts": "x"}
    assert unlike([a, {**a, "weights": "2"}], ["weights"]) == []
    assert unlike([a, {**a, "reference": {"n": 6}}], ["weights"]) == ["reference"]


def test_blocks_of_another_size_in_the_same_folder_are_not_taken_for_whole_ones(judges: Judges, tmp_path: Path) -> None:
    whole, _ = run(judges, tmp_path, 8)
    for a, b in zip(whole, run(judges, tmp_path, 6)[0], strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_a_sweep_of_more_pictures_begins_with_those_that_are_there(judges: Judges, tmp_path: Path) -> None:
    run(judges, tmp_path, 8)
    store, key = Store(tmp_path), "k1"
    assert torch.equal(store.read(key, 16)["embedding"], store.read(key, N)["embedding"][:16])
    with pytest.raises(FileNotFoundError, match="first 12"):
        store.read(key, 12)


def test_means_are_of_all_pictures_and_statistics_of_the_first(judges: Judges, tmp_path: Path) -> None:
    run(judges, tmp_path, 4)
    seen = Store(tmp_path).read("k1", N)
    few, _ = score({name: t[:12] for name, t in seen.items()}, {}, judges, 12)
    more, _ = score(seen, {}, judges, 12)
    same = ("n", "fid", "fid_std", "kid", "cmmd", "precision", "recall", "diversity")
    assert {k: few[k] for k in same} == {k: more[k] for k in same}
    assert (few["drawn"], more["drawn"]) == (12, N) and few["clip_score"] != more["clip_score"]


def test_the_front_is_what_nothing_beats() -> None:
    rows = [
        {"fid": 1.0, "nfe": 40, "good": 0.5},
        {"fid": 2.0, "nfe": 20, "good": 0.5},
        {"fid": 2.0, "nfe": 40, "good": 0.5},  # the second is as good and cheaper
        {"fid": 3.0, "nfe": 40, "good": 0.9},
        {"fid": 2.0, "nfe": 20, "good": 0.5},  # equal to the second: neither beats the other
    ]
    assert front(rows, ["fid", "nfe"], ["good"]) == [0, 1, 3, 4]
