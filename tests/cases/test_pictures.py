"""Pictures as people bring them: each with the pixel that a viewer shows, whatever its metadata, kind and mode."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from lightning_diff.data.decode import decode
from tests.cases.picture_files import (
    BASE,
    GREY,
    JPEG,
    LYING,
    LYING_JPEG,
    LYING_PNG,
    PNG,
    RED,
    TURNED,
    WHITE,
    bad_sum,
    before,
    chunk,
    enc,
    exif,
    one,
    put,
    raw_png,
    segment,
    tags,
)

SIX = (0x0112, 3, 1, b"\0\6\0\0")
RICH = Image.Exif()
RICH[0x0112], RICH[0x010F], RICH[0x011A], RICH[0x8769] = 1, "maker", 72.0, {0x9003: "2024:01:01 00:00:00", 0xA002: 64}
MADE = RICH.tobytes()
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
BAD_XMP = b"<x:xmpmeta>caf\xe9 \xa8</x:xmpmeta>"
BASE_P = one("P", 1)
BASE_P.putpalette([10, 20, 30, *RED])
SQUARE = Image.new("P", (64, 64), 0)
SQUARE.putpalette([10, 20, 30, *RED])
SQUARE.paste(1, (16, 16, 48, 48))


def several(form: str, **more: object) -> bytes:
    return enc(BASE, form, save_all=True, append_images=[Image.new("RGB", BASE.size, (0, 255, 0))], **more)


def transparent() -> dict[str, tuple[bytes, tuple[int, ...]]]:
    key16 = struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC)
    near16 = struct.pack(">HHH", 0x1235, 0x5678, 0x9ABC)
    found = {
        "RGBA": (enc(one("RGBA", (0, 0, 0, 0)), "PNG"), WHITE),
        "RGBA, half black": (enc(one("RGBA", (0, 0, 0, 128)), "PNG"), (127,) * 3),
        "LA": (enc(one("LA", (0, 0)), "PNG"), WHITE),
        "palette, that index": (enc(SQUARE, "PNG", transparency=0), WHITE),
        "palette, another index": (enc(BASE_P, "PNG", transparency=0), RED),
        "palette, none": (enc(SQUARE, "PNG"), (10, 20, 30)),
        "palette, more alphas than colours": (
            before(enc(BASE_P, "PNG"), chunk(b"tRNS", b"\xff\0" + b"\1" * 300)),
            WHITE,
        ),
        "RGB, that colour": (enc(one("RGB", (1, 2, 3)), "PNG", transparency=(1, 2, 3)), WHITE),
        "L, that grey": (enc(one("L", 7), "PNG", transparency=7), WHITE),
        "1 bit": (enc(one("1", 0), "PNG", transparency=0), WHITE),
        "1 bit, none": (enc(one("1", 1), "PNG"), WHITE),
        "16-bit grey, that grey": (raw_png(16, 0, b"\x12\x34", chunk(b"tRNS", b"\x12\x34")), WHITE),
        "16-bit grey, a near one": (raw_png(16, 0, b"\x80\0", chunk(b"tRNS", b"\x80\1")), GREY),
        "16-bit grey + alpha": (raw_png(16, 4, b"\x10\0\0\0"), WHITE),
        "16-bit RGBA": (raw_png(16, 6, b"\x11\x11\0\0\0\0\0\0"), WHITE),
        "16-bit RGB, that colour": (raw_png(16, 2, key16, chunk(b"tRNS", key16)), WHITE),
        "16-bit RGB, a near one": (raw_png(16, 2, near16, chunk(b"tRNS", key16)), (0x12, 0x56, 0x9A)),
        "chunk too short": (before(PNG, chunk(b"tRNS", b"\0\1")), WHITE),
        "chunk beside alpha": (before(enc(BASE.convert("RGBA"), "PNG"), chunk(b"tRNS", b"\0\1\0\1\0\1")), WHITE),
        "chunk with a bad sum": (before(enc(one("L", 7), "PNG"), bad_sum(b"tRNS", b"\0\7")), (7,) * 3),
        "WebP": (enc(one("RGBA", (0, 0, 0, 0)), "WEBP"), WHITE),
        "GIF": (enc(BASE_P, "GIF", transparency=1), WHITE),
        "TIFF": (enc(one("RGBA", (9, 9, 9, 0)), "TIFF"), WHITE),
        "JPEG 2000": (enc(one("RGBA", (9, 9, 9, 0)), "JPEG2000"), WHITE),
        "TGA": (enc(one("RGBA", (9, 9, 9, 0)), "TGA"), WHITE),
    }
    for depth, byte, value in ((2, 0xAA, 2), (4, 0x77, 7)):
        for key in (value, 1):
            seen = (value * 255 // (2**depth - 1),) * 3 if key == 1 else WHITE
            found[f"{depth}-bit grey {key}"] = (
                raw_png(depth, 0, bytes([byte]) * 16, chunk(b"tRNS", bytes([0, key]))),
                seen,
            )
    return found


def modes() -> dict[str, tuple[bytes, tuple[int, ...]]]:
    grey16 = Image.fromarray(np.full((16, 16), 0x8000, np.uint16))
    fractions = np.full((16, 16), 0.5, np.float32)
    fractions[8], fractions[9] = np.nan, np.inf
    inverted = bytearray(enc(Image.fromarray(np.full((16, 16), 65535, np.uint16)), "TIFF"))
    inverted[inverted.index(struct.pack("<HHI", 262, 3, 1)) + 8] = 0  # white is zero
    plain_tga = bytearray(enc(one("RGBA", (*RED, 0)), "TGA"))
    plain_tga[17] &= 0xF0  # no bit of the 32 is transparency
    return {
        "16-bit grey PNG": (raw_png(16, 0, b"\x80\0"), GREY),
        "16-bit grey + alpha PNG": (raw_png(16, 4, b"\x80\0\xff\xff"), GREY),
        "16-bit RGB PNG": (raw_png(16, 2, b"\x80\xff" * 3), GREY),
        "2-bit grey PNG": (raw_png(2, 0, b"\xaa" * 16), (170,) * 3),
        "16-bit TIFF": (enc(grey16, "TIFF"), GREY),
        "16-bit TIFF, white is zero": (bytes(inverted), (0, 0, 0)),
        "32-bit TIFF": (enc(Image.fromarray(np.full((16, 16), 0x8000, np.int32)), "TIFF"), GREY),
        "fractions": (enc(Image.fromarray(fractions), "TIFF"), GREY),
        "fractions to 255": (enc(Image.fromarray(np.full((16, 16), 100, np.float32)), "TIFF"), (100,) * 3),
        "CMYK TIFF": (enc(one("CMYK", (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
        "LAB TIFF": (enc(one("LAB", (255, 128, 128)), "TIFF"), WHITE),
        "LA TIFF": (enc(one("LA", (9, 0)), "TIFF"), WHITE),
        "palette TIFF": (enc(BASE_P, "TIFF"), RED),
        "fax TIFF": (enc(one("1", 1), "TIFF", compression="group4"), WHITE),
        "JPEG in TIFF": (enc(BASE, "TIFF", compression="jpeg"), WHITE),
        "CMYK JPEG": (enc(one("CMYK", (0, 255, 255, 0)), "JPEG", quality=100), (255, 0, 0)),
        "grey JPEG": (enc(BASE.convert("L"), "JPEG", quality=95), WHITE),
        "progressive JPEG": (enc(BASE, "JPEG", progressive=True, quality=95), WHITE),
        "RGB JPEG": (enc(BASE, "JPEG", keep_rgb=True, quality=95), WHITE),
        "32-bit TGA without alpha": (bytes(plain_tga), RED),
        "TGA": (enc(BASE, "TGA", rle=True), WHITE),
        "BMP": (enc(BASE, "BMP"), WHITE),
        "GIF": (enc(BASE_P, "GIF"), RED),
        "JPEG 2000": (enc(BASE, "JPEG2000"), WHITE),
        "PPM": (enc(BASE, "PPM"), WHITE),
        "16-bit PGM": (b"P5 4 4 65535\n" + b"\x80\0" * 16, GREY),
        "PBM": (b"P4 8 4\n" + bytes(4), WHITE),
        "APNG": (several("PNG"), WHITE),
        "animated WebP": (several("WEBP", lossless=True), WHITE),
        "animated GIF": (several("GIF"), WHITE),
        "TIFF of two pages": (several("TIFF"), WHITE),
        "MPO": (several("MPO", quality=95), WHITE),
    }


def turned() -> dict[str, tuple[bytes, tuple[int, ...]]]:
    found = {}
    for o in range(1, 9):
        stored = BASE.transpose(TURNED[o]) if o in TURNED else BASE
        for form in ("JPEG", "PNG", "WEBP"):
            found[f"{o} {form}"] = (enc(stored, form, exif=exif(o), quality=95), WHITE)
        for packed in (None, "tiff_lzw", "jpeg"):
            found[f"{o} TIFF {packed}"] = (enc(stored, "TIFF", tiffinfo={0x0112: o}, compression=packed), WHITE)
    upright = (enc(LYING, "AVIF", exif=exif(6), quality=95), WHITE) if features.check("avif") else (PNG, WHITE)
    lines = [exif(6).hex()[i : i + 72] for i in range(0, 2 * len(exif(6)), 72)]
    raw = "\n".join(["", "exif", f"{len(exif(6)):8}", *lines, ""]).encode()
    numbers = {
        "LONG": (4, b"\0\0\0\6"),
        "BYTE": (1, b"\6"),
        "SBYTE": (6, b"\6"),
        "SSHORT": (8, b"\0\6"),
        "SLONG": (9, b"\0\0\0\6"),
    }
    numbers |= {"RATIONAL": (5, struct.pack(">II", 6, 1)), "FLOAT": (11, struct.pack(">f", 6))}
    for name, (form, value) in numbers.items():
        found[f"as {name}"] = (put(LYING_JPEG, tags((0x0112, form, 1, value))), WHITE)
    little = segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0" + bytes(4))
    xmp = segment(0xE1, XMP_HEAD + XMP)
    return found | {
        "6 AVIF": upright,
        "two values": (put(LYING_JPEG, tags((0x0112, 3, 2, b"\0\6\0\6"))), WHITE),
        "three values": (put(LYING_JPEG, tags((0x0112, 3, 3, b"\0\6\0\6\0\6"))), WHITE),
        "as text": (put(JPEG, tags((0x0112, 2, 2, b"6\0"))), WHITE),
        "not a number": (put(JPEG, tags((0x0112, 11, 1, b"\x7f\xc0\0\0"))), WHITE),
        "by zero": (put(JPEG, tags((0x0112, 5, 1, struct.pack(">II", 6, 0)))), WHITE),
        "0": (put(JPEG, segment(0xE1, exif(0))), WHITE),
        "9": (put(JPEG, segment(0xE1, exif(9))), WHITE),
        "little endian": (put(LYING_JPEG, little), WHITE),
        "zero denominators beside it": (put(LYING_JPEG, tags(SIX, (0x011A, 5, 1, bytes(8)))), WHITE),
        "width of type text beside it": (put(LYING_JPEG, tags((0x0100, 2, 6, b"4000\0\0"), SIX)), WHITE),
        "broken places beside it": (put(LYING_JPEG, tags(SIX, (0x8825, 4, 1, b"\0\0\xff\0"))), WHITE),
        "NaN beside it": (put(LYING_JPEG, tags(SIX, (0xA20E, 11, 1, b"\x7f\xc0\0\0"), (0x02BC, 1, 4, b"abcd"))), WHITE),
        "behind the pixels": (before(LYING_PNG, chunk(b"eXIf", exif(6)[6:]), b"IEND"), WHITE),
        "eXIf with the head of a JPEG's": (before(LYING_PNG, chunk(b"eXIf", exif(6))), WHITE),
        "in a text of ImageMagick": (
            before(LYING_PNG, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))),
            WHITE,
        ),
        "WebP, without a head": (enc(LYING, "WEBP", lossless=True, exif=exif(6)[6:]), WHITE),
        "XMP alone": (put(LYING_JPEG, xmp), WHITE),
        "XMP alone, PNG": (before(LYING_PNG, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)), WHITE),
        "EXIF before XMP": (put(JPEG, xmp, segment(0xE1, exif(1))), WHITE),
    }


def metadata() -> dict[str, tuple[bytes, tuple[int, ...]]]:
    large = {
        "tEXt": chunk(b"tEXt", b"p\0" + b"x" * 3_000_000),
        "zTXt": chunk(b"zTXt", b"p\0\0" + zlib.compress(b"x" * 9_000_000)),
        "iTXt": chunk(b"iTXt", b"p\0\1\0\0\0" + zlib.compress(b"x" * 9_000_000)),
        "iCCP": chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(9_000_000))),
    }
    found = {f"PNG: large {k}": before(PNG, c * 9) for k, c in large.items()}
    found |= {f"PNG: large {k} behind the pixels": before(PNG, c, b"IEND") for k, c in large.items()}
    for name in b"tEXt zTXt iTXt iCCP pHYs gAMA cHRM sRGB tIME bKGD sBIT hIST acTL fcTL eXIf vpAg".split():
        found[f"PNG: empty {name!r}"] = before(PNG, chunk(name, b""))
        found[f"PNG: garbage in {name!r}"] = before(PNG, chunk(name, b"a\0\7garbage\xff\xfe\x80"))
        found[f"PNG: bad sum of {name!r}"] = before(PNG, bad_sum(name, b"abc\0\0\0\0"))
    jpeg = {
        "EXIF, head twice": segment(0xE1, b"Exif\0\0" + exif(1)),
        "EXIF, empty": segment(0xE1, b"Exif\0\0"),
        "EXIF, garbage": segment(0xE1, b"Exif\0\0" + b"\x99" * 40),
        "EXIF, cut": segment(0xE1, MADE[:20]),
        "EXIF, cut later": segment(0xE1, MADE[:-20]),
        "EXIF, table outside": segment(0xE1, b"Exif\0\0MM\0*\0\0\xff\xff"),
        "EXIF, no value": tags((0x0112, 3, 0, b"\0\1")),
        "EXIF, huge count": tags((0x0112, 3, 0xFFFFFFFF, b"\0\1")),
        "XMP not UTF-8": segment(0xE1, XMP_HEAD + BAD_XMP),
        "IPTC cut": segment(0xED, b"Photoshop 3.0\x008BIM"),
        "IPTC too long": segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\xff\xff"),
        "MPF garbage": segment(0xE2, b"MPF\0" + b"\x99" * 50),
        "JFIF cut": segment(0xE0, b"JFIF\0"),
        "Adobe cut": segment(0xEE, b"Adobe"),
        "ICC of five parts, one there": segment(0xE2, b"ICC_PROFILE\0\1\5abc"),
        "ICC cut": segment(0xE2, b"ICC_PROFILE\0"),
        "comment of 60 kB": segment(0xFE, b"\xe9" * 60000),
        "fill bytes": b"\xff\xff\xff",
    }
    found |= {f"JPEG: {k}": put(JPEG, c) for k, c in jpeg.items()}
    webp = enc(BASE, "WEBP", lossless=True, exif=exif(1), xmp=b"<x/>")
    found |= {
        "PNG: no IEND": PNG[:-12],
        "PNG: junk behind IEND": PNG + b"junk" * 999,
        "PNG: XMP not UTF-8": before(PNG, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + BAD_XMP)),
        "PNG: gAMA": before(PNG, chunk(b"gAMA", struct.pack(">I", 45455))),
        "PNG: an animation that lies": before(PNG, chunk(b"acTL", struct.pack(">II", 99, 0))),
        "JPEG: no density": JPEG[:2] + segment(0xE0, b"JFIF\0\1\1\1\0\0\0\0\0\0") + JPEG[20:],
        "JPEG: junk between segments": JPEG[:20] + b"junk" + JPEG[20:],
        "JPEG: garbage behind": JPEG + bytes(9000),
        "JPEG: a video behind": JPEG + b"\0\0\0\x18ftypmp42" + b"\xff\xd8\xff" * 999,
        "WebP: EXIF garbage": enc(BASE, "WEBP", lossless=True, exif=b"\x99" * 30),
        "WebP: XMP not UTF-8": enc(BASE, "WEBP", lossless=True, xmp=BAD_XMP),
        "WebP: ICC garbage": enc(BASE, "WEBP", lossless=True, icc_profile=b"\x99" * 300),
        "WebP: EXIF cut off": webp[:-3],
        "WebP: XMP cut off": webp[: webp.index(b"XMP ")],
        "TIFF: density by zero, odd places": enc(BASE, "TIFF", tiffinfo={282: 0.0, 34853: 65000, 33723: b"\x99" * 9}),
    }
    if features.check("avif"):
        avif = bytearray(enc(BASE, "AVIF", quality=95, exif=MADE))
        at = max(avif.find(b"MM\0*"), avif.find(b"II*\0"))
        avif[at : at + 8] = b"\x99" * 8
        found["AVIF: EXIF garbage"] = bytes(avif)
    return {name: (data, WHITE) for name, data in found.items()}


TABLE = {
    f"{kind}: {name}": case
    for kind, cases in (("transparent", transparent), ("mode", modes), ("turned", turned), ("metadata", metadata))
    for name, case in cases().items()
}


@pytest.mark.parametrize("name", TABLE)
def test_the_pixel_that_a_viewer_shows(name: str) -> None:
    data, right = TABLE[name]
    found = decode(data)
    seen = found.picture.getpixel((2, 2))
    assert isinstance(seen, tuple) and found.picture.mode == "RGB" and (found.width, found.height) == found.picture.size
    assert max(abs(a - b) for a, b in zip(seen, right, strict=True)) <= 6
    if name.startswith("turned"):
        assert found.picture.size == BASE.size
