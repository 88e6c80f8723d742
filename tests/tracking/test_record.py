"""The run folder's record outlives kills."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightning_diff.tracking.record import Record


def test_a_line_cut_short_is_passed_over_and_the_next_is_whole(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.write("train", 1, loss=0.5)
    with record.path.open("a") as f:
        f.write('{"event": "train", "st')
    before, again = record.path.read_bytes(), Record(tmp_path)
    assert len(again.read()) == 1 and record.path.read_bytes() == before  # it may be a line that is being written
    again.write("train", 2, loss=0.4)
    assert [(r["step"], r["loss"]) for r in again.curve()] == [(1, 0.5), (2, 0.4)]


def test_a_step_recorded_again_counts_as_recorded_last(tmp_path: Path) -> None:
    record = Record(tmp_path)
    for step, loss in ((1, 0.5), (2, 0.4), (1, 0.3)):
        record.write("train", step, loss=loss)
    assert [(r["step"], r["loss"]) for r in record.curve()] == [(1, 0.3), (2, 0.4)]


def test_a_changed_line_is_passed_over_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = Record(tmp_path)
    for step in (1, 2, 3):
        record.write("train", step, loss=0.5)
    data = record.path.read_bytes()
    record.path.write_bytes(data.replace(b'"step": 2, "loss": 0.5', b'"step": 2, "loss": 0.4'))
    assert [r["step"] for r in Record(tmp_path).read("train")] == [1, 3]
    assert "line 2 is damaged; it is passed over" in caplog.text
    record.path.write_bytes(data[:30] + bytes(range(256)) + data[60:])
    assert [r["step"] for r in Record(tmp_path).read("train")] == [2, 3]


def test_lines_of_older_runs_have_no_sum(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.path.write_text(
        '{"event": "train", "time": 1, "step": 1, "loss": 0.5}\n{"event": "sweep", "scale": 1}\n[1]\n'
    )
    assert [r["step"] for r in record.curve()] == [1] and record.read("sweep") == []
