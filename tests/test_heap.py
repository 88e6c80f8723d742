"""Freed memory stays with the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("own", [{}, {"MALLOC_TRIM_THRESHOLD_": "131072"}])
def test_pages_are_taken_from_the_system_once(own: dict[str, str]) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))} | own
    done = subprocess.run([sys.executable, "-c", FAULTS], env=environment, capture_output=True, text=True, check=True)
    last = int(done.stdout.split()[-1])
    all_pages = 3 * 4 * 24 * 256
    assert last > all_pages / 2 if own else last < all_pages / 100
