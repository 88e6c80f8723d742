"""The site's own code: what is made from the code has all of it, links lead somewhere, and every page is in the navigation."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

import lightning_diff as ld
from lightning_diff.config.paths import PACKAGE_FOLDER

CONFIG: dict[str, Any] = yaml.safe_load((PACKAGE_FOLDER / "mkdocs.yml").read_text())


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of docs/site, by name."""
    monkeypatch.syspath_prepend(str(PACKAGE_FOLDER / "docs" / "site"))
    return importlib.import_module


def named(entries: list[Any]) -> Iterator[str]:
    """The pages of the navigation."""
    for entry in entries:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from named(value) if isinstance(value, list) else [value]


def test_every_page_is_in_the_navigation_and_no_other(site: Any) -> None:
    hooks = site("hooks")
    pages = {name for name in hooks.sources() if name.endswith(".md")} | set(hooks.MADE)
    assert sorted([*named(CONFIG["nav"]), *hooks.studies()]) == sorted(pages)
    assert {p.parent.name for p in (PACKAGE_FOLDER / "experiments").glob("*/README.md")} <= {
        name.split("/")[1] for name in hooks.studies()
    }


def test_the_site_asks_nothing_of_the_network() -> None:
    """Nothing of the theme that would: fonts, and the shim of the search, whose place is here."""
    assert CONFIG["theme"]["font"] is False and "offline" in CONFIG["plugins"]
    (shim,) = CONFIG["extra"]["polyfills"]
    assert (PACKAGE_FOLDER / shim).is_file() and not CONFIG.get("extra_javascript")
    assert not re.search(r"url\(|@import", (PACKAGE_FOLDER / CONFIG["extra_css"][0]).read_text())


def test_the_reference_has_the_whole_face_and_all_commands(site: Any) -> None:
    reference = site("reference")
    page = reference.library_page()
    for name in (*ld._FACE, *ld._CHOICES):
        assert f"\n## ld.{name}\n" in page, name
    for name in ("ld.guiders.APG", "ld.samplers.Heun", "ld.sources.StillLife", "ld.metrics.FID"):
        assert f"**`{name}`**" in page, name
    assert "### LatentDiffusion.generate" in page and "Raises ConfigError" in page
    scripts = {p.name for p in PACKAGE_FOLDER.glob("*.py")} - {"setup.py"}
    assert scripts == {words for words in reference.COMMANDS if not words.startswith("-m")}


def test_a_command_of_the_reference_says_what_its_help_says(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = site("reference")
    monkeypatch.setattr(reference, "COMMANDS", {"sample.py": "Draw"})
    page = reference.commands_page()
    assert "## Draw\n\n```text\npython sample.py prompt=" in page


def test_a_link_to_code_becomes_the_name_of_its_file(site: Any) -> None:
    readable = site("links").readable

    def shown(text: str) -> str:
        return str(readable(text, "docs/page.md", lambda uri: uri == "docs/other.md"))

    assert shown("[other](other.md#part)") == "[other](other.md#part)"
    assert shown("[a Net](../lightning_diff/nets/base.py)") == "a Net (`lightning_diff/nets/base.py`)"
    assert shown("[nets/base.py](../lightning_diff/nets/base.py)") == "`lightning_diff/nets/base.py`"
    for same in (
        "[x](https://arxiv.org/abs/1)",
        "![picture](gone.png)",
        "`[a](b)`",
        "```\n[a](b)\n```\n",
        "    [a](b)\n",
    ):
        assert shown(same) == same


def test_formulas_become_elements_of_the_browser(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    formulas = site("formulas")
    asked: list[tuple[str, str]] = []
    converter = type(
        "converter", (), {"convert": staticmethod(lambda tex, display: asked.append((tex, display)) or "<math/>")}
    )
    monkeypatch.setitem(__import__("sys").modules, "latex2mathml", type("latex2mathml", (), {"converter": converter}))
    monkeypatch.setitem(__import__("sys").modules, "latex2mathml.converter", converter)
    html = '<p>a <span class="arithmatex">\\(x &lt; 1\\)</span></p><div class="arithmatex">\\[\ny\n\\]</div>'
    made = formulas.with_formulas(html)
    assert asked == [("x < 1", "inline"), ("y", "block")]
    assert made.startswith('<p>a <math/></p><div class="formula"') and "arithmatex" not in made
