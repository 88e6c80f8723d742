"""Before a training it is known whether diffusers will open what it makes, and which words make it so."""

from __future__ import annotations

import pytest

from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.interop.configs import scheduler_config
from lightning_diff.interop.export import exportable_tower
from lightning_diff.models.build import autoencoder_net, build, denoising_net, null_condition
from lightning_diff.nets.text import Tower
from lightning_diff.nets.tokenizers.clip import Tokenizer
from lightning_diff.pipeline.exportable import export_line, export_words

READY = ["net=ldm_tiny", "autoencoder=ldm_tiny", "objective=v_zero", "sampler=ddim"]
CASES = [
    [],
    READY,
    READY[:2],
    READY[1:],
    [*READY, "net.masked=true"],
    [*READY, "net.pooled=true"],
    [*READY, "text.null=zeros"],
    [*READY, "text.final_norm=false"],
    [*READY, "sampler.grid=karras", "objective.schedule=scaled_linear"],
    ["net=ldm_tiny", "autoencoder=ldm_tiny", "objective=eps"],
    ["net=ldm_tiny", "autoencoder=ldm_tiny", "objective=stable_diffusion"],
]


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_the_words_are_those_that_the_export_asks_for(words: list[str]) -> None:
    """The config's answer is that of the exporter, which looks at the nets; with the words it says yes."""
    config = compose_config(words)
    autoencoder = build({"part": "autoencoder", "net": autoencoder_net(config.autoencoder)})
    vision = {"layers": 1, "width": 64, "head_width": 32, "patch_size": 16, "image_size": 64}
    text = {"context_length": 16, "width": 64, "heads": 2, "layers": 1}
    tower = Tower({"embedding": 32, "vision": vision, "text": text, "vocabulary": Tokenizer.words_of(["a red mug"])})
    tower.final_norm = config.text.final_norm
    null = null_condition("empty", tower)
    net = build({"part": "net", "net": denoising_net(config.net, autoencoder, null, False, config.objective)})
    try:
        exportable_tower(net, autoencoder, tower, config.text.null)
        scheduler_config(config.objective.schedule, config.objective.prediction, config.sampler)
        taken = True
    except ConfigError:
        taken = False
    asked = export_words(config)
    assert taken == (not asked) == (not export_line(config))
    assert not export_words(compose_config([*words, *asked]))
