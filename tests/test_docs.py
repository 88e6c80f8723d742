"""The pages on the choices and keys say what the code does."""

import ast
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pyarrow import csv, parquet

from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.config.registry import choices
from lightning_diff.config.schema import Objective

DOCS = PACKAGE_FOLDER / "docs"
STUDY = PACKAGE_FOLDER / "experiments" / "guidance" / "study.parquet"
OPTIONS = (DOCS / "options.md").read_text()
SIZES = ("embedding", "context_length", "width", "layers", "vision_width", "vision_layers", "patch_size", "role")
OUTSIDE = ("kind", "steps", "scale", "scales", "data_std", "model", *SIZES)  # said elsewhere


def test_the_page_of_choices_is_made_from_the_registry() -> None:
    """In a process of its own: other tests register choices of theirs."""
    words = [sys.executable, "-m", "lightning_diff.config.options"]
    made = subprocess.run(words, cwd=PACKAGE_FOLDER, capture_output=True, text=True, check=True).stdout
    assert made == (DOCS / "choices.md").read_text()


@pytest.mark.parametrize("group", ["objective", "sampler", "guidance", "text"])
def test_every_choice_and_key_is_in_the_table_of_what_holds_it(group: str) -> None:
    classes: dict[str, Any] = {"": Objective} if group == "objective" else dict(choices(group))
    for name, cls in classes.items():
        assert not name or f"`{name}`" in OPTIONS, name
        for f in fields(cls):
            if f.name not in OUTSIDE:
                assert f"`{f.name}`" in OPTIONS, f.name
            for value in () if f.name in OUTSIDE else f.metadata.get("allowed", ()):
                assert f"`{value}`" in OPTIONS, f"{f.name}={value}"


def test_the_lines_that_read_the_table_work_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = re.search(r"```python\n(from pyarrow.*?)```", (DOCS / "tracking.md").read_text(), re.S)
    assert lines is not None
    (tmp_path / "outputs" / "base").mkdir(parents=True)
    csv.write_csv(parquet.read_table(STUDY), tmp_path / "outputs" / "base" / "sweep.csv")
    monkeypatch.chdir(tmp_path)
    exec(lines[1], {})
    read = ast.literal_eval(capsys.readouterr().out)
    assert len(read) > 100 and read[0]["fid"] <= read[1]["fid"] and "clip_score" in read[0]


@pytest.mark.parametrize("page", [PACKAGE_FOLDER / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda p: p.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            titles = [re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in re.findall(r"^#+ (.*)$", text, re.M)]
            assert target[1:] in titles, target
        elif not target.startswith("https://"):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_the_laws_of_the_page_on_the_mathematics_are_tests() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", OPTIONS)
    assert len(named) > 12
    for file, name in named:
        assert f"def {name}(" in (PACKAGE_FOLDER / file).read_text(), name


def test_every_study_is_listed_with_a_command() -> None:
    folder = PACKAGE_FOLDER / "experiments"
    rows = re.findall(
        r"^\| \[(\w+)\]\((\w+)/README.md\) \|.*\| `(?:python|make) [^`]+` \|$", (folder / "README.md").read_text(), re.M
    )
    assert sorted(rows) == sorted((p.parent.name, p.parent.name) for p in folder.glob("*/README.md"))


def test_the_glossary_is_sorted_and_the_citation_names_the_version() -> None:
    words = re.findall(r"^\| (?!word|---)([^|]+) \|", (DOCS / "glossary.md").read_text(), re.M)
    assert words == sorted(words, key=str.lower) and {"tower", "judge", "passport", "guider", "NFE"} <= set(words)
    version = re.search(r'^version = "(.*)"', (PACKAGE_FOLDER / "pyproject.toml").read_text(), re.M)
    assert version and f"version: {version[1]}\n" in (PACKAGE_FOLDER / "CITATION.cff").read_text()
