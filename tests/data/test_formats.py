"""Colour profiles are applied where they change what is seen; whatever the bytes, nothing but a BadPicture comes of them."""

from __future__ import annotations

import pickle
import random
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from lightning_diff.data.decode import REASONS, BadPicture, decode
from lightning_diff.data.formats import colour
from tests.cases.picture_files import BASE, enc, exif, one


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def profile(space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", through: bytes = b"XYZ ") -> bytes:
    """A colour profile of these tags."""
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = (
        struct.pack(">I4xI", start + len(body), 0x02400000) + kind + space + through + bytes(12) + b"acsp" + bytes(28)
    )
    return head + fixed(0.9642, 1, 0.8249) + bytes(48) + table + body


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(*values)


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def inks() -> bytes:
    """CMYK: each corner of the cube of inks as a colour of the Lab space."""
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + bytes(range(256)) * 4
    for i in range(16):
        c, m, y, k = i >> 3 & 1, i >> 2 & 1, i >> 1 & 1, i & 1
        light = 255 * (1 - k) * (1 - 0.3 * c - 0.3 * m - 0.05 * y)
        table += bytes([round(light), 128 + (60 * m - 40 * c) * (1 - k), 128 + (60 * y - 40 * c) * (1 - k)])
    return profile(b"CMYK", {b"A2B0": table + bytes(range(256)) * 3, b"wtpt": WHITE_POINT}, b"prtr", b"Lab ")


WHITE_POINT = xyz(0.9642, 1, 0.8249)
P3 = profile(
    b"RGB ",
    {b"wtpt": WHITE_POINT, b"rXYZ": xyz(0.51512, 0.2412, -0.00105), b"gXYZ": xyz(0.29198, 0.69225, 0.04189)}
    | {b"bXYZ": xyz(0.1571, 0.06657, 0.78407)}
    | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(2.2)),
)
LINEAR_GREY = profile(b"GRAY", {b"wtpt": WHITE_POINT, b"kTRC": gamma(1)})
CMYK, SRGB = inks(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FORMS = ["PNG", "JPEG", "WEBP", "TIFF", *(["AVIF"] if features.check("avif") else [])]


def seen(picture: Image.Image, form: str, icc: bytes) -> tuple[int, ...]:
    pixel = decode(enc(picture, form, icc_profile=icc)).picture.getpixel((3, 3))
    assert isinstance(pixel, tuple)
    return pixel


@pytest.mark.parametrize("form", FORMS)
def test_a_profile_of_wide_colours_is_applied_and_others_change_nothing(form: str) -> None:
    plain = np.array(seen(one("RGB", (120, 160, 90)), form, b""))
    wide = np.array(seen(one("RGB", (120, 160, 90)), form, P3))
    assert wide[0] < plain[0] - 5 and wide[2] < plain[2] - 2  # the same numbers mean a more vivid green
    for icc in (SRGB, b"\0" * 300, P3[:200], LINEAR_GREY, CMYK):  # sRGB itself, broken, of other colours
        assert np.abs(np.array(seen(one("RGB", (120, 160, 90)), form, icc)) - plain).max() == 0


def test_profiles_of_grey_of_inks_and_beside_transparency() -> None:
    assert seen(one("L", 55), "PNG", LINEAR_GREY) == pytest.approx((128,) * 3, abs=2)
    assert seen(one("LA", (55, 255)), "PNG", LINEAR_GREY) == pytest.approx((128,) * 3, abs=2)
    assert seen(one("RGBA", (120, 160, 90, 0)), "PNG", P3) == (255, 255, 255)
    for form in ("JPEG", "TIFF"):
        assert seen(one("CMYK", (0, 0, 0, 0)), form, CMYK) == pytest.approx((255,) * 3, abs=3)
        assert seen(one("CMYK", (0, 255, 255, 0)), form, CMYK) != pytest.approx((255, 0, 0), abs=20)


def test_a_picture_that_is_srgb_costs_no_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    seen(BASE, "PNG", SRGB)
    assert colour._transform(SRGB, "RGB") is None
    monkeypatch.setattr(ImageCms, "applyTransform", lambda *_: pytest.fail("converted"))
    found = decode(enc(BASE, "JPEG", icc_profile=SRGB)).picture
    assert found.info == {}  # a profile that is saved with the picture again would be applied twice


def mutated(data: bytes, rng: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at, what = rng.randrange(min(max(len(found), 1), rng.choice((64, 400, 10**9)))), rng.random()
        if what < 0.5 and found:
            found[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif what < 0.65:
            del found[at : at + rng.randrange(1, 20)]
        elif what < 0.8:
            found[at:at] = rng.randbytes(rng.randrange(1, 20))
        elif what < 0.9:
            del found[at + 1 :]
        else:
            found[at : at + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
    return bytes(found)


@pytest.mark.parametrize("form", [*FORMS, "GIF", "BMP", "JPEG2000", "TGA", "PPM"])
def test_bytes_that_are_not_trusted_give_a_picture_or_a_bad_picture(form: str) -> None:
    noise, rng = Image.effect_noise((40, 30), 90).convert("RGB"), random.Random(form)
    whole = [enc(noise, form, icc_profile=P3, exif=exif(6)), enc(noise, form)]
    if form in ("PNG", "GIF", "BMP", "TGA", "TIFF"):
        whole.append(enc(noise.quantize(16), form))
    if form == "JPEG":
        whole += [enc(noise, form, progressive=True), enc(noise.convert("CMYK"), form, restart_marker_rows=1)]
    for _ in range(300):
        try:
            found = decode(mutated(rng.choice(whole), rng), rng.choice((0, 8)))
            assert found.picture.mode == "RGB" and found.square(8).size == (8, 8)
        except BadPicture as e:
            assert e.reason in REASONS and "\n" not in str(e) and "<" not in str(e)
            assert pickle.loads(pickle.dumps(e)).reason == e.reason  # it passes from a worker to the trainer


@pytest.mark.parametrize("form", [*FORMS, "GIF", "BMP", "JPEG2000", "TGA", "PPM"])
def test_no_whole_picture_makes_a_warning(form: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(enc(BASE, form)).picture.size == BASE.size
