"""Shards in an object store that fails: python -m tests.faults.object_store --moto PYTHON

PYTHON is a Python that has moto[server]. Its S3 server runs on this machine, behind a door that answers requests for shards with
500 and 503, cuts bodies off, lets them stall, and changes tags. Three epochs in nine buckets, with a cache of two blocks: the
batches must be those of the local set, the cache must keep its bound, and no file of another may be deleted. Without faults,
each shard is fetched once an epoch.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from lightning_diff.config.errors import ConfigError
from lightning_diff.data.dataset import pictures
from lightning_diff.data.order import Batches
from lightning_diff.data.remote import ahead, cache, objects, transport
from lightning_diff.data.sources.shards import Shards
from tests.cases.eye import encoded, tar
from tests.data.shard_server import Handler, Quiet, taken

SHARDS, EACH, BATCH, EPOCHS, BLOCK = 24, 10, 4, 3, 6  # BLOCK: shards
SIZES = [(40, 40), (48, 24), (24, 48), (44, 34), (34, 44), (48, 30), (30, 48)]
FAULTS = (500, 503, "cut", "stall")


def write_set(folder: Path) -> int:
    """Shards of one size. Returns it."""
    for n in range(SHARDS):
        members: list[tuple[str, object]] = []
        for i in range(EACH):
            picture = encoded((n * 9 % 256, i * 20 % 256, 7), "PNG", SIZES[(i * 5 + n) % len(SIZES)])
            members += [(f"{n}-{i}.png", picture), (f"{n}-{i}.txt", f"picture {i} of {n}")]
        tar(folder / f"{n:03d}.tar", [*members, ("rest.bin", os.urandom(60_000))])
    return max(path.stat().st_size for path in folder.iterdir())


def source(place: str, **more: Any) -> Shards:
    cuts: dict[str, Any] = {"buckets": 9, "order": "blocks", "block": BLOCK * EACH, "check": "headers"}
    return Shards(image_size=32, source=place, test="none", features="online", **cuts, **more)


def batches(some: Shards, scratch: Path) -> list[str]:
    """A hash of each batch of three epochs."""
    train = pictures(some, scratch, "train", framing=some.framing(0))
    assert train is not None
    order: Any = train.order(BATCH, 0)
    steps, found = int(order.blocks.epoch(EPOCHS - 1).steps[-1]), []
    for places in ahead.Ahead(Batches(order, steps), train.index):
        batch = train.__getitems__(places)
        found.append(hashlib.sha256(batch.images.numpy().tobytes() + "".join(batch.captions).encode()).hexdigest())
    return found


class Door:
    """Passes requests on to a server, and spoils the answers with the bodies of shards with the given chance."""

    def __init__(self, port: int, chance: float) -> None:
        self.chance, self.random, self.gets = chance, random.Random(0), Counter[str]()
        self.spoilt: Counter[str] = Counter()
        self.tag = ""  # takes the place of the tags of all shards
        door = self

        class Passing(Handler):
            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                back = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                back.request(self.command, self.path, headers=dict(self.headers.items()))
                answer = back.getresponse()
                body, name = answer.read(), self.path.partition("?")[0].rpartition("/")[2]
                shard = name.endswith(".tar") and self.command == "GET"
                spoil = door.random.random() < door.chance if shard else False
                fault = door.random.choice(FAULTS) if spoil else None
                door.gets[name] += shard
                if fault:
                    door.spoilt[str(fault)] += 1
                if isinstance(fault, int):
                    self.send_response(fault)
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                self.send_response_only(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(key, door.tag if door.tag and key.lower() == "etag" else value)
                self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if fault else body)
                self.wfile.flush()
                if fault == "stall":
                    time.sleep(3)
                self.close_connection = fault is not None
                back.close()

        self.http = Quiet(("127.0.0.1", 0), Passing)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{self.http.server_address[1]}"


def upload(folder: Path, port: int) -> None:
    def put(path: str, data: bytes) -> None:
        back = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        # moto finds the service by the header, and does not check the signature
        signed = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        back.request("PUT", path, data, {"Authorization": signed})
        assert back.getresponse().status == 200

    put("/bucket", b"")
    for path in sorted(folder.iterdir()):
        put(f"/bucket/{path.name}", path.read_bytes())


def trial(root: Path, port: int, chance: float, size: int, right: list[str]) -> list[str]:
    """What is wrong with a training from a store of which this share of the answers is spoilt."""
    door, kept, most = Door(port, chance), root / f"kept-{chance}", 2 * BLOCK * size
    kept.mkdir()
    (kept / "mine.tar").write_bytes(b"mine")
    held, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.005):
            held[0] = max(held[0], taken(kept) - 4)

    threading.Thread(target=watch, daemon=True).start()
    some = source("s3://bucket/*.tar", cache_gb=most / 1e9, cache_folder=str(kept))
    some.prepare(root / f"made-{chance}")
    door.gets.clear()
    found = batches(some, root / f"made-{chance}")
    stop.set()
    fetched = max(door.gets.values())
    said = [] if found == right else ["other batches"]
    said += [f"the cache held {held[0]:,} of {most:,} bytes"] if held[0] > most else []
    said += [] if (kept / "mine.tar").read_bytes() == b"mine" else ["a foreign file is gone"]
    said += [f"a shard was asked for {fetched} times in {EPOCHS} epochs"] if not chance and fetched > EPOCHS else []
    same = sum(a == b for a, b in zip(found, right, strict=True))
    print(
        f"chance of a fault {chance}: {same} of {len(right)} batches as local; at most {held[0]:,} of {most:,} bytes; "
        f"{sum(door.gets.values())} requests, at most {fetched} of one shard; faults {dict(door.spoilt)}",
        flush=True,
    )
    door.tag = '"another"'
    changed = source("s3://bucket/*.tar", cache_gb=most / 1e9, cache_folder=str(kept))
    try:
        batches(changed, root / f"made-{chance}")
        said.append("a changed tag is not seen")
    except ConfigError as e:
        print(f"another tag: {e}", flush=True)
    door.http.shutdown()
    return said


def main(moto: str, place: Path | None = None) -> int:
    os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    transport.FIRST, transport.LONGEST, objects.STALL, cache.GRACE = 0.01, 0.1, 10.0, 0.05
    root = Path(tempfile.mkdtemp(prefix="store-", dir=place))
    size = write_set(root / "set")
    right = batches(source(str(root / "set")), root / "local")
    with Quiet(("127.0.0.1", 0), Handler) as free:
        port = free.server_address[1]
    command = [moto, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                http.client.HTTPConnection("127.0.0.1", port).request("GET", "/")
                break
            except OSError:
                time.sleep(0.1)
        upload(root / "set", port)
        bad = [line for chance in (0.0, 0.3) for line in trial(root, port, chance, size, right)]
    finally:
        server.terminate()
        server.wait()
    print("\n".join(bad) or "nothing is wrong", flush=True)
    return len(bad)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moto", default=sys.executable, help="a Python that has moto[server]")
    parser.add_argument("--place", type=Path, help="an existing folder, in which a new one is made")
    arguments = parser.parse_args()
    sys.exit(min(1, main(arguments.moto, arguments.place)))
