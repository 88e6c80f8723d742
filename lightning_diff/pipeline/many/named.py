"""The runs that run=, report= and open= name: by a name in `outputs`, by a path, or by a pattern such as 'folder-*'."""

from __future__ import annotations

import difflib
import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...config.errors import ConfigError, meant
from ...config.input.typed import as_path


def folders_of(text: str, outputs: Path | None = None) -> list[Path]:
    """The run folders in a list with commas, each once. Names of runs may hold commas too: the longest name that exists is taken.

    Without `outputs`, a path is tried before a name in the folder outputs. Raises ConfigError for a pattern that no run has."""
    parts, found = text.split(","), list[Path]()
    while parts:
        tried = [",".join(parts[:n]) for n in range(len(parts), 0, -1)]
        name = next((name for name in tried if folder_of(name, outputs).is_dir()), parts[0])
        del parts[: name.count(",") + 1]
        if name and re.search(r"[*?\[]", name) and not folder_of(name, outputs).is_dir():
            matching = sorted(_matching(name, outputs), key=_natural)
            if not matching:
                raise ConfigError(f"{name}: no run has a name like this; python -m lightning_diff lists them")
            found += matching
        elif name:
            found.append(folder_of(name, outputs))
    return list(dict.fromkeys(found))


def one_folder(text: str) -> Path:
    """The one run that a command needs. Raises ConfigError if several are named."""
    found = folders_of(text)
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found[:3]) + (", ..." if len(found) > 3 else "")
        raise ConfigError(f"run={text}: {len(found)} runs ({names}); name one of them")
    return found[0] if found else folder_of(text)


def folder_of(name: str, outputs: Path | None = None) -> Path:
    """The folder of a run by its path, or by its name in `outputs`. Without `outputs` a path is tried first."""
    path = Path(as_path(name))
    inside = (outputs or Path("outputs")) / path
    first, second = (inside, path) if outputs is not None else (path, inside)
    return second if second.is_dir() and not first.is_dir() else first


def is_run(name: str) -> bool:
    """Whether a run has this name or path."""
    return (folder_of(name) / "config.yaml").is_file()


def nearest_run(folder: Path, outputs: Path | None = None) -> str:
    """The hint for the folder of a run that is not there: the run with the most similar name, or how to see or make runs."""
    names = [
        path.parent.name
        for place in (outputs or Path("outputs"), folder.parent)
        for path in place.glob("*/config.yaml")
    ]
    if close := difflib.get_close_matches(folder.name, names, n=1, cutoff=0.6):
        return meant(close)
    listed = "python -m lightning_diff lists the runs"
    return listed if names else "train one, for example python train.py experiment=base"


def check_runs(folders: Sequence[Path], typed: str = "", outputs: Path | None = None) -> None:
    """Raises ConfigError for the first folder that holds no run. `typed` is the argument that names the runs."""
    for folder in folders:
        if not (folder / "config.yaml").is_file():
            raise ConfigError(
                f"{typed or folder}: no run is in {folder} (no config.yaml); {nearest_run(folder, outputs)}"
            )


def _matching(pattern: str, outputs: Path | None) -> Iterator[Path]:
    """The run folders that a pattern names, in `outputs` and as paths. A report or another file beside them is no run."""
    path = as_path(pattern)
    for place in (Path(path), (outputs or Path("outputs")) / path):
        for found in glob.glob(str(place)):
            if (Path(found) / "config.yaml").is_file():
                yield Path(found)


def _natural(folder: Path) -> list[tuple[int, str]]:
    """Sorts seed=2 before seed=10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(folder))]
