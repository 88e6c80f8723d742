"""Loading of plugins, which add a user's own choices.

plugins=[my_guider.py] loads a file. plugins=[NAME] loads what an installed package offers under that name (entry points of
the group lightning_diff.plugins). Nothing else loads code, and only the command line can ask for it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from ..files import file_hash
from .errors import ConfigError, nearest
from .registry import registering

ENTRY_POINTS = "lightning_diff.plugins"

_loaded: dict[str, str] = {}  # name in plugins= -> hash of the file


def load_plugins(words: Sequence[str]) -> None:
    """Load the plugins that a command names with `plugins=`, in that order. Raises ConfigError."""
    for word in words:
        if word.startswith("plugins="):
            override = OverridesParser.create().parse_override(word)
            if override.is_sweep_override():
                raise ConfigError(f"{word}: a multirun cannot choose between plugins; name all of them, plugins=[A,B]")
            value = override.value()
            for name in value if isinstance(value, list) else [value]:
                _load(str(name))


def _load(name: str) -> None:
    seen, run = _file(name) if name.endswith(".py") else _installed(name)
    if seen == _loaded.get(name):
        return
    try:
        with registering(seen):
            run()
    except ConfigError:
        raise
    except Exception as e:
        said = str(e).splitlines()[0] if str(e) else ""
        raise ConfigError(f"plugins=[{name}]: {type(e).__name__}: {said}") from e
    _loaded[name] = seen


def _file(name: str) -> tuple[str, Callable[[], Any]]:
    """(hash of a user's file, function that runs the file)."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(f"plugins=[{name}]: no such file")

    def run() -> None:
        spec = importlib.util.spec_from_file_location(f"lightning_diff_plugin_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

    return file_hash(path), run


def _installed(name: str) -> tuple[str, Callable[[], Any]]:
    """(hash of an installed plugin's file, function that loads it)."""
    found = {e.name: e for e in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    if name not in found:
        hint = nearest(name, sorted(found)) if found else "no installed package offers one"
        raise ConfigError(f"plugins=[{name}]: neither a FILE.py nor an installed plugin; {hint}")
    spec = importlib.util.find_spec(found[name].module)
    origin = spec.origin if spec is not None else None
    return file_hash(Path(origin)) if origin else "unknown", found[name].load


def check_plugins(asked: Sequence[str]) -> None:
    """Raises ConfigError if a config needs a plugin that the command line did not name."""
    if missing := [name for name in asked if name not in _loaded]:
        words = f"plugins=[{','.join(asked)}]"
        raise ConfigError(f"plugins: {missing[0]} is loaded for the command line alone; add {words} to the command")
