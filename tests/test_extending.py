"""docs/extending.md: each example is a plugin of its own that adds a choice, and all of them together train, draw and measure."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
from pathlib import Path

import pytest

from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.config.registry import GROUPS
from tests.conftest import SHORT, train_apart

PAGE = (PACKAGE_FOLDER / "docs" / "extending.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
EXAMPLES = {re.search(r'@choice\("(\w+)"', code)[1]: code for code in CODE}  # type: ignore[index]
FILES = {
    "guidance": "guider",
    "sampler": "sampler",
    "net": "net",
    "autoencoder": "autoencoder",
    "text": "text",
    "data": "source",
    "metric": "metric",
    "features": "extractor",
    "tracker": "tracker",
    "callback": "callback",
}


def test_there_is_one_of_each_group_of_thirty_lines_or_less() -> None:
    assert set(EXAMPLES) == set(GROUPS) == set(FILES) and len(CODE) == len(EXAMPLES)
    long = {group: code.count("\n") for group, code in EXAMPLES.items() if code.count("\n") > 30}
    assert long == {}


def test_all_of_them_together(tmp_path: Path) -> None:
    for group, name in FILES.items():
        (tmp_path / f"{name}.py").write_text(EXAMPLES[group])
    command = PAGE[PAGE.index("All of them together:") :].split("python train.py", 1)[1].replace("\\\n", " ")
    words = shlex.split(command)
    words = [re.sub(r"(\w+\.py)", rf"{tmp_path}/\1", w) if w.startswith("plugins=") else w for w in words]
    apart = ("net=", "tracking=", "unet=")
    short = [w for w in SHORT if not w.startswith(apart)]
    done = train_apart(
        *words, *short, f"outputs={tmp_path}", f"cache={tmp_path}/cache", "name=mine", "tracking=disabled"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "mine"
    with (folder / "sweep.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [r["guider"] for r in rows] == ["clipped", "clipped"]
    assert all(float(r["mean_distance"]) > 0 and "kid" not in r for r in rows)
    passports = json.loads((folder / "sweep.json").read_text()).values()
    assert all(len(p["plugins"]) >= 5 for p in passports)
    assert (folder / "lightning").is_dir()
    steps = [line.split()[0] for line in (folder / "notes.txt").read_text().splitlines()]
    assert steps == ["1", "2", "3"]
    refused = train_apart(
        *[w for w in words if not w.startswith("plugins=")], *short, f"outputs={tmp_path}", "name=mine"
    )
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1


def test_an_installed_package_offers_a_plugin(tmp_path: Path) -> None:
    """By an entry point of its own name; it is loaded when it is named, and not before."""
    (tmp_path / "offered.py").write_text(EXAMPLES["guidance"])
    info = tmp_path / "offered-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offered\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[lightning_diff.plugins]\nclips = offered\n")
    words = ["experiment=base", "guidance=clipped", "guidance.bound=11", f"outputs={tmp_path}"]
    env = {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    for plugins, says in (
        (["plugins=[clips]"], "guidance.bound=11.0: must be at most 10"),
        (["plugins=[clip]"], "plugins=[clip]: neither a FILE.py nor an installed plugin; did you mean 'clips'?"),
        ([], "guidance=clipped: no such choice"),
    ):
        done = train_apart(*plugins, *words, env=env)
        assert done.returncode == 2 and done.stderr.startswith(f"error: {says}"), done.stderr


def test_a_plugin_in_a_stored_config_is_refused_with_the_words_to_type(tmp_path: Path) -> None:
    from lightning_diff.config.compose import load_config

    (tmp_path / "config.yaml").write_text("version: 2\nplugins: [guider.py]\nguidance: {kind: clipped}\n")
    with pytest.raises(ConfigError, match=r"add plugins=\[guider\.py\] to the command"):
        load_config(tmp_path / "config.yaml")
