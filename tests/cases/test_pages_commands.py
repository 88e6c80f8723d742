"""Each command of the README and of the pages in docs/, as printed, in the folder of a user whose home has blanks and an umlaut
in its name.

Those that would train or draw print their config instead (--cfg job); sbatch is a stand-in that does the same.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_diff.config.compose import compose_config
from lightning_diff.config.convert import plain, yaml_text
from lightning_diff.config.paths import PACKAGE_FOLDER, WEIGHTS
from tests.conftest import draw_pictures

PAGES = [PACKAGE_FOLDER / "README.md", *sorted((PACKAGE_FOLDER / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)
AS_THEY_ARE = ("python prepare.py data=folder", "python -m lightning_diff ", "python -m lightning_diff.config.options")
ELSEWHERE = (
    "python export.py show=",
    "python sample.py again=",
    "python benchmarks/",
    "python experiments/",
    "python -m tests.",
    "make ",
    "python -m lightning_diff.config.json_schema",
    "sbatch slurm/train.sbatch OVERRIDES",
)
STAND_FOR = {  # what a reader puts there
    "KEY": "training",
    "HOST": "example.org",
    "outputs/NAME": "outputs/ldm",
    "reference=DIR": "reference=OTHER",
}
SBATCH = """#!/bin/bash
while [[ $1 != slurm/*.sbatch ]]; do shift; done
script=$(basename "$1" .sbatch)
[[ $script == sweep ]] && exec python train.py "${@:3}" $(head -n 1 "$2")
exec python "$script.py" "${@:2}"
"""


def commands() -> list[str]:
    """The commands of the pages: lines that are indented, and code in a line that has all of a command."""
    text = TEXT.replace("\\\n", " ")
    lines = [line.strip() for line in re.findall(r"^ {4}((?:python|make|sbatch) .*)$", text, re.M)]
    lines += re.findall(r"`((?:python|sbatch) [^`\n]+)`", text)
    bare = [re.sub(r"\s{2,}# .*$", "", line) for line in lines]
    bare = [re.sub(r"\s{2,}", " ", line) for line in bare]
    return list(dict.fromkeys(line for line in bare if "..." not in line and not line.startswith(ELSEWHERE)))


def examples() -> dict[str, str]:
    """The files of docs/extending.md, by the names that its last command gives them."""
    page = (PACKAGE_FOLDER / "docs" / "extending.md").read_text("utf-8")
    (names,) = re.findall(r"plugins=\[(\w+\.py(?:,\w+\.py)+)\]", page)
    return dict(zip(re.findall(r"(\w+)\.py", names), re.findall(r"```python\n(.*?)```", page, re.S), strict=True))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with pictures, runs, a plugin, and the project in it."""
    home = tmp_path_factory.mktemp("homes") / "Zoë's home dir"
    project = home / "my project"
    project.mkdir(parents=True)
    for name in ("conf", "slurm", "lightning_diff", "docs", "experiments", "benchmarks", "hydra_plugins"):
        (project / name).symlink_to(PACKAGE_FOLDER / name)
    for path in PACKAGE_FOLDER.glob("*.py"):
        (project / path.name).symlink_to(path)
    draw_pictures(home / "pictures")
    for name in ("base", "other", "mine", "ldm", "aligndraw", "a", "b", "folder-0"):
        folder = project / "outputs" / name
        folder.mkdir(parents=True)
        net = ["net=ldm_tiny", "autoencoder=ldm_tiny"] if name == "ldm" else []
        experiment = ["experiment=aligndraw"] if name == "aligndraw" else ["experiment=base", "training.ema_every=250"]
        config = compose_config([*experiment, f"name={name}", *net])
        (folder / "config.yaml").write_text(yaml_text(plain(config)), "utf-8")
        (folder / WEIGHTS).write_bytes(b"")
    (project / "captions.txt").write_text("a red mug\n")
    draw_pictures(project / "OTHER")
    draw_pictures(project / "DIR")
    (project / "DIR" / "experiment").mkdir()
    (project / "DIR" / "experiment" / "mine.yaml").write_text("training: {steps: 7}\n")
    (project / "FILE").write_bytes(b"")
    (project / "runs.txt").write_text("objective=v\n")
    (project / "captions.json").write_text("[]")
    (project / "my_model.py").write_text("def make(): ...\n")
    for name, example in examples().items():
        (project / f"{name}.py").write_text(example)
    (project / "my_guider.py").write_text(examples()["guider"])
    tools = home / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text(SBATCH)
    (tools / "sbatch").chmod(0o755)
    (tools / "python").write_text(f'#!/bin/bash\nexec {shlex.quote(sys.executable)} "$@"\n')
    (tools / "python").chmod(0o755)
    return home


@pytest.mark.parametrize("command", commands())
def test_a_command_of_a_page_works_as_printed(command: str, home: Path) -> None:
    for word, meant in STAND_FOR.items():
        command = re.sub(rf"\b{word}\b", meant, command)
    shown = [
        c if f"{c} ".startswith(AS_THEY_ARE) or "--cfg job" in c else f"{c} --cfg job" for c in command.split(" && ")
    ]
    environment = {
        **os.environ,
        **{"HOME": str(home), "PATH": f"{home}/bin:{os.environ['PATH']}", "PYTHONPATH": str(PACKAGE_FOLDER)},
        **{"BROWSER": "true", "OMP_NUM_THREADS": "1"},
    }
    done = subprocess.run(
        ["bash", "-c", " && ".join(shown)], cwd=home / "my project", env=environment, capture_output=True, timeout=300
    )
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert "Traceback" not in said and done.stdout
    notes = [line for line in said.splitlines() if "refused" in line]
    theirs = ("/weights/", "/sets/", "/data/", "https://", "FILE")  # these paths stand for the user's
    assert not notes or any(path in command for path in theirs), notes


def test_what_the_pages_say_of_other_programs_is_there() -> None:
    for path in re.findall(r"python ((?:benchmarks|experiments)/[\w/]+\.py)", TEXT):
        assert (PACKAGE_FOLDER / path).is_file()
    for module in re.findall(r"python -m (tests[\w.]+)", TEXT):
        assert (PACKAGE_FOLDER / f"{module.replace('.', '/')}.py").is_file()
    targets = re.findall(r"^([\w ]+):", (PACKAGE_FOLDER / "Makefile").read_text("utf-8"), re.M)
    known = {name for line in targets for name in line.split()}
    assert set(re.findall(r"(?:^ {4}|`)make (\w+)", TEXT, re.M)) <= known
    assert len(commands()) > 70
