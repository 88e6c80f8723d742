"""Blocks: numbers do not depend on ranks, on the size of a block, or on a kill; what is known is not drawn again."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_diff.evaluation.features import features_of, judge_features
from lightning_diff.evaluation.sweep import Case, Judges, Store, against_the_best, blocks, draw, score, unlike
from lightning_diff.nets.text import Tokenizer, Tower

N = 20
CAPTIONS = [f"a red apple number {i}" for i in range(N)]
CASES = {f"k{w}": Case("cfg", 0.0, float(w)) for w in (1, 2, 3)}


class Generator:
    """A picture is a function of its prompt and its scale. What is asked for is noted."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []

    def __call__(self, cases: Sequence[Case], first: int, stop: int) -> Tensor:
        self.asked.append((len(cases), first, stop))
        rows = []
        for case in cases:
            draws = [torch.Generator().manual_seed(int(100 * case.scale) + i) for i in range(first, stop)]
            rows.append(
                torch.stack([torch.randint(0, 256, (3, 16, 16), generator=g, dtype=torch.uint8) for g in draws])
            )
        return torch.stack(rows)


@pytest.fixture(scope="module")
def judges() -> Judges:
    torch.manual_seed(0)
    vision = {"layers": 1, "width": 32, "head_width": 32, "patch_size": 8, "image_size": 16}
    text = {"context_length": 16, "width": 32, "heads": 1, "layers": 1}
    words = Tokenizer.words_of(CAPTIONS)
    tower = Tower({"embedding": 8, "vision": vision, "text": text, "vocabulary": words}).eval()
    pictures = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8)
    seen = features_of(pictures, judge_features(tower))
    return Judges(tower, judge_features(tower), None, seen, seen)


def run(
    judges: Judges, folder: Path, size: int, ranks: int = 1, dead: int = -1
) -> tuple[list[dict[str, object]], Generator]:
    generator, store = Generator(), Store(folder)
    for rank in [r for r in reversed(range(ranks)) if r != dead]:  # the first one comes last
        for _ in draw(CASES, CAPTIONS, {}, generator, judges, store, size, 4, rank, ranks):
            pass
    seen = [store.read(key, blocks(N, size)) for key in CASES]
    assert all(s["pictures"].shape == (4, 3, 16, 16) for s in seen)
    found = [score(s, {}, judges) for s in seen]
    rows = [row for row, _ in found]
    against_the_best(rows, [values for _, values in found])
    return rows, generator


def test_rows_do_not_depend_on_ranks_nor_on_the_block(judges: Judges, tmp_path: Path) -> None:
    alone, _ = run(judges, tmp_path / "a", 8)
    together, _ = run(judges, tmp_path / "b", 8, ranks=3)
    assert alone == together
    assert run(judges, tmp_path / "d", 8, ranks=3, dead=1)[0] == alone
    other, _ = run(judges, tmp_path / "c", 3)
    for a, b in zip(alone, other, strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_a_killed_sweep_draws_what_is_missing_alone(judges: Judges, tmp_path: Path) -> None:
    whole, _ = run(judges, tmp_path / "a", 8)
    interrupted = draw(CASES, CAPTIONS, {}, Generator(), judges, Store(tmp_path / "b"), 8, 4)
    next(interrupted)
    Store(tmp_path / "b").path("k2", (0, 8)).unlink()
    again, generator = run(judges, tmp_path / "b", 8)
    assert again == whole
    assert generator.asked == [(1, 0, 8), (3, 8, 16), (3, 16, 20)]
    assert run(judges, tmp_path / "b", 8)[1].asked == []


def test_the_best_row_is_behind_nothing(judges: Judges, tmp_path: Path) -> None:
    rows, _ = run(judges, tmp_path, 8)
    best = max(rows, key=lambda r: r["clip_score"])  # type: ignore[arg-type,return-value]
    assert best["behind_low"] == best["behind_high"] == 0.0
    assert all(r["behind_low"] <= r["clip_score"] - best["clip_score"] <= r["behind_high"] for r in rows)  # type: ignore[operator]


def test_unlike_passports_are_named() -> None:
    a = {"weights": "1", "reference": {"n": 5}, "prompts": "x"}
    assert unlike([a, {**a, "weights": "2"}], ["weights"]) == []
    assert unlike([a, {**a, "reference": {"n": 6}}], ["weights"]) == ["reference"]


def test_blocks_of_another_size_in_the_same_folder_are_not_taken_for_whole_ones(judges: Judges, tmp_path: Path) -> None:
    whole, _ = run(judges, tmp_path, 8)
    for a, b in zip(whole, run(judges, tmp_path, 6)[0], strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)
