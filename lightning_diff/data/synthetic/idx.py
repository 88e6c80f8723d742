"""MNIST's own files: handwritten digits of 28 x 28 pixels in idx format, as LeCun et al. distributed them."""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...config.errors import ConfigError

NAMES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
         "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}  # fmt: skip
SIDE = 28
Digits = dict[str, list[NDArray[np.uint8]]]


def idx_files(folder: Path) -> dict[str, tuple[Path, Path]]:
    """split -> (the file of its pictures, that of its labels). Raises ConfigError if one of them is missing."""
    found = {}
    for split, names in NAMES.items():
        places = []
        for name in names:
            here = [folder / f"{name}{end}" for end in ("", ".gz") if (folder / f"{name}{end}").is_file()]
            if not here:
                what = "no such folder" if not folder.is_dir() else f"{name} is not in it, also not with .gz"
                raise ConfigError(f"{what}; give the folder of MNIST's four idx files")
            places.append(here[0])
        found[split] = (places[0], places[1])
    return found


def _bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as e:
        raise ConfigError(f"{path}: cannot be read ({e}); fetch it again") from e


def _array(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The uint8 array [N, *shape] of an idx file."""
    data, dimensions = _bytes(path), len(shape) + 1
    head = 4 * (dimensions + 1)
    sizes = [int.from_bytes(data[at : at + 4], "big") for at in range(0, head, 4)]
    wanted = [0x800 + dimensions, sizes[1] if len(data) >= head else 0, *shape]
    if sizes != wanted or len(data) != head + int(np.prod(sizes[1:])):
        raise ConfigError(f"{path}: not an idx file of bytes with {'x'.join(map(str, ('N', *shape)))}; fetch it again")
    return np.frombuffer(data, np.uint8, offset=head).reshape(sizes[1:])


@lru_cache(maxsize=2)
def read_digits(folder: Path) -> Digits:
    """split -> the handwritten pictures of each digit, [n, 28, 28], 255 for ink. Raises ConfigError."""
    found: Digits = {}
    for split, (pictures, labels) in idx_files(folder).items():
        images, digits = _array(pictures, (SIDE, SIDE)), _array(labels, ())
        if len(images) != len(digits) or digits.max(initial=0) > 9:
            raise ConfigError(f"{labels}: its labels are not the digits of {pictures.name}; fetch both again")
        found[split] = [images[digits == digit] for digit in range(10)]
        if not all(len(some) for some in found[split]):
            raise ConfigError(f"{labels}: it lacks a digit; every digit from 0 to 9 is drawn")
    return found


@lru_cache(maxsize=2)
def folder_hash(folder: Path) -> str:
    """A hash of the digits in a folder, whatever the folder is called, and whether its files are compressed or not."""
    digest = hashlib.sha256()
    for pair in idx_files(folder).values():
        for path in pair:
            digest.update(_bytes(path))
    return digest.hexdigest()[:12]
