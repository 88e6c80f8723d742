"""Freed memory stays with the process."""

from __future__ import annotations

import os
import subprocess
import sys

FAULTS = """
import resource, torch
from lightning_diff.heap import keep_heap
keep_heap()
def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    before = pages()
    for _ in range(3):
        tensors = [torch.zeros(6 << 20) for _ in range(4)]  # 24 MiB each
        del tensors
    print(pages() - before)
"""


def faults(**own: str) -> int:
    """How often the last round asked the system for a page."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))} | own
    done = subprocess.run([sys.executable, "-c", FAULTS], env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def test_pages_are_taken_from_the_system_once() -> None:
    """Huge pages would be few, so the two ways are held against each other."""
    assert 4 * faults() < faults(MALLOC_TRIM_THRESHOLD_="131072")
