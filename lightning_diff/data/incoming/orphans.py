"""A sample that a damaged place of a shard cost is named once: by the damage, not again by the member that is left of it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace

from ..sample import LeftOut
from .names import split_ending
from .tars import Contents

HALF = ("no caption", "no picture")  # reasons of members whose other half is missing

COSTLY = ("damaged shard", "sparse member")


def named_once(contents: Contents, left: Sequence[tuple[int, str]]) -> tuple[list[LeftOut], list[tuple[int, str]]]:
    """(what the shard's damage costs, what else is left out as (number of the member, reason)). A member whose other half lay
    in the damaged place is named there."""
    halves = {i for i, reason in left if reason in HALF}
    stems: dict[str, list[int]] = {}  # of the members whose other half is missing
    for i in sorted(halves):
        stems.setdefault(split_ending(contents.names[i])[0], []).append(i)
    order = sorted(range(len(contents.names)), key=lambda i: contents.spans[i][0])
    places = [contents.spans[i][0] for i in order]

    def half(one: LeftOut) -> int | None:
        """The member that is left of the sample which a damaged place cost: of the same name if the damage has one, otherwise
        the one right before it or right behind it."""
        if one.member:
            near = stems.get(split_ending(one.member)[0], [])[:1]
        else:
            before, behind = bisect_left(places, one.offset), bisect_right(places, one.offset)
            near = [*order[max(before - 1, 0) : before], *order[behind : behind + 1]]
        return next((i for i in near if i in halves), None)

    found = []
    for one in contents.left:
        mine = half(one) if one.reason in COSTLY else None
        if mine is not None:
            halves.difference_update(stems.pop(split_ending(contents.names[mine])[0], ()))
            one = replace(one, member=one.member or contents.names[mine])
        found.append(one)
    return found, [(i, reason) for i, reason in left if i in halves or reason not in HALF]
