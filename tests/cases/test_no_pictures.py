"""Files that are no pictures, or none that can be read: each is refused by a reason of a fixed list, in one plain line."""

from __future__ import annotations

import pytest

from lightning_diff.data.decode import OTHER_PICTURES, REASONS, SUFFIXES, BadPicture, decode
from tests.cases.picture_files import BASE, JPEG, PNG, enc


@pytest.mark.parametrize(
    "data, reason, words",
    [
        (b"", "empty file", "empty"),
        (bytes(999), "empty file", "zeros"),
        (b"<!DOCTYPE html><html>404</html>", "web page", "HTML"),
        (b"\xef\xbb\xbf\n <html>", "web page", "HTML"),
        ("<html>".encode("utf-16"), "web page", "HTML"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "web page", "XML"),
        (b'{"error": 404}', "web page", "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "text file", "Git LFS"),
        (b"BMW is a car", "text file", "text"),
        (b"<?xml version='1.0'?>\n<!-- drawn --><svg/>", "unknown format", "SVG"),
        (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "unknown format",
            "HEIC: this format is not read; convert it to JPEG",
        ),
        (b"\0\0\0\x18ftypcrx \0\0\0\0crx isom", "unknown format", "camera raw"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "unknown format", "camera raw"),
        (enc(BASE, "TIFF", tiffinfo={50706: b"\1\4\0\0"}), "unknown format", "camera raw"),
        (b"\xff\x0a" + bytes(99), "unknown format", "JPEG XL"),
        (b"8BPS\0\1" + bytes(99), "unknown format", "PSD"),
        (b"%PDF-1.4\n", "unknown format", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unknown format", "EPS"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "not a picture", "video"),
        (b"RIFF\0\0\0\0WAVE", "not a picture", "sound"),
        (b"PK\3\4" + bytes(50), "not a picture", "ZIP"),
        (b"\xff", "not a picture", "no picture"),
        (PNG.replace(b"\r\n", b"\n", 1), "damaged", "PNG"),
        (PNG[:40], "truncated", "PNG"),
        (b"GIF89a", "damaged", "GIF"),
        (JPEG[:100], "truncated", "JPEG"),
        (enc(BASE, "WEBP")[:60], "truncated", "WebP"),
        (enc(BASE, "TIFF")[:3000], "truncated", "TIFF"),
        (enc(BASE, "BMP")[:-900], "truncated", "BMP"),
        (enc(BASE, "GIF")[:-60], "truncated", "GIF"),
    ],
)
def test_what_is_no_picture_is_named_in_a_plain_line(data: bytes, reason: str, words: str) -> None:
    with pytest.raises(BadPicture) as refused:
        decode(data)
    said = str(refused.value)
    assert refused.value.reason == reason and words in said and refused.value.remedy == REASONS[reason]
    assert "\n" not in said and "<" not in said and "0x" not in said


def test_an_ending_is_read_or_is_not() -> None:
    assert not set(SUFFIXES) & set(OTHER_PICTURES)
    assert all(e == e.lower() and "." not in e for e in SUFFIXES + OTHER_PICTURES)
