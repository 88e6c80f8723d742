"""A caption is read in drawing as it was read in training: at the same layer of the tower, through its norm or not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from lightning_diff.config.compose import compose_config, load_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import PARTS, SHIPPED, WEIGHTS
from lightning_diff.models.build import build, load_part
from lightning_diff.nets.weights import read_passport, read_state, save_weights
from lightning_diff.pipeline.components import place_part
from lightning_diff.pipeline.objects import model_of

OURS = SHIPPED / "still_life"
TEXT = f"{PARTS}/text.safetensors"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The shipped model, copied."""
    shutil.copytree(OURS, tmp_path / "run")
    return tmp_path / "run"


def read_otherwise(folder: Path, target: Path, layer: int, final_norm: bool) -> Path:
    """A copy of a folder's tower whose file says how it is read."""
    tower = load_part(folder / TEXT)
    tower.read_at(layer, final_norm)
    target.unlink(missing_ok=True)
    save_weights(target, tower.state_dict(), {**read_passport(OURS / TEXT), "net": tower.config})
    return target


@pytest.mark.parametrize(("layer", "final_norm"), [(1, True), (2, True), (2, False)])
def test_a_run_is_drawn_as_its_own_tower_says(layer: int, final_norm: bool, run: Path) -> None:
    config = load_config(run / "config.yaml")
    first = model_of(config, run).text_encoder
    assert (first.layer, first.final_norm) == (2, True)  # its file says nothing, the passport of its net does
    read_otherwise(OURS, run / TEXT, layer, final_norm)
    placed, drawn = load_part(run / TEXT), model_of(config, run).text_encoder
    assert torch.equal(placed.condition(["a red mug"]).tokens, drawn.condition(["a red mug"]).tokens)
    assert (drawn.layer, drawn.final_norm) == (layer, final_norm)


@pytest.mark.parametrize("words", [(1, True), (2, True), (2, False)])
@pytest.mark.parametrize("said", [(1, True), (2, True), (2, False)])
def test_the_config_says_what_a_training_reads(words: tuple[int, bool], said: tuple[int, bool], tmp_path: Path) -> None:
    """Not the file that it takes the tower from, as that of another run."""
    file = read_otherwise(OURS, tmp_path / "other.safetensors", *said)
    asked = [f"text.layer={words[0]}", f"text.final_norm={str(words[1]).lower()}", f"text.weights={file}"]
    tower = load_part(place_part("text", compose_config(["experiment=base", *asked]), tmp_path))
    assert (tower.layer, tower.final_norm) == words


def test_what_describes_a_tower_says_how_it_is_read() -> None:
    """A module's checkpoint holds it."""
    tower = build(read_passport(OURS / TEXT))
    tower.read_at(2, False)  # type: ignore[operator]
    again = build(tower.made_by)  # type: ignore[arg-type]
    assert (again.layer, again.final_norm) == (2, False)


def test_a_guide_that_reads_another_layer_is_refused(run: Path, tmp_path: Path) -> None:
    guide = tmp_path / "guide.safetensors"
    passport = read_passport(run / WEIGHTS)
    save_weights(guide, read_state(run / WEIGHTS), passport)
    config = load_config(run / "config.yaml", ["guidance=auto", f"guidance.guide={guide}"])
    assert model_of(config, run)
    guide.unlink()
    passport["config"]["text"]["layer"] = 1
    save_weights(guide, read_state(run / WEIGHTS), passport)
    with pytest.raises(ConfigError, match=r"reads text\.layer=1 text\.final_norm=true, the run's text\.layer=2"):
        model_of(config, run)
