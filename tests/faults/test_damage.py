"""A sample of tests/faults/damage.py: no damaged file changes a number in silence, and none is a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_diff.config.paths import PACKAGE_FOLDER


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_damaged_file_is_mended_or_told(tmp_path: Path) -> None:
    """In a process of its own: it forks."""
    command = [sys.executable, "-m", "tests.faults.damage", "--flips", "1", "--every", "61", f"--place={tmp_path}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=PACKAGE_FOLDER, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
