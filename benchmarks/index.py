"""The index of shards: python benchmarks/index.py [--quick] [--json FILE]

Samples for each CPU second, from shards of small members (a JPEG, a text and a record each) to an index with checked captions: of
headers alone (data.check=headers), of a set that is read through without decoding, and with it (data.check=pictures). Bytes on
the disk without keys, and anonymous memory that the process grew by, for each sample. Medians of five; the shards are in the
page cache.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402

SHARDS, EACH, REPEATS = 4, 10_000, 5
KINDS = ("headers", "read through", "decoded")


def write_set(place: Path, shards: int, each: int) -> None:
    from PIL import Image

    rng, jpegs = np.random.default_rng(0), []
    for _ in range(64):
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((32, 24)).save(out, "JPEG", quality=90)
        jpegs.append(out.getvalue())
    for n in range(shards):
        with tarfile.open(place / f"{n:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as out_tar:
            for i in range(each):
                caption = f"number {i} of shard {n}, a house beside a tree in the evening"
                record = json.dumps({"caption": caption, "key": f"{n:05d}{i:04d}", "status": "success"})
                members = {"jpg": jpegs[(7 * i + n) % 64], "json": record.encode(), "txt": caption.encode()}
                for ending, data in members.items():
                    info = tarfile.TarInfo(f"{n:05d}{i:04d}.{ending}")
                    info.size = len(data)
                    out_tar.addfile(info, io.BytesIO(data))


def anonymous() -> int:
    """Bytes of memory of this process that no file backs."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


def measured(kind: str, tars: Path, cache: Path, repeats: int) -> dict[str, float]:
    """An index that is made, or opened by the process after that; then it is used."""
    from lightning_diff.data.headers.index import header_index
    from lightning_diff.data.index import Index, build_index
    from lightning_diff.data.survey import Reading

    shards = sorted(tars.glob("*.tar"))
    how = Reading(decode=kind == "decoded")

    def made(cache: Path) -> Index:
        return header_index(shards, cache, how) if kind == "headers" else build_index(shards, cache, how)

    seconds = []
    for turn in range(repeats - 1):  # the last one stays for the process that opens it
        begin = time.process_time()
        made(cache.with_name(f"{cache.name}-{turn}"))
        seconds.append(time.process_time() - begin)
    before, begin = anonymous(), time.process_time()
    index = made(cache)
    seconds.append(time.process_time() - begin)
    count = len(index)
    names = [index.name(i) for i in range(0, count, 997)]
    grown = anonymous() - before
    files = sum(path.stat().st_size for path in cache.rglob("*") if path.suffix in (".heads", ".npz"))
    each = (
        4 + len(names[0]) if kind == "headers" else 2 * 4 * len(names[0])
    )  # of a key: with its place; UCS-4, in two files
    return {
        "rate": count / statistics.median(seconds),
        "disk": files / count - each,
        "memory": grown / count,
        "count": count,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--each", type=int, default=EACH, help="samples of a shard")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        kind, tars, cache, turns = given.measure
        print(json.dumps(measured(kind, Path(tars), Path(cache), int(turns))))
        return
    load = os.getloadavg()[0]
    shards, each, repeats = (2, 500, 1) if given.quick else (SHARDS, given.each, REPEATS)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as root:
        tars = Path(root, "set")
        tars.mkdir()
        write_set(tars, shards, each)
        for kind in KINDS:
            said = []
            for turns in (1 if kind == "decoded" else repeats, 1):  # made, and then opened by another process
                words = [sys.executable, __file__, "--measure", kind, str(tars), str(Path(root, kind)), str(turns)]
                run = subprocess.run(words, capture_output=True, text=True, check=True)
                said.append(json.loads(run.stdout.splitlines()[-1]))
            row = {**said[0], "memory": said[1]["memory"]}
            rows.append({"case": kind, **row})
            print(
                f"{kind:14}{row['rate']:10,.0f} samples/s a core{row['disk']:8.1f} B on disk without keys"
                f"{row['memory']:8.1f} B of anonymous memory a sample",
                flush=True,
            )
    if given.json:
        facts = {"python": platform.python_version(), "numpy": np.__version__, "cores": os.cpu_count()}
        passport = {**facts, "repeats": repeats, "load before": load, "load after": os.getloadavg()[0]}
        given.json.write_text(json.dumps({"passport": passport, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
