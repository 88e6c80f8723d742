"""The base classes of all sources: which pictures a source has, and how they become shards in the cache.

A source that yields its samples one by one implements `count` and `samples`. This file and the files beside this folder
write the shards, find them, and read samples by number.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ...config.errors import ConfigError
from ...config.fields import at_least, one_of
from ...config.registry import Choice, choices
from ...files import whole_folder
from ...locks import alone
from ...sums import xxh3
from ..sample import LeftOut, Sample
from ..shards import Progress, damaged_shards, digest, write_shards

if TYPE_CHECKING:
    from ..index import Index
    from ..ordering.buckets import Framing
    from ..ordering.ordering import Ordering

log = logging.getLogger(__name__)

RECIPE = "recipe.json"  # written last: what the shards depend on, and the sum of each
FORMAT = 3  # of the written shards; shards of another format are written anew
SPLITS = ("train", "test")


def meant_by(source: str | Path) -> tuple[str, dict[str, str]]:
    """(kind, keys) of the source that a text stands for: the name of a choice, a folder of pictures, or shards."""
    if str(source) in choices("data"):
        return str(source), {}
    if "://" in str(source):
        return "shards", {"source": str(source)}
    place = Path(source).expanduser()
    return "folder" if place.is_dir() else "shards", {"source": str(place)}


@dataclass(frozen=True)
class Prepared:
    """The samples of each split (a split without samples is not there), how they were split, and what is left out."""

    splits: dict[str, Index]
    said: str = ""
    left: Sequence[LeftOut] = ()


@dataclass(frozen=True)
class Glimpse:
    """What a quick look at a set shows: a sentence, the number of training pictures as far as it is known, how many samples
    were looked at, how many of them were bad, and what is left out."""

    said: str
    train: int
    looked_at: int = 0
    bad: int = 0
    left: Sequence[LeftOut] = ()


@dataclass(frozen=True, kw_only=True)
class Source(Choice):
    """Captioned pictures. Each becomes a square, by default its centre, and is resized to `image_size` x `image_size` pixels.
    `features` cached: the frozen nets encode all of them once, before the training. online: they encode each batch in its step,
    which takes no disk and more time. latents: pictures are encoded once, and captions in each step, because a caption's tokens
    take more disk than a small picture's latents. auto chooses by the bytes that the caches would take, and says so.
    `order` full permutes all samples of an epoch; blocks permutes the shards, and then the samples within blocks of about
    `block` samples, so that each shard is read once in an epoch; auto takes blocks for more than a million samples."""

    image_size: int = one_of(64, 16, 32, 60, 64, 128, 256, 512)
    features: str = one_of("cached", "cached", "online", "latents", "auto")
    order: str = one_of("auto", "auto", "full", "blocks")
    block: int = at_least(240_000, 1)

    # The heads of the attribute classifier and their values; empty if a picture has no labels besides its caption.
    attributes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    unsaid: ClassVar[tuple[str, ...]] = ()  # heads that the picture has but the caption may not state

    @property
    def fit(self) -> str:
        """How a picture becomes a square: crop or pad."""
        return "crop"

    @property
    def ordering(self) -> Ordering:
        """The order of the training, in the user's words."""
        from ..ordering.ordering import Ordering

        return Ordering(self.order, self.block)

    @property
    def varied(self) -> str:
        """The key because of which a picture is not always the same pixels, as data.flip=true; empty if there is none."""
        return ""

    @property
    def shapes(self) -> Sequence[tuple[int, int]]:
        """Width and height, in pixels, of the shapes that pictures are trained in."""
        return [(self.image_size, self.image_size)]

    def framing(self, seed: int) -> Framing | None:
        """How the pictures of a training are cut; None if each becomes a square by `fit`."""
        return None

    def fingerprint(self) -> str:
        """A text that identifies these pictures: other pictures have another fingerprint."""
        raise NotImplementedError

    def prepared(self, cache: Path) -> Prepared | None:
        """The samples of each split; None if they must be made, or read through, first. Raises ConfigError."""
        raise NotImplementedError

    def prepare(self, cache: Path, progress: Progress | None = None) -> Prepared:
        """The samples of each split. They are made, or read through, if that has not been done. Raises ConfigError."""
        raise NotImplementedError

    def identity(self, cache: Path) -> str:
        """The kind of these pictures. It is the same for all seeds, because weights trained on one seed serve another."""
        return f"{self.kind}-{self.fingerprint()}-{self.image_size}px"

    def glimpse(self, scratch: Path, count: int) -> Glimpse:
        """Look at `count` shards or pictures of a set that has not been prepared. Files are written to `scratch` alone."""
        raise NotImplementedError

    @property
    def drawn(self) -> bool:
        """Whether the pictures follow from the config alone, so that they need not be read to name them."""
        return True

    @property
    def words(self) -> str:
        """The name of this source in messages."""
        return f"data={self.kind}"

    @property
    def command(self) -> list[str]:
        """The arguments that name this source, for a command to be typed."""
        return [f"data={self.kind}"]

    def others(self, seed: int, hold_out: bool) -> Self:
        """A source of other pictures of the same kind: `seed` is added to its seed. The same source if no others can be
        drawn."""
        return self

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        if task != "diffusion" and self.features != "cached":
            yield f"data.features={self.features}: would be ignored; it belongs to task=diffusion"
        if task == "attributes" and not self.attributes:
            known = sorted(name for name, cls in choices("data").items() if cls.attributes)  # type: ignore[attr-defined]
            yield f"task=attributes with {self.words}: only data={' or '.join(known)} knows its pictures' attributes"


@dataclass(frozen=True, kw_only=True)
class SampleSource(Source):
    """A source that yields its samples. They are first written into shards of `shard_size` samples each."""

    shard_size: int = at_least(4096, 1)

    def count(self, split: str) -> int:
        """The largest number of samples that a split can have."""
        raise NotImplementedError

    def samples(self, split: str) -> Iterable[Sample]:
        """The samples of `train` or `test`, always in the same order. Their pictures may have any size."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """A hash of the keys that say which pictures these are. If the pictures depend on more (the content of a file that a
        key names), a source overrides this."""
        keys = {
            k: v for k, v in asdict(self).items() if k not in ("image_size", "shard_size", "features", "order", "block")
        }
        return digest({**keys, "plugin": self.plugin})

    def recipe(self) -> dict[str, Any]:
        """Everything that the shards depend on. The folder in the cache is named after its hash."""
        identity = f"{self.kind}-{self.fingerprint()}-{self.image_size}px"
        made_by: dict[str, Any] = {"format": FORMAT, "identity": identity, "per": self.shard_size}
        return {**made_by, "plugin": self.plugin} if self.plugin else made_by

    def prepared(self, cache: Path) -> Prepared | None:
        from ..index import build_index
        from ..survey import Reading

        folder = self._folder(cache, self.recipe())
        if not folder.is_dir() or self._damage(folder):
            return None
        shards = {split: sorted(folder.glob(f"{split}-*.tar")) for split in SPLITS}
        return Prepared({split: build_index(some, cache, Reading(ours=True)) for split, some in shards.items() if some})

    def prepare(self, cache: Path, progress: Progress | None = None) -> Prepared:
        """Make the shards if they are missing. A partial folder is renamed when it is complete; a killed run leaves none."""
        found = self.prepared(cache)
        if found is None:
            recipe = self.recipe()
            folder = self._folder(cache, recipe)
            with alone(folder):
                if folder.is_dir() and (why := self._damage(folder)):
                    log.warning("%s: damaged (%s); it is made again", folder, why)
                    shutil.rmtree(folder)
                if not folder.is_dir():
                    self._make(recipe, folder, progress)
            found = self.prepared(cache)
            assert found is not None
        return found

    def _damage(self, folder: Path) -> str:
        """What is wrong with the shards in a folder; empty if nothing is."""
        try:
            sums = json.loads((folder / RECIPE).read_bytes())["sums"]
        except (OSError, ValueError, TypeError, RecursionError):
            return f"no {RECIPE}"
        except KeyError:  # an older set
            gone = [split for split in SPLITS if self.count(split) and not any(folder.glob(f"{split}-*.tar"))]
            return f"no {gone[0]} pictures" if gone else ""
        return ", ".join(damaged_shards(folder, sums)[:1])

    def glimpse(self, scratch: Path, count: int) -> Glimpse:
        train, test = self.count("train"), self.count("test")
        return Glimpse(f"{train + test} pictures, {test} of them for testing, will be made first", train)

    def _folder(self, cache: Path, recipe: dict[str, Any]) -> Path:
        return cache / "data" / f"{self.kind}-{digest(recipe)}"

    def _make(self, recipe: dict[str, Any], folder: Path, progress: Progress | None) -> None:
        with whole_folder(folder) as partial:
            for split in SPLITS:
                told = _told(self.samples(split), split, self.count(split), progress)
                made = write_shards(map(self._square, told), partial, split, self.shard_size)
                if not made and split == "train":
                    raise ConfigError(f"{self.words}: it has no sample for training")
            sums = {path.name: xxh3(path) for path in sorted(partial.glob("*.tar"))}
            (partial / RECIPE).write_text(json.dumps({**recipe, "sums": sums}, indent=1))

    def _square(self, sample: Sample) -> Sample:
        """The sample as it is stored: its picture is converted to RGB and to this size."""
        from ..square import fit_square

        picture = sample.picture if sample.picture.mode == "RGB" else sample.picture.convert("RGB")
        return replace(sample, picture=fit_square(picture, self.image_size))


def _told(samples: Iterable[Sample], split: str, total: int, progress: Progress | None) -> Iterator[Sample]:
    for i, sample in enumerate(samples):
        if progress is not None and i % 256 == 0:
            progress(split, i, total)
        yield sample
