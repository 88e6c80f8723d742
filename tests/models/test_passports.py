"""A lying passport is one line, before anything large is made (law 8)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import SHIPPED
from lightning_diff.models.build import load_part
from lightning_diff.models.load import load_net
from lightning_diff.nets.weights import read_passport, save_weights

RUN = SHIPPED / "still_life"
PARTS = ("autoencoder", "text", "judge", "attributes")


@pytest.mark.parametrize("part", PARTS)
def test_the_shipped_parts_are_what_they_say(part: str) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    load_part(RUN / "parts" / f"{part}.safetensors")
    assert len(before) == len(torch.get_rng_state())
    load_net(RUN, str(RUN / "weights.safetensors"), "cpu")


TEXT = {"context_length": 32, "heads": 4, "layers": 2, "width": 128}
LIES: list[tuple[str, Any]] = [
    *(("weights", {"net": {"widths": size}}) for size in ([10**9], [-1], ["x"], [2.5], 3, [])),
    *(("weights", {"net": lie}) for lie in ({"blocks": 10**9}, {"blocks": 0}, {"no_such": 1}, {"kind": "none"})),
    *(("weights", lie) for lie in ({"net": 3}, {"part": "judge"}, {"part": None})),
    *(("parts/text", {"net": lie}) for lie in ({"embedding": 10**9}, {"text": 3}, {"vocabulary": [1]})),
    *(
        ("parts/text", {"net": {"text": {**TEXT, **lie}}})
        for lie in ({"layers": 10**9}, {"width": 10**9}, {"heads": 0})
    ),
    ("parts/text", {"part": "autoencoder"}),
    *(("parts/autoencoder", {"net": lie}) for lie in ({"blocks": 10**9}, {"latent_channels": -4}, {"widths": [1]})),
    *(("parts/autoencoder", {"part": part}) for part in ("judges", ["text"], "attributes")),
]


@pytest.mark.parametrize(("file", "lie"), LIES)
def test_a_lying_passport_is_one_line_within_a_moment(tmp_path: Path, file: str, lie: dict[str, Any]) -> None:
    true, net = read_passport(RUN / f"{file}.safetensors"), lie.get("net", {})
    said = {**true, **lie, "net": {**true["net"], **net} if isinstance(net, dict) else net}
    path = tmp_path / "lie.safetensors"
    save_weights(path, load_file(RUN / f"{file}.safetensors"), said)
    begin = time.monotonic()
    with pytest.raises(ConfigError) as e:
        load_net(tmp_path, str(path), "cpu") if file == "weights" else load_part(path)
    assert "\n" not in str(e.value) and str(path) in str(e.value) and time.monotonic() - begin < 60
