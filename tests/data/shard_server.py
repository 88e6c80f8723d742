"""A web server of shards on this machine, which can answer as bad servers do. It counts what it sends."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open, and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    """A client that goes away is no error."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class ShardServer:
    """Serves the files of a folder, also as a bucket of an object store. `faults` are used up one by one by the requests for
    bytes of a file: a status, "cut" (half of the body), "stall" (half, then nothing), "whole" (ranges are not known). `gate`:
    requests for bytes wait for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: dict[str, list[Any]] = {}
        self.tags: dict[str, str] = {}
        self.gets: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.ranges: list[tuple[str, str]] = []
        self.seen: list[dict[str, str]] = []
        self.moved = ""  # where all requests are sent on to
        self.heads = True
        self.gate = threading.Event()
        self.gate.set()
        self.now = self.most = 0  # requests for bytes at once
        self.lock = threading.Lock()
        server = self

        class Answering(Handler):
            def do_HEAD(self) -> None:
                server.answer(self, False)

            def do_GET(self) -> None:
                server.answer(self, True)

        self.http = Quiet(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.gate.set()
        self.http.shutdown()
        self.http.server_close()

    def tag(self, name: str) -> str:
        return self.tags.get(name) or f'"{md5((self.folder / name).read_bytes()).hexdigest()}"'

    def answer(self, to: BaseHTTPRequestHandler, body: bool) -> None:
        path, _, query = to.path.partition("?")
        name = path.strip("/").removeprefix("bucket").strip("/")
        self.seen.append(dict(to.headers.items()))
        if self.moved:
            return self.plain(to, 302, {"Location": f"{self.moved}{to.path}"})
        if "list-type=2" in query:
            return self.listing(to)
        file = self.folder / name
        if not file.is_file():
            return self.plain(to, 404)
        if not body:
            if not self.heads:
                return self.plain(to, 405)
            size = file.stat().st_size
            return self.plain(to, 200, {"Content-Length": str(size), "ETag": self.tag(name), **DATES})
        with self.lock:
            self.gets[name] += 1
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            self.gate.wait(30)
            self.send(to, name, file.read_bytes())
        finally:
            with self.lock:
                self.now -= 1

    def send(self, to: BaseHTTPRequestHandler, name: str, data: bytes) -> None:
        some = self.faults.get(name, [])
        fault = some.pop(0) if some else None
        if isinstance(fault, int):
            return self.plain(to, fault, {"Retry-After": "0"})
        wanted, whole = to.headers.get("Range", ""), len(data)
        first, last = 0, whole - 1
        if wanted and fault != "whole":
            begin, _, end = wanted.removeprefix("bytes=").partition("-")
            first, last = int(begin), min(int(end) if end else whole - 1, whole - 1)
            self.ranges.append((name, wanted))
            if first >= whole:
                return self.plain(to, 416)
            to.send_response(206)
            to.send_header("Content-Range", f"bytes {first}-{last}/{whole}")
        else:
            to.send_response(200)
        part = data[first : last + 1]
        for key, value in {"Content-Length": str(len(part)), "ETag": self.tag(name), **DATES}.items():
            to.send_header(key, value)
        to.end_headers()
        if fault in ("cut", "stall"):
            part = part[: len(part) // 2]
        to.wfile.write(part)
        to.wfile.flush()
        with self.lock:
            self.sent[name] += len(part)
        if fault == "stall":
            time.sleep(2)
        if fault in ("cut", "stall"):
            to.close_connection = True

    def plain(self, to: BaseHTTPRequestHandler, status: int, headers: dict[str, str] | None = None) -> None:
        to.send_response(status)
        for key, value in {"Content-Length": "0", **(headers or {})}.items():
            to.send_header(key, value)
        to.end_headers()

    def listing(self, to: BaseHTTPRequestHandler) -> None:
        """All files, as S3 lists a bucket."""
        rows = "".join(
            f"<Contents><Key>{p.name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{self.tag(p.name)}</ETag>"
            f"<Size>{p.stat().st_size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for p in sorted(self.folder.iterdir())
        )
        head = "<?xml version='1.0'?><ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>"
        data = f"{head}{rows}</ListBucketResult>"
        to.send_response(200)
        to.send_header("Content-Type", "application/xml")
        to.send_header("Content-Length", str(len(data)))
        to.end_headers()
        to.wfile.write(data.encode())


DATES = {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}


@contextmanager
def serving(folder: Path) -> Iterator[ShardServer]:
    server = ShardServer(folder)
    try:
        yield server
    finally:
        server.close()


def taken(cache: Path) -> int:
    """The bytes of shards in a cache that lay there at the same time: those of the files that two looks find, one after the
    other. One look would count a shard that goes with the shard that takes its room."""
    first, second = _sizes(cache), _sizes(cache)
    return sum(min(size, second[path]) for path, size in first.items() if path in second)


def _sizes(cache: Path) -> dict[Path, int]:
    found = {}
    for path in [*cache.glob("*.tar"), *cache.glob("*.part")]:
        with suppress(FileNotFoundError):
            found[path] = path.stat().st_size
    return found
