"""How far long work is: a bar in a terminal; elsewhere (a job's log, nohup, a pipe) a line from time to time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TypeVar

from rich.progress import track

from .ranks import console, first_rank, say

T = TypeVar("T")
LINES = 20.0  # seconds from one line to the next, where there is no terminal


class Lines:
    """Prints how far the work is, every LINES seconds. A thread of its own prints, so that one long piece of work is not
    silent."""

    def __init__(self, what: str, total: float) -> None:
        self.what, self.total, self.done, self.began = what, total, 0.0, time.monotonic()

    def line(self) -> str:
        said, spent = f"{self.what}: {self.done:,.0f} of {self.total:,.0f}", time.monotonic() - self.began
        if not 0 < self.done < self.total:
            return f"{said}, {spent:,.0f} s so far"
        return f"{said}, about {spent / self.done * (self.total - self.done):,.0f} s left"

    @contextmanager
    def printed(self) -> Iterator[Lines]:
        """A context in which the lines are printed."""
        ended = Event()

        def tell() -> None:
            while not ended.wait(LINES):
                say(self.line())

        thread = Thread(target=tell, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()


def lines_told() -> Callable[[str, float, float], None]:
    """For work that tells how far it is: a function (what, done, total) that prints it every LINES seconds at most, where there
    is no terminal."""
    said = time.monotonic()

    def told(what: str, done: float, total: float) -> None:
        nonlocal said
        if not console.is_terminal and time.monotonic() - said > LINES:
            said = time.monotonic()
            say(f"{what}: {done:,.0f} of {total:,.0f}")

    return told


def tracked(work: Iterable[T], what: str, total: int, each: int = 1) -> Iterator[T]:
    """The pieces of the work. The first rank shows how many of `total` are done; a piece counts as `each` of them."""
    if not first_rank():
        yield from work
    elif console.is_terminal:
        yield from track(work, what, total / each, console=console, transient=True)
    else:
        with Lines(what, total).printed() as lines:
            for piece in work:
                yield piece
                lines.done = min(total, lines.done + each)
