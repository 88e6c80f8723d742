"""Run the doctor's checks and print what they find, before a job is submitted or as its first two minutes.

The doctor trains nothing and leaves no files behind.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from rich.table import Table

from ..cluster.detection import heed_slurm
from ..config.errors import ConfigError
from ..config.schema import Config
from ..files import write_text
from ..locks import lock
from ..ranks import Fitting, Terminal, rank_of
from .findings import OK, WARNING, WRONG, Check, Finding, Patient, existing, number
from .machine import OF_EACH_RANK, OF_THE_FIRST, clock, file_system, shared_lock
from .run import OF_THE_RUN

OTHERS_COME_IN = 60.0  # seconds that the ranks wait for each other
COLOURS = {OK: "green", WARNING: "yellow", WRONG: "red"}
ON_DISK: tuple[Check, ...] = (file_system, clock)


def doctor(config: Config, folder: Path) -> bool:
    """Run all checks; the first rank prints the findings. Returns whether nothing is wrong."""
    heed_slurm(config.cluster.slurm)
    rank, count = _ranks()
    place = existing(Path(config.outputs))
    if rank:
        _tell_the_first(config, folder, _shared_scratch(place), rank)
        return True
    findings: list[Finding] = []
    try:
        with _scratch(place, count) as scratch:
            patient = Patient(config, folder, scratch)
            with lock(scratch / "first-rank", wait=False):
                (scratch / "ready").touch()
                findings += _all(OF_EACH_RANK, patient)
                findings += _of_the_others(scratch, count)
            findings += _all((*OF_THE_FIRST, *OF_THE_RUN), patient)
    except OSError as e:
        findings += _without_scratch(config, folder, place, e)
    _show(findings)
    return all(f.level != WRONG for f in findings)


def _ranks() -> tuple[int, int]:
    """(rank, number of ranks) of the processes that run. Without srun a batch script starts only one, whatever SLURM's
    variables say."""
    together = "WORLD_SIZE" in os.environ or "SLURM_STEP_ID" in os.environ
    return rank_of() if together else (0, 1)


def _all(checks: Iterable[Check], patient: Patient) -> list[Finding]:
    """The findings of these checks. An error in a check becomes a finding, and the other checks still run."""
    found = []
    for check in checks:
        try:
            found.append(check(patient))
        except ConfigError as e:
            said, _, remedy = str(e).rpartition("; ")
            found.append(Finding(_name(check), WRONG, said or str(e), remedy if said else "mend what it says"))
        except Exception as e:
            remedy = "train.py would fail with it too, or the doctor is wrong: then report it"
            found.append(Finding(_name(check), WRONG, f"{type(e).__name__}: {e}", remedy))
    return found


def _name(check: Check) -> str:
    return str(getattr(check, "__name__", "check")).replace("_", " ")


def _without_scratch(config: Config, folder: Path, place: Path, error: OSError) -> list[Finding]:
    """The findings if the outputs cannot be written: this error, and the checks that do not need the disk."""
    remedy = "outputs=FOLDER where this user may write, or make room"
    with tempfile.TemporaryDirectory() as elsewhere:
        patient = Patient(config, folder, Path(elsewhere))
        checks = [c for c in (*OF_EACH_RANK, *OF_THE_FIRST, *OF_THE_RUN) if c not in ON_DISK]
        return [Finding("file system", WRONG, f"{place}: {error.strerror or error}", remedy), *_all(checks, patient)]


@contextmanager
def _scratch(place: Path, ranks: int) -> Iterator[Path]:
    """A folder beside the outputs, deleted at the end. All ranks know its name."""
    if ranks == 1:
        scratch = Path(tempfile.mkdtemp(prefix=".doctor-", dir=place))
    else:
        scratch = _shared_scratch(place)
        scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _shared_scratch(place: Path) -> Path:
    job = [os.environ.get(n, "") for n in ("SLURM_JOB_ID", "SLURM_STEP_ID", "TORCHELASTIC_RUN_ID", "MASTER_PORT")]
    return place / f".doctor-{'-'.join(x for x in job if x)}"


def _tell_the_first(config: Config, folder: Path, scratch: Path, rank: int) -> None:
    """Write the findings of this rank into the first rank's folder. Only the first rank prints."""
    until = time.monotonic() + OTHERS_COME_IN
    while not (scratch / "ready").is_file():
        if time.monotonic() > until:
            return
        time.sleep(0.1)
    found = _all((*OF_EACH_RANK, shared_lock), Patient(config, folder, scratch))
    try:
        write_text(scratch / f"rank-{rank}.json", json.dumps([socket.gethostname(), [astuple(f) for f in found]]))
    except OSError:
        return  # the first rank no longer waits, or reports itself that nothing can be written


def _of_the_others(scratch: Path, count: int) -> list[Finding]:
    """The warnings and errors of the other ranks, each finding once."""
    if count == 1:
        return []
    files = {rank: scratch / f"rank-{rank}.json" for rank in range(1, count)}
    until = time.monotonic() + OTHERS_COME_IN
    while not all(f.is_file() for f in files.values()) and time.monotonic() < until:
        time.sleep(0.1)
    missing = [rank for rank, f in files.items() if not f.is_file()]
    hosts, by_finding = {socket.gethostname()}, dict[Finding, list[int]]()
    for rank in files.keys() - missing:
        host, rows = json.loads(files[rank].read_text())
        hosts.add(host)
        for row in rows:
            by_finding.setdefault(Finding(*row), []).append(rank)
    found = [
        Finding(f.what, f.level, f"ranks {', '.join(map(str, sorted(ranks)))}: {f.found}", f.remedy)
        for f, ranks in by_finding.items()
        if f.level != OK
    ]
    if missing:
        said = f"nothing heard of {', '.join(map(str, missing))} in {OTHERS_COME_IN:g} s"
        remedy = "see what srun says of them; outputs= must be a folder that all nodes share"
        return [*found, Finding("other ranks", WRONG, said, remedy)]
    said = f"all {count} ranks on {len(hosts)} hosts answered, and are told of the first one's lock"
    return found or [Finding("other ranks", OK, said)]


def _show(findings: list[Finding]) -> None:
    table = Table("", "what", "found", "remedy", show_lines=True)
    for f in findings:
        table.add_row(f"[{COLOURS[f.level]}]{f.level}[/]", f.what, *(_plain(x) for x in (f.found, f.remedy)))
    console = Terminal(emoji=False)
    if not console.is_terminal:
        console = Terminal(width=number("COLUMNS") or 160, emoji=False)  # a job's log is wider than 80 columns
    rows = [[f"{f.level}: {f.what}", f.found, f.remedy] for f in findings]
    console.print(Fitting(table, ["what", "", "remedy:"], rows), soft_wrap=True)
    counts = {level: sum(f.level == level for f in findings) for level in (WRONG, WARNING)}
    console.print(f"{counts[WRONG]} wrong, {counts[WARNING]} warnings, of {len(findings)} findings", highlight=False)


def _plain(text: str) -> str:
    """Escape brackets, which rich would read as markup."""
    return text.replace("[", "\\[")
