"""A small sample of elastic.py."""

from __future__ import annotations

from pathlib import Path

from tests.faults import elastic


def test_killed_and_continued_with_other_numbers_of_ranks_and_workers(tmp_path: Path) -> None:
    assert elastic.main(4, tmp_path) == 0


def test_a_sample_that_is_lost_or_another_one_is_told(tmp_path: Path) -> None:
    right = {position: f"hash{position}" for position in range(4)}
    (tmp_path / "log-0.0").write_text("0 hash0\n1 hash1\n2 hash7\n")
    (tmp_path / "log-1.0").write_text("2 hash2\n")
    assert elastic.faults(tmp_path, right) == [
        "position 2: not the sample of this position",
        "position 3: nobody got it",
    ]
