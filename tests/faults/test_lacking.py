"""What the system does not give (room, the right to write) is said in one line, and nothing is lost by it."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest
import torch

from lightning_diff.cli.errors import exit_on_error
from lightning_diff.nets.weights import read_state
from tests.conftest import short, train_apart


def started(root: Path, name: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """A run that may write no file longer than `limit`."""
    words = short(
        "base", "evaluation=none", "net.widths=[32,64]", f"outputs={root}", f"cache={root}/cache", f"name={name}"
    )

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return train_apart(*words, preexec_fn=limited)


pytestmark = pytest.mark.xdist_group("lacking")  # all are held against one run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """An uninterrupted run, which fills the caches."""
    root = tmp_path_factory.mktemp("outputs")
    (root / "cache").symlink_to(cache)
    assert started(root, "whole").returncode == 0
    return root


@pytest.mark.parametrize("file", ["checkpoints/last.ckpt", "config.yaml"])
def test_a_file_that_may_grow_no_more(whole: Path, file: str) -> None:
    """As a full disk or a quota, for whoever runs the test: the largest file and the first of all are refused."""
    what = Path(file).name
    limit = (whole / "whole" / file).stat().st_size - 1
    name = f"short-{what}"
    done = started(whole, name, limit)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("error: ") and f"{what}: File too large; mend that" in said
    assert "Traceback" not in done.stderr and not list((whole / name).rglob("*.partial"))
    assert started(whole, name).returncode == 0
    one, two = (read_state(whole / n / "weights.safetensors") for n in ("whole", name))
    assert all(torch.equal(one[n], t) for n, t in two.items())


def test_a_folder_that_may_not_be_written() -> None:
    done = started(Path("/sys/outputs"), "x")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: /sys/outputs") and "mend that, and the same command continues" in done.stderr


@pytest.mark.parametrize("made", ["a folder in the place of a file", "a file in the place of a folder"])
def test_a_file_and_a_folder_that_changed_places(made: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("")
    folder.mkdir()

    def work() -> None:
        folder.read_bytes() if made.startswith("a folder") else (file / "x").write_text("")

    with pytest.raises(SystemExit) as e:
        exit_on_error(work)
    said = capsys.readouterr().err
    assert e.value.code == 1 and said.count("\n") == 1 and said.startswith(f"error: {tmp_path}")
    assert "a directory" in said and "mend that" in said
