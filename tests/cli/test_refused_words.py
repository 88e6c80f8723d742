"""Words that cannot be meant are one line, before anything is loaded, trained or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightning_diff.cli.arguments import product_of, read_arguments
from lightning_diff.cli.drawing.prompts import out_folder, prompts_of, whole_number
from lightning_diff.cli.drawing.stored import refuse_another_model
from lightning_diff.cli.multirun import refuse_one_folder
from lightning_diff.config.compose import compose_config, load_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import SHIPPED
from lightning_diff.data.incoming.walk import find_shards
from lightning_diff.pipeline.continuing.same import keep_config
from lightning_diff.pipeline.naming import refuse_misplaced, run_folder
from lightning_diff.strings import visible
from lightning_diff.tracking.record import Record


@pytest.mark.parametrize("text", ["²", "٣", "0", "257", "", "1e3", "-1", "9" * 5000])
def test_a_number_is_a_number(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^count=.*: a whole number from 1 to 256"):
        whole_number("count", text, 1, 256)


def test_out_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert out_folder(str(tmp_path / "new" / "folder")) == tmp_path / "new" / "folder"
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="Not a directory; name a folder"):
            out_folder(str(path))


def test_prompts_are_text(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes("a mug\nan apple\n".encode("utf-16-le"))  # without its mark
    assert prompts_of("", str(tmp_path / "p")) == ["a mug", "an apple"]
    (tmp_path / "p").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(ConfigError, match="not a text file"):
        prompts_of("", str(tmp_path / "p"))


def test_a_run_has_one_experiment() -> None:
    with pytest.raises(
        ConfigError, match=r"experiment=\[base,digits\]: a run has one experiment; .*-m experiment=base,digits"
    ):
        read_arguments(["experiment=[base,digits]"])


def test_a_key_that_is_a_list_of_one_choice_alone_takes_a_number() -> None:
    """net.depth is a number of net=uvit and a list of net=ldm; which of them is meant, the config says."""
    assert read_arguments(["experiment=base", "net.depth=4"]).overrides == ["experiment=base", "net.depth=4"]
    assert compose_config(["net.depth=4"]).net.depth == 4
    with pytest.raises(ConfigError, match=r"^net.depth=\[4\]: must be a whole number"):
        compose_config(["net.depth=[4]"])
    with pytest.raises(ConfigError, match=r"^guidance.scales=4: must be a list; type 'guidance.scales=\[4\]'"):
        read_arguments(["experiment=base", "guidance.scales=4"])


def test_runs_of_one_command_lie_in_folders_of_their_own() -> None:
    refuse_one_folder([["name=a", "seed=0"], ["name=b", "seed=0"], ["seed=1"], ["seed=2"]])
    with pytest.raises(ConfigError, match=r"^name=z: 2 runs of this command would lie in that folder"):
        refuse_one_folder([["name=z", "seed=0"], ["name=z", "seed=1"]])


@pytest.mark.parametrize("name", ["cache", "cache/x", "parts", "parts/x", "run/checkpoints", "run/a/b"])
def test_no_run_lies_in_a_run_or_in_what_runs_share(tmp_path: Path, name: str) -> None:
    words = ["experiment=base", f"outputs={tmp_path}", f"cache={tmp_path}/cache"]
    keep_config(compose_config([*words, "name=run"]), tmp_path / "run")
    refuse_misplaced(compose_config([*words, "name=run"]))
    refuse_misplaced(compose_config([*words, "name=runs/b"]))
    with pytest.raises(ConfigError, match=f"^name={name}: the run would lie in "):
        refuse_misplaced(compose_config([*words, f"name={name}"]))


@pytest.mark.parametrize("word", ["outputs", "cache"])
@pytest.mark.parametrize("below", ["", "/checkpoints", "/a/b"])
def test_no_run_holds_other_runs_or_caches(tmp_path: Path, word: str, below: str) -> None:
    words = ["experiment=base", f"outputs={tmp_path}", f"cache={tmp_path}/cache"]
    config = compose_config([*words, f"{word}={tmp_path}/run{below}", "name=b"])
    refuse_misplaced(config)
    keep_config(config, tmp_path / "run")
    refuse_misplaced(config)  # a config.yaml alone may be anybody's
    Record(tmp_path / "run").write("data")
    with pytest.raises(ConfigError, match=f"^{word}=.*: it lies in .*/run, which is a run; give another folder"):
        refuse_misplaced(config)


def test_no_run_lies_among_the_pictures_that_it_reads(tmp_path: Path) -> None:
    pictures = tmp_path / "outputs" / "stamps"
    pictures.mkdir(parents=True)
    (tmp_path / "link").symlink_to(pictures)
    words = ["experiment=folder", f"outputs={tmp_path}/outputs"]
    for source, name in ((pictures, "stamps"), (tmp_path / "link", "stamps"), (tmp_path, "other")):
        some = [*words, f"data.source={source}", f"name={name}"]
        with pytest.raises(ConfigError, match=f"^data.source={source}: the run would lie among these pictures"):
            run_folder(compose_config(some), some)
    some = [*words, f"data.source={pictures}", "name=other"]
    assert run_folder(compose_config(some), some) == tmp_path / "outputs" / "other"


def test_a_pattern_of_a_billion_shards_is_not_written_out() -> None:
    for pattern in ("x/{0..999999999}.tar", "x/{0..9999}-{0..9999}.tar"):
        with pytest.raises(ConfigError, match="names more than 1,000,000 shards"):
            find_shards(pattern)


@pytest.mark.parametrize(
    "words",
    [
        ["seed=range(0,100000000)"],
        ["seed=shuffle(range(0,100000000))"],
        ["training.learning_rate=range(0.0,1.0,1e-9)"],
        ["seed=range(0,5000)", "objective=eps,v,flow"],
    ],
)
def test_a_sweep_of_too_many_runs_is_not_written_out(words: list[str]) -> None:
    assert len(product_of(["experiment=base", "seed=range(0,10000)"])) == 10_000
    with pytest.raises(ConfigError, match=r": makes more than 10,000 runs; give fewer values$") as e:
        product_of(["experiment=base", *words])
    assert str(e.value).startswith(" ".join(words))
    with pytest.raises(ConfigError, match=r"^seed=range\(0,9,0\): .*must not be zero$"):
        product_of(["seed=range(0,9,0)"])


@pytest.mark.parametrize("word", ["+hydra.sweeper.params.seed=2", "hydra.sweeper.params={seed:[0,1]}"])
@pytest.mark.parametrize("flags", [[], ["-m"]])
def test_what_is_swept_stands_on_the_command_line(flags: list[str], word: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^\+?hydra.sweeper.params.*: give the values on the command line, -m seed=0,1$"
    ):
        read_arguments([*flags, "experiment=base", word], flags=("--multirun",))


@pytest.mark.parametrize("word", ["training.batch=8", "objective.prediction=v", "text.null=learned"])
def test_a_drawing_is_of_the_model_that_was_trained(word: str) -> None:
    run = SHIPPED / "still_life"
    refuse_another_model(load_config(run / "config.yaml", ["seed=5", "sampler=heun"]), run)
    with pytest.raises(ConfigError, match=f"^{word.partition('=')[0]}: "):
        refuse_another_model(load_config(run / "config.yaml", [word]), run)


def test_what_is_printed_commands_no_terminal() -> None:
    assert visible("a\x1b]0;x\x07b\x9b31m\u202ec\td\n") == "a\ufffd]0;x\ufffdb\ufffd31m\ufffdc\td\n"
