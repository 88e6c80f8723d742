"""The attributes that axes are made for: what is known of each picture, else the words of its caption."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

RARE = 0.03  # an attribute that fewer samples have, or lack, gets no axis,
ENOUGH = 12  # but so many are enough: in a small set most words are rare
MOST = 40
# Words that say nothing of a picture.
EMPTY = frozenset(
    (
        "a",
        "an",
        "the",
        "of",
        "on",
        "in",
        "at",
        "to",
        "is",
        "its",
        "with",
        "and",
        "or",
        "by",
        "for",
        "picture",
        "image",
        "photo",
    )
)

Labels = Mapping[str, Tensor]


def group_of(head: str) -> str:
    """The heads of the first and of the second thing are of one group: first_colour is a colour."""
    return re.sub(r"^(first|second)_", "", head)


def known_attributes(
    labels: Labels, values: Mapping[str, Sequence[str]], unsaid: Sequence[str]
) -> tuple[list[str], Tensor]:
    """(names such as "colour: green", bool [N, K]): whether one of a picture's things has it. Heads that a caption may not state
    are left out."""
    found: dict[str, Tensor] = {}
    for head, words in values.items():
        for i, word in enumerate(words if head not in unsaid else ()):
            name, has = f"{group_of(head)}: {word}", labels[head] == i
            found[name] = found[name] | has if name in found else has
    return list(found), torch.stack(list(found.values()), dim=1)


def words_of(captions: Sequence[str]) -> tuple[list[str], Tensor]:
    """(names such as "word: red", bool [N, K]) of the words that divide the captions most evenly."""
    split = [set(re.findall(r"\w+", caption.lower())) - EMPTY for caption in captions]
    counts = Counter(word for words in split for word in words)
    names = [word for word, _ in counts.most_common() if not word.isdigit()][: 4 * MOST]
    has = torch.tensor([[word in words for word in names] for words in split], dtype=torch.bool)
    return [f"word: {word}" for word in names], has.view(len(split), len(names))


def frequent(names: Sequence[str], has: Tensor, held_out: Tensor) -> list[int]:
    """The attributes that enough samples have and lack, in both sets; at most MOST. One that is the opposite of another, as "two"
    is of "one", is left out."""
    rows: list[int] = []
    for i, _ in enumerate(names):
        share = float(has[:, i].float().mean())
        there = int(held_out[:, i].sum())
        opposite = any(torch.equal(has[:, i], ~has[:, j]) for j in rows)
        least = min(RARE, ENOUGH / len(has))
        if least <= share <= 1 - least and 2 <= there <= len(held_out) - 2 and not opposite:
            rows.append(i)
    return rows[:MOST]


def chosen(names: Sequence[str], accuracies: Sequence[float], count: int) -> list[int]:
    """The axes to walk along: the best of each group, then the second of each, and so on."""
    order = sorted(range(len(names)), key=lambda i: -accuracies[i])
    seen: Counter[str] = Counter()
    ranked: list[tuple[int, int, int]] = []
    for i in order:
        group = names[i].partition(":")[0]
        ranked.append((seen[group] if group != "word" else 0, len(ranked), i))
        seen[group] += 1
    return [i for *_, i in sorted(ranked)[:count]]
