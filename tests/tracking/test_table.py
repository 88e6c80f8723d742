"""The tables of a sweep: CSV always, Parquet where pyarrow is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow import parquet

from lightning_diff.tracking import table
from lightning_diff.tracking.table import write_csv, write_parquet

ROWS = [{"fid": 1.0, "passport": {"sampler": {"steps": 4}, "ema": [0.1]}}, {"fid": 2.0, "passport": {}}]


def test_tables_within_a_row_become_columns(tmp_path: Path) -> None:
    write_parquet(tmp_path / "sweep.parquet", ROWS)
    assert parquet.read_table(tmp_path / "sweep.parquet").to_pylist() == [
        {"fid": 1.0, "passport.sampler.steps": 4, "passport.ema": "[0.1]"},
        {"fid": 2.0, "passport.sampler.steps": None, "passport.ema": None},
    ]


def test_without_pyarrow_there_is_no_parquet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one of an earlier sweep: it would tell other numbers than the CSV beside it."""
    write_parquet(tmp_path / "sweep.parquet", ROWS[:1])
    monkeypatch.setattr(table, "find_spec", lambda name: None)
    write_parquet(tmp_path / "sweep.parquet", ROWS)
    write_csv(tmp_path / "sweep.csv", [{"fid": 1.0}])
    assert [p.name for p in tmp_path.iterdir()] == ["sweep.csv"]
