"""The identity of code: what is computed changes it, how it is written down does not."""

from __future__ import annotations

import importlib
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lightning_diff.syntax import code_hash

NUMBER = count()
HELP = "STEPS = 1000\nTABLE = {'a': lambda x: x + 1}\n\ndef halved(x):\n    return x / 2\n"
MAIN = """
from .help import STEPS, TABLE, halved

class Base:
    order = 1

    def step(self, x):
        return halved(x) + self.order

class Sampler(Base):
    def sample(self, x):
        from . import late
        return TABLE['a'](self.step(x)) * STEPS + late.more(x)

    def conflicts(self):
        return "no"

def unused():
    return 5
"""
LATE = "def more(x):\n    return x\n"


def hashed(root: Path, **files: str) -> str:
    name = f"written{next(NUMBER)}"
    folder = root / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    for file, text in {"help": HELP, "main": MAIN, "late": LATE, **files}.items():
        (folder / f"{file}.py").write_text(text)
    importlib.invalidate_caches()
    main: Any = importlib.import_module(f"{name}.main")
    return code_hash(main.Sampler, without=("conflicts",))


@pytest.fixture(autouse=True)
def on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def test_tidying_up_keeps_the_hash(tmp_path: Path) -> None:
    commented = MAIN.replace(
        "    def step(self, x):", "    # a comment\n\n    def step(self, x: float) -> float:\n        'One step.'"
    )
    moved = MAIN.replace(
        "from .help import STEPS, TABLE, halved", "from .other import halved\nfrom .help import STEPS, TABLE"
    )
    given = [
        {"main": commented},
        {"main": moved, "other": "def halved(x):\n    return x / 2\n", "help": HELP.partition("\ndef")[0]},
        {"main": MAIN.replace('"no"', '"never"').replace("return 5", "return 6")},
    ]
    assert {hashed(tmp_path, **files) for files in given} == {hashed(tmp_path)}


def test_what_is_computed_changes_the_hash(tmp_path: Path) -> None:
    given = [
        {},
        {"main": MAIN.replace("order = 1", "order = 2")},
        {"main": MAIN.replace("halved(x) +", "halved(x) -")},
        {"help": HELP.replace("1000", "999")},
        {"help": HELP.replace("x + 1", "x + 2")},
        {"help": HELP.replace("x / 2", "x / 3")},
        {"late": LATE.replace("return x", "return -x")},
    ]
    assert len({hashed(tmp_path, **files) for files in given}) == len(given)


def test_each_sampler_and_each_metric_has_a_hash_of_its_own() -> None:
    from lightning_diff.config.registry import choices

    for group in ("sampler", "guidance", "metric", "features"):
        kinds = choices(group)
        assert len({code_hash(cls, without=("conflicts",)) for cls in kinds.values()}) == len(kinds)
