"""The rank of this process, and messages that only the first rank prints."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from .strings import visible

HELPS = "LIGHTNING_DIFF_HELPS"  # the variable that names the process that this one helps
# What launchers say, each with its least value: Lightning makes a number of it, late.
LEAST = {
    **dict.fromkeys(("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "JSM_NAMESPACE_RANK", "MASTER_PORT"), 0),
    **dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"), 0),
    **dict.fromkeys(("WORLD_SIZE", "SLURM_NTASKS"), 1),
}
LONG = 16  # letters: words of this length are not folded in a table


class Terminal(Console):
    """A console to which no text gives commands: what names, captions and messages hold is shown, never obeyed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if min(self.size) < 1:  # COLUMNS=0 would show nothing
            self.size = 80, 25

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


console = Terminal(soft_wrap=True, markup=False, emoji=False)  # a path may hold [b] and :x:


def rank_of() -> tuple[int, int]:
    """(rank of this process, number of ranks), from the variables of torchrun, Lightning and SLURM, before any process group
    is formed."""

    def found(*names: str) -> list[int]:
        return [int(os.environ[n]) for n in names if os.environ.get(n, "").isdecimal()]

    # torchrun says RANK. Without it take the greatest: processes that Lightning starts inside a batch step inherit its
    # SLURM_PROCID = 0. Under torchrun SLURM_PROCID is the number of the node.
    rank = next(iter(found("RANK")), max(found("LOCAL_RANK", "SLURM_PROCID"), default=0))
    return rank, next(iter(found("WORLD_SIZE", "SLURM_NTASKS")), 1)


def wrong_rank() -> str:
    """What is wrong with the variables that say which rank this is; empty if nothing is. A variable that a shell kept from
    another command would make a rank that waits for ever for the first one."""
    for name, least in LEAST.items():
        said = os.environ.get(name)
        if said is not None and not (said.isdecimal() and int(said) >= least):
            return f"{name}={said}: must be a whole number, {least} or more; unset {name}"
    rank, ranks = rank_of()
    if rank < ranks:
        return ""
    names = [n for n in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if os.environ.get(n) == str(rank)]
    return f"{names[0]}={rank}: no launcher started {rank + 1} processes; unset {' '.join(names)}"


def started_ranks() -> int:
    """How many processes a launcher started together with this one; 0 if it was started alone. A SLURM job that has several
    tasks is no launcher until srun starts them."""
    names = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
    found = [int(n) for n in map(os.environ.get, names) if n and n.isdecimal()]
    return found[0] if found and found[0] > 1 else 0


def end_with_helped() -> None:
    """If this process helps another one, let it end with that one, however that ends."""
    if (helped := os.environ.get(HELPS, "")).isdecimal():
        end_with(int(helped))


def end_with(parent: int) -> None:
    """Let this process end when the one that started it does. What is half done is nowhere yet, or is made again."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=watch, daemon=True, name="end-with").start()


def share_of() -> tuple[int, int]:
    """(number of this process, number of processes) for work that is shared through the file system. The processes are the
    ranks of all tasks of a SLURM array."""
    rank, ranks = rank_of()
    said = [os.environ.get(f"SLURM_ARRAY_TASK_{n}", "") for n in ("ID", "MAX", "MIN")]
    task, last, first = map(int, said) if all(n.isdecimal() for n in said) else (0, 0, 0)
    return (task - first) * ranks + rank, (last - first + 1) * ranks


def first_rank() -> bool:
    """Whether this process is the first of the run's ranks."""
    return rank_of()[0] == 0


def say(*words: Any) -> None:
    """Print, in the first rank only. Text is printed as it is: brackets and colons in it are no markup."""
    if first_rank():
        console.print(*words, highlight=False, markup=False, emoji=False)


class Fitting:
    """A table for the terminal. Where it is too wide, each row is a line instead, so that no number is cut."""

    def __init__(self, table: Table, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.table, self.names, self.rows = table, names, rows

    @property
    def width(self) -> int:
        """The columns that it needs if words longer than LONG are folded."""
        columns = zip(self.names, *self.rows, strict=True)
        longest = [max((len(word) for cell in column for word in cell.split()), default=0) for column in columns]
        return 1 + sum(3 + min(length, LONG) for length in longest)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        if self.width <= options.max_width:
            yield self.table
            return
        for first, *rest in self.rows:
            cells = [f"{name} {cell}".strip() for name, cell in zip(self.names[1:], rest, strict=True) if cell]
            yield Text(f"{first}: {', '.join(cells)}", no_wrap=True, overflow="ignore")


def wait_for(done: Callable[[], bool], patience: float, what: str) -> None:
    """Wait until the first rank has done something. Raises TimeoutError after `patience` seconds (0: never)."""
    end = time.monotonic() + patience
    while not done():
        if patience and time.monotonic() > end:
            raise TimeoutError(f"the first rank has not {what} for {patience:g} s (training.patience)")
        time.sleep(0.5)
