"""A run goes on from its newest checkpoint that is whole, of this run, and of the same data (law 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lightning_diff.config.errors import ConfigError
from lightning_diff.training.checkpoint import (
    LAST,
    PREVIOUS,
    AtomicCheckpoints,
    checkpoints_in,
    forget_after,
    kept_name,
)
from lightning_diff.training.origin import KEY, Origin, choose_checkpoint

ORIGIN = Origin({"seed": 0, "net": {"width": 4}}, {"pictures": 24, "contents": "a", "captions": "b"}, {"text": "c"})
NET = nn.Linear(3, 3)


def save(folder: Path, step: int, name: Path = LAST, origin: Origin = ORIGIN, net: nn.Module = NET) -> None:
    parts: dict[str, Any] = {"optimizer_states": [], "lr_schedulers": [], "ema": {}}
    found = {"global_step": step, "state_dict": net.state_dict(), **parts, KEY: origin.stored()}
    AtomicCheckpoints().save_checkpoint(found, folder / name)


def chosen(folder: Path, origin: Origin = ORIGIN) -> tuple[int, list[str]]:
    """The step, and what was told."""
    lines: list[str] = []

    def told(line: str, event: Mapping[str, Any]) -> None:
        lines.append(line)

    found = choose_checkpoint(folder, origin, NET, told)
    return found[1]["global_step"] if found else 0, lines


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(NET.state_dict()["weight"].numpy().tobytes()) + 5] ^= 1
    path.write_bytes(data)


def test_the_last_two_are_kept_and_the_newest_is_taken(tmp_path: Path) -> None:
    assert chosen(tmp_path) == (0, [])
    for step in (2, 4, 6):
        save(tmp_path, step)
    save(tmp_path, 3, kept_name(3))
    assert checkpoints_in(tmp_path) == [tmp_path / name for name in (LAST, PREVIOUS, kept_name(3))]
    assert chosen(tmp_path) == (6, [])
    (tmp_path / LAST).unlink()
    assert chosen(tmp_path) == (4, [])


def test_a_damaged_one_is_set_aside_and_the_one_before_is_taken(tmp_path: Path) -> None:
    for step in (2, 4):
        save(tmp_path, step)
    flip(tmp_path / LAST)
    step, (line,) = chosen(tmp_path)
    assert step == 2 and "last.ckpt: damaged; set aside" in line and "previous.ckpt, step 2" in line
    assert not (tmp_path / LAST).exists() and (tmp_path / f"{LAST}.damaged").is_file()
    assert chosen(tmp_path) == (2, [])
    flip(tmp_path / PREVIOUS)
    with pytest.raises(ConfigError, match=r"previous.ckpt: damaged; .*delete the folder checkpoints/"):
        chosen(tmp_path)


@pytest.mark.parametrize(
    "bad", [{"origin": replace(ORIGIN, config={"seed": 1, "net": {"width": 4}})}, {"net": nn.Linear(3, 4)}]
)
def test_one_of_another_run_or_net_is_not_taken(tmp_path: Path, bad: dict[str, Any]) -> None:
    for step in (2, 4):
        save(tmp_path, step, **(bad if step == 4 else {}))
    step, (line,) = chosen(tmp_path)
    assert step == 2 and ("of another run (it has another seed)" in line or "of another net" in line)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (
            replace(ORIGIN, data={"pictures": 25, "contents": "x", "captions": "b"}),
            r"pictures: 24 became 25, other contents",
        ),
        (replace(ORIGIN, data={"pictures": 24, "contents": "a", "captions": "x"}), r"other captions"),
        (replace(ORIGIN, parts={"text": "x"}), r"another frozen text"),
    ],
)
def test_other_data_is_refused_until_it_is_accepted(tmp_path: Path, now: Origin, said: str) -> None:
    save(tmp_path, 2)
    with pytest.raises(ConfigError, match=rf"\({said}\); .*training.accept_new_data=true"):
        chosen(tmp_path, now)
    step, (line,) = chosen(tmp_path, replace(now, accept=True))
    assert step == 2 and line.endswith("as asked")
    more = replace(ORIGIN, config={**ORIGIN.config, "added_later": 1})  # a key of a newer version
    assert chosen(tmp_path, more) == (2, [])


@pytest.mark.parametrize("what", [{"global_step": "2"}, {"global_step": 2}, {"global_step": 2, "state_dict": 3}, [1]])
def test_a_checkpoint_of_another_make_is_one_line(tmp_path: Path, what: Any) -> None:
    (tmp_path / LAST).parent.mkdir()
    torch.save(what, tmp_path / LAST)
    with pytest.raises(ConfigError, match=r"last.ckpt: "):
        chosen(tmp_path)


def test_another_end_forgets_later_steps(tmp_path: Path) -> None:
    for step in (80, 95):
        save(tmp_path, step)
    for step in (50, 90):
        save(tmp_path, step, kept_name(step))
    forget_after(tmp_path, 80)
    assert checkpoints_in(tmp_path) == [tmp_path / LAST, tmp_path / kept_name(50)]
