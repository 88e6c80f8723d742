"""The account of a set: each thing that is left out, once, by reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...strings import counted
from ..index import Index
from ..sample import HARMLESS, LeftOut, lost
from .summary import REMARKS

EXAMPLES = 3


def account(delivered: int, left: Sequence[LeftOut]) -> list[str]:
    """The account as lines: how many samples can be used, then a line for each reason, with its number, what to do, and some
    of the places. What costs no sample comes last."""
    gone = lost(left)
    share = f" ({gone / (delivered + gone):.2%})" if delivered + gone else ""
    lines = [f"{counted(delivered, 'sample')} can be used, {gone:,} cannot{share}"]
    reasons = sorted(
        {one.reason for one in left}, key=lambda reason: (reason in HARMLESS, -_count(left, reason), reason)
    )
    for reason in reasons:
        some = [one for one in left if one.reason == reason]
        places = ", ".join(map(_place, some[:EXAMPLES])) + (", ..." if len(some) > EXAMPLES else "")
        free = " (costs no sample)" if reason in HARMLESS else ""
        lines.append(f"{_count(left, reason):>8,}  {reason}{free}: {places}: {some[0].remedy}")
    return lines


def remarked(splits: Sequence[Index]) -> list[str]:
    """Samples that are used though something of them is not as it was written: a line for each remark, with its number and some
    of the places."""
    lines = []
    for bit, words in REMARKS.items():
        places = [str(one.facts.places[i]) for one in splits for i in np.flatnonzero(one.facts.remarks & bit)]
        shown = ", ".join("/".join(place.split("/")[-2:]) for place in places[:EXAMPLES])
        if places:
            lines.append(f"{len(places):>8,}  used, but {words}: {shown}{', ...' if len(places) > EXAMPLES else ''}")
    return lines


def _count(left: Sequence[LeftOut], reason: str) -> int:
    return sum(one.count for one in left if one.reason == reason)


def _place(one: LeftOut) -> str:
    """Where it is: the shard or folder, the member, and the byte of the shard."""
    source = one.source.rstrip("/").rpartition("/")[2]
    place = f"{source}/{one.member}" if one.member else source
    return f"{place} (byte {one.offset})" if one.offset >= 0 and not one.member else place
