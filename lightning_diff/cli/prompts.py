"""The run and the prompts that a command names, checked before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from ..config.errors import ConfigError
from ..config.paths import SHIPPED, WEIGHTS


def shipped_run() -> Path:
    """The folder of the model that comes with the package. Raises ConfigError if it is not there."""
    return finished(SHIPPED / "still_life")


def finished(folder: Path) -> Path:
    """Return `folder` if it holds a finished run. Raises ConfigError if it has no weights."""
    if not folder.is_dir():
        raise ConfigError(f"run={folder}: no such folder; train one, for example python train.py experiment=base")
    if not (folder / WEIGHTS).is_file():
        raise ConfigError(f"run={folder}: no {WEIGHTS} yet; train it to the end with the command that began it")
    return folder


def prompts_of(prompt: str, file: str) -> list[str]:
    """The prompt as typed, or the lines of a file. Raises ConfigError if there is no prompt."""
    if prompt and file:
        raise ConfigError("prompt= and prompts=: give one of them")
    if file:
        if not Path(file).is_file():
            raise ConfigError(f"prompts={file}: no such file")
        lines = [line.strip() for line in Path(file).read_text("utf-8").splitlines()]
        if not any(lines):
            raise ConfigError(f"prompts={file}: no prompt in it; write one a line")
        return [line for line in lines if line]
    if not prompt.strip():
        raise ConfigError('prompt=: say what to draw, for example prompt="a large green avocado on a table"')
    return [prompt]
