"""The house stands: no two files import each other in a circle, the config is spent at the top, no room is too large."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from lightning_diff.config.paths import PACKAGE_FOLDER

PACKAGE = PACKAGE_FOLDER / "lightning_diff"
FILES = {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in sorted(PACKAGE.rglob("*.py"))}
ABOVE = ("cli", "doctor", "library", "pipeline", "config")  # rooms that may know the whole config
MOST = 1500  # lines of a room; a subfolder counts for itself


def imported(name: str) -> set[str]:
    """The files that a file imports, at its top or in its functions; not those that serve for types alone."""
    package, found = name.split(".")[:-1], set()
    tree = ast.parse(FILES[name].read_text())
    typed = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in typed:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            where = ".".join(part for part in base if part)
            found |= {f"{where}.{a.name}" if f"{where}.{a.name}" in FILES else where for a in node.names}
    return found & set(FILES)


def test_no_two_files_import_each_other_in_a_circle() -> None:
    edges = {name: imported(name) for name in FILES}

    def reached(start: str) -> set[str]:
        seen, todo = set(), [start]
        while todo:
            for other in edges[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        return seen

    assert [name for name in FILES if name in reached(name)] == []


@pytest.mark.parametrize("room", sorted({n.split(".")[0] for n in FILES if "." in n} - set(ABOVE)))
def test_below_the_pipeline_nothing_knows_the_whole_config(room: str) -> None:
    named = [n for n, p in FILES.items() if n.startswith(f"{room}.") and re.search(r"\bConfig\b", p.read_text())]
    assert named == []


def test_no_room_is_too_large() -> None:
    lines: dict[str, int] = {}
    for path in FILES.values():
        room = str(path.parent.relative_to(PACKAGE))
        lines[room] = lines.get(room, 0) + path.read_text().count("\n")
    assert {room: n for room, n in lines.items() if n > MOST} == {}


def test_no_two_test_modules_have_one_name() -> None:
    tests = Path(__file__).parent.rglob("test_*.py")
    names = Counter(path.name for path in tests if not (path.parent / "__init__.py").exists())
    assert [name for name, count in names.items() if count > 1] == []  # pytest refuses the second
