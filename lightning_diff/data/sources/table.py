"""A user's table of captioned pictures as a source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.fields import path
from ...config.registry import choice
from ..incoming.ledger import content_hashes
from ..tabular.filters import INSTALL, fault_of
from .folder import Folder

if TYPE_CHECKING:
    from ..incoming.ingest import Listing


@choice("data", "table")
class Table(Folder):
    """A table of your pictures: COCO's captions (.json), JSON lines, CSV or Parquet, or a pattern of such files. A row names a
    picture's file (seen from the folder `pictures`, by default the table's own) or holds its bytes (Parquet), and has a caption
    or several. `filter` keeps the rows for which it holds, as in filter='width >= 256 and similarity > 0.28'; it is parsed,
    never executed."""

    install = "'lightning-diff[parquet]'"
    pictures: str = path()
    filter: str = ""

    @property
    def packages(self) -> Sequence[str]:
        return ("pyarrow",)

    @property
    def root(self) -> str:
        return self.pictures or os.path.dirname(self.source) or "."

    def list_pictures(self) -> Listing:
        from ..tabular.rows import list_tables, table_files

        files = table_files(self.source)
        return list_tables(files, Path(self.root), self.captions == "lines", self.filter, self.words)

    def hashes(self, listing: Listing, cache: Path, told: Any) -> list[str]:
        """Of a picture's file its content; of one in a Parquet file that file's content, and the picture's place in it."""
        files = sorted({one.path for one in listing.found})
        known = dict(zip(files, content_hashes(files, self._ledger(cache), told), strict=True))
        return [f"{known[one.path]}/{one.place}" if one.data else known[one.path] for one in listing.found]

    def missing(self) -> Iterator[str]:
        from importlib.util import find_spec

        from ..tabular.rows import ENDINGS, table_files

        if find_spec("pyarrow") is None:
            yield f"data=table: {INSTALL}"
        elif fault := fault_of(self.filter):
            yield f"data.filter={self.filter}: {fault}"
        if self.source and not table_files(self.source):
            yield f"{self.words}: no such table; it ends with {', '.join(ENDINGS)}"
        if self.pictures and not os.path.isdir(self.pictures):
            yield f"data.pictures={self.pictures}: no such folder"
