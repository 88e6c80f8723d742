"""Which URLs name shards. One that carries a credential is refused, so that none can reach a log, a record or a passport."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

SCHEMES = ("https", "http", "s3", "gs")
OBJECTS = ("s3", "gs")  # schemes of object stores, which need the extra


def is_url(source: str) -> bool:
    """Whether a source is a URL of a scheme that is fetched. `pipe:` is none."""
    return source.partition("://")[0].lower() in SCHEMES and "://" in source


def masked(source: str) -> str:
    """The source without what may be a credential: a user and a password, a query, a fragment."""
    if "://" not in source:
        return source
    scheme, _, rest = source.partition("://")
    place = re.split("[?#]", rest, maxsplit=1)[0]
    host, slash, path = place.partition("/")
    marks = "***@" if "@" in host else ""
    end = "?***" if len(place) < len(rest) else ""
    return f"{scheme}://{marks}{host.rpartition('@')[2]}{slash}{path}{end}"


def faults_of(source: str) -> Iterator[str]:
    """What is wrong with a URL, each with its remedy. No fault repeats a credential."""
    try:
        parts = urlsplit(source)
        host, _ = parts.hostname, parts.port
    except ValueError as e:
        yield f"not a URL: {str(e).partition(':')[0]}"
        return
    if "@" in parts.netloc:
        yield (
            "a URL with a name or password would reach logs; leave them out, and write them into ~/.netrc, or set "
            "LIGHTNING_DIFF_TOKEN (https), or the variables of the object store (s3, gs)"
        )
    elif parts.query or parts.fragment or "?" in source:
        yield "a URL with a query is not taken, because it may hold a credential; leave out what follows the ? or #"
    elif not host:
        yield "it names no host or bucket"
    elif parts.path in ("", "/"):
        yield "it names no shard; give a pattern such as https://HOST/set/{000..099}.tar"
    elif parts.scheme.lower() not in OBJECTS and (parts.path.endswith("/") or set("*[]") & set(parts.path)):
        yield "a web server does not list its files; give a pattern with braces, set/{000..099}.tar"


def split(url: str) -> SplitResult:
    """The parts of a URL, its scheme in lower case."""
    return urlsplit(url)
