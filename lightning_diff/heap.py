"""The memory that tensors leave behind."""

from __future__ import annotations

import ctypes
import os
import threading

KEPT = {-3: 32 << 20, -1: 256 << 20}  # <malloc.h>: M_MMAP_THRESHOLD, the most that it takes; M_TRIM_THRESHOLD
OWN = ("MALLOC_", "GLIBC_TUNABLES")  # the user has said something else


def keep_heap() -> None:
    """Freed memory stays with the process, where the C library can do that (glibc's `mallopt`). By itself it gives blocks back to
    the system and takes them anew, as zeros, many times in each step: with 32 pictures a step, 7 % of both passes' time was the
    system's. It must be asked for before a process has several threads: `mallopt` is not made for them."""
    if any(name.startswith(OWN) for name in os.environ) or threading.active_count() > 1:
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or no such thing
        return
    for what, size in KEPT.items():
        mallopt(what, size)
