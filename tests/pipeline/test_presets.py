"""A run that an older version began goes on with its own recipe; a run of today, and a named key, count as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lightning_diff.config.compose import compose_config, stored_config
from lightning_diff.config.convert import plain
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.schema import Config
from lightning_diff.pipeline.continuing.presets import RECIPE, as_begun
from lightning_diff.pipeline.continuing.same import keep_config, refuse_another

FIXED = ["objective.shift=1", "objective.shift_end=null"]
WAS = ["experiment=base", "net=small", "text.layer=1", *FIXED]
OLD = [*WAS, "training=diffusion", "training.steps=1500"]  # what experiment=base was first
SECOND = [*WAS, "training.steps=900", "training.warmup=100"]  # and then
POOLED = ["net.pooled=true", "text.layer=1"]
THIRD = [*POOLED, "net.depth=4", "net.after=0", "net.rotary=false", "objective.shift=3", "objective.shift_end=null"]
FOURTH = [*POOLED, "net.rotary=false", "training.warmup=50", "training.steps=560"]
FIFTH = [*POOLED, "training.steps=540", "data.train=16384"]
SIXTH = ["training=diffusion", "training.steps=2500", "text.layer=1", "net.pooled=true"]
NEWER = ("optimizer", "muon_rate")  # keys that an older config has not


def begun_before(folder: Path) -> Path:
    """A run folder as an older version left it."""
    values = plain(compose_config([*OLD, "version=2"]))
    values["training"] = {key: value for key, value in values["training"].items() if key not in NEWER}
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    return folder


def test_the_presets_recipe_is_another_one_now() -> None:
    now, old = compose_config(["experiment=base"]).training, compose_config(OLD).training
    assert (now.optimizer, old.optimizer) == ("muon", "adamw") and now.steps < old.steps
    assert (old.learning_rate, old.warmup, old.schedule, old.batch, old.ema) == (1.5e-3, 200, "cosine", 64, 0.999)


def test_an_older_run_goes_on_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, config = begun_before(tmp_path / "base"), compose_config(["experiment=base"])
    assert stored_config(folder / "config.yaml").training.optimizer == "adamw"
    with pytest.raises(ConfigError, match=r"text\.layer=2: .* holds a run with text\.layer=1"):
        refuse_another(folder, config)
    again = as_begun(config, folder, ["experiment=base"])
    assert refuse_another(folder, again, train=True) is None
    assert {key: getattr(again.training, key) for key in RECIPE} == {
        key: getattr(compose_config(OLD).training, key) for key in RECIPE
    }
    said = " ".join(capsys.readouterr().out.split())
    assert "goes on with its own training.optimizer=adamw" in said and "training.steps=1500" in said


@pytest.mark.parametrize(
    "was, now",
    [
        (SECOND, ["experiment=base"]),
        (["data=digits", "net=small", *FIXED], ["data=digits"]),
        (["experiment=base", "training.steps=450", *THIRD], ["experiment=base"]),
        (["data=digits", "training.steps=2500", *THIRD], ["data=digits", "training.steps=2500"]),
        (["experiment=base", *FOURTH], ["experiment=base"]),
        (["experiment=base", *FIFTH], ["experiment=base"]),
        (["experiment=digits", *SIXTH], ["experiment=digits"]),
        (["experiment=aligndraw"], ["experiment=aligndraw"]),
    ],
)
def test_a_run_from_before_the_net_or_the_times_changed_goes_on_as_it_was(
    was: list[str], now: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    words, begun = [*now, "name=run"], compose_config([*was, "name=run", "version=2"])
    if begun.task == "aligndraw":  # which has an objective that nothing uses, and no word may name
        begun = replace(begun, objective=replace(begun.objective, shift=1.0, shift_end=None))
    keep_config(begun, folder)
    with pytest.raises(ConfigError, match="holds a run with"):
        refuse_another(folder, compose_config(words))
    again = as_begun(compose_config(words), folder, words)
    assert refuse_another(folder, again, train=True) is None
    assert replace(again, version=2) == begun
    if begun.task == "diffusion":
        named = [*words, "objective.shift_end=0.5"]
        assert as_begun(compose_config(named), folder, named).objective == replace(begun.objective, shift_end=0.5)


@pytest.mark.parametrize("word", ["training=muon", "training.steps=900", "training.optimizer=muon"])
def test_what_the_command_names_counts(tmp_path: Path, word: str) -> None:
    folder, words = begun_before(tmp_path / "base"), ["experiment=base", word]
    config = compose_config(words)
    again = as_begun(config, folder, words)
    key = word.partition("=")[0].removeprefix("training.")
    if key == "training":
        assert again.training == config.training
    else:
        assert getattr(again.training, key) == getattr(config.training, key)
    with pytest.raises(ConfigError):
        refuse_another(folder, again)


def test_a_run_of_today_and_a_new_folder_are_left_alone(tmp_path: Path) -> None:
    config: Config = compose_config(["experiment=base"])
    assert as_begun(config, tmp_path / "none", []) is config
    keep_config(compose_config(["experiment=base", "training.steps=7"]), tmp_path)
    assert as_begun(config, tmp_path, []) is config
    (tmp_path / "config.yaml").write_text("[")
    assert as_begun(config, tmp_path, []) is config
