"""The name of a run: the same config, asked for by the same keys, names the same folder, however the command spells it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from ..config.compose import stored_config
from ..config.convert import plain
from ..config.errors import ConfigError
from ..config.input.typed import as_path, as_typed, kind_of
from ..config.schema import Config
from ..ranks import say

LONGEST = 150  # letters of a run's name: file systems allow 255, and the names of figures and reports begin with it
MARKED = LONGEST - 9  # letters of a longer name before its mark
# Overrides that are not part of a run's name: they say where it is stored and where it runs, not what it computes.
PLACE = (
    *("experiment=", "name=", "tracking", "outputs=", "cache=", "pins=", "plugins=", "hydra"),
    *(f"training.{key}=" for key in ("accelerator", "devices", "nodes", "strategy", "workers")),
)
FREE = ("version", "name", "outputs", "cache", "pins", "plugins", "tracking")  # the same, as keys of a config
FREE_TRAINING = ("accelerator", "devices", "nodes", "strategy", "workers")


def group_name(config: Config, overrides: Sequence[str]) -> str:
    """The group of a run for its trackers, shared by the runs of a multirun: name=, else the experiment, else the task."""
    experiment = next((o.split("=", 1)[1] for o in overrides if o.startswith("experiment=")), config.task)
    return config.name or experiment


def run_name(config: Config, overrides: Sequence[str]) -> str:
    """The name of a run: name= from the command, or a name made from the overrides, sorted by key."""
    name = group_name(config, overrides)
    if config.name and any(o.lstrip("+").startswith("name=") for o in overrides):
        return name
    return _short("-".join([name, *(_safe(f"{key}={value}") for key, value in _said(overrides).items())]))


def run_folder(config: Config, overrides: Sequence[str]) -> Path:
    """The folder of a run. If an older run has the same config under the same keys, spelt in another way, it is its folder."""
    outputs, name = Path(config.outputs), run_name(config, overrides)
    folder = outputs / name
    keys = sorted(_said(overrides))
    if (folder / "config.yaml").is_file() or not keys or name == config.name:
        return folder
    for other in _candidates(outputs, group_name(config, overrides), keys):
        try:
            same = _compared(stored_config(other / "config.yaml")) == _compared(config)
        except ConfigError:
            continue
        if same:
            say(f"{other}: has this config, so the run is continued there")
            return other
    return folder


def _candidates(outputs: Path, group: str, keys: Sequence[str]) -> Iterator[Path]:
    """The folders whose names begin with the group and name these keys; of a name that was cut, those that it can show."""
    for path in sorted(outputs.glob("*/config.yaml")):
        name = path.parent.name
        rest = name.removeprefix(f"{group}-")
        cut = len(name) == LONGEST
        if rest != name and (cut or sorted(re.findall(r"(?:^|-)\+?([\w./]+)=", rest)) == [*keys]):
            yield path.parent


def _compared(config: Config) -> dict[str, Any]:
    """What two runs of the same name have in common."""
    values = {key: value for key, value in plain(config).items() if key not in FREE}
    values["training"] = {key: value for key, value in values["training"].items() if key not in FREE_TRAINING}
    return values


def _said(overrides: Sequence[str]) -> dict[str, str]:
    """The overrides that count for the name, sorted: key -> value as the config reads it. The last of a key counts."""
    words = [word.lstrip("+~") for word in overrides]
    pairs = (word.partition("=") for word in words if not word.startswith(PLACE))
    return dict(sorted({key: _value(key, value) for key, _, value in pairs}.items()))


def _value(key: str, text: str) -> str:
    """A value in one spelling: 0.001 for 1e-3, [1,3] for [1, 3] and for [1.0,3], a text without its quotes."""
    if kind_of(key) in (("path", False), ("text", False)):
        return as_typed(f"{key}={text}").partition("=")[2]
    try:
        return _spelt(OverridesParser.create().parse_override(f"k={text}").value())
    except HydraException:
        return text


def _spelt(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_spelt, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_spelt(part)}' for key, part in value.items())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return re.sub(r"e([-+]?)\+?0*(\d)", r"e\1\2", repr(value).removesuffix(".0")).replace("e+", "e")
    return "null" if value is None else str(value)


def _safe(word: str) -> str:
    return "".join(c if c.isalnum() or c in "=.,-_" else "_" for c in word)


def _short(full: str) -> str:
    if len(full) <= LONGEST and len(full.encode()) <= 200:
        return full
    mark = hashlib.sha256(full.encode()).hexdigest()[:8]  # tells runs apart that differ only after the cut
    cut = full[:MARKED].encode()[:190].decode(errors="ignore")
    return f"{cut}-{mark}"


def folders_of(text: str, outputs: Path | None = None) -> list[Path]:
    """The run folders in a list with commas. Names of runs may hold commas too: the longest name that exists is taken."""
    parts, found = text.split(","), []
    while parts:
        tried = [",".join(parts[:n]) for n in range(len(parts), 0, -1)]
        name = next((name for name in tried if folder_of(name, outputs).is_dir()), parts[0])
        del parts[: name.count(",") + 1]
        if name:
            found.append(folder_of(name, outputs))
    return found


def folder_of(name: str, outputs: Path | None = None) -> Path:
    """The folder of a run by its path, or by its name in `outputs`. Without `outputs` a path is tried first."""
    path = Path(as_path(name))
    inside = (outputs or Path("outputs")) / path
    first, second = (inside, path) if outputs is not None else (path, inside)
    return second if second.is_dir() and not first.is_dir() else first
