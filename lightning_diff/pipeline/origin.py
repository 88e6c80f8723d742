"""Where a run comes from: the commands that made it, with the version and the commit of the code, in its record."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..config.paths import PACKAGE_FOLDER
from ..terminal import CONSOLE_WORD
from ..tracking.record import Record

EVENT = "command"
TRAINS = re.compile(r"python train\.py\b|lightning-diff train\b")


def this_command() -> dict[str, Any]:
    """The command of this process, and the code that it runs. Outside a git checkout there is no commit."""
    name = Path(sys.argv[0]).name
    begin = [name, os.environ.get(CONSOLE_WORD, "")] if name == "lightning-diff" else ["python", name]
    found = {"command": shlex.join([*begin, *sys.argv[1:]]), "version": __version__}
    commit = _commit()
    return {**found, **({"commit": commit} if commit else {})}


def training_command(folder: Path) -> str:
    """The last command that trained the run of this folder, as it is typed; empty if its record has none."""
    commands = [str(event["command"]) for event in Record(folder).read(EVENT)]
    return next((one for one in reversed(commands) if TRAINS.match(one)), "")


def _commit() -> str:
    """The commit of the checkout, with "-dirty" if tracked files were changed; empty if there is none."""
    if not (PACKAGE_FOLDER / ".git").exists():
        return ""
    words = ["git", "-C", str(PACKAGE_FOLDER), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def origin(folders: Sequence[Path]) -> list[str]:
    """A line for each command that trained or measured these runs, the oldest first. A command of several runs, or one that was
    given again with the same code, has one line, with its last time."""
    found: dict[tuple[str, str], float] = {}
    for event in (event for folder in folders for event in Record(folder).read(EVENT)):
        code = f"version {event['version']}" + (f", commit {event['commit']}" if "commit" in event else "")
        key = event["command"], code
        found[key] = max(found.get(key, 0.0), event["time"])
    return [
        f"{command} ({code}, {time.strftime('%Y-%m-%d %H:%M', time.localtime(at))})"
        for (command, code), at in sorted(found.items(), key=lambda pair: pair[1])
    ]
