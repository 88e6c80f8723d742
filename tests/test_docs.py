"""The pages on the choices and keys say what the code does."""

import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest

from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.config.registry import choices
from lightning_diff.config.schema import Objective

DOCS = PACKAGE_FOLDER / "docs"
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
