"""explore.html: a page of its own, one file, without the network. A section holds blocks: a table, rows of pictures,
pictures that sliders choose, and a movie."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..tracking.report import data_uri, write_report

PAGE = Path(__file__).with_name("template") / "explore.html"
Block = dict[str, Any]
Frames = dict[tuple[int, ...], list[tuple[Tensor, str]]]  # places of sliders -> captioned pictures, uint8 [3, H, W]


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Block:
    return {"kind": "table", "head": list(head), "rows": [list(row) for row in rows]}


def rows_of(rows: Sequence[tuple[str, str, Sequence[tuple[Tensor, str]]]]) -> Block:
    """Rows of pictures: (name, note, [(picture uint8 [3, H, W], its caption)])."""
    made = [
        {"name": name, "note": note, "pictures": [{"source": data_uri(p.numpy()), "caption": c} for p, c in some]}
        for name, note, some in rows
    ]
    return {"kind": "rows", "rows": made}


def sliders(
    axes: Mapping[str, Sequence[str]],
    frames: Frames,
    start: Sequence[int] = (),
) -> Block:
    """Pictures chosen by a slider for each of `axes` {name: the words of its values}. `frames` has the captioned pictures of each
    combination of the sliders' places; `start` is where the sliders stand at first (0 if it is not given)."""
    found = {
        ",".join(map(str, at)): [{"source": data_uri(p.numpy()), "caption": c} for p, c in some]
        for at, some in frames.items()
    }
    at = [*start, *[0] * (len(axes) - len(start))]
    named = [{"name": n, "values": list(v), "start": s} for (n, v), s in zip(axes.items(), at, strict=True)]
    return {"kind": "sliders", "axes": named, "frames": found}


def movie(path: Path, caption: str) -> Block:
    """An animated picture from a file, in the page itself."""
    uri = f"data:image/gif;base64,{base64.b64encode(path.read_bytes()).decode()}"
    return {"kind": "movie", "source": uri, "caption": caption}


def section(title: str, said: str, *blocks: Block) -> dict[str, Any]:
    return {"title": title, "said": said, "blocks": list(blocks)}


def write_page(
    path: Path,
    title: str,
    said: str,
    sections: Sequence[Mapping[str, Any]],
    pages: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the page. `pages` are links to others: (words, address)."""
    data = {"title": title, "said": said, "sections": list(sections), "pages": list(pages)}
    return write_report(path, data, PAGE)
