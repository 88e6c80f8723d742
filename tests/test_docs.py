"""The table of options and the schema say the same."""

from dataclasses import fields
from pathlib import Path

import pytest

from lightning_diff.config.schema import Guidance, Objective, Sampler, Text

SIZES = ("embedding", "context_length", "width", "layers", "vision_width", "vision_layers", "patch_size", "role")
OUTSIDE = ("steps", "scale", "scales", "data_std", "name", "model", *SIZES)
TEXT = (Path(__file__).parent.parent / "docs" / "options.md").read_text()


@pytest.mark.parametrize("group", [Objective, Sampler, Guidance, Text])
def test_every_choice_is_in_the_table(group: type) -> None:
    for f in fields(group):
        if f.name not in OUTSIDE:
            assert f"`{f.name}`" in TEXT, f.name
        for value in () if f.name == "role" else f.metadata.get("allowed", ()):
            assert f"`{value}`" in TEXT, f"{f.name}={value}"
