"""The rule for a caption, wherever it lies: in a text file, in a json file, in a table, in a folder or in a shard."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...strings import SURROGATE, clean_text

NOT_SAID = ("none", "nan", "null")  # what programs write where there is no caption
KEYS = ("caption", "captions", "text", "prompt")  # of a record; the first that is there is read
BREAKS = re.compile(r"[ \t]*[\r\n\v\f\x85\u2028\u2029]+[ \t]*")
CONTROL = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f]")  # no text has these, but a picture does that is named KEY.txt
MARKS = (  # UTF-32's begins like UTF-16's
    *((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be")),
    *((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
)


class NoCaption(Exception):
    """There is no caption. The message is the reason, one of sample.REMEDIES."""


def decoded(data: bytes) -> tuple[str, bool]:
    """(the text, whether all of it was UTF-8, or UTF-16 or UTF-32 with its mark). What is not becomes U+FFFD."""
    mark, encoding = next(((m, e) for m, e in MARKS if data.startswith(m)), (b"", "utf-8"))
    if not mark and 0 in data:  # UTF-16 without its mark: every other byte of western text is zero
        zeros = [data[first::2].count(0) * 4 > len(data) for first in (0, 1)]
        encoding = {(True, False): "utf-16-be", (False, True): "utf-16-le"}.get((zeros[0], zeros[1]), "utf-8")
    data = data[len(mark) :]
    text = data.decode(encoding, "replace")
    return text, "\ufffd" not in text or "\ufffd".encode(encoding) in data


def one_line(text: str) -> str:
    """A text as a caption: in one line, without blanks at its ends, in characters alone."""
    return BREAKS.sub(" ", text.strip("\0\ufeff").strip()).replace("\0", "\ufffd") if text else ""


def captions_of(
    text: bytes | None, record: bytes | None, lines: bool = False, rows: Any = None
) -> tuple[list[str], bool]:
    """(captions, whether all of them is as it was written) of a text file, a record, and the value that a table has for the
    picture; each may be None. The first of them that holds a caption counts.

    The whole content of a text file is one caption, in one line; with `lines` each of its lines is one. A list of texts, in the
    record or as the whole text file, is several captions. Raises NoCaption, with the first reason."""
    reason = ""
    for value, valid in _values(text, record, rows):
        try:
            captions, clean = _several(value, lines)
            return captions, valid and clean
        except NoCaption as e:
            reason = reason or str(e)
    raise NoCaption(reason or "no caption")


def _values(text: bytes | None, record: bytes | None, rows: Any) -> Iterator[tuple[Any, bool]]:
    """The values that may be captions, and whether their bytes are text."""
    if text is not None:
        said, valid = decoded(text)
        value = None if not valid and CONTROL.search(said.strip("\0")) else _listed(said)
        yield from ((one, valid) for one in (values_of(value) or [value] if isinstance(value, Mapping) else [value]))
    fields, valid = _json(record)
    if fields is not None:
        yield from ((one, valid) for one in (values_of(fields) if isinstance(fields, Mapping) else [fields]))
    if rows is not None:
        yield rows, True


def values_of(fields: Mapping[Any, Any]) -> list[Any]:
    """The values of a record that may be captions, the best first. Capitals in a key, and blanks around it, do not matter."""
    named = {str(key).strip().casefold(): value for key, value in fields.items()}
    return [named[key] for key in KEYS if named.get(key) is not None]


def record_of(data: bytes | None) -> dict[str, Any]:
    """The table in a json member; empty if there is none."""
    fields, _ = _json(data)
    return fields if isinstance(fields, dict) else {}


def _json(data: bytes | None) -> tuple[Any, bool]:
    if not data:
        return None, True
    said, valid = decoded(data)
    try:
        return json.loads(said.strip("\0")), valid
    except (ValueError, RecursionError):
        return None, valid


def _listed(said: str) -> Any:
    """A text, or the list or table that a text file holds in place of one."""
    if said.strip().startswith(("[", "{")):
        try:
            return json.loads(said)
        except (ValueError, RecursionError):
            pass
    return said


def _several(value: Any, lines: bool) -> tuple[list[str], bool]:
    """The captions in a value, and whether they are as they were written. Raises NoCaption if it has none."""
    if isinstance(value, str):
        parts = re.split(r"\r\n|\r|\n", value) if lines else [value]
    elif isinstance(value, list):
        parts = [part for part in value if isinstance(part, str)]
        if not parts:
            raise NoCaption("caption is not text" if value else "empty caption")
    else:
        raise NoCaption("caption is not text")
    found = [caption for part in parts if (caption := one_line(part))]
    said = [clean_text(caption) for caption in found if caption.casefold() not in NOT_SAID]
    if not said:
        raise NoCaption("caption is not text" if found else "empty caption")
    return said, not any(map(SURROGATE.search, found))
