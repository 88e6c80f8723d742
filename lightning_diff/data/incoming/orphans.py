"""A sample that a damaged place of a shard cost is named once: by the damage, not again by the member that is left of it."""

from __future__ import annotations

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
    order = sorted(range(len(contents.names)), key=lambda i: contents.spans[i][0])
    found = []
    for one in contents.left:
        mine = _half(one, contents, order, halves) if one.reason in COSTLY else None
        if mine is not None:
            stem = split_ending(contents.names[mine])[0]
            halves -= {i for i in halves if split_ending(contents.names[i])[0] == stem}
            one = replace(one, member=one.member or contents.names[mine])
        found.append(one)
    return found, [(i, reason) for i, reason in left if i in halves or reason not in HALF]


def _half(one: LeftOut, contents: Contents, order: Sequence[int], halves: set[int]) -> int | None:
    """The member that is left of the sample which a damaged place cost: of the same name if the damage has one, otherwise the
    one right before it or right behind it."""
    if one.member:
        stem = split_ending(one.member)[0]
        return next((i for i in sorted(halves) if split_ending(contents.names[i])[0] == stem), None)
    before = [i for i in order if contents.spans[i][0] < one.offset][-1:]
    behind = [i for i in order if contents.spans[i][0] > one.offset][:1]
    return next((i for i in before + behind if i in halves), None)
