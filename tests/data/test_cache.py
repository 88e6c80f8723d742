"""Cached arrays are the same bytes, however many processes made them and whoever of them died; a row is found by its content."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import signal
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from lightning_diff.config.errors import ConfigError
from lightning_diff.data.cached import segments
from lightning_diff.data.cached.cache import BLOCK, cached_arrays, missing_rows
from lightning_diff.data.cached.rows import Rows
from lightning_diff.data.cached.segments import SMALL

COUNT = 9 * BLOCK + 17
MANIFEST = {"of": "numbers"}
Array = np.ndarray
Log = pytest.LogCaptureFixture


def keys_of(numbers: Array) -> Array:
    """A digest of each number, uint8 [N, 16]."""
    return np.array([list(hashlib.sha256(str(n).encode()).digest()[:16]) for n in numbers], np.uint8).reshape(-1, 16)


def computed(numbers: Array) -> Mapping[str, Array]:
    return {"square": (numbers * numbers).astype(np.float32)[:, None], "odd": numbers % 2 == 1}


def cached(
    root: Path, numbers: Array, asked: list[int] | None = None, share: tuple[int, int] = (0, 1), die_at: int = -1
) -> dict[str, Rows]:
    """The cached arrays of these numbers. `asked` is filled with those that were computed."""

    def compute(rows: Array) -> Mapping[str, Array]:
        if rows[0] == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if asked is not None:
            asked.extend(numbers[rows].tolist())
        return computed(numbers[rows])

    return cached_arrays(root, MANIFEST, keys_of(numbers), compute, share=share)


def right(found: Mapping[str, Rows], numbers: Array) -> bool:
    expected = computed(numbers)
    return found.keys() == expected.keys() and all(np.array_equal(found[n][:], a) for n, a in expected.items())


def apart(work: Callable[..., None], *arguments: object) -> multiprocessing.Process:
    process = multiprocessing.Process(target=work, args=arguments)
    process.start()
    return process


def slow(root: Path, numbers: Array) -> None:
    def compute(rows: Array) -> Mapping[str, Array]:
        time.sleep(0.05)
        return computed(numbers[rows])

    cached_arrays(root, MANIFEST, keys_of(numbers), compute)


def one_of(root: Path, numbers: Array, share: tuple[int, int], die_at: int) -> None:
    """One of several processes. The one that has a block to die at dies there; the others are slower than it."""
    dead = root.with_name("dead")

    def compute(rows: Array) -> Mapping[str, Array]:
        if rows[0] == die_at * BLOCK:  # where it begins
            dead.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        while die_at < 0 and not dead.exists():
            time.sleep(0.01)
        return computed(numbers[rows])

    cached_arrays(root, MANIFEST, keys_of(numbers), compute, share=share)


def store(root: Path) -> Path:
    (folder,) = root.iterdir()
    return folder


def contents(root: Path) -> dict[str, str]:
    """The hashes of the files of the only segment."""
    (folder,) = [p for p in store(root).iterdir() if p.is_dir()]
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_processes_of_which_one_is_killed_make_what_one_makes(tmp_path: Path) -> None:
    numbers = np.arange(COUNT)
    assert right(cached(tmp_path / "alone", numbers), numbers)
    workers = [apart(one_of, tmp_path / "many", numbers, (i, 3), die) for i, die in enumerate((-1, 3, -1))]
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, -signal.SIGKILL, 0]
    assert contents(tmp_path / "many") == contents(tmp_path / "alone")


def test_only_what_is_new_is_computed(tmp_path: Path) -> None:
    numbers, draw = np.arange(COUNT), np.random.default_rng(0)
    steps = [
        (numbers, COUNT),
        (numbers, 0),
        (np.insert(numbers, 300, -5), 1),
        (numbers[::3], 0),
        (draw.permutation(numbers), 0),
        (draw.permutation(np.arange(-40, COUNT)), 39),
        (np.array([COUNT + 1]), 1),
    ]
    for some, new in steps:
        asked: list[int] = []
        assert missing_rows(tmp_path, MANIFEST, keys_of(some)) == new
        assert right(cached(tmp_path, some, asked), some) and len(asked) == new
    size = sum(p.stat().st_size for p in store(tmp_path).glob("*/*.npy"))
    assert size <= (COUNT + 41) * (16 + 4 + 1 + 2 * 8) + 4 * 4 * 128  # nothing is stored twice
    assert not list(store(tmp_path).glob("*.blocks"))


def test_equal_contents_are_computed_once(tmp_path: Path) -> None:
    asked: list[int] = []
    numbers = np.array([5, 7, 5, 5, 9, 7])
    assert right(cached(tmp_path, numbers, asked), numbers) and asked == [5, 7, 9]


def test_keys_of_any_bytes_are_told_apart(tmp_path: Path) -> None:
    keys = np.zeros((17, 16), np.uint8)
    keys[np.arange(16), np.arange(16)] = 1  # zeros before, after and alone
    found = cached_arrays(tmp_path, MANIFEST, keys, lambda rows: {"row": rows})
    assert found["row"][:].tolist() == list(range(17))
    again = cached_arrays(tmp_path, MANIFEST, keys[::-1], lambda rows: pytest.fail("computed again"))
    assert again["row"][:].tolist() == list(range(16, -1, -1))
    text = np.array([k.tobytes() for k in keys], "S16")
    assert np.array_equal(cached_arrays(tmp_path, MANIFEST, text, computed)["row"][:], found["row"][:])


def test_what_a_killed_process_computed_serves_another_set(tmp_path: Path) -> None:
    numbers = np.arange(COUNT)
    process = apart(cached, tmp_path, numbers, None, (0, 1), 5 * BLOCK)
    process.join()
    assert process.exitcode == -signal.SIGKILL and list(store(tmp_path).glob("*.blocks"))
    more, asked = np.insert(numbers, 0, -1), list[int]()
    assert right(cached(tmp_path, more, asked), more)
    assert sorted(asked) == [-1, *range(5 * BLOCK, COUNT)] and not list(store(tmp_path).glob("*.blocks"))


def test_the_same_set_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    numbers = np.arange(COUNT)
    apart(cached, tmp_path / "killed", numbers, None, (0, 1), 5 * BLOCK).join()
    asked: list[int] = []
    cached(tmp_path / "killed", numbers, asked)
    cached(tmp_path / "alone", numbers)
    assert asked == list(range(5 * BLOCK, COUNT)) and contents(tmp_path / "killed") == contents(tmp_path / "alone")


def test_unlike_sets_are_computed_side_by_side(tmp_path: Path) -> None:
    sets = [np.arange(COUNT), np.arange(BLOCK, COUNT + 300)[::-1], np.arange(0, COUNT, 2)]
    workers = [apart(slow, tmp_path, numbers) for numbers in sets]
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0, 0]
    for numbers in sets:
        asked: list[int] = []
        assert right(cached(tmp_path, numbers, asked), numbers) and not asked


def flip(path: Path, at: int = -300) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 255
    path.write_bytes(data)


@pytest.mark.parametrize("how", [lambda p: flip(p), lambda p: os.truncate(p, 900), lambda p: p.write_bytes(b"")])
@pytest.mark.parametrize("other", [False, True])
def test_a_damaged_block_is_computed_again(
    tmp_path: Path, how: Callable[[Path], object], other: bool, caplog: Log
) -> None:
    numbers = np.arange(COUNT)
    apart(cached, tmp_path, numbers, None, (0, 1), 5 * BLOCK).join()
    how(next(store(tmp_path).glob("*.blocks/*2.npz")))
    some, asked = numbers[::-1] if other else numbers, list[int]()
    assert right(cached(tmp_path, some, asked), some) and "damaged" in caplog.text
    assert sorted(asked) == [*range(2 * BLOCK, 3 * BLOCK), *range(5 * BLOCK, COUNT)]


@pytest.mark.parametrize("name", ["keys", "odd", "square"])
def test_a_damaged_segment_is_computed_again(tmp_path: Path, name: str) -> None:
    numbers = np.arange(COUNT)
    for how in (lambda p: os.truncate(p, 2000), lambda p: p.unlink(), lambda p: p.write_bytes(b"\x80\x04N.")):
        cached(tmp_path, numbers)
        how(next(store(tmp_path).glob(f"*/{name}.npy")))
        asked: list[int] = []
        assert right(cached(tmp_path, numbers, asked), numbers) and asked == numbers.tolist()


def test_large_arrays_are_mapped_and_small_ones_leave_no_file_open(tmp_path: Path) -> None:
    wide = SMALL // 2 // 4

    def compute(rows: Array) -> Mapping[str, Array]:
        return {"wide": np.repeat(rows.astype(np.float32)[:, None], wide, 1)}

    large = cached_arrays(tmp_path, MANIFEST, keys_of(np.arange(3)), compute)["wide"]
    both = cached_arrays(tmp_path, MANIFEST, keys_of(np.arange(4)), lambda rows: compute(rows))["wide"]
    assert isinstance(large.parts[0], np.memmap) and sorted(isinstance(p, np.memmap) for p in both.parts) == [
        False,
        True,
    ]
    assert both[[3, 0, 2]][:, 5].tolist() == [3, 0, 2] and both.shape == (4, wide)


@pytest.mark.parametrize("text", ["{}", "", '{"of": "other"}', "[" * 100_000])
def test_a_damaged_manifest_is_written_again(tmp_path: Path, text: str) -> None:
    numbers, asked = np.arange(3), list[int]()
    cached(tmp_path, numbers)
    before = (store(tmp_path) / "manifest.json").read_text()
    (store(tmp_path) / "manifest.json").write_text(text)
    assert right(cached(tmp_path, numbers, asked), numbers) and not asked
    assert (store(tmp_path) / "manifest.json").read_text() == before


@pytest.mark.parametrize("checked", [2**30, 0], ids=["small", "large"])
@pytest.mark.parametrize("name", ["square", "odd"])
def test_a_row_that_is_damaged_is_computed_again_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, checked: int
) -> None:
    monkeypatch.setattr(segments, "SMALL", 0)
    monkeypatch.setattr(segments, "CHECKED", checked)
    numbers, asked = np.arange(COUNT), list[int]()
    cached(tmp_path, numbers)
    (file,) = store(tmp_path).glob(f"*/{name}.npy")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1  # the last row
    file.write_bytes(data)
    found = cached(tmp_path, numbers, asked)
    if not checked:  # it is found when it is read; the same command goes on
        assert right({n: rows.take(numbers[:-1]) for n, rows in found.items()}, numbers[:-1])
        with pytest.raises(ConfigError, match=rf"{name}.npy: 1 of its rows are damaged; the same command"):
            found[name][:]
        found = cached(tmp_path, numbers, asked)
    assert right(found, numbers) and asked == [COUNT - 1]
    assert right(cached(tmp_path, numbers, asked), numbers) and asked == [COUNT - 1]


def test_an_older_segment_without_sums_is_read(tmp_path: Path) -> None:
    numbers, asked = np.arange(COUNT), list[int]()
    cached(tmp_path, numbers)
    (sums,) = store(tmp_path).glob("*/sums.npy")
    sums.unlink()
    shapes = sums.with_name("shapes.json")
    shapes.write_text(
        json.dumps({n: v for n, v in json.loads(shapes.read_text()).items() if n not in ("sums", "crc32")})
    )
    assert right(cached(tmp_path, numbers, asked), numbers) and not asked


def test_an_older_segment_with_sums_of_another_kind_is_read_and_checked(tmp_path: Path) -> None:
    """Its rows have CRC-32, uint32."""
    numbers, asked = np.arange(COUNT), list[int]()
    cached(tmp_path, numbers)
    (file,) = store(tmp_path).glob("*/sums.npy")
    arrays = {p.stem: np.load(p) for p in file.parent.glob("*.npy")}
    assert arrays["sums"].dtype == np.uint64
    arrays["sums"] = np.stack([segments.row_sums(arrays[n], np.uint32) for n in segments.summed(arrays)], axis=1)
    for row in (0, COUNT - 1):
        assert arrays["sums"][row, 0] == zlib.crc32(arrays[segments.summed(arrays)[0]][row].tobytes())
    np.save(file, arrays["sums"])
    (file.parent / "shapes.json").write_text(segments.description(arrays))
    assert right(cached(tmp_path, numbers, asked), numbers) and not asked
    rows = file.with_name(f"{segments.summed(arrays)[0]}.npy")
    data = bytearray(rows.read_bytes())
    data[-1] ^= 1  # the last row
    rows.write_bytes(data)
    assert right(cached(tmp_path, numbers, asked), numbers) and asked == [COUNT - 1]


def test_rows_are_picked_as_from_one_array() -> None:
    whole, draw = np.arange(60).reshape(20, 3), np.random.default_rng(1)
    order = draw.permutation(20)
    parts = [whole[order[:5]], whole[order[5:]]]
    where = np.array([(0, i) if i < 5 else (1, i - 5) for i in np.argsort(order)])
    rows = Rows(parts, where)
    assert rows.shape == whole.shape and rows.dtype == whole.dtype and len(rows) == 20
    for some in ([3, 3, 19], np.array([0]), slice(2, 9), draw.permutation(20)):
        assert np.array_equal(rows[some], whole[some]) and np.array_equal(
            rows.take(np.arange(20)[some])[:], whole[some]
        )


def test_a_full_disk_is_an_error_and_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The room of an array is taken before its memory map is written to. What was computed stays, and is joined later."""
    numbers, asked = np.arange(BLOCK + 3), list[int]()

    def full(handle: int, offset: int, size: int) -> None:
        assert offset == 0 and size == os.fstat(handle).st_size > 0
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as m, pytest.raises(OSError, match=r"No space left on device: '.*[.]npy'"):
        m.setattr(os, "posix_fallocate", full)
        cached(tmp_path, numbers, asked)
    assert len(asked) == len(numbers) and not list(tmp_path.rglob("*.npy"))
    assert right(cached(tmp_path, numbers, asked), numbers) and len(asked) == len(numbers)
