"""A run goes on with files that are whole: what can be made again is, what cannot is one line (law 7)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import SHIPPED
from lightning_diff.data.sources.base import Prepared
from lightning_diff.nets.weights import read_passport, read_state, save_weights
from lightning_diff.pipeline import components
from lightning_diff.pipeline.components import Place, has_part, place_part
from lightning_diff.pipeline.continuing.mend import check_test_split, has_weights
from lightning_diff.pipeline.continuing.same import fixed_values, keep_config, refuse_another
from lightning_diff.pipeline.stages import train
from lightning_diff.tracking.record import Record
from lightning_diff.training.checkpoint import LAST, AtomicCheckpoints
from tests.conftest import short

WORDS = ["experiment=base", "text.layer=1", "training.steps=4"]  # a tower that is read plainly is copied as it is
CONFIG = compose_config(WORDS)
SOURCE = SHIPPED / "still_life" / "parts" / "text.safetensors"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the text encoder is copied from."""
    place = tmp_path / "text.safetensors"
    shutil.copyfile(SOURCE, place)
    monkeypatch.setattr(components, "locate_part", lambda *_: Place(place, "given"))
    return place


def test_a_part_is_a_copy_that_nothing_else_reaches(tmp_path: Path, source: Path) -> None:
    source.chmod(0o600)
    placed = place_part("text", CONFIG, tmp_path / "run")
    assert placed.stat().st_nlink == 1 and not placed.is_symlink() and source.stat().st_mode & 0o777 == 0o600
    flip(source)
    assert has_part(placed) and placed.read_bytes() == SOURCE.read_bytes()


@pytest.mark.parametrize("damage", ["bit", "empty", "gone"])
def test_a_damaged_part_is_copied_again(tmp_path: Path, source: Path, damage: str) -> None:
    placed = place_part("text", CONFIG, tmp_path / "run")
    if damage == "bit":
        flip(placed)
    elif damage == "empty":
        placed.write_bytes(b"")
    else:
        placed.unlink()
    assert not has_part(placed)
    assert place_part("text", CONFIG, tmp_path / "run").read_bytes() == SOURCE.read_bytes() and has_part(placed)


def test_a_damaged_part_is_not_replaced_by_another_one(tmp_path: Path, source: Path) -> None:
    placed = place_part("text", CONFIG, tmp_path / "run")
    flip(placed)
    shutil.copyfile(SOURCE.with_name("judge.safetensors"), source)
    with pytest.raises(
        ConfigError, match=r"text.safetensors: damaged or gone, and the text encoder .* is another one now"
    ):
        place_part("text", CONFIG, tmp_path / "run")
    assert not placed.exists()


@pytest.mark.parametrize("fault", ["NaN", "a whole number", "no net", "a list for a net", "a list for a part"])
def test_a_file_that_is_no_part_is_named_and_never_copied(tmp_path: Path, source: Path, fault: str) -> None:
    passport, state = read_passport(SOURCE), read_state(SOURCE)
    name = next(name for name, t in state.items() if t.is_floating_point())
    state[name] = {"NaN": state[name] * float("nan"), "a whole number": state[name].long()}.get(fault, state[name])
    if fault == "no net":
        del passport["net"]
    passport |= {"net": [1]} if "a net" in fault else {"part": [1]} if "a part" in fault else {}
    save_weights(source, state, passport)
    with pytest.raises(ConfigError) as e:
        place_part("text", CONFIG, tmp_path / "run")
    assert str(source) in str(e.value) and "\n" not in str(e.value)
    shutil.copyfile(SOURCE, source)
    assert has_part(place_part("text", CONFIG, tmp_path / "run"))


def test_a_damaged_sum_beside_a_part_is_written_again(tmp_path: Path, source: Path) -> None:
    placed = place_part("text", CONFIG, tmp_path / "run")
    beside = placed.with_name(f"{placed.name}.sha256")
    text = beside.read_text()
    beside.write_text("0" + text[1:] if text[0] != "0" else "1" + text[1:])
    place_part("text", CONFIG, tmp_path / "run")
    assert beside.read_text() == text and has_part(placed)


@pytest.mark.parametrize("how", ["bit", "another"])
def test_damaged_weights_are_made_again_only_from_a_checkpoint(tmp_path: Path, how: str) -> None:
    record, weights = Record(tmp_path), tmp_path / "weights.safetensors"
    config = compose_config([*WORDS, *(["seed=1"] if how == "another" else [])])
    save_weights(weights, {"x": torch.ones(99)}, {"config": fixed_values(config, steps=True)})
    if how == "bit":
        assert has_weights(CONFIG, tmp_path, record)
        flip(weights)
    why = "damaged" if how == "bit" else r"of another run \(it has another seed\)"
    with pytest.raises(ConfigError, match=rf"weights.safetensors: {why}, and no checkpoint of step 4"):
        has_weights(CONFIG, tmp_path, record)
    assert weights.is_file()
    AtomicCheckpoints().save_checkpoint({"global_step": 4, "x": torch.ones(1)}, tmp_path / LAST)
    assert not has_weights(CONFIG, tmp_path, record) and not weights.exists()
    assert record.read("damaged")[-1]["file"] == "weights.safetensors"


def test_test_pictures_that_are_gone_are_missed(tmp_path: Path) -> None:
    record = Record(tmp_path)
    check_test_split(Prepared({}), CONFIG, record)
    record.write("data", 0, train=24, test=6)
    with pytest.raises(ConfigError, match="its 6 test pictures are gone"):
        check_test_split(Prepared({}), CONFIG, record)


def test_other_first_weights_are_another_run(tmp_path: Path) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    for path in (one, two):
        shutil.copyfile(SOURCE, path)
    words = ["experiment=base", "net=ldm", "autoencoder=sd"]
    keep_config(compose_config([*words, f"init_from={one}"]), tmp_path)
    refuse_another(tmp_path, compose_config([*words, f"init_from={two}"]))  # the same weights, moved
    flip(two)
    with pytest.raises(ConfigError, match=r"init_from=.*two.safetensors: .* holds a run with init_from="):
        refuse_another(tmp_path, compose_config([*words, f"init_from={two}"]))
    with pytest.raises(ConfigError, match=r"init_from=None"):
        refuse_another(tmp_path, compose_config(words))


def test_a_run_that_is_refused_for_its_weights_leaves_no_folder(tmp_path: Path) -> None:
    bad, run = tmp_path / "bad.safetensors", tmp_path / "out" / "run"
    save_weights(bad, {"x": torch.zeros(2)}, {"part": "net"})
    words = short("base", f"outputs={tmp_path}/out", f"cache={tmp_path}/cache")
    with pytest.raises(ConfigError, match=r"bad\.safetensors"):
        train(compose_config([*words, f"init_from={bad}"]), run)
    assert not run.exists()


def test_a_run_that_is_refused_before_its_data_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    words = short("folder", f"data.source={tmp_path}/pictures", f"outputs={tmp_path}/out", f"cache={tmp_path}/cache")
    config = compose_config(words)
    with pytest.raises(ConfigError, match="no captioned picture"):
        train(config, tmp_path / "out" / "run")
    assert not (tmp_path / "out" / "run").exists()
    keep_config(config, tmp_path / "out" / "old")  # an older command began it
    with pytest.raises(ConfigError, match="no captioned picture"):
        train(config, tmp_path / "out" / "old")
    assert (tmp_path / "out" / "old" / "config.yaml").is_file()
