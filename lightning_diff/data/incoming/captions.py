"""The rule for a caption, wherever it lies: in a text file, in a json file, in a table, in a folder or in a shard."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from unicodedata import category

from ...strings import SURROGATE, clean_text, decode_text, json_of

NOT_SAID = ("none", "nan", "null")  # what programs write where there is no caption
KEYS = ("caption", "captions", "text", "prompt")  # of a record; the first that is there is read
BREAKS = re.compile(r"[ \t]*[\r\n\v\f\x85\u2028\u2029]+[ \t]*")
# Bits of what is said of captions: bytes that are no text, control characters. Both became U+FFFD.
NOT_UTF8, COMMANDS = 2, 4
# Control characters that neither end a line nor are a blank.
NO_LETTER = re.compile(r"[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
CONTROL = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f]")  # no text has these, but a picture does that is named KEY.txt


class NoCaption(Exception):
    """There is no caption. The message is the reason, one of sample.REMEDIES."""


def one_line(text: str) -> str:
    """A text as a caption: in one line, without blanks at its ends, in characters alone."""
    return NO_LETTER.sub("\ufffd", BREAKS.sub(" ", text.strip("\0\ufeff").strip())) if text else ""


def unseen(text: str) -> bool:
    """Whether a text has nothing that can be seen: it is empty, or of blanks and zero-width characters alone."""
    return all(category(letter) in ("Cf", "Zs", "Zl", "Zp") for letter in text)


def captions_of(
    text: bytes | None, record: bytes | None, lines: bool = False, rows: Any = None
) -> tuple[list[str], int]:
    """(captions, bits for what is not as it was written) of a text file, a record, and the value that a table has for the
    picture; each may be None. The first of them that holds a caption counts.

    The whole content of a text file is one caption, in one line; with `lines` each of its lines is one. A list of texts, in the
    record or as the whole text file, is several captions. Raises NoCaption, with the first reason."""
    reason = ""
    for value, valid in _values(text, record, rows):
        try:
            captions, remarks = _several(value, lines)
            return captions, remarks | (0 if valid else NOT_UTF8)
        except NoCaption as e:
            reason = reason or str(e)
    raise NoCaption(reason or _why(record))


def _why(record: bytes | None) -> str:
    """The reason where nothing holds a caption, of which a record may say more than that."""
    if not record:
        return "no caption"
    fields, _ = _json(record)
    return "unreadable json" if fields is None else "json without caption"


def _values(text: bytes | None, record: bytes | None, rows: Any) -> Iterator[tuple[Any, bool]]:
    """The values that may be captions, and whether their bytes are text."""
    if text is not None:
        said, valid = decode_text(text)
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
    said, valid = decode_text(data)
    return json_of(said.strip("\0")), valid


def _listed(said: str) -> Any:
    """A text, or the list or table that a text file holds in place of one."""
    value = json_of(said) if said.strip().startswith(("[", "{")) else None
    return said if value is None else value


def _several(value: Any, lines: bool) -> tuple[list[str], int]:
    """The captions in a value, and what of them is not as it was written. Raises NoCaption if it has none."""
    if isinstance(value, str):
        parts = re.split(r"\r\n|\r|\n", value) if lines else [value]
    elif isinstance(value, list):
        parts = [part for part in value if isinstance(part, str)]
        if not parts:
            raise NoCaption("caption is not text" if value else "empty caption")
    else:
        raise NoCaption("caption is not text")
    found = [caption for part in parts if not unseen(caption := one_line(part))]
    said = [clean_text(caption) for caption in found if caption.casefold() not in NOT_SAID]
    if not said:
        raise NoCaption("caption is not text" if found else "empty caption")
    remarks = NOT_UTF8 * any(map(SURROGATE.search, found))
    return said, remarks | COMMANDS * any(NO_LETTER.search(part.strip("\0\ufeff").strip()) for part in parts)
