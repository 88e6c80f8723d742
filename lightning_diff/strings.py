"""Text from outside, made valid where it comes in: captions, prompts, and the file names that are made from them."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
import sys
from contextlib import suppress
from typing import Any

LONGEST_STEM = 120  # bytes; a file system takes names of 255 bytes
COMMANDS = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
MARKS = (  # UTF-32's begins like UTF-16's
    *((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be")),
    *((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
)
SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """The text without lone surrogates, so that it can be written as UTF-8. They come from bytes that are not UTF-8 (in an
    argument or a file name) and from JSON. Two that make a character together become it, bytes that are UTF-8 after all are
    read as that, and all others become U+FFFD. Other text is returned as it is."""
    if not SURROGATE.search(text):
        return text
    with suppress(UnicodeError):
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def decode_text(data: bytes) -> tuple[str, bool]:
    """(text without a byte order mark, whether all of it was UTF-8, or UTF-16 or UTF-32 with its mark). What is not becomes
    U+FFFD."""
    mark, encoding = next(((m, e) for m, e in MARKS if data.startswith(m)), (b"", "utf-8"))
    if (
        not mark and 0 in data and len(data) % 2 == 0
    ):  # UTF-16 without its mark: every other byte of western text is zero
        zeros = [data[first::2].count(0) * 4 > len(data) for first in (0, 1)]
        encoding = {(True, False): "utf-16-be", (False, True): "utf-16-le"}.get((zeros[0], zeros[1]), "utf-8")
    data = data[len(mark) :]
    text = data.decode(encoding, "replace")
    return text, "\ufffd" not in text or "\ufffd".encode(encoding) in data


def json_of(text: str) -> Any:
    """The value of a JSON text; None if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def counted(count: int, what: str) -> str:
    """A count with its noun, which is the singular: 1 picture, 2,048 pictures."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def visible(text: str) -> str:
    """The text without characters that command a terminal; a line feed and a tab stay."""
    return COMMANDS.sub("\ufffd", text)


def file_stem(text: str) -> str:
    """A file name without an ending for a text. Unlike texts have unlike names: if the letters and digits that a name keeps do
    not say the whole text, a hash of it follows. The name has at most LONGEST_STEM bytes in the file system's encoding."""
    encoding = sys.getfilesystemencoding()
    words = re.sub(r"\W+", "-", text).strip("-")[:60].encode(encoding, "ignore")
    stem = words[: LONGEST_STEM - 13].decode(encoding, "ignore").strip("-")
    if stem and stem.replace("-", " ") == text:
        return stem
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{stem or 'prompt'}-{mark}"
