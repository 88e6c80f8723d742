"""The captions of COCO: one JSON file that says which picture has which captions (captions_val2014.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...config.errors import ConfigError
from ...strings import clean_text
from ..sample import left_out
from .captions import NoCaption, captions_of
from .ingest import Found, Listing
from .names import clean, split_ending


def list_coco(root: Path, annotations: Path) -> Listing:
    """The pictures of the folder that the file names, with all of their captions, in the order of their names. A picture that is
    named and not there, or that has no caption, is left out. Raises ConfigError for a file that is not COCO's."""
    try:
        said = json.loads(annotations.read_bytes())
        names = {image["id"]: str(image["file_name"]) for image in said["images"]}
        captions: dict[Any, list[str]] = {}
        for one in said["annotations"]:
            captions.setdefault(one["image_id"], []).append(str(one["caption"]))
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ConfigError(
            f"data.annotations={annotations}: not COCO's captions ({type(e).__name__}: {e}); it is a JSON file with images "
            "(id, file_name) and annotations (image_id, caption)"
        ) from e
    listing = Listing()
    for number, name in sorted(names.items(), key=lambda pair: pair[1]):
        place = clean(name)
        path = root / place
        if not path.is_file():
            listing.left.append(left_out(str(root), name, "no picture"))
            continue
        try:
            texts, _ = captions_of(None, None, rows=captions.get(number))
        except NoCaption as e:
            listing.left.append(left_out(str(root), name, str(e)))
            continue
        key = clean_text(split_ending(place)[0])
        listing.found.append(Found(path, key, clean_text(place), tuple(texts)))
    return listing
