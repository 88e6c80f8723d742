"""data.features=auto: what of a set is encoded once, and what in each step, by the bytes that the caches would take."""

from __future__ import annotations

from dataclasses import dataclass

ROOM = 50 * 10**9  # bytes that `auto` gives to each of the two caches together


@dataclass(frozen=True)
class Bytes:
    """What the caches take of a set: of `pictures` latents of `latent` bytes each, of `captions` texts of `text` bytes each."""

    pictures: int
    captions: int
    latent: int
    text: int

    @property
    def latents(self) -> int:
        return self.pictures * self.latent

    @property
    def all(self) -> int:
        return self.latents + self.captions * self.text

    def chosen(self) -> str:
        """cached, latents or online. It does not depend on how full the disk is, so that a run that goes on chooses the same."""
        return "cached" if self.all <= ROOM else "latents" if self.latents <= ROOM else "online"

    def said(self) -> str:
        """The choice and its reason, in a line."""
        kept = {"cached": "all are encoded once", "latents": "latents are encoded once, captions in each step"}
        return (
            f"data.features=auto: {kept.get(self.chosen(), 'each batch is encoded in its step')} ({self.chosen()}); the features "
            f"of {self.pictures:,} pictures take {gb(self.latents)}, those of {self.captions:,} captions "
            f"{gb(self.all - self.latents)}, and auto keeps what fits into {gb(ROOM)}"
        )


def latent_bytes(channels: int, side: int, exact: bool) -> int:
    """Of a posterior's mean and std in float16; an exact autoencoder has one std for all."""
    numbers = channels * side**2
    return 2 * (numbers + (1 if exact else numbers))


def text_bytes(tokens: int, pooled: int, mask: int) -> int:
    """Of a caption's tokens and pooled output in float16, and of the mask, by their counts of numbers."""
    return 2 * (tokens + pooled) + mask


def gb(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
