"""COCO as it is distributed: a folder of pictures, and one file with the captions of all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.fields import path
from ...config.registry import choice
from .folder import Folder

if TYPE_CHECKING:
    from ..incoming.ingest import Listing


@choice("data", "coco")
class Coco(Folder):
    """COCO captions (Chen et al. 2015), and any set in its format. `source` is the folder of the pictures, `annotations`
    the JSON file with the captions (captions_val2014.json)."""

    annotations: str = path()

    def list_pictures(self) -> Listing:
        from ..incoming.coco import list_coco

        return list_coco(Path(self.source), Path(self.annotations))

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        if not os.path.isfile(self.annotations):
            yield f"data.annotations={self.annotations}: no such file; give captions_val2014.json, or another file in its format"
        yield from super().conflicts(task, evaluation)
