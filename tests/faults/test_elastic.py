"""A small sample of elastic.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lightning_diff.config.paths import PACKAGE_FOLDER
from tests.faults import elastic


def test_killed_and_continued_with_other_numbers_of_ranks_and_workers(tmp_path: Path) -> None:
    """In a process of its own: it forks, which Lightning refuses in one that has asked whether there is a GPU."""
    command = [sys.executable, "-m", "tests.faults.elastic", "--count", "4", f"--place={tmp_path}"]
    done = subprocess.run(command, cwd=PACKAGE_FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_sample_that_is_lost_or_another_one_is_told(tmp_path: Path) -> None:
    right = {position: f"hash{position}" for position in range(4)}
    (tmp_path / "log-0.0").write_text("0 hash0\n1 hash1\n2 hash7\n")
    (tmp_path / "log-1.0").write_text("2 hash2\n")
    assert elastic.faults(tmp_path, right) == [
        "position 2: not the sample of this position",
        "position 3: nobody got it",
    ]
