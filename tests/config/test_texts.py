"""Each key has a text and stands on a page; what people type is answered with a key that the command knows."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from lightning_diff.cli import commands
from lightning_diff.config.errors import MOST, ConfigError
from lightning_diff.config.input.typed import fields_at
from lightning_diff.config.paths import CONF, PACKAGE_FOLDER
from lightning_diff.config.registry import choices, group_at
from lightning_diff.config.texts.described import Key, all_keys, sentences
from lightning_diff.config.texts.help import help_on
from lightning_diff.config.texts.suggest import AREAS, AT_HAND, PRESETS, exactly, suggest
from lightning_diff.config.texts.table import VALUES, WORDS
from lightning_diff.config.texts.values import nearest_value

PAGE = (PACKAGE_FOLDER / "docs" / "choices.md").read_text("utf-8")
OWN = [key for key in all_keys() if not getattr(key.cls, "plugin", "")]
TYPED = {  # what people type -> the first key that is named, by command
    "train.py": {
        "lr": "training.learning_rate",
        "learning_rate": "training.learning_rate",
        "batch_size": "training.batch",
        "bs": "training.batch",
        "max_train_steps": "training.steps",
        "epochs": "training.steps",
        "cfg": "guidance.scale",
        "w": "guidance.scale",
        "unet": "net",
        "model": "net",
        "resolution": "data.image_size",
        "size": "data.image_size",
        "precision": "training.precision",
        "fp16": "training.precision",
        "gpus": "training.devices",
        "num_inference_steps": "sampler.steps",
        "output_dir": "outputs",
        "wandb": "tracking",
        "train_data_dir": "data.source",
        "val": "data.test",
        "trainer.max_epochs": "training.steps",
        "model.learning-rate": "training.learning_rate",
    },
    "sample.py": {"steps": "sampler.steps", "scale": "guidance.scale", "ckpt": "run", "n": "count", "output_dir": "out"},
    "evaluate.py": {"cfg_scales": "guidance.scales", "batch_size": "evaluation.batch", "n_samples": "evaluation.samples"},
    "prepare.py": {"train_data_dir": "source", "size": "data.image_size", "val_split": "data.test"},
    "lightning_diff": {"output_dir": "outputs", "reports": "report"},
}  # fmt: skip
OWN_WORDS = {
    "sample.py": ["prompt", "prompts", "run", "count", "out"],
    "evaluate.py": ["run"],
    "prepare.py": ["data", "source", "show", "show.count"],
    "lightning_diff": ["outputs", "open", "report"],
}


@pytest.fixture(autouse=True)
def _train() -> None:
    AT_HAND.use("train.py", ())


def said(command: str, word: str) -> str:
    AT_HAND.use(command, OWN_WORDS.get(command, ()))
    return suggest(word)


def named(hint: str) -> list[str]:
    return re.findall(r"'([^']+)'", hint.partition("?")[0])


@pytest.mark.parametrize("command, word", [(command, word) for command, some in TYPED.items() for word in some])
def test_what_people_type_is_answered_with_our_key(command: str, word: str) -> None:
    assert named(said(command, word))[0] == TYPED[command][word]


def test_what_has_no_key_is_answered_with_a_sentence() -> None:
    assert "training.batch" in said("train.py", "epochs").partition("?")[2]
    for word, answer in (("negative_prompt", "sample.py negative="), ("resume", "continues"), ("xformers", "always")):
        assert answer in said("train.py", word) and not exactly(word)[0]
    assert "trained with" in said("sample.py", "size") and "pag" in said("train.py", "pag_scale")


def test_every_entry_of_the_table_names_keys_that_exist_and_hides_none() -> None:
    words = {*PRESETS, *(word for some in OWN_WORDS.values() for word in some)}
    for typed, keys, note in WORDS:
        assert keys or note
        for key in keys.split():
            assert key in words or fields_at(key), key
        for word in typed.split():
            assert (word == word.lower() and "-" not in word and word not in words - {"data"}) or word in ("open",), (
                word
            )
    for place, values in VALUES.items():
        group = group_at(place)
        known = {p.stem for p in (CONF / place).glob("*.yaml")} | set(choices(group) if group else ())
        for _, f in fields_at(place) if not known else ():
            known |= set(f.metadata.get("allowed", ()))
        known |= {"diffusers", "single_file"} if place == "format" else set()
        assert not set(values) & known and set(values.values()) <= known, place


@pytest.mark.parametrize("command", ["train.py", "lightning_diff.doctor", *AREAS])
def test_a_hint_names_five_keys_at_most_and_only_keys_that_the_command_knows(command: str) -> None:
    typed = [word for words, _, _ in WORDS for word in words.split()]
    for word in [*typed, "zzz", "training.zzz", "stpes", "e", "", "training.", "batch", "seed", "widths", "\u5199"]:
        hint = said(command, word)
        assert hint and len(hint) < 250 and "\n" not in hint
        assert len(named(hint)) <= MOST and set(named(hint)) <= set(AT_HAND.known()), hint


@pytest.mark.parametrize(
    "place, word, value",
    [
        ("sampler", "Euler_a", "euler_ancestral"),
        ("sampler", "DPM++_2M", "dpmpp_2m"),
        ("data", "webdataset", "shards"),
        ("objective", "epsilon", "eps"),
        ("training.precision", "fp16", "bf16-mixed"),
        ("net", "smal", "small"),
    ],
)
def test_a_value_of_another_project_is_answered_with_ours(place: str, word: str, value: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"did you mean {value!r}?")):
        help_on(f"{place}={word}") if place != "training.precision" else _refused(f"{place}={word}")


def _refused(word: str) -> None:
    from lightning_diff.config.compose import compose_config

    compose_config([word])


def test_a_long_list_is_cut_to_five() -> None:
    hint = nearest_value("sampler", "zzz", [f"name{i}" for i in range(40)])
    assert hint.startswith("40 are known, among them ") and hint.count("name") == MOST


@pytest.mark.parametrize("key", OWN, ids=lambda key: f"{key.name}-{key.choice}")
def test_every_key_has_a_text_and_stands_on_the_page(key: Key) -> None:
    assert key.text, "say in the docstring of its class what it is, with `key`"
    place = key.name.rpartition(".")[0] or "The top of the config"
    if key.choice:
        place = key.choice.partition("=")[0]
    section = re.search(rf"^## `?{re.escape(place)}`?\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    inner = key.name in ("objective", "training", "validation", "evaluation", "tracking", "cluster")
    assert inner or (section and f"`{key.field.name}` = " in section[1])


@pytest.mark.parametrize("topic", [*dict.fromkeys(key.name for key in OWN if key.settable), "sampler=ddim", "data=folder",
                                   "experiment", "experiment=base", "debug", "metric", "metric=kid", "tracking=online",
                                   "hydra.launcher", "evaluation/features=inception"])  # fmt: skip
def test_help_tells_of_each_key_group_and_choice(topic: str) -> None:
    text = help_on(topic)
    assert text.startswith(topic.replace("evaluation.features", "evaluation/features")[:8])
    assert all(len(line) <= 130 for line in text.splitlines())


def test_help_names_type_default_bounds_owner_and_sentence() -> None:
    text = help_on("sampler.eta")
    for part in ("a number", "default     0.0", "bounds      >= 0, <= 1", "belongs to  sampler=ddim", "fresh noise"):
        assert part in text
    assert "default     5000" in help_on("training.steps")  # conf/ sets it
    with pytest.raises(ConfigError, match=r"^trainig: no such key; did you mean 'training'\?"):
        help_on("trainig")


def test_sentences_end_where_they_do() -> None:
    text = "It has order 2 (Song et al. 2021). `eta` is small. See eq. 3, i.e. This."
    assert sentences(text) == ["It has order 2 (Song et al. 2021).", "`eta` is small.", "See eq. 3, i.e. This."]


def answered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, *words: str) -> str:
    monkeypatch.setattr(sys, "argv", [command, *words])
    getattr(commands, f"{command}_command")()
    return capsys.readouterr().out


def test_comments_change_nothing_of_the_config(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["experiment=folder", f"data.source={tmp_path}", "text.more=[{kind:small,weights:x}]", "--cfg", "job"]
    plain = answered(monkeypatch, capsys, "train", *words)
    commented = answered(monkeypatch, capsys, "train", *words, "--comments")
    assert "# " not in plain and "# `checkpoint_every`" not in plain
    assert yaml.safe_load(commented) == yaml.safe_load(plain) and "  # Every `log_every` steps" in commented
    part = answered(monkeypatch, capsys, "train", *words, "--comments", "-p", "training")
    assert yaml.safe_load(part) == yaml.safe_load(plain)["training"] and "# Every `log_every` steps" in part


@pytest.mark.parametrize("command", ["train", "evaluate", "sample", "export", "prepare", "runs", "doctor"])
def test_every_command_says_our_version(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.fullmatch(
        r"lightning-diff \d+\.\d+\S* \(torch \d+\.\S+\)\n", answered(monkeypatch, capsys, command, "--version")
    )
    assert answered(monkeypatch, capsys, command, "--help", "guidance.interval").startswith("guidance.interval: a list")
