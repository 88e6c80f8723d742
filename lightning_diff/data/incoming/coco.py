"""The captions of COCO: one JSON file that says which picture has which captions (captions_val2014.json)."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...config.errors import ConfigError
from ...strings import clean_text
from ..sample import left_out
from .captions import NoCaption, captions_of
from .ingest import Found, Listing
from .names import clean, split_ending
from .tables import Rest


def described(said: Any) -> tuple[list[tuple[Mapping[str, Any], list[Any]]], list[Rest]]:
    """([(an image, its captions)], what is left out) of COCO's images and annotations. Raises ValueError if it is not that."""
    images, annotations = (said.get("images"), said.get("annotations") or []) if isinstance(said, Mapping) else (0, 0)
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise ValueError("it has no lists of images and annotations")
    found: dict[Any, tuple[Mapping[str, Any], list[Any]]] = {}
    left, missing, damaged, said_something = list[Rest](), Counter[Any](), 0, not annotations
    for one in images:
        number = one.get("id") if isinstance(one, Mapping) else None
        if not isinstance(number, str | int | float):
            damaged += 1
        elif number in found:
            left.append((str(one.get("file_name")), "second of its name", 1))
        else:
            found[number] = one, []
    for one in annotations:
        number = one.get("image_id") if isinstance(one, Mapping) else None
        if not isinstance(number, str | int | float):
            damaged += 1
        elif "caption" in one:  # others are of another task
            said_something = True
            if number in found:
                found[number][1].append(one["caption"])
            else:
                missing[number] += 1
    if not said_something:
        raise ValueError("none of its annotations has a caption")
    left += [("", "damaged row", damaged)] * bool(damaged)
    left += [(f"image {number}", "no picture", count) for number, count in missing.items()]
    return list(found.values()), left


def list_coco(root: Path, annotations: Path) -> Listing:
    """The pictures of the folder that the file names, with all of their captions, in the order of their names. A picture that is
    named and not there, or that has no caption, is left out. Raises ConfigError for a file that is not COCO's."""
    try:
        images, left = described(json.loads(annotations.read_bytes()))
    except (OSError, ValueError, RecursionError) as e:
        raise ConfigError(
            f"data.annotations={annotations}: not COCO's captions ({type(e).__name__}: {e}); it is a JSON file with images "
            "(id, file_name) and annotations (image_id, caption)"
        ) from e
    listing = Listing()
    named = [(image["file_name"], said) for image, said in images if isinstance(image.get("file_name"), str)]
    left += [("", "damaged row", len(images) - len(named))] * (len(named) < len(images))
    listing.left = [left_out(str(annotations), name, reason, count=count) for name, reason, count in left]
    for name, said in sorted(named, key=lambda pair: pair[0]):
        place = clean(name)
        path = root / place
        if not os.path.isfile(path):  # False also for what cannot be a name
            listing.left.append(left_out(str(root), name, "no picture"))
            continue
        try:
            texts, _ = captions_of(None, None, rows=said or None)
        except NoCaption as e:
            listing.left.append(left_out(str(root), name, str(e)))
            continue
        key = clean_text(split_ending(place)[0])
        listing.found.append(Found(path, key, clean_text(place), tuple(texts)))
    return listing
