"""What all sources share: which pictures they have, and how these become shards in the cache.

A source that yields its samples one by one needs `count` and `samples`; writing them into shards, finding the shards again
and reading them by number is done here and in the files beside this folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from ...config.errors import ConfigError
from ...config.fields import at_least, one_of
from ...config.registry import Choice, choices
from ...files import alone, whole_folder
from ..sample import Sample
from ..shards import Progress, digest, write_shards

FORMAT = 3  # of the shards that are written: sets of another format are made again
SPLITS = ("train", "test")


@dataclass(frozen=True, kw_only=True)
class Source(Choice):
    """Captioned pictures, each cut to its centre square of `image_size` pixels a side."""

    image_size: int = one_of(64, 16, 32, 64, 128, 256, 512)

    # The heads of the attribute classifier and their values; empty where nothing is known of a picture but its caption.
    attributes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    unsaid: ClassVar[tuple[str, ...]] = ()  # heads that a caption may leave out of a picture that has them

    def fingerprint(self) -> str:
        """What says which pictures these are; other pictures have another one."""
        raise NotImplementedError

    def prepared(self, cache: Path) -> dict[str, list[Path]] | None:
        """The shards of each split; None if they have to be made first. Raises ConfigError."""
        raise NotImplementedError

    def prepare(self, cache: Path, progress: Progress | None = None) -> dict[str, list[Path]]:
        """The shards of each split, made if they are not there yet. Raises ConfigError."""
        raise NotImplementedError

    @property
    def identity(self) -> str:
        """What kind of pictures these are, whichever of them were drawn: weights trained on one draw serve another."""
        return f"{self.kind}-{self.fingerprint()}-{self.image_size}px"

    @property
    def words(self) -> str:
        """What a message calls it."""
        return f"data={self.kind}"

    def others(self, seed: int, hold_out: bool) -> Self:
        """Other pictures of the same kind, drawn from a seed that is greater by `seed`; the same ones where no others can be
        drawn."""
        return self

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        if task == "attributes" and not self.attributes:
            known = sorted(name for name, cls in choices("data").items() if cls.attributes)  # type: ignore[attr-defined]
            yield f"task=attributes with {self.words}: only data={' or '.join(known)} knows its pictures' attributes"


@dataclass(frozen=True, kw_only=True)
class SampleSource(Source):
    """A source that yields its samples; they are written into shards of `shard_size` samples first."""

    shard_size: int = at_least(4096, 1)

    def count(self, split: str) -> int:
        """How many samples a split has, at most."""
        raise NotImplementedError

    def samples(self, split: str) -> Iterable[Sample]:
        """The samples of `train` or of `test`, in the same order each time. Their pictures may be of any size."""
        raise NotImplementedError

    def splits(self) -> Iterator[tuple[str, Iterable[Sample], int]]:
        """(split, its samples, how many they are at most) of each split."""
        for split in SPLITS:
            yield split, self.samples(split), self.count(split)

    def files(self) -> list[Path]:
        """The pictures' own files, where there are any."""
        return []

    def fingerprint(self) -> str:
        """The hash of the keys that say which pictures these are. What else they depend on (the contents of a file that a
        key names) belongs into a source's own."""
        keys = {k: v for k, v in asdict(self).items() if k not in ("image_size", "shard_size")}
        return digest({**keys, "plugin": self.plugin})

    def recipe(self) -> dict[str, Any]:
        """All that the shards depend on; the cache's folder is named by its hash."""
        made_by: dict[str, Any] = {"format": FORMAT, "identity": self.identity, "per": self.shard_size}
        return {**made_by, "plugin": self.plugin} if self.plugin else made_by

    def prepared(self, cache: Path) -> dict[str, list[Path]] | None:
        folder = self._folder(cache, self.recipe())
        if not (folder / "recipe.json").is_file():
            return None
        return {split: sorted(folder.glob(f"{split}-*.tar")) for split in SPLITS}

    def prepare(self, cache: Path, progress: Progress | None = None) -> dict[str, list[Path]]:
        """A set is written beside its place and renamed when whole, so that a killed run leaves none half-written."""
        found = self.prepared(cache)
        if found is None:
            recipe = self.recipe()
            folder = self._folder(cache, recipe)
            with alone(folder):
                if not folder.is_dir():
                    self._make(recipe, folder, progress)
            found = self.prepared(cache)
            assert found is not None
        return found

    def _folder(self, cache: Path, recipe: dict[str, Any]) -> Path:
        return cache / "data" / f"{self.kind}-{digest(recipe)}"

    def _make(self, recipe: dict[str, Any], folder: Path, progress: Progress | None) -> None:
        with whole_folder(folder) as partial:
            for split, samples, total in self.splits():
                told = _told(samples, split, total, progress)
                made = write_shards(map(self._square, told), partial, split, self.shard_size)
                if not made and split == "train":
                    raise ConfigError(f"{self.words}: none of its {total} pictures can be used; the log says why")
            (partial / "recipe.json").write_text(json.dumps(recipe, indent=1))

    def _square(self, sample: Sample) -> Sample:
        """As it is kept: a picture that is not RGB, or not of this size, becomes so."""
        from ..decode import fit_square

        picture = sample.picture if sample.picture.mode == "RGB" else sample.picture.convert("RGB")
        return replace(sample, picture=fit_square(picture, self.image_size))


def _told(samples: Iterable[Sample], split: str, total: int, progress: Progress | None) -> Iterator[Sample]:
    for i, sample in enumerate(samples):
        if progress is not None and i % 256 == 0:
            progress(split, i, total)
        yield sample
