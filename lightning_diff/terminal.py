"""The terminal of a command: any encoding, and a reader that may leave. No output ends a command.

A letter that the terminal's encoding does not have is replaced. When the reader of a pipe is gone (`| head -1`), what is
written there is dropped; so is what a full disk does not take. Names of files are UTF-8, whatever the locale says.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from typing import Any

from .strings import visible

CONSOLE_WORD = "LIGHTNING_DIFF_COMMAND"  # the console command's first word, for the ranks that Lightning starts
GONE = (errno.EPIPE, errno.EIO, errno.EBADF)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a log; NO_ROOM of files.py, which may not be imported here


class Unbreakable(io.FileIO):
    """A file descriptor that takes everything: it writes to nowhere when its reader is gone, and loses what a full disk loses."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as e:
            if e.errno in GONE:
                _to_nowhere(self.fileno())
            elif e.errno not in FULL:
                raise
            return len(data)


class Shown(logging.Formatter):
    """Messages that give a terminal no commands, whatever names of files are in them."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _to_nowhere(number: int) -> None:
    """Make a file descriptor write to nowhere, for this process and those that it starts."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)


def settle_terminal() -> None:
    """Make stdout and stderr of this process unbreakable. Streams that somebody else has put there are left alone."""
    _use_utf8()
    if logging.lastResort:  # what prints warnings until a command sets up its own
        logging.lastResort.setFormatter(Shown())
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream: Any = getattr(sys, name)
        if stream is None:  # the command was started with a closed descriptor
            _to_nowhere(number)
            setattr(sys, name, io.TextIOWrapper(io.FileIO(number, "w", closefd=False), "utf-8", write_through=True))
        elif stream is getattr(sys, f"__{name}__") and isinstance(stream, io.TextIOWrapper):
            stream.flush()
            raw = Unbreakable(number, "w", closefd=False)
            lines = stream.line_buffering or name == "stderr"
            made = io.TextIOWrapper(
                io.BufferedWriter(raw), stream.encoding, "replace", line_buffering=lines, write_through=lines
            )
            setattr(sys, name, made)


def _use_utf8() -> None:
    """Start this command again in Python's UTF-8 mode if the locale has no UTF-8: else no path with other letters works."""
    if (
        sys.getfilesystemencoding() == "utf-8"
        or sys.stdout is not sys.__stdout__
        or "PYTEST_CURRENT_TEST" in os.environ
    ):
        return
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    environment = {"PYTHONIOENCODING": f"{encoding}:replace", **os.environ, "PYTHONUTF8": "1"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
