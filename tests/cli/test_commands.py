"""A command answers before torch is loaded, an error is one line on stderr, and the exit code says whose it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_diff.cli.arguments import read_arguments
from lightning_diff.cli.commands import train_command
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.config.schema import Config
from lightning_diff.pipeline.naming import run_name

HEAVY = {"torch", "numpy", "PIL", "pytorch_lightning", "open_clip", "wandb"}


def train(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", str(PACKAGE_FOLDER / "train.py"), *words]
    env = {k: v for k, v in os.environ.items() if not k.startswith("HYDRA")}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "words, code, error",
    [
        (["training.stpes=5"], 2, ["error: training.stpes: no such key; did you mean 'training.steps'?"]),
        (["--cfg", "job", "training=5"], 2, ["error: training=5: "]),
        (["experiment=base", "--cfg", "job"], 0, []),
        (["--help"], 0, []),
        (["--help", "guidance.interval"], 0, []),
        (["--cfg", "job", "--comments"], 0, []),
        (["--version"], 0, []),
        (["lr=1e-4"], 2, ["error: lr: no such key; did you mean 'training.learning_rate'?"]),
        ([], 2, ["error: say what to train: experiment=aligndraw, attributes, autoencoder, base, "]),
        (["-m"], 2, ["error: say what to train: "]),
        (["experiment=base", "tracking.also=[csvv]"], 2, ["error: tracking.also[0]=csvv: no such choice"]),
    ],
)
def test_the_command_answers_before_torch_is_loaded(
    tmp_path: Path, words: list[str], code: int, error: list[str]
) -> None:
    done = train(tmp_path, *words)
    imports = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    said = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == code and len(said) == len(error)
    assert all(line.startswith(start) for line, start in zip(said, error, strict=True))
    assert "lightning_diff.config" in imports and not HEAVY & imports
    assert bool(done.stdout) == (code == 0) and list(tmp_path.iterdir()) == []


def test_a_prompt_is_taken_as_typed() -> None:
    found = read_arguments(['prompt=a "b", [c]=${d}', "sampler=heun"], {"prompt": "", "run": ""})
    assert found.words == {"prompt": 'a "b", [c]=${d}', "run": ""} and found.overrides == ["sampler=heun"]
    with pytest.raises(ConfigError, match=r"promt: .*did you mean 'prompt'"):
        read_arguments(["promt"], {"prompt": ""})


def test_the_runs_of_a_multirun_share_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, str | None]] = []
    monkeypatch.setattr(
        "lightning_diff.pipeline.stages.train",
        lambda config, folder, **_: seen.append((folder.name, config.tracking.group)),
    )
    base = ["train.py", "experiment=base", f"outputs={tmp_path}"]
    for words in (["-m", "objective=eps,v"], ["-m", "tracking.group=mine", "seed=1,2"], []):
        monkeypatch.setattr(sys, "argv", [*base[:1], *words[:1], *base[1:], *words[1:]])
        train_command()
    assert seen == [
        *[("base-objective=eps", "base"), ("base-objective=v", "base")],
        *[("base-seed=1", "mine"), ("base-seed=2", "mine"), ("base", None)],
    ]
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("run ") and " of " in line]
    assert said == [f"run {n} of 2: base-{name}" for names in (("objective=eps", "objective=v"), ("seed=1", "seed=2"))
                    for n, name in enumerate(names, 1)]  # fmt: skip


def test_the_same_run_elsewhere_has_the_same_name() -> None:
    config, what = Config(name="base"), ["experiment=base", "objective=v", "+seed=1"]
    assert run_name(config, what) == "base-objective=v-seed=1"
    assert run_name(config, ["training.nodes=2", "training.devices=4", "cache=/fast", *what]) == run_name(config, what)


def test_runs_that_differ_in_their_last_words_alone_have_names_of_their_own() -> None:
    config, many = Config(name="base"), [f"training.{letter}=1" for letter in "abcdefghijkl"]
    names = {run_name(config, ["experiment=base", *many, f"z={i}"]) for i in range(3)}
    assert len(names) == 3 and all(len(n) == 150 and n.startswith("base-training.a=1-") for n in names)


def test_a_commands_figures_need_no_backend_and_no_settings_of_the_user(tmp_path: Path) -> None:
    rc = tmp_path / "matplotlibrc"
    rc.write_bytes(b"text.usetex: True\n\xff\n")
    work = "print(__import__('matplotlib').get_backend())"
    code = f"from lightning_diff.cli.errors import exit_on_error; exit_on_error(lambda: {work})"
    env = {**os.environ, "MPLBACKEND": "bogus", "MATPLOTLIBRC": str(rc)}
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE_FOLDER, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout.lower(), done.stderr) == (0, "agg\n", "")
