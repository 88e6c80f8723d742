"""Runs with their reports and the page of explore.py, made once; a browser in light and in dark colours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from lightning_diff.config.compose import compose_config
from lightning_diff.pipeline.exploring.explore import Asked, explore
from lightning_diff.pipeline.stages import train
from tests.browser.driven import QUIET
from tests.conftest import SHORT


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two short runs that differ in their seed."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        train(compose_config(words(root, seed)), root / f"seed{seed}")
    return root / "seed0", root / "seed1"


@pytest.fixture(scope="session")
def explored(runs: tuple[Path, Path]) -> Path:
    """The page of explore.py, of the first run."""
    prompts = ["a small red mug at night", "a large green avocado"]
    return explore(compose_config(words(runs[0].parent, 0)), runs[0], Asked(prompts, seed=0, count=64, axes=3))


def words(root: Path, seed: int) -> list[str]:
    where = [f"outputs={root}", f"cache={root}/cache", "guidance.scales=[1,2,4]"]
    return ["experiment=base", *SHORT, *where, f"seed={seed}"]


@pytest.fixture(params=["light", "dark"])
def browser(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for word in [*QUIET.split(), f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(word)
    if request.param == "dark":
        options.add_argument("--force-dark-mode")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()
