"""data.features=auto: by the bytes that the caches would take."""

from __future__ import annotations

import pytest

from lightning_diff.data.cached.choosing import ROOM, Bytes, latent_bytes, text_bytes


@pytest.mark.parametrize("pictures, kind", [(1000, "cached"), (1_000_000, "latents"), (100_000_000, "online")])
def test_what_fits_is_kept(pictures: int, kind: str) -> None:
    """Stable Diffusion's latents at 256 pixels, with CLIP's 77 tokens of 768 numbers."""
    found = Bytes(pictures, pictures, latent_bytes(4, 32, False), text_bytes(77 * 768, 768, 77))
    assert found.chosen() == kind and f"({kind})" in found.said()
    assert found.all == pictures * (2 * (2 * 4096 + 77 * 768 + 768) + 77)
    assert {"cached": found.all, "latents": found.latents}.get(kind, 0) <= ROOM


def test_an_exact_autoencoder_has_one_std() -> None:
    assert latent_bytes(3, 16, True) == 2 * (768 + 1)
