"""Weights come back as they went, with their passport; what is not theirs is refused in one line (law 8)."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lightning_diff.config.errors import ConfigError
from lightning_diff.files import file_hash
from lightning_diff.nets.attributes import AttributeClassifier
from lightning_diff.nets.weights import load_into, read_passport, read_state, save_weights


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
