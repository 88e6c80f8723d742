"""The name of a run: the same config, asked for by the same keys, names the same folder, however the command spells it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from ..config.compose import stored_config
from ..config.convert import plain
from ..config.errors import ConfigError
from ..config.input.typed import as_typed, kind_of
from ..config.paths import PARTS
from ..config.schema import Config
from ..ranks import say
from .continuing.same import another_run

LONGEST = 150  # letters of a run's name: file systems allow 255, and the names of figures and reports begin with it
MARKED = LONGEST - 9  # letters of a longer name before its mark
LONGEST_VALUE = 40  # letters of a value in the name of a multirun's run
# Overrides that are not part of a run's name: they say where it is stored and where it runs, not what it computes.
PLACE = (
    *("experiment=", "name=", "tracking", "cluster.", "outputs=", "cache=", "pins=", "plugins=", "hydra"),
    *(f"training.{key}=" for key in ("accelerator", "devices", "nodes", "strategy", "workers", "accept_new_data")),
)
FREE = (
    "version",
    "name",
    "outputs",
    "cache",
    "pins",
    "plugins",
    "tracking",
    "cluster",
)  # the same, as keys of a config
FREE_TRAINING = ("accelerator", "devices", "nodes", "strategy", "workers", "accept_new_data")


def group_name(config: Config, overrides: Sequence[str]) -> str:
    """The group of a run for its trackers, shared by the runs of a multirun: name=, else the experiment, else the task."""
    experiment = next((o.split("=", 1)[1] for o in overrides if o.startswith("experiment=")), config.task)
    return config.name or experiment


def run_name(config: Config, overrides: Sequence[str], swept: Sequence[str] = ()) -> str:
    """The name of a run: name= from the command, or a name made from the overrides, sorted by key. In a multirun only the keys
    that it sweeps are in the name."""
    name = group_name(config, overrides)
    if config.name and any(o.lstrip("+").startswith("name=") for o in overrides):
        return name
    said = {key: value for key, value in _said(overrides).items() if not swept or key in swept}
    words = [_safe(f"{key}={_short_value(value) if swept else value}") for key, value in said.items()]
    return _short("-".join([name, *words]))


def run_folder(config: Config, overrides: Sequence[str], swept: Sequence[str] = ()) -> Path:
    """The folder of a run; `swept` are the keys that its multirun sweeps.

    If an older run has the same config under the same keys, spelt in another way, it is its folder. If the folder of a multirun's
    run holds another run, because other keys that are not in the name differ, a mark of these keys follows its name."""
    refuse_misplaced(config)
    outputs, name = Path(config.outputs), run_name(config, overrides, swept)
    refuse_among_pictures(config, outputs / name)
    folder, said = outputs / name, _said(overrides)
    there = (folder / "config.yaml").is_file()
    if not said or name == config.name or (there and not swept):
        return folder
    another = another_run(folder, config) if there else ""
    if there and not another:
        return folder
    for other in _candidates(outputs, group_name(config, overrides), sorted(said), swept):
        try:
            same = _compared(_stored(other / "config.yaml")) == _compared(config)
        except ConfigError:
            continue
        if same:
            say(f"{other}: has this config, so the run is continued there")
            return other
    shared = [f"{key}={value}" for key, value in said.items() if key not in swept]
    if not there or not shared:
        return folder
    marked = outputs / f"{name}-{_mark(' '.join(shared))}"
    if not (marked / "config.yaml").is_file():
        say(f"{folder}: holds a run with another {another}, so this one is in {marked}")
    return marked


def refuse_misplaced(config: Config) -> None:
    """Raises ConfigError if name= puts a run into another run, or into what several runs share, or if outputs= or cache= lie in a
    run."""
    outputs, folder = Path(config.outputs), Path(config.outputs, config.name or "")
    for word, place in (("outputs", outputs), ("cache", Path(config.cache))):
        for path in (place.absolute(), *place.absolute().parents):
            if all((path / name).is_file() for name in ("config.yaml", "record.jsonl")):
                raise ConfigError(f"{word}={place}: it lies in {path}, which is a run; give another folder")
    for path in [folder, *(p for p in folder.parents if outputs in p.parents)] if config.name else ():
        shared = path == Path(config.cache) or path == outputs / PARTS
        if shared or (path != folder and (path / "config.yaml").is_file()):
            what = "holds what several runs share" if shared else "is a run"
            raise ConfigError(f"name={config.name}: the run would lie in {path}, which {what}; give another name=")


def refuse_among_pictures(config: Config, folder: Path, what: str = "the run", word: str = "outputs= or name=") -> None:
    """Raises ConfigError if a folder to be written lies among the pictures of data=folder: what is in it would become pictures.
    `what` lies there, and `word` moves it."""
    source = getattr(config.data, "source", "")
    if config.data.kind == "folder" and isinstance(source, str) and os.path.isdir(source):
        pictures, own = Path(os.path.realpath(source)), Path(os.path.realpath(folder))
        if own.is_relative_to(pictures):
            raise ConfigError(
                f"data.source={source}: {what} would lie among these pictures, in {folder}, and its figures would be read as "
                f"pictures; give another {word}"
            )


def swept_keys(overrides: Sequence[str]) -> list[str]:
    """The keys of a multirun's overrides that have several values."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return [override.get_key_element().lstrip("+~") for override in parsed if override.is_sweep_override()]


@cache
def _stored(path: Path) -> Config:
    """A stored config. It is cached, because each run of a multirun looks for its folder among the same ones."""
    return stored_config(path)


def _candidates(outputs: Path, group: str, keys: Sequence[str], swept: Sequence[str]) -> Iterator[Path]:
    """The folders whose names begin with the group and name these keys; of a name that was cut, those that it can show. For a
    multirun's run, all folders whose names begin with the group: it may have swept other keys, or all may be in the name."""
    for path in sorted(outputs.glob("*/config.yaml")):
        name = path.parent.name
        rest = name.removeprefix(f"{group}-")
        cut = len(name) == LONGEST
        if rest != name and (swept or cut or sorted(re.findall(r"(?:^|-)\+?([\w./]+)=", rest)) == [*keys]):
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
    cut = full[:MARKED].encode()[:190].decode(errors="ignore")
    return f"{cut}-{_mark(full)}"  # the mark tells runs apart that differ only after the cut


def _short_value(value: str) -> str:
    """A value of at most LONGEST_VALUE letters: of a longer one its end, where paths differ, and a mark."""
    return value if len(value) <= LONGEST_VALUE else f"{value[9 - LONGEST_VALUE :]}.{_mark(value)}"


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
