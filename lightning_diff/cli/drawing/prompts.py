"""The run and the prompts that a command names, checked before anything is loaded."""

from __future__ import annotations

import re
from pathlib import Path

from ...config.errors import ConfigError
from ...config.paths import SHIPPED, WEIGHTS, check_writable
from ...pipeline.many.named import nearest_run
from ...pipeline.origin import training_command
from ...ranks import say
from ...strings import clean_text, decode_text


def shipped_run() -> Path:
    """The folder of the model that comes with the package. Raises ConfigError if it is not there."""
    return finished(SHIPPED / "still_life")


def finished(folder: Path) -> Path:
    """Return `folder` if it holds a finished run. Raises ConfigError if it has no weights."""
    if not folder.is_dir():
        raise ConfigError(f"run={folder}: no such folder; {nearest_run(folder)}")
    if not (folder / WEIGHTS).is_file():
        command = training_command(folder) or "the command that began it"
        raise ConfigError(f"run={folder}: no {WEIGHTS} yet; train it to the end: {command}")
    return folder


def whole_number(name: str, text: str, least: int, most: int, more: str = "") -> int:
    """The number that a word of a command holds. Raises ConfigError."""
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise ConfigError(f"{name}={text}: a whole number from {least} to {most}{more}")
    return int(text)


def out_folder(text: str) -> Path:
    """The folder that out= names. Raises ConfigError if it cannot be one."""
    path = Path(text)
    check_writable(f"out={text}", path)
    return path


def prompts_of(prompt: str, file: str) -> list[str]:
    """The prompt as typed, or the lines of a file. Raises ConfigError if there is no prompt."""
    if prompt and file:
        raise ConfigError("prompt= and prompts=: give one of them")
    if file:
        if not Path(file).is_file():
            raise ConfigError(f"prompts={file}: no such file")
        if not (lines := _lines(Path(file))):
            raise ConfigError(f"prompts={file}: no prompt in it; write one a line")
        return lines
    if not prompt.strip():
        raise ConfigError('prompt=: say what to draw, for example prompt="a large green avocado on a table"')
    return [clean_text(prompt)]


def _lines(path: Path) -> list[str]:
    """The prompts of a file. A line ends at \\n or \\r\\n and at nothing else; empty lines are skipped. Bytes that are not UTF-8
    become U+FFFD, and their lines are named."""
    data = path.read_bytes()
    text, whole = decode_text(data)
    if not whole and b"\0" in data:
        raise ConfigError(f"prompts={path}: not a text file; write one prompt a line, in UTF-8")
    found = [line.strip() for line in text.split("\n")]
    for number, line in enumerate(found, 1):
        if not whole and "\ufffd" in line:
            say(f"prompts={path}: line {number} is not UTF-8; what cannot be read became \ufffd: {line!r}")
    return [line for line in found if line]
