"""Pixel-space diffusion: the picture is the latent, and nothing of it is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.schema import Config
from lightning_diff.doctor.costs import Costs
from lightning_diff.nets.pixels import PixelSpace
from lightning_diff.pipeline.components import locate_part, place_part


@pytest.mark.parametrize("patch", [1, 4])
def test_decode_is_the_inverse_of_encode(patch: int) -> None:
    x, space = torch.rand(2, 3, 8, 8) * 2 - 1, PixelSpace(patch)
    posterior = space.encode(x)
    assert posterior.mean.shape == (2, 3 * patch**2, 8 // patch, 8 // patch)
    torch.testing.assert_close(space.decode(posterior.mean), x)
    assert not posterior.std.any() and posterior.std.numel() == 2
    torch.testing.assert_close(space.decode(posterior.sample(torch.randn_like(posterior.mean))), x)


def config(*more: str) -> Config:
    return compose_config(["experiment=pixels", "evaluation.enabled=false", *more])


def test_nothing_is_trained_for_it_and_the_run_says_so(tmp_path: Path) -> None:
    place = locate_part("autoencoder", config())
    assert place.recipe is None and "autoencoder=identity" in place.origin
    assert place_part("autoencoder", config(), tmp_path).is_file()
    for words, said in (
        (["autoencoder.patch=32", "data.image_size=16"], "must divide"),
        (["task=autoencoder"], "nothing to train"),
    ):
        with pytest.raises(ConfigError, match=said):
            config(*words)


def test_a_sample_in_the_cache_is_the_picture_in_half_precision() -> None:
    costs = Costs(config())
    tokens, mask, pooled = (x.numel() for x in (costs.null.tokens, costs.null.mask, costs.null.pooled))
    assert costs.features(1, 1).all == 2 * (3 * 64 * 64 + 1 + tokens + pooled) + mask


def test_the_memory_of_512_pixels_is_estimated_without_taking_it() -> None:
    words = [
        "data.image_size=512",
        "autoencoder.patch=8",
        "training.batch=4",
        "net=small",
        "net.widths=[64,96,128,192]",
    ]
    found = Costs(config(*words, "net.attention=[false,false,false,true]")).memory
    small = Costs(config("training.batch=4")).memory
    assert found["gradients and activations"] > 5 * small["gradients and activations"]


def test_a_pixel_model_and_a_latent_model_share_what_reads_captions_and_pictures(tmp_path: Path) -> None:
    words = ["experiment=digits", f"outputs={tmp_path}", f"cache={tmp_path}"]
    latent, pixels, wider = (
        compose_config([*words, *more])
        for more in ([], ["autoencoder=identity"], ["autoencoder.widths=[16,32]", "text.width=64"])
    )
    places = {
        part: [locate_part(part, c, look=True).path for c in (latent, pixels, wider)]
        for part in ("autoencoder", "text", "judge", "attributes")
    }
    assert places["judge"][0] == places["judge"][1] == places["judge"][2] != places["attributes"][0]
    assert places["attributes"][0] == places["attributes"][1] == places["attributes"][2]
    assert places["text"][0] == places["text"][1] != places["text"][2]
    assert len(set(places["autoencoder"])) == 3
