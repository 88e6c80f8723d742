"""From tars of JPEGs to batches: python benchmarks/data.py [--quick] [--json FILE] [--peer NAME=PYTHON ...] [--repeats N]

Samples for each CPU second of all processes, from shards of 256-px and 512-px JPEGs to batches uint8 [64, 3, 256, 256] with
captions, with 0 and 2 workers, beside webdataset, webshart, litdata and mosaicml-streaming. Each peer decodes as its
documentation shows (`theirs`), and once more with our decoder (`ours`). CPU seconds do not count others on the machine;
the wall's rates are in the file too. This project and a peer take turns, each time in a new process; the ratio is the median of
five pairs (--repeats), of 1,024 pictures (--each 128).

--peer litdata=/tmp/litdata/bin/python runs a peer in an environment of its own, which needs torch, torchvision and Pillow beside
it, and this project's packages for the rows with our decoder. A peer that its Python cannot import is left out by name. Litdata
and mosaicml-streaming read formats of their own, written before the clock starts.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[0] = str(ROOT)  # in place of this folder, which has modules of common names

import numpy as np  # noqa: E402

SIZE, BATCH, SHARDS, REPEATS = 256, 64, 8, 5
PEERS = {"webdataset": "webdataset", "webshart": "webshart", "litdata": "litdata", "mosaicml-streaming": "streaming"}
MARKED = "picture 5 of shard 3"  # whose pixels are compared
Batches = Iterable[tuple[Any, list[str]]]


def write_set(place: Path, side: int, each: int) -> None:
    """Shards of `each` JPEGs, side x side pixels: soft shapes with grain, as large as photographs of this size."""
    from PIL import Image

    rng = np.random.default_rng(0)
    place.mkdir(parents=True)
    for n in range(SHARDS):
        with tarfile.open(place / f"{n:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as out:
            for i in range(each):
                soft = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize((side, side), Image.BICUBIC)
                grain = np.asarray(soft, np.int16) + rng.normal(0, 7, (side, side, 1)).astype(np.int16)
                jpeg = io.BytesIO()
                Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(jpeg, "JPEG", quality=85)
                caption = f"picture {i} of shard {n}"
                key = f"{n:05d}{i:04d}"
                for name, data in (
                    (f"{key}.jpg", jpeg.getvalue()),
                    (f"{key}.txt", caption.encode()),
                    (f"{key}.json", json.dumps({"caption": caption, "key": key}).encode()),
                ):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    out.addfile(info, io.BytesIO(data))


def samples_of(tars: Path) -> Iterator[tuple[bytes, str]]:
    for path in sorted(tars.glob("*.tar")):
        with tarfile.open(path) as tar:
            found = {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}  # type: ignore[union-attr]
        for name in found:
            if name.endswith(".jpg"):
                yield found[name], found[f"{name[:-4]}.txt"].decode()


def by_pil(picture: Any) -> Any:
    """What the peers' documentation does with a PIL picture: torchvision's transforms."""
    from torchvision.transforms import v2

    return v2.functional.pil_to_tensor(v2.functional.center_crop(v2.functional.resize(picture, SIZE), [SIZE, SIZE]))


def by_ours(data: bytes) -> Any:
    import torch

    from lightning_diff.data.pixels import square_of

    # Contiguous, for what stacks pictures to a batch; numpy does it in half of the time that torch takes.
    return torch.from_numpy(np.ascontiguousarray(square_of(data, SIZE).numpy()))


def opened(data: bytes) -> Any:
    from PIL import Image

    return by_pil(Image.open(io.BytesIO(data)).convert("RGB"))


def decoder(ours: bool) -> Callable[[bytes], Any]:
    return by_ours if ours else opened


def here(tars: Path, scratch: Path, workers: int, ours: bool) -> Batches:
    """This project: the index is there, the order in blocks, each batch in a worker."""
    from torch.utils.data import DataLoader

    from lightning_diff.data.dataset import collate, pictures
    from lightning_diff.data.order import Batches as Steps
    from lightning_diff.data.sources.shards import Shards

    source = Shards(image_size=SIZE, source=str(tars), test="none", order="blocks")
    train = pictures(source, scratch / "cache", "train")
    assert train is not None
    steps = Steps(train.order(BATCH, 0), len(train) // BATCH)
    loader: Any = DataLoader(train, batch_sampler=steps, num_workers=workers, collate_fn=collate)
    return ((batch.images, batch.captions) for batch in loader)


def webdataset(tars: Path, scratch: Path, workers: int, ours: bool) -> Batches:
    import webdataset as wds

    paths = sorted(map(str, tars.glob("*.tar")))
    some = wds.WebDataset(paths, shardshuffle=len(paths), seed=0).shuffle(1000)
    some = some.to_tuple("jpg", "txt") if ours else some.decode("pil").to_tuple("jpg", "txt")
    made = some.map_tuple(by_ours if ours else by_pil, lambda t: t.decode() if isinstance(t, bytes) else t)
    loader: Any = wds.WebLoader(made.batched(BATCH, partial=True), batch_size=None, num_workers=workers)
    return ((images, captions) for images, captions in loader)


class Rows:
    """Rows of webshart's loader as a dataset for torch's DataLoader, as in its examples/dataloader.py."""

    def __init__(self, tars: Path, decode: Callable[[bytes], Any]) -> None:
        self.tars, self.decode, self.loader = tars, decode, None
        import webshart

        known = webshart.discover_dataset(str(tars))
        self.places = [
            (n, i)
            for n in range(known.num_shards)
            for i, name in enumerate(known.list_samples_in_shard(n))
            if name.endswith(".jpg")  # to it, a text is a sample
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, n: int) -> tuple[Any, str]:
        if self.loader is None:  # its runtime does not survive a fork
            import webshart

            self.loader = webshart.TarDataLoader(webshart.discover_dataset(str(self.tars)))
        entry = self.loader.load_sample(*self.places[n])  # type: ignore[attr-defined]
        said = entry.captions or entry.json_metadata["caption"]
        return self.decode(bytes(entry.data)), said if isinstance(said, str) else said[0]


def webshart(tars: Path, scratch: Path, workers: int, ours: bool) -> Batches:
    """In the order of the shards: it does not shuffle."""
    from torch.utils.data import DataLoader

    copy = scratch / "webshart"
    if not copy.is_dir():
        import webshart as peer

        copy.mkdir()
        for path in tars.glob("*.tar"):
            (copy / path.name).hardlink_to(path)
        peer.MetadataExtractor().extract_metadata(source=str(copy), destination=str(copy), max_workers=1)
    loader: Any = DataLoader(Rows(copy, decoder(ours)), BATCH, num_workers=workers)  # type: ignore[arg-type]
    return ((images, list(captions)) for images, captions in loader)


def litdata_row(sample: tuple[bytes, str]) -> dict[str, Any]:
    return {"image": sample[0], "caption": sample[1]}


def litdata(tars: Path, scratch: Path, workers: int, ours: bool) -> Batches:
    import litdata as peer

    place = scratch / "litdata"
    if not place.is_dir():
        rows = list(samples_of(tars))
        peer.optimize(fn=litdata_row, inputs=rows, output_dir=str(place), chunk_bytes="64MB", num_workers=1)
    decode = decoder(ours)

    class Decoded(peer.StreamingDataset):  # type: ignore[misc, name-defined]
        def __getitem__(self, index: Any) -> Any:
            row = super().__getitem__(index)
            return decode(row["image"]), row["caption"]

    some = Decoded(str(place), shuffle=True, seed=0)
    loader = peer.StreamingDataLoader(some, batch_size=BATCH, num_workers=workers)
    return ((images, list(captions)) for images, captions in loader)


def streaming(tars: Path, scratch: Path, workers: int, ours: bool) -> Batches:
    import streaming as peer
    from torch.utils.data import DataLoader

    place = scratch / "streaming"
    if not place.is_dir():
        with peer.MDSWriter(out=str(place), columns={"image": "bytes", "caption": "str"}, size_limit="64mb") as out:
            for data, caption in samples_of(tars):
                out.write({"image": data, "caption": caption})
    peer.base.util.clean_stale_shared_memory()
    decode = decoder(ours)

    class Decoded(peer.StreamingDataset):  # type: ignore[misc, name-defined]
        def __getitem__(self, at: int) -> Any:
            row = super().__getitem__(at)
            return decode(row["image"]), row["caption"]

    some = Decoded(local=str(place), shuffle=True, shuffle_seed=0, batch_size=BATCH)
    loader: Any = DataLoader(some, BATCH, num_workers=workers)
    return ((images, list(captions)) for images, captions in loader)


LOADERS = {
    "here": here,
    "webdataset": webdataset,
    "webshart": webshart,
    "litdata": litdata,
    "mosaicml-streaming": streaming,
}


def used() -> float:
    """CPU seconds of this process and of those of its children that have ended."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in found)


def measured(name: str, tars: Path, scratch: Path, workers: int, ours: bool) -> dict[str, Any]:
    """Rates of one loader in this process: it reads the whole set three times, the first time to get warm."""
    import torch

    # Here, so that workers, which are forks, do not import it again in each turn.
    import_module("lightning_diff.data.pixels" if ours else "torchvision.transforms.v2")
    torch.set_num_threads(1)
    rates, walls = [], []
    for turn in range(3):
        batches = LOADERS[name](tars, scratch, workers, ours)
        cpu, wall, count = used(), time.perf_counter(), 0
        for images, captions in batches:
            assert images.dtype == torch.uint8 and tuple(images.shape[1:]) == (3, SIZE, SIZE)
            count += len(captions)
            if MARKED in captions:
                np.save(scratch / f"{name}.npy", images[captions.index(MARKED)].numpy())
        del batches  # the workers end, so that their seconds count
        if turn:
            rates.append(count / (used() - cpu))
            walls.append(count / (time.perf_counter() - wall))
    return {"cpu": statistics.median(rates), "wall": statistics.median(walls), "count": count}


@cache
def imported(module: str, python: str) -> bool:
    return not subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode


def apart(name: str, python: str, *words: Any) -> dict[str, Any] | None:
    """`measured` in another Python; None if that cannot import what it needs."""
    module = PEERS.get(name)
    if module and not imported(module, python):
        return None
    command = [python, __file__, "--measure", json.dumps([name, *map(str, words)])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    if found.returncode:
        print(f"{name}: {(found.stderr.strip().splitlines() or ['no word'])[-1][:200]}", flush=True)
        return None
    return json.loads(found.stdout.splitlines()[-1])


def version(name: str, python: str) -> str:
    words = f"import {PEERS[name]} as peer; print(getattr(peer, '__version__', 'unknown'))"
    return subprocess.run([python, "-c", words], capture_output=True, text=True).stdout.strip() or "not there"


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return float("inf") if not error else float(10 * np.log10(255**2 / error))


def rows_of(
    root: Path, side: int, workers: int, pythons: dict[str, str], each: int, repeats: int
) -> Iterator[dict[str, Any]]:
    """A row for each peer and decoder, beside this project."""
    tars = root / f"{side}"
    if not tars.is_dir():
        write_set(tars, side, each)
    case = f"{side} px, {workers} workers"
    for name in PEERS:
        for decoded in ("theirs", "ours"):
            place = _scratch(root, side)
            turns: dict[str, list[dict[str, Any]]] = {"here": [], name: []}
            for who, its in [(name, decoded == "ours"), ("here", True)] * repeats:
                found = apart(who, pythons.get(who, sys.executable), tars, place, workers, its)
                if found is None:
                    assert who == name
                    break
                turns[who].append(found)
            if not turns["here"]:
                print(f"{case}: {name}, {decoded}: left out, it does not run in {pythons.get(name, sys.executable)}")
                continue
            here, peer = ({k: statistics.median(r[k] for r in turns[who]) for k in ("cpu", "wall")} for who in turns)
            same = psnr(np.load(place / f"{name}.npy"), np.load(place / "here.npy"))
            ratio = statistics.median(a["cpu"] / b["cpu"] for a, b in zip(*turns.values(), strict=True))
            print(
                f"{case}: here {here['cpu']:7,.0f}, {name} with {decoded:6} decoder {peer['cpu']:7,.0f} samples/s a core: "
                f"{ratio:.2f} x; pixels {same:.1f} dB",
                flush=True,
            )
            yield {
                "case": f"{case}, decoder {decoded}",
                "unit": "samples/s of CPU",
                "here": here["cpu"],
                "peer": peer["cpu"],
                "peer_name": name,
                "ratio": ratio,
                "wall": {"here": here["wall"], "peer": peer["wall"]},
                "psnr": None if np.isinf(same) else same,
            }


def _scratch(root: Path, side: int) -> Path:
    place = root / f"scratch-{side}"
    place.mkdir(exist_ok=True)
    return place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--each", type=int, default=128, help="pictures of each of the 8 shards")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--peer", action="append", default=[], help="NAME=PYTHON")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        name, tars, scratch, workers, ours = json.loads(given.measure)
        found = measured(name, Path(tars), Path(scratch), int(workers), ours == "True")
        print(json.dumps(found))
        return
    pythons = dict(one.split("=", 1) for one in given.peer)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as root:
        cases = [(SIZE, 0)] if given.quick else [(side, workers) for side in (256, 512) for workers in (0, 2)]
        each, repeats = (16, 1) if given.quick else (given.each, given.repeats)
        rows = [row for case in cases for row in rows_of(Path(root), *case, pythons, each, repeats)]
    versions = {name: version(name, pythons.get(name, sys.executable)) for name in PEERS}
    facts = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "repeats": repeats,
        "pictures": SHARDS * each,
    }
    passport = {**facts, **versions, "load before": load, "load after": os.getloadavg()[0]}
    if given.json:
        given.json.write_text(json.dumps({"passport": passport, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
