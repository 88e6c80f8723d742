"""Text from outside, made valid where it comes in: captions, prompts, and the file names that are made from them."""

from __future__ import annotations

import hashlib
import re
import sys
from contextlib import suppress

LONGEST_STEM = 120  # bytes; a file system takes names of 255 bytes
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
    """(text of UTF-8 bytes without a byte order mark, whether all of them were UTF-8). Others become U+FFFD."""
    with suppress(UnicodeDecodeError):
        return data.decode("utf-8-sig"), True
    return data.decode("utf-8-sig", "replace"), False


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
