"""What kind of file some bytes are. The first bytes say it, never the name: servers and users name files wrongly."""

from __future__ import annotations

import functools
import importlib
import re
from dataclasses import dataclass

from PIL import Image, ImageFile

# Endings that are read (in lower case). What a file is, its bytes say; an ending says where to look.
# fmt: off
SUFFIXES = (
    "jpg", "jpeg", "jpe", "jfif", "jfi", "jif", "pjpeg", "pjp", "mpo", "png", "apng", "webp", "gif", "bmp", "tif", "tiff",
    "avif", "avifs", "jp2", "j2k", "jpx", "jpf", "j2c", "jpc", "tga", "ppm", "pgm", "pbm", "pnm", "pfm",
)
# Endings of pictures that are not read: a source counts them by ending, and says what to do.
OTHER_PICTURES = (
    "heic", "heif", "hif", "jxl", "psd", "psb", "xcf", "kra", "svg", "svgz", "eps", "ai", "pdf", "wmf", "emf", "ico",
    "cur", "icns", "exr", "hdr", "dds", "qoi", "pcx", "dib", "djvu", "jxr", "wdp", "fits", "dcm",
    "dng", "cr2", "cr3", "crw", "nef", "nrw", "arw", "srf", "sr2", "orf", "rw2", "raf", "pef", "srw",
    "x3f", "raw", "3fr", "iiq", "erf", "mrw", "dcr", "kdc", "rwl",
)
# fmt: on

# Why a picture is refused, in words of a fixed list, and what to do.
REASONS = {
    "empty file": "copy or download it again",
    "web page": "download it again: the server sent a page or a message instead of the picture",
    "text file": "it is text: give it its right name, or fetch the picture that it stands for (git lfs pull)",
    "unknown format": "convert it to JPEG or PNG",
    "not a picture": "remove it from the set",
    "damaged": "copy or download it again",
    "truncated": "copy or download it again: its end is missing",
    "too large": "scale it down",
}

# Pillow's own raster decoders, by kind: module and class, and the share of the allowed pixels that a file of this kind may
# have. WebP, AVIF and JPEG 2000 need 16, 12 and 24 bytes a pixel in passing, the others 8. Left out are formats that start
# another program (EPS), draw (PDF, WMF), are decoded while they are opened (ICO) or by slow Python (QOI, DDS), and layers (PSD).
KINDS = {
    "JPEG": ("JpegImagePlugin", "JpegImageFile", 1.0),
    "PNG": ("PngImagePlugin", "PngImageFile", 1.0),
    "WebP": ("WebPImagePlugin", "WebPImageFile", 0.625),
    "GIF": ("GifImagePlugin", "GifImageFile", 1.0),
    "BMP": ("BmpImagePlugin", "BmpImageFile", 1.0),
    "TIFF": ("TiffImagePlugin", "TiffImageFile", 1.0),
    "AVIF": ("AvifImagePlugin", "AvifImageFile", 0.75),
    "JPEG 2000": ("Jpeg2KImagePlugin", "Jpeg2KImageFile", 0.375),
    "TGA": ("TgaImagePlugin", "TgaImageFile", 1.0),
    "PPM": ("PpmImagePlugin", "PpmImageFile", 1.0),
}

# What else is met in sets of pictures: how it starts, and its name.
_OTHERS = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"8BPS", "PSD"),
    (b"gimp xcf", "XCF"),
    (b"%PDF", "PDF"),
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"\0\0\1\0", "ICO"),
    (b"icns", "ICNS"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"AT&TFORM", "DjVu"),
    (b"SIMPLE  =", "FITS"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"FUJIFILMCCD-RAW", "camera raw (RAF)"),
    (b"IIU\0", "camera raw (RW2)"),
    (b"IIRO", "camera raw (ORF)"),
    (b"FOVb", "camera raw (X3F)"),
)
_NO_PICTURES = (
    (b"\x1f\x8b", "gzip data"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data"),
    (b"BZh", "bzip2 data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x1a\x45\xdf\xa3", "a video"),
    (b"OggS", "a video or a sound"),
    (b"ID3", "a sound"),
    (b"fLaC", "a sound"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"SQLite format", "a database"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


class BadPicture(Exception):
    """A picture cannot be read. The message says why in one line; `reason` is a key of REASONS."""

    def __init__(self, message: str, reason: str = "damaged") -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def remedy(self) -> str:
        """What to do."""
        return REASONS[self.reason]


@dataclass(frozen=True)
class Stripped:
    """A file of which only those parts are left that make pixels, and what the others said."""

    data: bytes
    exif: bytes = b""
    xmp: bytes = b""
    icc: bytes = b""
    ended: bool = True  # the file has its end
    key: tuple[int, ...] = ()  # the one 16-bit colour that is transparent


def bad_picture(kind: str, error: Exception) -> BadPicture:
    """A plain line for what Pillow raised. Its own words are kept where they are words."""
    lines = str(error).splitlines()
    said = lines[0].strip()[:100] if lines else ""
    reason, line = "damaged", "the file is damaged"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        reason, line = "too large", "the picture is too large"
    elif isinstance(error, EOFError) or re.search("truncated|end of file|not enough", said, re.IGNORECASE):
        reason, line = "truncated", "the file ends early"
    elif re.match("cannot handle|unsupported|unknown|not implemented", said, re.IGNORECASE):
        reason, line = "unknown format", "Pillow cannot read this variant"
    words = f" ({said})" if said and said.isascii() and said.isprintable() and not re.search("<| at 0x", said) else ""
    return BadPicture(f"{kind or 'the file'}: {line}{words}", reason)


@functools.cache
def plugin(kind: str) -> type[ImageFile.ImageFile]:
    """Pillow's class for a kind. It is called without `Image.open`, which would guess, and warn of sizes by a global limit."""
    module, name, _ = KINDS[kind]
    try:
        return getattr(importlib.import_module(f"PIL.{module}"), name)
    except ImportError as e:
        raise BadPicture(
            f"{kind}: this Pillow cannot read it; update Pillow, or convert it to JPEG", "unknown format"
        ) from e


def kind_of(data: bytes) -> str:
    """The key of KINDS that the bytes belong to. Raises BadPicture, which names everything else."""
    head = data[:32]
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith((b"\x89PNG", b"PNG\r\n", b"PNG\n")):
        raise BadPicture("PNG: its first bytes are damaged, as by a copy that took it for a text")
    if head[:4] == b"RIFF":
        if head[8:12] == b"WEBP":
            return "WebP"
        raise BadPicture("a video or a sound (RIFF), not a picture", "not a picture")
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        if head[8:10] == b"CR":
            raise _unread("camera raw (CR2)")
        return "TIFF"
    if head[4:8] == b"ftyp":
        return _kind_of_box(data)
    if head.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")):
        return "JPEG 2000"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124):
        return "BMP"
    if re.match(rb"P[1-6fF]\s", head):
        return "PPM"
    raise_if_named(data)
    # TGA has no mark: its colour map, type and depth must be those of a TGA file.
    mapped = (1, 9) if head[1:2] == b"\1" else (2, 3, 10, 11) if head[1:2] == b"\0" else ()
    if len(head) > 18 and head[2] in mapped and head[16] in (8, 15, 16, 24, 32):
        return "TGA"
    raise BadPicture("the file is no picture of a known format", "not a picture")


def _kind_of_box(data: bytes) -> str:
    """A container whose first box lists brands: AVIF and HEIC share it with videos."""
    size = min(max(int.from_bytes(data[:4], "big"), 16), 512)
    brands = {data[i : i + 4] for i in (8, *range(16, size, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}:
        raise _unread("HEIC")
    if b"crx " in brands:
        raise _unread("camera raw (CR3)")
    raise BadPicture("a video (MP4), not a picture", "not a picture")


def _unread(name: str) -> BadPicture:
    return BadPicture(f"{name}: this format is not read; convert it to JPEG", "unknown format")


def camera_raw() -> BadPicture:
    """A TIFF file whose first picture is a thumbnail: the real one is in a camera's own format."""
    return _unread("camera raw")


def raise_if_named(data: bytes) -> None:
    """Raise BadPicture for an empty file, a text, and what else has a name."""
    if not data:
        raise BadPicture("the file is empty", "empty file")
    if not data[:64].strip(b"\0") and not data.strip(b"\0"):
        raise BadPicture("the file holds nothing but zeros", "empty file")
    for start, name in _OTHERS:
        if data.startswith(start):
            raise _unread(name)
    _raise_if_text(data[:4096])
    for start, name in _NO_PICTURES:
        if data.startswith(start):
            raise BadPicture(f"{name}, not a picture", "not a picture")


def _raise_if_text(head: bytes) -> None:
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = head.decode("utf-16" if wide else "utf-8-sig", "replace").lstrip()
    if (
        any(c < " " and c not in "\t\n\r\f\v\x1b" for c in text[:512])
        or text[:512].count("\ufffd") > len(text[:512]) // 4
    ):
        return  # not a text
    if text.startswith("<"):
        if "<svg" in text.lower():
            raise _unread("SVG")
        raise BadPicture("a web page (HTML or XML), not a picture", "web page")
    if text.startswith(("{", "[")):
        raise BadPicture("a server's message (JSON), not a picture", "web page")
    if text.startswith("version https://git-lfs"):
        raise BadPicture("a pointer of Git LFS, not the picture itself", "text file")
    raise BadPicture("a text, not a picture", "text file")
