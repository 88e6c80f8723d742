"""Weights come back as they went, with their passport; what is not theirs is refused in one line (law 8)."""

import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lightning_diff.config.errors import ConfigError
from lightning_diff.files import file_hash
from lightning_diff.nets.attributes import AttributeClassifier
from lightning_diff.nets.weights import (
    DamagedFile,
    check_sum,
    has_arrays,
    is_whole,
    load_into,
    read_arrays,
    read_passport,
    read_state,
    save_arrays,
    save_weights,
)
from lightning_diff.sums import sidecar, write_sidecar


@pytest.mark.parametrize("half", [False, True])
def test_weights_come_back_with_their_passport(tmp_path: Path, half: bool) -> None:
    net, path = AttributeClassifier({"a": 3}, width=8), tmp_path / "new" / "w.safetensors"
    passport = {"part": "attributes", "net": {"heads": {"a": 3}}, "text": "“é”", "numbers": [1, 2.5, None]}
    save_weights(path, net.state_dict(), passport, half)
    assert read_passport(path) == passport and [p.name for p in path.parent.iterdir()] == [path.name]
    other = AttributeClassifier({"a": 3}, width=8)
    load_into(other, path)
    for name, t in net.state_dict().items():
        found = other.state_dict()[name]
        assert found.dtype == t.dtype
        torch.testing.assert_close(found, t.half().to(t.dtype) if half else t, rtol=0, atol=0)
    assert len(file_hash(path)) == 12
    assert all(t.dtype == torch.float32 for t in read_state(path).values() if t.is_floating_point())


@pytest.mark.parametrize("heads, width", [({"a": 4}, 8), ({"b": 3}, 8), ({"a": 3}, 16)])
def test_weights_of_another_architecture_are_refused(tmp_path: Path, heads: dict[str, int], width: int) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, AttributeClassifier({"a": 3}, width=8).state_dict(), {})
    with pytest.raises(ConfigError, match=r"not weights of this architecture: \w") as e:
        load_into(AttributeClassifier(heads, width=width), path)
    assert "\n" not in str(e.value) and str(path) in str(e.value)


@pytest.mark.parametrize("kind", ["missing", "empty", "pickle", "none", "no json", "a list", "truncated"])
def test_what_has_no_passport_is_refused_and_nothing_is_unpickled(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w.safetensors"
    passports = {
        "none": None,
        "no json": {"passport": "{"},
        "a list": {"passport": "[1]"},
        "truncated": {"passport": "{}"},
    }
    if kind in passports:
        save_file({"x": torch.ones(9)}, path, passports[kind])
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-10])
    elif kind == "empty":
        path.touch()
    elif kind == "pickle":
        torch.save({"x": torch.ones(2)}, path)
    with pytest.raises(ConfigError) as e:
        read_passport(path)
    assert "\n" not in str(e.value) and str(path) in str(e.value)


def spoilt(path: Path, number: int) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    at = number * 7919 % len(data)
    data[at] ^= 1 << number % 8
    path.write_bytes(data)


@pytest.mark.parametrize("number", range(40))
def test_each_changed_bit_is_found(tmp_path: Path, number: int) -> None:
    path = tmp_path / "w.safetensors"
    passport = {"part": "attributes", "net": {"heads": {"a": 3}}, "sums": 'a text: "sum": "00000000"'}
    save_weights(path, AttributeClassifier({"a": 3}, width=8).state_dict(), passport)
    assert is_whole(path) and read_passport(path) == passport
    spoilt(path, number)
    for read in (check_sum, read_passport, read_state):
        with pytest.raises(ConfigError) as e:
            read(path)
        assert "\n" not in str(e.value) and str(path) in str(e.value)


def test_a_file_without_a_sum_is_read_and_one_beside_it_counts(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"x": torch.ones(9)}, path, {"passport": "{}"})
    check_sum(path)
    write_sidecar(path)
    check_sum(path)
    assert subprocess.run(["sha256sum", "-c", sidecar(path).name], cwd=tmp_path).returncode == 0
    spoilt(path, 99)
    with pytest.raises(DamagedFile, match="not as it was written"):
        check_sum(path)


@pytest.mark.parametrize("damage", ["bit", "cut", "empty", "another"])
def test_damaged_arrays_are_told_and_removed(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    path, other = tmp_path / "a" / "x.safetensors", tmp_path / "b" / "x.safetensors"
    save_arrays(path, {"x": torch.arange(9)})
    save_arrays(other, {"x": torch.arange(9)})
    assert has_arrays(path) and torch.equal(read_arrays(path)["x"], torch.arange(9))
    if damage == "bit":
        spoilt(path, 3)
    else:
        path.write_bytes({"cut": path.read_bytes()[:-3], "empty": b"", "another": other.read_bytes()}[damage])
    assert not has_arrays(path) and path.is_file() and "it is passed over" in caplog.text
    assert not has_arrays(path, remove=True) and not path.is_file() and "it is made again" in caplog.text
