"""What people type and write: paths, flags and config files. Each is right, or refused in one line that says how to mend it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from rich.table import Table

from lightning_diff.cli import commands
from lightning_diff.cli.arguments import read_arguments
from lightning_diff.config.compose import compose_config, compose_node, stored_config
from lightning_diff.config.convert import plain, unchecked, yaml_text
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.input.search import SEARCH
from lightning_diff.config.paths import PACKAGE_FOLDER, SHIPPED, WEIGHTS
from lightning_diff.pipeline.continuing.same import keep_config
from lightning_diff.pipeline.many.named import folders_of
from lightning_diff.pipeline.naming import run_folder
from lightning_diff.ranks import Fitting, Terminal
from lightning_diff.tracking.record import Record
from tests.conftest import short

NAMES = (
    *(
        "写真",
        "café",
        "أرشيف",
        "🙂",
        "holiday (1)",
        "a,b",
        "a=b",
        "it's",
        'a"b',
        "a&b",
        "x#y",
        "[set]",
        "a]",
        "{a,b}",
        "{a",
    ),
    *(
        "a!b",
        "my pictures",
        "  two  ",
        "~x",
        "$HOME",
        "${seed}",
        "a\\${x}",
        "a\\",
        "a\\b",
        "a;b",
        "a|b",
        "a*?",
        "null",
        "true",
    ),
    *("1e5", "-x", "+x", "@x", "%n", "a: b", '"q"', "''", "<x>", "choice(a,b)", "caf\udce9"),
)
FILES = [  # a file of experiments as people write it -> what is said of it; or the values that it sets
    ("", ":1: no key in it"),
    ("# only a comment\n", ":1: no key in it"),
    ("- a\n- b\n", ":1: a list or a word"),
    ("just words\n", ":1: a list or a word"),
    ("name: a\ntraining:\n\tsteps: 8\n", ":3: "),
    ("name: a\nseed: 1\nname: b\n", ":3: while constructing a mapping, found duplicate key name"),
    ("name: e\n  x: [1\n", ":2: "),
    ("name: [\n", ":2: "),
    (b"name: x\nseed: 1 # caf\xe9\n", ":2: not UTF-8 (byte 0xe9)"),
    ("name: a\n---\nname: b\n", ":2: "),
    ("# @package\nname: y\n", ":1: "),
    ("name: !!python/object:os.system x\n", ":1: could not determine a constructor"),
    ("name: no\n", ":1: name: YAML reads no as the truth value false; quote it, name: \"no\""),
    ("seed: 1\nname: 1:30\n", ":2: name: YAML reads 1:30 as the number 90; quote it"),
    ("name: 1e5\n", ":1: name: YAML reads 1e5 as the number 100000.0; quote it"),
    ("name: 010\n", ":1: name: YAML reads 010 as the number 8; quote it"),
    ("tracking: {tags: [a, off]}\n", ":1: tracking.tags: YAML reads off as the truth value false; quote it"),
    ("data: {source: None}\n", ":1: data.source: None is a text in YAML; write null"),
    ("seed: 010\n", ":1: seed: YAML reads 010 as the number 8; write 8, or 10"),
    ("training: {steps: 1e3}\n", ":1: training.steps=1e3: must be a whole number; write 1000"),
    ("training:\n  steps: many\n", ":2: training.steps=many: must be a whole number"),
    ("name: a\ntrainng: {steps: 5}\n", ":2: trainng: no such key; did you mean 'training'?"),
    ("sampler: heun\n", ":1: sampler: heun is no table of keys; choose it in the list defaults, - override /sampler: heun"),
    ("training.steps: 5\n", ":1: training.steps: dots are for the command line; write training: {steps: ...}"),
    ("experiment: base\n", ":1: experiment: name it in the list, defaults: [base]"),
    ("defaults: [mine]\nseed: 1\n", "defaults: a config file names itself"),
    ("defaults: [/experiment: base]\nseed: 1\n", ":1: defaults: another file of experiment/ is named alone, - base"),
    ("defaults:\n  - override /experiment: base\n", ":2: defaults: another file of experiment/ is named alone, - base"),
    ("defaults:\n  - base:\n", ":2: defaults: another file of experiment/ is named alone, - base"),
    ("defaults:\n  - sampler: heun\n", ":2: defaults: write - override /sampler: heun"),
    ("defaults:\n  - /sampler: heun\n", ":2: defaults: write - override /sampler: heun"),
    ("defaults:\n  - override sampler: heun\n", ":2: defaults: write - override /sampler: heun"),
    ("defaults:\n  - override sampler=heun\n", ":2: defaults: an override names a choice, - override /sampler: heun"),
    ("a: &a [x, x]\n" + "".join(f"{k}: &{k} [{','.join(['*' + j] * 50)}]\n" for j, k in ("ab", "bc", "cd", "de")),
     ":1: its aliases (*name) would become more than 100,000 values"),
    ("training: &t\n  steps: *t\n", ":1: an alias (*name) holds itself"),
    ("name: " + "[" * 999 + "]" * 999, ":1: brackets in brackets"),
    ("guidance:\n  scales: {a: 1}\n", ":2: guidance.scales: must be a list"),
    ("seed: 1\ntraining:\n  # steps: 5\n", ":2: training: no key below it"),
    ("training:\n\u00a0\u00a0steps: 5\n", ":2: U+00A0 before a key"),
    ("training: {learning-rate: 1}\n", ":1: training.learning-rate: no such key; did you mean 'training.learning_rate'?"),
    ("# @package _group_\nseed: 1\n", ":1: _group_ is no table of the config; write # @package _global_"),
    ("name: @x\n", "quote the value"),
    ("name: a: b\n", "must be quoted"),
    ('data: {source: "C:\\pics"}\n', "take single quotes"),
    ("name: ${seed\n", ":1: no viable alternative at input '${seed'"),
    ("hydra: {mode: MULTIRUN}\n", "hydra.mode=MULTIRUN: would have no effect; give -m"),
    ("1: x\n", ":1: 1: no name of a key"),
    ("training: 5\n", ":1: training: 5 is no table of keys"),
    ("defaults: base\n", ":1: defaults is a list"),
    ("defaults:\n  - override /tracking: off\n", ":2: defaults: off is no name"),
    ("defaults:\n  - override /sampler: heunn\n", "sampler=heunn: no such choice; did you mean 'heun'?"),
    ("hydra: {run: {dir: here}}\n", "hydra.run.dir=here: would have no effect"),
    ("# @package _global_\nname: a\n", {"name": "a"}),
    ("# mine\n\n# @package _global_\nname: a\n", {"name": "a"}),
    ("name: a\ntraining: {steps: 8}\n", {"name": "a", "training.steps": 8}),
    (b"\xef\xbb\xbf# @package _global_\r\nname: a\r\ntraining:\r\n  steps: 8\r\n", {"name": "a", "training.steps": 8}),
    ("name: '010'\nseed: 1_000\ntraining: {learning_rate: 1e-4, compile: off}\n",
     {"name": "010", "seed": 1000, "training.learning_rate": 1e-4, "training.compile": False}),
    ("name: 2023-01-02\n", {"name": "2023-01-02"}),
    ("training: &t {steps: 9}\nname: 5\n", {"training.steps": 9, "name": "5"}),
    ("defaults: [base]\nname: mine\n", {"name": "mine", "training.checkpoint_every": 130}),
]  # fmt: skip
WORDS = [  # the command's words -> what the line says
    ("--experiment base", "--experiment: overrides are written key=value; type experiment=base"),
    ("--experiment=base", "type experiment=base"),
    ("-experiment=base", "type experiment=base"),
    ("experiment base", "type experiment=base"),
    ("base", "base: not of the form key=value; type experiment=base"),
    ("--steps 5", "type training.steps=5"),
    ("experiment=Base", "did you mean 'base'?"),
    ("experiment=base.yaml", "type experiment=base"),
    ("experiment=conf/experiment/base.yaml", "type experiment=base"),
    ("experiment=my/mine.yaml", "--config-dir=DIR experiment=mine"),
    ("hydra.run.dir=x", "hydra.run.dir=x: would have no effect; outputs=FOLDER and name=NAME"),
    ("hydra.output_subdir=x", "would have no effect"),
    ("hydra.job.chdir=true", "would have no effect"),
    ("hydra.job.name=x", "would have no effect"),
    ("hydra.sweep.dir=x", "would have no effect"),
    ("hydra/launcher=slurm", "it belongs to -m"),
    ("+hydra.launcher.partition=x", "it belongs to -m"),
    ("hydra.sweeper.max_batch_size=2", "it belongs to -m"),
    ("objective=eps,v", "objective=eps,v: several values; give one value, or -m"),
    ("guidance.scales=[1,3", "type 'guidance.scales=[1,3]'"),
    ("guidance.scales=1,3", "guidance.scales=1,3: it takes a list; type 'guidance.scales=[1,3]'"),
    ("evaluation.metrics=fid,clip_score", "it takes a list; type 'evaluation.metrics=[fid,clip_score]'"),
    ("guidance.scales=[1 2 4]", "2: a list has no blanks; type 'guidance.scales=[1,2,4]'"),
    ("guidance.scales=[1, 2, 4] seed=1", "2,: a list has no blanks; type 'guidance.scales=[1,2,4]'"),
    ("data.source=my work/pics seed=1", "work/pics: quote a value with blanks: 'data.source=my work/pics'"),
    ("name=a b c", "b: quote a value with blanks: 'name=a b c'"),
    ("name=a base", "base: not of the form key=value; type experiment=base"),
    ("trainig.steps=5", "trainig.steps: no such key; did you mean 'training.steps'?"),
    ("source=/sets/mine", "source: no such key; did you mean 'data.source'?"),
    ("guidance=soft", "guidance=soft: no such choice; 8 are known, among them"),
    ("guidance=soft", "one of your own comes with plugins=FILE.py"),
    ("part_steps=60", "part_steps=60.0: must be at most 1; part_steps is a share of the steps: 0.05 is a twentieth"),
    ("objective.caption_dropout=10", "objective.caption_dropout is a share of the samples: 0.05 is a twentieth"),
    ("experiment=my[x", "type 'experiment=\"my[x\"'"),
    ("training.steps=(5", "training.steps takes a whole number"),
    ("--cfg jobb", "did you mean 'job'?"),
    ("--cfg", "--cfg: say its value"),
    ("--cfg job --package trainign", "did you mean 'training'?"),
    ("--resolve", "it belongs to --cfg job"),
    ("--config-dir nowhere experiment=base", "--config-dir=nowhere: no such folder"),
    ("--config-name nothing", "--config-name=nothing: no nothing.yaml"),
    ("--config-path conf", "give --config-dir=DIR"),
    ("\u2013cfg job", "\u2013cfg: begins with a long dash; type --cfg"),
    ("\u201cname=x\u201d", "'\u201cname' is no key; did you mean 'name'?"),
    ("training[steps]=5", "'training[steps]' is no key; did you mean 'training.steps'?"),
    ("guidance.scales=range(1,4)", "guidance.scales takes a list of numbers, guidance.scales=[1,2]"),
    ("~seed", "~seed: a config has a value for each key; give another one, seed=VALUE"),
    ("experiment=base guidance.scales=[1,1e39]", "must be at most 3.4e+38, the largest number of float32"),
]

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """A command with its words, in this process: (exit code, stdout, stderr)."""

    def said(command: str, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"{command}.py", *words])
        code = 0
        try:
            getattr(commands, f"{command}_command")()
        except SystemExit as e:
            code = int(e.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    yield said
    SEARCH.use("", "")


def overrides(*words: str, many: bool = False) -> list[str]:
    return read_arguments([*(["-m"] if many else []), *words], flags=("--multirun",)).overrides


@pytest.mark.parametrize(
    "word",
    ["training.steps=5", "data.image_size=32", "objective=v", "text.null=learned", "tracking=online", "data=folder"],
)
def test_a_word_that_changes_nothing_of_what_a_command_does_is_refused(word: str, say: Any, tmp_path: Path) -> None:
    for command, more in (("sample", ("prompt=x",)), ("export", (f"run={SHIPPED}/still_life",))):
        code, out, err = say(command, *more, word, f"out={tmp_path / 'made'}")
        assert (code, out) == (2, "") and err.count("\n") == 1 and f"{word}: {command}.py has no use for it" in err
    assert not (tmp_path / "made").exists()
    assert say("sample", "prompt=x", "--cfg", "job", "seed=3", "sampler.steps=2", "sampler=heun")[0] == 0


@pytest.mark.parametrize(
    "name",
    ["~/a b", "/sets/$x/it's [1] 100%", "null.safetensors", "'in quotes'", "~", "/a=b;c", "caf\u00e9 {1}"],
)
def test_a_path_in_a_table_is_taken_as_typed(name: str) -> None:
    typed = f"[{{kind: open_clip, model: ViT-B-32, weights: {name}}},{{kind: small,weights:{name}, layer: 2}}]"
    more = unchecked(compose_node(overrides(f"text.more={typed}"))).text.more
    path = os.path.expanduser(name.strip("'"))
    assert [(m.kind, m.weights, m.layer) for m in more] == [("open_clip", path, 1), ("small", path, 2)]
    also = unchecked(
        compose_node(overrides("tracking.also=[csv,{kind:mlflow,uri:sqlite:///~/my runs.db}]"))
    ).tracking.also
    assert (also[0].kind, also[1].uri) == ("csv", "sqlite:///~/my runs.db")


@pytest.mark.parametrize("value", ["[{kind: small, weights: ~/a, b}]", "{kind: ~/small}", "{kind: small}"])
def test_a_table_that_cannot_be_read_is_told_by_name(value: str) -> None:
    with pytest.raises(
        ConfigError, match=r"""^text\.more=.*: .*; type its values in quotes, as in 'text\.more=\[\{kind: NAME"""
    ) as e:
        overrides(f"text.more={value}")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_taken_as_typed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    typed = f"./{name}" if name == "null" else name
    os.mkdir(name)
    for many in (False, True):
        for source in (str(tmp_path / name), typed):
            words = overrides("experiment=folder", f"data.source={source}", f"cache={source}", many=many)
            config = compose_config(words)
            assert (config.data.source, config.cache) == (source, source)
    stored = tmp_path / "config.yaml"
    stored.write_text(yaml_text(plain(config)), "utf-8")
    assert stored_config(stored) == config


@pytest.mark.parametrize("command", ["train", "prepare", "doctor"])
def test_home_and_quotes_mean_the_same_in_every_command_and_file(
    command: str, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "Zoë's home dir"
    (home / "pictures").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    folder = tmp_path / "my conf [1]" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("defaults: [override /data: folder]\ndata: {source: ~/pictures}\n")
    for words in (
        ("experiment=folder", "data.source=~/pictures"),
        ("experiment=folder", 'data.source="~/pictures"'),
        ("experiment=folder", f"data.source='{home}/pictures'"),
        (f"--config-dir={folder.parent}", "experiment=mine"),
        ("experiment=mine", "-cd", str(folder.parent)),
    ):
        code, out, err = say(command, *words, "-c", "job", "-p", "data")
        assert (code, err) == (0, "") and yaml.safe_load(out)["source"] == f"{home}/pictures"


def test_a_multirun_takes_one_path_if_it_exists_and_else_those_between_the_commas(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b c", "a,b c", "x,y"):
        os.mkdir(name)

    def sources(words: str) -> list[str]:
        code, out, err = say("train", "-m", "experiment=folder", f"data.source={words}", "--cfg", "job", "-p", "data")
        assert code == 0 and (("one path, because it exists" in err) == (words == "a,b c"))
        return [part["source"] for part in yaml.safe_load_all(out)]

    assert sources("a,b c") == ["a,b c"] and sources("x,y") == ["x,y"] and sources("b c,a,x") == ["b c", "a", "x"]
    assert sources("choice(a,b c)") == ["a", "b c"] and sources("'x,y',a") == ["x,y", "a"]


@pytest.mark.parametrize("text, says", FILES)
def test_a_file_is_read_as_people_write_it(text: str | bytes, says: Any, say: Say, tmp_path: Path) -> None:
    file = tmp_path / "experiment" / "mine.yaml"
    file.parent.mkdir()
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, out, err = say("train", f"--config-dir={tmp_path}", "experiment=mine", "--cfg", "job")
    if isinstance(says, str):
        assert code == 2 and out == "" and err.count("\n") == 1 and says in err
        assert f"{file}:" in err or not says.startswith(":")
        return
    assert (code, err) == (0, "")
    for key, value in says.items():
        read = yaml.safe_load(out)
        for part in key.split("."):
            read = read[part]
        assert read == value, key


@pytest.mark.parametrize("words, says", WORDS)
def test_what_is_typed_wrong_is_one_line_that_says_what_to_type(words: str, says: str, say: Say) -> None:
    code, out, err = say("train", *words.split())
    assert code == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1 and says in err


@pytest.mark.parametrize(
    "command, words, says",
    [
        (
            "train",
            ["experiment=base", "name=x\r"],
            "name=x\\r: ends in a carriage return; give the script the line ends",
        ),
        (
            "train",
            ["experiment=base", "name=a\nb"],
            "name=a\\nb: a name of a folder in outputs=outputs, no path out of it",
        ),
        ("train", ["training.steps\u00a0=5"], "is no key; did you mean 'training.steps'?"),
        ("sample", ["prompt=x", "run="], "run=: empty; say a path, or leave the word out"),
        ("sample", ["prompt=x", "out="], "out=: empty; say a path"),
        ("train", ["-cd", "", "experiment=base"], "-cd: empty; say its value, for example -cd DIR, or leave it out"),
        ("train", ["--config-name=", "experiment=base"], "--config-name: empty; say its value"),
        ("train", ["--hydra-help", "experiment=base"], "experiment=base: would be ignored; --hydra-help stands alone"),
        ("train", ["-m", "experiment=base", "hydra.launcher.partition=x"], "hydra/launcher=slurm has it"),
        ("sample", ["prompt=x", "out=/proc/x"], "out=/proc/x: /proc: No such file or directory; name a folder"),
        ("prepare", ["data=folder", "source=.", "show="], "show=: empty; say a path"),
        ("prepare", ["data=folder", "source=.", "cache=/tmp/c", "show=/proc/x"], "show=/proc/x: /proc: No such file"),
        ("prepare", ["data=folder", "source=.", "data.source=x"], "data.source=x: source=. says it already"),
        ("prepare", ["data=folder", "source=."], "the cache would lie among these pictures, in outputs/cache"),
        (
            "prepare",
            ["data=folder", "source=.", "cache=/tmp/c", "show=s"],
            "what is shown would lie among these pictures",
        ),
        ("export", ["show=."], "show=.: no model is in it that is read here: name a folder with config.json"),
        ("train", ["guidance.scales=[1 2 4]"], "commas separate the values of a list; type 'guidance.scales=[1,2,4]'"),
        ("sample", ["a red mug"], "a red mug: not of the form key=value; did you mean prompt='a red mug'?"),
        ("sample", ["a", "red", "mug", "seed=1"], "a: not of the form key=value; did you mean prompt='a red mug'?"),
        ("sample", ["prompt=a", "red", "mug", "--cfg", "job"], "red: quote a value with blanks: 'prompt=a red mug'"),
        ("evaluate", ["mine2"], "mine2: not of the form key=value; type run=mine2"),
        ("evaluate", ["run=mine2", "guidance.scales=1,2,3"], "it takes a list; type 'guidance.scales=[1,2,3]'"),
        ("evaluate", ["run=mein2"], "run=mein2: no such folder; did you mean 'mine2'?"),
        ("sample", ["prompt=x", "run=outputs/mein2"], "run=outputs/mein2: no such folder; did you mean 'mine2'?"),
        ("export", ["run=other", "out=x"], "run=other: no such folder; python -m lightning_diff lists the runs"),
        ("runs", ["report=mein2"], "report=mein2: no run is in outputs/mein2 (no config.yaml); did you mean 'mine2'?"),
        (
            "evaluate",
            ["run=mine2"],
            "train it to the end: python train.py experiment=base name=mine2 'data.source=my pics'",
        ),
        ("prepare", ["data=folder", "data.source=nowhere"], "data.source=nowhere: no such folder"),
        ("prepare", ["data=folder", "source=nowhere"], "data.source=nowhere: no such folder"),
    ],
)
def test_what_is_not_there_or_not_a_pair_is_one_line_that_says_what_was_meant(
    command: str, words: Sequence[str], says: str, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one run in outputs/, which has begun and was measured in vain."""
    keep_config(compose_config(["experiment=base", "name=mine2"]), tmp_path / "outputs" / "mine2")
    record = Record(tmp_path / "outputs" / "mine2")
    for event in ("python train.py experiment=base name=mine2 'data.source=my pics'", "python evaluate.py run=mine2"):
        record.write("command", command=event, version="1")
    monkeypatch.chdir(tmp_path)
    code, out, err = say(command, *words)
    assert code == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1 and says in err


def test_a_file_of_the_user_wins_with_a_line_and_one_that_is_misplaced_is_found(say: Say, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "base.yaml").write_text("name: own\n")
    (tmp_path / "experiment" / "short.yml").write_text("name: own\n")
    (tmp_path / "above.yaml").write_text("name: own\n")
    flags = (f"--config-dir={tmp_path}", "--cfg", "job", "-p", "name")
    code, out, err = say("train", "experiment=base", *flags)
    assert (code, yaml.safe_load(out)) == (0, {"name": "own"})
    assert err == f"{tmp_path}/experiment/base.yaml: taken instead of this project's experiment/base.yaml\n"
    assert "rename" in say("train", "experiment=short", *flags)[2]
    assert f"put {tmp_path}/above.yaml into {tmp_path}/experiment" in say("train", "experiment=above", *flags)[2]


def test_a_main_config_of_the_user(say: Say, tmp_path: Path) -> None:
    (tmp_path / "main.yaml").write_text("defaults: [config, _self_]\nseed: 7\n")
    for name in ("main", "main.yaml"):
        code, out, err = say("train", f"--config-dir={tmp_path}", "-cn", name, "--cfg", "job", "-p", "seed")
        assert (code, err, yaml.safe_load(out)) == (0, "", {"seed": 7})


def test_a_multirun_is_shown_run_by_run(say: Say) -> None:
    for words in (("-m", "--cfg", "job"), ("--multirun", "-c", "job"), ("--cfg=job", "-m")):
        code, out, err = say("train", *words, "experiment=base", "seed=1,2", "-p", "seed")
        assert (code, err) == (0, "") and [part["seed"] for part in yaml.safe_load_all(out)] == [1, 2]


@pytest.mark.parametrize(
    "command, words",
    [
        *(("prepare", ["-m"]), ("doctor", ["--multirun"]), ("runs", ["-m"]), ("runs", ["--cfg", "job"])),
        *(("sample", ["-m"]), ("export", ["--info"]), ("evaluate", ["--config-name=x"]), ("doctor", ["--cfg", "all"])),
    ],
)
def test_a_flag_without_a_meaning_is_refused(command: str, words: Sequence[str], say: Say) -> None:
    code, out, err = say(command, *words)
    assert code == 2 and out == "" and err.count("\n") == 1 and "--" in err


RESPELT = [
    (["objective=v", "seed=1"], ["seed=1", "objective=v"]),
    (["training.learning_rate=1e-3"], ["training.learning_rate=0.001"]),
    (["guidance.scales=[1,3]"], ["guidance.scales=[1, 3.0]"]),
    (["seed=1", "seed=2"], ["seed=2"]),
    (["text.model=x"], ["+text.model=x"]),
    (["tracking.project=p", "seed=3"], ["seed=3"]),
    (["training.compile=true"], ["training.compile=True"]),
    (["init_from=/a b"], ["init_from='/a b'"]),
]


@pytest.mark.parametrize("one, other", RESPELT)
def test_a_run_has_one_name_however_it_is_spelt(one: list[str], other: list[str]) -> None:
    from lightning_diff.config.schema import Config
    from lightning_diff.pipeline.naming import run_name

    assert run_name(Config(), overrides(*one)) == run_name(Config(), overrides(*other))


def test_a_run_that_an_older_version_named_is_found_by_its_config(tmp_path: Path) -> None:
    def folder(*words: str) -> Path:
        given = overrides("experiment=base", f"outputs={tmp_path}", *words)
        return run_folder(compose_config(given), given)

    old = tmp_path / "base-seed=1-objective=v-training.learning_rate=1e-3"
    old.mkdir()
    first = compose_config(["experiment=base", "seed=1", "objective=v", "training.learning_rate=1e-3"])
    (old / "config.yaml").write_text(yaml_text(plain(first)))
    assert folder("training.learning_rate=0.001", "objective=v", "seed=1") == old
    assert folder("training.learning_rate=0.002", "objective=v", "seed=1") != old
    assert folder("objective=v") == tmp_path / "base-objective=v"


def test_names_of_runs_with_commas_are_told_apart(tmp_path: Path) -> None:
    names = ["base-guidance.scales=_1,3_", "base-objective=v", "a,b"]
    for name in names:
        (tmp_path / name).mkdir()
    assert folders_of(",".join(names), tmp_path) == [tmp_path / name for name in names]
    assert folders_of("base,base-objective=v", tmp_path) == [tmp_path / "base", tmp_path / "base-objective=v"]
    (tmp_path / names[0] / WEIGHTS).write_bytes(b"")
    (tmp_path / "base-objective=v" / WEIGHTS).write_bytes(b"")
    text = f"{tmp_path}/{names[0]},{tmp_path}/{names[1]}"
    assert folders_of(text) == [tmp_path / name for name in names[:2]]


def test_a_run_stands_for_its_weights(say: Say, tmp_path: Path) -> None:
    name = "base-guidance.scales=_1,3_"
    (tmp_path / name).mkdir()
    (tmp_path / name / WEIGHTS).write_bytes(b"")
    for given in (name, str(tmp_path / name), str(tmp_path / name / WEIGHTS)):
        code, out, _ = say("train", f"outputs={tmp_path}", f"init_from={given}", "--cfg", "job", "-p", "init_from")
        assert code == 0 and yaml.safe_load(out) == {"init_from": str(tmp_path / name / WEIGHTS)}
        words = ("guidance=auto", f"guidance.guide={given}", f"outputs={tmp_path}", "--cfg", "job", "-p", "guidance")
        assert yaml.safe_load(say("train", *words)[1])["guide"] == str(tmp_path / name / WEIGHTS)


def test_a_submitted_job_gets_the_flags_and_the_paths_as_typed(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, tools, conf = tmp_path / "log", tmp_path / "bin", tmp_path / "my conf"
    tools.mkdir()
    for name, text in (("sbatch", f'printf "<%s>" "$@" >>"{log}"; echo 7'), ("squeue", "true")):
        (tools / name).write_text(f"#!/bin/bash\n{text}\n")
        (tools / name).chmod(0o755)
    (conf / "experiment").mkdir(parents=True)
    (conf / "experiment" / "mine.yaml").write_text("name: mine\n")
    (tmp_path / "a, b").mkdir()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.chdir(PACKAGE_FOLDER)
    words = (
        "data=folder",
        f"data.source={tmp_path}/a, b",
        "seed=1,2",
        "hydra/launcher=slurm",
        "hydra.launcher.wait=false",
    )
    code, _, err = say("train", "-m", "-cd", str(conf), "experiment=mine", f"outputs={tmp_path}/out", *words)
    assert (code, err) == (0, "")
    assert f"<--config-dir={conf}><experiment=mine>" in log.read_text()
    assert f"<data.source={tmp_path}/a, b><seed=2>" in log.read_text()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no folder can be made in Linux's /proc")
def test_an_impossible_cache_is_one_line_and_leaves_no_run(say: Say, tmp_path: Path, pictures_folder: Path) -> None:
    for command, *words in (
        ("train", *short("base"), f"outputs={tmp_path / 'out'}"),
        ("prepare", "data=folder", f"source={pictures_folder}"),
    ):
        code, _, err = say(command, *words, "cache=/proc/nope")
        assert code == 2 and err.startswith("error: cache=/proc/nope: /proc: ") and err.count("\n") == 1
    assert not [*tmp_path.glob("out/*")]


def apart(words: Sequence[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **more.pop("env", {})}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=PACKAGE_FOLDER, env=environment, timeout=120, **more)


@pytest.mark.parametrize("words", [["train.py", "--help"], ["train.py", "--cfg", "job"], ["train.py", "nonsense"]])
def test_a_reader_that_leaves_ends_nothing(words: list[str]) -> None:
    """Both streams are pipes whose reader is gone already."""
    reader, writer = os.pipe()
    os.close(reader)
    done = apart(words, stdout=writer, stderr=writer)
    os.close(writer)
    assert done.returncode == (2 if "nonsense" in words else 0)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
@pytest.mark.parametrize(
    "words", [["train.py", "--help"], ["train.py", "--cfg", "job"], ["train.py", "training.batch=0"]]
)
def test_a_full_disk_under_the_log_ends_nothing(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = apart(words, stdout=full, stderr=full)
    assert done.returncode == (2 if "training.batch=0" in words else 0)


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0"},
        {"TERM": "dumb", "NO_COLOR": "1"},
    ],
)
def test_a_terminal_without_letters_gets_replacements(environment: dict[str, str], tmp_path: Path) -> None:
    for name in ("Zoë 写真", "caf\udce9"):
        (tmp_path / name).mkdir()
        words = ["train.py", "experiment=folder", "--cfg", "job", "-p", "data"]
        done = apart([*words, f"data.source={tmp_path / name}"], env=environment, capture_output=True)
        assert done.returncode == 0 and done.stderr == b"" and b"source: " in done.stdout
        done = apart([*words[:2], f"data.source={tmp_path / name}/no"], env=environment, capture_output=True)
        assert done.returncode == 2 and done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1


def test_a_narrow_terminal_gets_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    names, rows = ["run", "state", "FID"], [["base-objective=v", "measured", "12.3"], ["other", "trained", ""]]
    table = Table(*names)
    for row in rows:
        table.add_row(*row)
    Console(width=20).print(Fitting(table, names, rows), soft_wrap=True)
    assert capsys.readouterr().out.splitlines() == [
        "base-objective=v: state measured, FID 12.3",
        "other: state trained",
    ]
    Console(width=60).print(Fitting(table, names, rows))
    assert "│ 12.3 │" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
def test_a_terminal_without_a_size_shows_all(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "0")
    Terminal().print("a word", Table("run"))
    assert "a word" in capsys.readouterr().out and Terminal().size >= (80, 25)


def test_a_name_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    from lightning_diff.ranks import say

    say("in /sets/[red] :smile: [/]")
    assert capsys.readouterr().out == "in /sets/[red] :smile: [/]\n"
