"""Writing of report.html: one file that can be opened from the disk and sent by mail. Its template, styles and scripts lie in
page/. This code puts them into one file and adds the data as JSON; the page shows it as text, never as markup."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..files import write_text

SHARED = Path(__file__).with_name("page")  # styles and scripts of all pages
PAGE = SHARED / "report.html"
POINTS = 400  # at most in a curve
LARGE = 128  # pixels; larger pictures are JPEG


def data_uri(pixels: np.ndarray) -> str:
    """A picture, uint8 [3, H, W], as a data URI that contains the picture."""
    out = io.BytesIO()
    picture = Image.fromarray(pixels.transpose(1, 2, 0))
    kind = "jpeg" if max(picture.size) > LARGE else "png"
    picture.save(out, kind, **({"quality": 90} if kind == "jpeg" else {"optimize": True}))
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"


def thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The curve with at most POINTS points: each one is the mean of neighbouring points."""
    n = max(1, math.ceil(len(points) / POINTS))
    return [tuple(np.mean(points[i : i + n], axis=0).tolist()) for i in range(0, len(points), n)]


def _plain(value: Any) -> Any:
    """The value for JSON, which has no nan and no infinity: they become None."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def assembled(page: Path) -> str:
    """The template with the contents of the styles and scripts that it names, from its own folder or from SHARED."""

    def contents(found: re.Match[str]) -> str:
        name = found["style"] or found["script"]
        own = page.with_name(name)
        text = (own if own.is_file() else SHARED / name).read_text("utf-8")
        return f"<style>\n{text}</style>" if found["style"] else f"<script>\n{text}</script>"

    words = r'<link rel="stylesheet" href="(?P<style>[\w.]+)">|<script src="(?P<script>[\w.]+)"></script>'
    return re.sub(words, contents, page.read_text("utf-8"))


def write_report(path: Path, data: Mapping[str, Any], page: Path = PAGE) -> Path:
    """Write the report, or another `page`; the file is complete or does not exist. "<" is written as \\u003c, so that no text
    can end the script element that holds it."""
    text = json.dumps(_plain(data), allow_nan=False).replace("<", "\\u003c")
    write_text(path, assembled(page).replace("__DATA__", text))
    return path
