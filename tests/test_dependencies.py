"""pyproject.toml, the pins and the imports say the same about what this project needs."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lightning_diff.config import installed
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.registry import named
from lightning_diff.config.schema import Config, Evaluation, Tracking

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
HARD = [Requirement(r) for r in PROJECT["project"]["dependencies"]]
EXTRAS = {name: list(map(Requirement, some)) for name, some in PROJECT["project"]["optional-dependencies"].items()}
UNIMPORTED: set[str] = set()  # hard dependencies that only other libraries import
PINS = {
    "requirements.txt": "setup",
    "requirements-uv.txt": "uv",
    "requirements-docs.txt": "docs",
}  # and the group that it pins


def pinned(file: str) -> Iterator[tuple[str, str]]:
    """(name, version) of each pin of a file. Raises AssertionError for a line that is no pin with a hash."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / file).read_text(), flags=re.MULTILINE)
    for entry in text.replace("\\\n", " ").splitlines():
        found = re.fullmatch(r"([\w.-]+)==(\S+)( ; [^#]+?)?((\s+--hash=sha256:[0-9a-f]{64})+)\s*", entry)
        assert found, entry
        yield canonicalize_name(found[1]), found[2]


def required(file: str) -> Iterator[Requirement]:
    yield from map(Requirement, PROJECT["dependency-groups"][PINS[file]])
    if file == "requirements.txt":
        yield from HARD
        yield from (r for some in EXTRAS.values() for r in some if r.name != PROJECT["project"]["name"])


@pytest.mark.parametrize("file", PINS)
def test_all_that_is_asked_for_is_pinned_within_its_range(file: str) -> None:
    pins = list(pinned(file))
    assert len(dict(pins)) == len(pins) > 0
    for requirement in required(file):
        assert dict(pins)[canonicalize_name(requirement.name)] in requirement.specifier, requirement


@pytest.mark.parametrize("file", PINS)
def test_the_pins_name_no_index_and_say_what_makes_them(file: str) -> None:
    text = (ROOT / file).read_text()
    assert "://" not in text and not re.search(r"^-", text, re.MULTILINE)
    (target,) = re.findall(r"^#    make (\w+)$", text, re.MULTILINE)
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_tests_extra_has_all_others() -> None:
    (own,) = (r for r in EXTRAS["test"] if r.name == PROJECT["project"]["name"])
    assert own.extras | {"test"} == set(EXTRAS)


def test_the_project_is_built_with_what_is_pinned() -> None:
    assert PROJECT["build-system"]["requires"] == PROJECT["dependency-groups"]["setup"]


def test_what_is_imported_is_what_is_asked_for() -> None:
    """Of the package's hard dependencies and its extras, none is without use, and none is missing."""
    modules = set()
    for file in (*(ROOT / "lightning_diff").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules |= {a.name.split(".")[0] for a in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add(str(node.module).split(".")[0])
    foreign = modules - sys.stdlib_module_names - {"lightning_diff"}
    provides = packages_distributions()
    asked = {
        canonicalize_name(r.name) for r in [*HARD, *(r for name in EXTRAS.keys() - {"test"} for r in EXTRAS[name])]
    }
    for module in foreign:
        assert asked & {canonicalize_name(name) for name in provides[module]}, module
    imported = {canonicalize_name(name) for module in foreign for name in provides[module]}
    assert {canonicalize_name(r.name) for r in HARD} - imported == UNIMPORTED


@pytest.mark.parametrize(
    "config",
    [
        Config(tracking=Tracking(also=[named("tracker", "tensorboard")()])),
        Config(tracking=Tracking(also=[named("tracker", "mlflow")()])),
        Config(evaluation=Evaluation(features=named("features", "inception")())),
    ],
)
def test_the_extra_that_a_message_names_installs_what_is_missing(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(installed, "find_spec", asked.append)
    with pytest.raises(ConfigError) as refused:
        installed.check_installed(config)
    (extra,) = re.findall(r"pip install -e '\.\[(\w+)\]'", str(refused.value))
    provides = packages_distributions()
    given = {canonicalize_name(r.name) for r in EXTRAS[extra]}
    assert asked and all(given & {canonicalize_name(name) for name in provides[module]} for module in asked)
