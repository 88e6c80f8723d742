"""Pages: one file without addresses of others, and trackers that may not know pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch

from lightning_diff.explorer.page import rows_of, section, sliders, write_page
from lightning_diff.pipeline.reports.seen import SIDE, smaller
from lightning_diff.tracking.base import Sweep
from lightning_diff.tracking.mirrors import Mirrors
from lightning_diff.tracking.report import PAGE, assembled


class Old:
    """A tracker's mirror as older plugins have it, without `page`."""

    def train(self, step: int, values: Mapping[str, float]) -> None: ...

    def sweep(self, sweep: Sweep) -> None: ...

    def finish(self) -> None: ...


class New(Old):
    def __init__(self) -> None:
        self.pages: list[tuple[str, Path]] = []

    def page(self, name: str, path: Path) -> None:
        self.pages.append((name, path))


def test_a_page_is_told_to_those_that_show_pages_and_the_others_stay_open(tmp_path: Path) -> None:
    mirrors, new = Mirrors([], None), New()  # type: ignore[arg-type]
    mirrors.open = {"old": Old(), "new": new}  # type: ignore[dict-item]
    mirrors.page("explore", tmp_path)
    assert set(mirrors.open) == {"old", "new"} and new.pages == [("explore", tmp_path)]


def test_both_pages_are_one_file_with_all_their_styles_and_scripts(tmp_path: Path) -> None:
    picture = torch.zeros(3, 4, 4, dtype=torch.uint8)
    blocks = rows_of([("row", "", [(picture, "a mug")])]), sliders({"w": ["1"]}, {(0,): [(picture, "a mug")]})
    place = write_page(tmp_path / "explore.html", "t", "s", [section("A", "b", *blocks)], [("report", "report.html")])
    for text in (place.read_text(), assembled(PAGE)):
        assert "function sliders" in text and "color-scheme: light dark" in text
        assert not re.search(r"<link|<script src|https?://(?!www\.w3\.org)", text)


def test_large_pictures_are_made_smaller_and_keep_their_shape() -> None:
    made = smaller(torch.full((2, 5, 3, 512, 256), 77, dtype=torch.uint8))
    assert made.shape == (2, 5, 3, SIDE, SIDE // 2) and set(made.unique().tolist()) == {77}
    same = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    assert smaller(same) is same
