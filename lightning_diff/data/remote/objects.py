"""Shards of object stores (s3, gs), by obstore. It runs in a process of its own for each call: its threads do not survive a
fork, and the workers of a loader are forks. Credentials come from the variables of the store (AWS_*, GOOGLE_*)."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from .failures import Changed, Failed, Gone, Passing
from .urls import split

INSTALL = "s3:// and gs:// need obstore: pip install 'lightning-diff[remote]', or pip install obstore"
STALL = 60.0  # seconds without a byte
PART = 1 << 20
KINDS = {  # exit codes, and the words of the answers
    3: lambda: Gone("no such shard"),
    4: lambda: Failed("the store refuses it; set the variables with its credentials (AWS_*, GOOGLE_*)"),
    5: Changed,
    6: lambda: Failed(INSTALL),
    7: lambda: Failed("the store does not take this address, or its variables (AWS_*, GOOGLE_*)"),
}


def installed() -> bool:
    return importlib.util.find_spec("obstore") is not None


def failure(code: int) -> Failed:
    """The failure of an exit code. What is not known may pass."""
    return KINDS[code]() if code in KINDS else Passing("the store did not answer as it should")


def heads(urls: Sequence[str]) -> list[tuple[int, str] | Failed]:
    """(size in bytes, tag) of each object, or why it is not known."""
    lines = _asked("heads", json.dumps(list(urls)))
    return [failure(one) if isinstance(one, int) else (int(one[0]), str(one[1])) for one in lines]


def listed(url: str) -> list[str]:
    """The URLs of all objects whose names begin like this URL. Raises Failed."""
    found: list[str] = _asked("listed", url)
    return found


def read(url: str, start: int, size: int, tag: str) -> Iterator[bytes]:
    """The bytes of an object of this size and tag, from `start` on. Raises Failed."""
    child = subprocess.Popen(
        _command("read", url, str(start), str(size), tag), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdout is not None
    left = size - start
    try:
        while left:
            timer = threading.Timer(STALL, child.kill)
            timer.start()
            try:
                part = os.read(child.stdout.fileno(), min(PART, left))
            finally:
                timer.cancel()
            if not part:
                raise failure(child.wait())
            left -= len(part)
            yield part
    finally:
        child.stdout.close()
        child.kill()
        child.wait()


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", __name__, *words]


def _asked(what: str, said: str) -> Any:
    """The answer of a call, a JSON value. Raises Failed."""
    try:
        done = subprocess.run(_command(what), input=said, capture_output=True, text=True, timeout=20 * STALL)
    except subprocess.TimeoutExpired:
        raise Passing("the store did not answer in time") from None
    if done.returncode:
        raise failure(done.returncode)
    return json.loads(done.stdout)


def _store(url: str) -> tuple[Any, str]:
    """(the store of a URL's bucket, the name of the object in it)."""
    from obstore.store import from_url

    parts = split(url)
    more: dict[str, Any] = {"retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=STALL / 2)}}
    more |= {"client_options": {"allow_http": True}} if _plain() else {}
    return from_url(f"{parts.scheme}://{parts.netloc}", **more), parts.path.lstrip("/")


def _plain() -> bool:
    """Whether the user names an endpoint without encryption: a store of their own."""
    return any(os.environ.get(name, "").startswith("http://") for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"))


def _code(error: Exception) -> int:
    """The exit code for an error of obstore."""
    from obstore import exceptions as known

    codes: dict[type[Exception], int] = {
        **{FileNotFoundError: 3, known.NotFoundError: 3, known.PreconditionError: 5, known.NotModifiedError: 5},
        **{PermissionError: 4, known.PermissionDeniedError: 4, known.UnauthenticatedError: 4},
        **{known.UnknownConfigurationKeyError: 7, known.NotSupportedError: 7, known.InvalidPathError: 7},
    }
    return next((code for kind, code in codes.items() if isinstance(error, kind)), 1)


def _head(url: str) -> Any:
    import obstore

    try:
        store, name = _store(url)
        found = obstore.head(store, name)
        return [found["size"], found.get("e_tag") or str(found["last_modified"])]
    except Exception as e:
        return _code(e)


def main(words: Sequence[str]) -> int:
    """The calls, in a process of their own. Returns the exit code."""
    if not installed():
        return 6
    import obstore

    what, *more = words
    try:
        if what == "heads":
            with ThreadPoolExecutor(16) as pool:
                print(json.dumps(list(pool.map(_head, json.load(sys.stdin)))))
        elif what == "listed":
            url = sys.stdin.read()
            store, prefix = _store(url)
            root = f"{split(url).scheme}://{split(url).netloc}/"
            folder = prefix.rpartition("/")[0]
            names = [one["path"] for part in obstore.list(store, prefix=folder or None) for one in part]
            print(json.dumps([root + name for name in sorted(names) if name.startswith(prefix)]))
        else:
            url, start, size, tag = more
            store, name = _store(url)
            found = obstore.get(store, name, options={"range": {"offset": int(start)}} if int(start) else {})
            if found.meta["size"] != int(size) or (found.meta.get("e_tag") or str(found.meta["last_modified"])) != tag:
                return 5
            for part in found.stream(min_chunk_size=PART):
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
    except Exception as e:
        return _code(e)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
