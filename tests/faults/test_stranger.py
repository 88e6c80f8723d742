"""A folder from a stranger: sample.py and evaluate.py say one line about it, soon; nothing is sent, executed, or read elsewhere.

An audit hook watches the process, and a server listens at the address that the configs name.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import site
import socket
import struct
import sys
import sysconfig
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lightning_diff.cli.commands import evaluate_command, sample_command
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import PACKAGE_FOLDER, SHIPPED
from lightning_diff.nets.weights import read_passport, save_weights
from lightning_diff.training.checkpoint import read_checkpoint

MOST = 5.0  # seconds of this process's work
RUNS: tuple[str, ...] = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pickle.find_class",
    "socket.getaddrinfo",
)
RUNS += ("socket.connect", "socket.sendto")
SYSTEM = [sys.prefix, sys.base_prefix, *site.getsitepackages(), sysconfig.get_path("stdlib"), str(PACKAGE_FOLDER)]
SYSTEM += [
    "/proc/",
    "/sys/",
    "/dev/null",
    "/dev/urandom",
    "/usr/share/",
    "/usr/lib/",
    "/etc/",
    str(Path.home() / ".config"),
]

events: list[str] | None = None  # what the watched code did; None while nothing is watched


def hook(event: str, given: tuple[Any, ...]) -> None:
    if events is None:
        return
    if event in RUNS and "describe" not in str(given):  # git is asked for the version of this project
        events.append(f"{event} {given}")
    elif event == "open" and isinstance(given[0], str | bytes | os.PathLike):
        events.append(f"open {os.path.realpath(os.fsdecode(given[0]))}")


@pytest.fixture(scope="module", autouse=True)
def watch() -> None:
    sys.addaudithook(hook)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Whoever connects to it is seen."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        one.settimeout(0.1)
        yield one


Make = Callable[[Path, int, Path], None]  # (the folder, the server's port, a file outside)


def config(change: Callable[[str], str]) -> Make:
    """A config that is changed as text. Its sum is gone with its first line."""

    def make(folder: Path, port: int, outside: Path) -> None:
        path = folder / "config.yaml"
        text = path.read_text()
        lines = text.splitlines(keepends=True)
        text = change("".join(lines[1:] if lines[0].startswith("# sum") else lines))
        path.write_text(text.replace("PORT", str(port)).replace("OUTSIDE", str(outside)))

    return make


def value(key: str, said: str) -> Make:
    """A config with another value: `key` is a line of the file, and its sections."""

    def change(text: str) -> str:
        import yaml

        values = yaml.safe_load(text)
        *sections, last = key.split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = "SAID"
        return str(yaml.safe_dump(values, sort_keys=False)).replace("SAID", said)

    return config(change)


def passport(file: str, lie: Callable[[dict[str, Any]], Any]) -> Make:
    def make(folder: Path, port: int, outside: Path) -> None:
        path = folder / f"{file}.safetensors"
        said = read_passport(path)
        lie(said)
        save_weights(path, load_file(path), said)

    return make


def raw(file: str, data: Callable[[Path], bytes]) -> Make:
    return lambda folder, port, outside: void((folder / file).write_bytes(data(folder / file)))


def void(_: object) -> None:
    pass


def text_passport(text: str) -> Make:
    def make(folder: Path, port: int, outside: Path) -> None:
        path = folder / "weights.safetensors"
        save_file(load_file(path), path, metadata={"passport": text})

    return make


def link(file: str, target: str) -> Make:
    def make(folder: Path, port: int, outside: Path) -> None:
        (folder / file).unlink()
        (folder / file).symlink_to(target.replace("OUTSIDE", str(outside)))

    return make


def fifo(file: str) -> Make:
    def make(folder: Path, port: int, outside: Path) -> None:
        (folder / file).unlink()
        os.mkfifo(folder / file)

    return make


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
URI = "http://127.0.0.1:PORT/${oc.env:SECRET}"
# name -> how the folder of the shipped model is changed
CASES: dict[str, Make] = {
    "a server with a secret": value("tracking.also", f"[{{kind: mlflow, uri: '{URI}'}}]"),
    "a secret as a name": value("name", "${oc.env:SECRET}"),
    "a command as a tag": config(lambda text: text + "\nx: !!python/object/apply:os.system ['touch OUTSIDE.ran']\n"),
    "aliases": config(lambda text: text + BOMB),
    "deep": config(lambda text: text + "x: " + "[" * 100_000),
    "long": config(lambda text: text + "# " + "x" * 2**21),
    "many blocks": value("net.blocks", "1000000000"),
    "a wide picture": value("data.image_size", "1000000000"),
    "many steps": value("sampler.steps", "1000000000000"),
    "plugins": value("plugins", "[OUTSIDE.py]"),
    "weights elsewhere": value("autoencoder.weights", "OUTSIDE"),
    "a guide elsewhere": value("guidance", "{kind: autoguidance, guide: OUTSIDE}"),
    "a pipe as data": value("data", "{kind: shards, source: 'pipe:touch OUTSIDE.ran'}"),
    "a config elsewhere": link("config.yaml", "OUTSIDE"),
    "a config without an end": link("config.yaml", "/dev/zero"),
    "a config that waits": fifo("config.yaml"),
    "weights that wait": fifo("weights.safetensors"),
    "weights without an end": link("weights.safetensors", "/dev/zero"),
    "a part elsewhere": link("parts/text.safetensors", "OUTSIDE"),
    "wide layers": passport("weights", lambda said: said["net"].update(widths=[10**9])),
    "many layers": passport("parts/text", lambda said: said["net"]["text"].update(layers=10**9)),
    "a part of another kind": passport("weights", lambda said: said.update(part="judge")),
    "no words": passport("parts/text", lambda said: said["net"].update(vocabulary=[1])),
    "a deep passport": text_passport("[" * 100_000),
    "a passport of digits": text_passport('{"part": ' + "9" * 10_000 + "}"),
    "a header as long as the world": raw("weights.safetensors", lambda p: struct.pack("<Q", 2**63 - 1) + b"{"),
    "tensors out of the file": raw(
        "weights.safetensors",
        lambda p: b"".join(
            (struct.pack("<Q", len(h)), h)[i]
            for h in [json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()]
            for i in (0, 1)
        ),
    ),
    "a pickle as weights": raw("weights.safetensors", lambda p: pickle.dumps(Evil(str(p.parent / "ran")))),
}
FINE = ("a server with a secret", "a secret as a name")  # these draw a picture
MEASURED = [
    name
    for name in CASES
    if any(word in name for word in ("config", "plugins", "pipe", "blocks", "aliases", "weights"))
]
LINKED = (
    "a config elsewhere",
    "a part elsewhere",
    "weights elsewhere",
)  # a link is read, as a config or as weights; nothing of it is shown


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def told(
    command: Callable[[], None], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, float, list[str]]:
    """(exit code, seconds of work, what it did)."""
    global events
    monkeypatch.setattr(sys, "argv", [f"{command.__name__.partition('_')[0]}.py", *words])
    begin, events, code = time.process_time(), [], 0
    try:
        command()
    except SystemExit as e:
        code = int(e.code or 0)
    finally:
        did, events = events, None
    return code, time.process_time() - begin, did


@pytest.mark.parametrize("case", CASES)
def test_a_folder_of_a_stranger(
    case: str,
    tmp_path: Path,
    server: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Path(shutil.copytree(SHIPPED / "still_life", tmp_path / "theirs"))
    outside = tmp_path / "outside"
    outside.write_text("version: 2\nname: my secret\n")
    (tmp_path / "outside.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.setenv("SECRET", "hunter2")
    CASES[case](folder, server.getsockname()[1], outside)
    words = [f"run={folder}", "prompt=a mug", "count=1", f"out={tmp_path / 'out'}"]
    words += [] if case == "many steps" else ["sampler.steps=1"]
    own = [f"{place}/" for place in (*SYSTEM, folder, tmp_path / "out")]
    own += [str(outside)] if case in LINKED else []
    for command, more in ((sample_command, words), (evaluate_command, [f"run={folder}"])):
        if command is evaluate_command and case not in MEASURED:
            continue
        code, seconds, did = told(command, more, monkeypatch)
        said = capsys.readouterr()
        lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
        assert code == (0 if case in FINE else 2) and len(lines) == (code > 0), said.err
        assert not any(word in said.out + said.err for word in ("Traceback", "hunter2", "my secret"))
        assert seconds < MOST
        assert [one for one in did if not (one.startswith("open ") and f"{one[5:]}/".startswith(tuple(own)))] == []
    with pytest.raises(TimeoutError):
        server.accept()
    assert {p.name for p in tmp_path.iterdir()} <= {"theirs", "outside", "outside.py", "out"}
    assert not (folder / "ran").exists()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def saved(what: Any) -> bytes:
    out = io.BytesIO()
    torch.save(what, out)
    return out.getvalue()


CHECKPOINTS: dict[str, Callable[[Path], bytes]] = {
    "a pickle": lambda ran: pickle.dumps(Evil(str(ran))),
    "a pickle in a checkpoint": lambda ran: saved({"global_step": 1, "x": Evil(str(ran))}),
    "a bomb": lambda ran: zipped({"archive/data.pkl": bytes(2**28), "archive/version": b"3"}),
    "no pickle": lambda ran: zipped({"archive/data.pkl": b"\x80\x02}q", "archive/version": b"3"}),
    "another thing": lambda ran: saved([1, 2, 3]),
    "text": lambda ran: b"global_step: 3",
    "a deep list": lambda ran: zipped({"archive/data.pkl": b"\x80\x02" + b"]" * 10**6 + b".", "archive/version": b"3"}),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_checkpoint_of_a_stranger(case: str, tmp_path: Path) -> None:
    global events
    path = tmp_path / "last.ckpt"
    path.write_bytes(CHECKPOINTS[case](tmp_path / "ran"))
    begin, events = time.process_time(), []
    try:
        with pytest.raises(ConfigError) as e:
            read_checkpoint(path)
    finally:
        did, events = events, None
    assert "\n" not in str(e.value) and time.process_time() - begin < MOST and not (tmp_path / "ran").exists()
    assert [one for one in did if not one.startswith("open ")] == []
