"""A user's folder of captioned pictures as a source."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ...config.errors import ConfigError
from ...config.fields import at_least
from ...config.registry import choice
from ...files import write_text
from ...strings import counted
from ..incoming.ledger import content_hashes
from ..sample import LeftOut, nothing_usable, told
from ..shards import Progress, digest
from .base import Glimpse, Prepared
from .own import OwnPictures

if TYPE_CHECKING:
    from ..incoming.ingest import Listing
    from ..index import Index

FORMAT = 4  # of the written shards; shards of another format are written anew
DONE = "left-out.json"  # written last


@choice("data", "folder")
class Folder(OwnPictures):
    """A folder of your pictures, in any format that Pillow reads. The caption of KEY.jpg is KEY.txt, KEY.caption, KEY.jpg.txt or
    KEY.json beside it, or its row in metadata.csv or metadata.jsonl. They may lie in subfolders."""

    shard_size: int = at_least(512, 1)

    @property
    def root(self) -> str:
        return str(Path(self.source))

    def _ledger(self, cache: Path) -> Path:
        return cache / "ledgers" / f"{digest(os.fsencode(Path(self.source).resolve()).hex())}.json"

    def listed(self, cache: Path, progress: Progress | None = None) -> tuple[Listing, list[str], Path]:
        """(what the folder holds, hashes of its pictures, the folder of its shards). Raises ConfigError if there is no captioned
        picture."""
        from ..decode import DECODING
        from ..incoming.ingest import contents_digest

        if fault := next(self.missing(), ""):
            raise ConfigError(fault)
        listing = self.list_pictures()
        total = len(listing.found)
        if not total:
            raise ConfigError(
                f"{self.words}: no captioned picture in it; {nothing_usable(listing.left)}{self._hint(listing)}"
            )
        hashes = self.hashes(listing, cache, _shown(progress, "files", total))
        made_by = digest([FORMAT, DECODING, self.image_size, self.truncated, *(["pad"] if self.fit == "pad" else [])])
        name = f"{self.kind}-{made_by}-{digest([self.shard_size, contents_digest(listing.found, hashes)])}"
        return listing, hashes, cache / "data" / name

    def _hint(self, listing: Listing) -> str:
        """What reads the files that a folder without captioned pictures has; empty if nothing does."""
        from ..tabular.rows import ENDINGS

        members = [one.member for one in listing.left]
        if "*.tar" in members:
            return " (data=shards reads .tar)"
        tables = [m for m in members if m.endswith(ENDINGS)]
        if not tables or (tables[0].endswith(".json") and len(tables) > 1):
            return ""
        return f" (data=table source='{self.source}/{tables[0]}' reads a table of captions)"

    def list_pictures(self) -> Listing:
        """The captioned pictures, and what is left out; no picture is read."""
        from ..incoming.ingest import list_folder

        return list_folder(Path(self.source), self.captions == "lines")

    def hashes(self, listing: Listing, cache: Path, told: Any) -> list[str]:
        """A text for each picture that is another one for another content."""
        return content_hashes([one.path for one in listing.found], self._ledger(cache), told)

    def gathered(self, cache: Path, progress: Progress | None = None) -> tuple[Index, Sequence[LeftOut]]:
        from ..incoming.ingest import Making, known_squares, remove_damaged, write_pictures
        from ..index import build_index
        from ..survey import Reading

        listing, hashes, folder = self.listed(cache, progress)
        total = len(listing.found)
        how = Reading(decode=True, ours=True)
        if _left_out(folder) is None or remove_damaged(folder):
            (folder / DONE).unlink(missing_ok=True)
            known: dict[str, Any] = {}  # pictures that are made already
            for other in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*/{DONE}"):
                with suppress(ConfigError, OSError):  # it has no picture, or another process removes it
                    known |= known_squares(build_index(_shards(other.parent), cache, how))
            making = Making(Path(self.root), self.image_size, self.truncated == "use", self.fit, known)
            told_so_far = _shown(progress, "pictures", total)
            bad = write_pictures(listing.found, hashes, making, folder, self.shard_size, told_so_far)
            write_text(folder / DONE, json.dumps([asdict(one) for one in bad]))
        left = [*listing.left, *(_left_out(folder) or [])]
        try:
            index = build_index(_shards(folder), cache, how)
        except ConfigError:
            raise ConfigError(
                f"{self.words}: of {counted(total, 'captioned picture')} none can be used: {told(left)}"
            ) from None
        return index, [one for one in left if one.reason != "empty shard"]

    def prepared(self, cache: Path) -> Prepared | None:
        if not self._ledger(cache).is_file() or not (self.listed(cache)[2] / DONE).is_file():
            return None
        return self.prepare(cache)

    def glimpse(self, scratch: Path, count: int) -> Glimpse:
        from ..incoming.ingest import Making, write_pictures

        listing = self.list_pictures()
        every = len(listing.found)
        some = listing.found[:: max(1, every // (8 * count))]
        with TemporaryDirectory(dir=scratch) as folder:
            how = Making(Path(self.root), 16)
            bad = write_pictures(some, [""] * len(some), how, Path(folder), len(some) or 1, lambda done: None)
        said = f"{counted(every, 'captioned picture')} will be made into shards first"
        return Glimpse(said, max(0, every - self.asked(every)), len(some), len(bad), [*listing.left, *bad])

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        yield from super().conflicts(task, evaluation)
        yield from self.missing()

    def missing(self) -> Iterator[str]:
        """What of the source is not there, a line each."""
        if not os.path.isdir(self.source):
            yield f"{self.words}: {'a file, not a folder' if os.path.exists(self.source) else 'no such folder'}"


def _left_out(folder: Path) -> list[LeftOut] | None:
    """What was left out of the folder's shards; None if they are not finished, or the file that says it is damaged."""
    try:
        return [LeftOut(**one) for one in json.loads((folder / DONE).read_bytes())]
    except (OSError, ValueError, TypeError):
        return None


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("pictures-*.tar"))


def _shown(progress: Progress | None, what: str, total: int) -> Any:
    return (lambda done: progress(what, done, total)) if progress else (lambda done: None)
