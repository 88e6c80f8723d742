"""Nothing is imported or called because a config names it (law 8)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from lightning_diff.cli.hydra_targets import refuse_others
from lightning_diff.config.compose import register_schema
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import CONF, PACKAGE_FOLDER


@pytest.mark.parametrize(
    "config, named",
    [
        ({"callbacks": {"x": {"_target_": "os.system"}}}, "hydra.callbacks.x._target_=os.system"),
        ({"callbacks": {"x": {"_target_": "${oc.env:HOME}"}}}, "_target_=.{oc.env:HOME}"),
        ({"launcher": {"_target_": "hydra.utils.call"}}, "hydra.launcher._target_=hydra.utils.call"),
        ({"sweeper": {"more": [{"_target_": "os.system"}]}}, "hydra.sweeper.more.0._target_=os.system"),
        ({"job_logging": {"filters": {"f": {"()": "os.system"}}}}, r"filters.f.\(\)=os.system"),
        ({"hydra_logging": {"handlers": {"h": {"class": "subprocess.Popen"}}}}, "handlers.h.class=subprocess.Popen"),
        ({"job_logging": {"handlers": {"h": {"stream": "ext://os.system"}}}}, "stream=ext://os.system"),
    ],
)
def test_what_a_config_names_is_not_made(config: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        refuse_others(OmegaConf.create({"hydra": config}))


@pytest.mark.parametrize("words", [[], ["hydra/launcher=slurm"], ["hydra/job_logging=default"]])
def test_what_hydra_and_the_project_bring_is(words: list[str]) -> None:
    register_schema()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        refuse_others(compose("config", words, return_hydra_config=True))


def test_a_folder_of_configs_from_elsewhere_calls_nothing(tmp_path: Path) -> None:
    """Hydra would call it before the program's own first line: it knows a list of what is dangerous, os.mkdir is not in it."""
    (tmp_path / "experiment").mkdir()
    owned = tmp_path / "owned"
    (tmp_path / "experiment" / "theirs.yaml").write_text(
        f"# @package _global_\nhydra: {{callbacks: {{x: {{_target_: os.mkdir, path: '{owned}'}}}}}}\n"
    )
    words = [sys.executable, "train.py", "--config-dir", str(tmp_path), "experiment=theirs", f"outputs={tmp_path}/out"]
    done = subprocess.run(words, cwd=PACKAGE_FOLDER, capture_output=True, text=True)
    assert done.returncode == 2 and not owned.exists() and not (tmp_path / "out").exists()
    assert done.stderr.startswith("error: hydra.callbacks.x._target_=os.mkdir: ") and done.stderr.count("\n") == 1
