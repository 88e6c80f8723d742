"""Shards of web servers, by the standard library. https never becomes http, and a credential goes to no other host."""

from __future__ import annotations

import http.client
import netrc
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from email.message import Message
from typing import IO, Any

from .failures import Changed, Failed, Gone, Offline, Passing
from .urls import split

STALL = 30.0  # seconds in which SLOWEST bytes must come
SLOWEST = 16 << 10  # bytes
PART = 1 << 20  # bytes of a read
TOKEN = "LIGHTNING_DIFF_TOKEN"  # the variable with a token for https
TRY_AGAIN = (408, 425, 429)  # and all from 500 on
BROKEN = (OSError, http.client.HTTPException, ssl.SSLError)  # what a connection raises


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        schemes = ("https",) if req.type == "https" else ("http", "https")
        if newurl.partition(":")[0].lower() not in schemes:
            raise Failed("the server points to an address that is not https")
        found = super().redirect_request(req, fp, code, msg, headers, newurl)
        if found is not None and req.get_method() == "HEAD":
            found.method = "HEAD"
        return found


_opener = urllib.request.build_opener(_Redirects)


def head(url: str) -> tuple[int, str]:
    """(size in bytes, tag) of a shard. Raises Failed."""
    try:
        with _opened(url, "HEAD") as answer:
            size, tag = answer.headers.get("Content-Length", ""), _tag(answer.headers)
    except _NoHead:
        size = tag = ""
    if not size.isdecimal():  # some servers refuse HEAD, or do not know the size then
        with _opened(url, "GET", "bytes=0-0") as answer:
            whole = answer.headers.get("Content-Length", "") if answer.status == 200 else ""
            size = whole or answer.headers.get("Content-Range", "").rpartition("/")[2]
            tag = _tag(answer.headers)
    if not size.isdecimal():
        raise Failed("the server does not say how large it is")
    return int(size), tag


def read(url: str, start: int, size: int, tag: str) -> Iterator[bytes]:
    """The bytes of a shard of this size and tag, from `start` on. Raises Failed. A server that knows no ranges sends all; what
    lies before `start` is passed over."""
    with _opened(url, "GET", f"bytes={start}-" if start else "") as answer:
        skip = start if answer.status == 200 else 0
        whole = answer.headers.get("Content-Range", "").rpartition("/")[2] or answer.headers.get("Content-Length", "")
        now, then = (one.removeprefix("W/") for one in (_tag(answer.headers), tag))
        told = start or (now and now.endswith('"') == then.endswith('"'))  # some servers give HEAD alone an ETag
        if (told and now != then) or (whole.isdecimal() and int(whole) != size):
            raise Changed
        if start and not skip and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise Passing("the server sent another part than asked for")
        left = size - start + skip
        for part in _parts(answer, left):
            if skip >= len(part):
                skip -= len(part)
            else:
                yield part[skip:]
                skip = 0


def _parts(answer: Any, left: int) -> Iterator[bytes]:
    """The next `left` bytes. Raises Passing if the body ends before, or nearly nothing comes."""
    since, came = time.monotonic(), 0
    while left:
        try:
            part = answer.read1(min(PART, left))
        except BROKEN as e:
            raise Passing(f"the connection broke ({_words(e)})") from e
        if not part:
            raise Passing("the server sent less than it said")
        left, came = left - len(part), came + len(part)
        if (now := time.monotonic()) - since > STALL:
            if came < SLOWEST and left:
                raise Passing("nearly nothing comes")
            since, came = now, 0
        yield part


class _NoHead(Exception):
    """The server does not answer HEAD."""


def _opened(url: str, method: str, wanted: str = "") -> Any:
    """The open answer of a server. Raises Failed."""
    asked = urllib.request.Request(url, method=method, headers={"Accept-Encoding": "identity"})
    if wanted:
        asked.add_header("Range", wanted)
    if said := _authorization(url):
        asked.add_unredirected_header("Authorization", said)
    try:
        answer = _opener.open(asked, timeout=STALL)
    except urllib.error.HTTPError as e:
        with e:
            if method == "HEAD" and e.code in (400, 403, 405, 501):
                raise _NoHead from None
            raise _refused(e) from None
    except urllib.error.URLError as e:
        kind = Failed if isinstance(e.reason, ssl.SSLCertVerificationError) else Offline
        raise kind(f"the host cannot be reached ({_words(e.reason)})") from None
    except ValueError as e:
        raise Failed("not an address that can be asked") from e
    except BROKEN as e:
        raise Offline(f"the host cannot be reached ({_words(e)})") from None
    if method == "GET" and answer.status not in (200, 206):
        answer.close()
        raise Passing(f"the server answered {answer.status}")
    return answer


def _refused(e: urllib.error.HTTPError) -> Failed:
    after = e.headers.get("Retry-After", "") if e.headers else ""
    if e.code in (404, 410):
        return Gone("no such shard")
    if e.code in (401, 403):
        return Failed(f"the server refuses it ({e.code}); write a name and password into ~/.netrc, or set {TOKEN}")
    if e.code == 416:  # the shard is shorter than what is there of it
        return Changed()
    if e.code in TRY_AGAIN or e.code >= 500:
        return Passing(f"the server answered {e.code}", float(after) if re.fullmatch(r"\d{1,4}", after) else 0.0)
    return Failed(f"the server answered {e.code}")


def _tag(headers: Message) -> str:
    return headers.get("ETag") or headers.get("Last-Modified") or ""


def _words(reason: Any) -> str:
    """A plain word for what the system said; never an address."""
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, socket.gaierror):
        return "its name is not known"
    return os.strerror(reason.errno).lower() if isinstance(reason, OSError) and reason.errno else type(reason).__name__


def _authorization(url: str) -> str:
    """The header for a host, from the token in the environment or from ~/.netrc. A token goes over https alone."""
    parts = split(url)
    if (token := os.environ.get(TOKEN)) and parts.scheme == "https":
        return f"Bearer {token}"
    with suppress(OSError, netrc.NetrcParseError):
        if found := netrc.netrc(os.environ.get("NETRC")).authenticators(parts.hostname or ""):
            return "Basic " + b64encode(f"{found[0]}:{found[2]}".encode()).decode()
    return ""
