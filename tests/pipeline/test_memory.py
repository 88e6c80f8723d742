"""What a machine cannot hold is refused before anything is allocated; what it can is not."""

from __future__ import annotations

import pytest

from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import CONF
from lightning_diff.pipeline.memory import check_machine, least_memory, numbers_of


@pytest.mark.parametrize(
    "words, says",
    [
        ("training.batch=10000000 data.image_size=512", "training.batch=10000000 of data.image_size=512"),
        ("net.widths=[16384,16384] net.blocks=64", "training.batch=64"),
        ("task=contrastive text.width=16384 text.layers=100", "training.batch=64"),
        ("training.nodes=2", "training.nodes=2: start a process for each rank"),
    ],
)
def test_what_cannot_be_is_one_line(words: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError) as e:
        check_machine(compose_config(words.split()))
    assert str(e.value).startswith(says) and "\n" not in str(e.value)


@pytest.mark.parametrize("name", sorted(p.stem for p in (CONF / "experiment").glob("*.yaml")))
def test_every_experiment_fits_a_laptop(name: str) -> None:
    config = compose_config([f"experiment={name}", *(["data.source=."] if name in ("folder", "stamps") else [])])
    check_machine(config)
    assert least_memory(config) < 2**33


def test_the_count_is_stable_diffusions() -> None:
    words = "net=sd15 autoencoder=sd text.width=768 text.embedding=768 objective=stable_diffusion data.image_size=512"
    assert numbers_of("net", compose_config([*words.split(), "sampler=ddim"])) == 859_520_964
