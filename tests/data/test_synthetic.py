"""The synthetic data sets are pure, keep their held-out contents apart, and say in words what their labels say in numbers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from lightning_diff.data.sample import Sample
from lightning_diff.data.sources.digits import Digits
from lightning_diff.data.sources.still_life import StillLife
from lightning_diff.data.sources.synthetic import SyntheticSource
from lightning_diff.data.synthetic import digits, still_life

SPLITS = ("train", "test")
SYNTHETIC = (StillLife, Digits)


def _samples(made: type[SyntheticSource], split: str, count: int) -> list[Sample]:
    # small, because only captions and labels are looked at
    return [made(image_size=16).draw(split, index) for index in range(count)]


def _stated(made: type[SyntheticSource], sample: Sample) -> list[str]:
    """The label values that must stand in the caption word for word."""
    values = made.attributes
    heads = [head for head in sample.labels if head.startswith(("first_", "second_")) or head == "place"]
    return [values[head][sample.labels[head]] for head in heads]


@pytest.mark.parametrize("made", SYNTHETIC)
def test_pure(made: type[SyntheticSource]) -> None:
    for index in range(5):
        one, same, other = (made(seed=seed).draw("train", index) for seed in (3, 3, 4))
        assert (one.key, one.caption, one.labels) == (same.key, same.caption, same.labels)
        assert np.array_equal(np.asarray(one.picture), np.asarray(same.picture))
        assert one.key != other.key
        assert not np.array_equal(np.asarray(one.picture), np.asarray(other.picture))


@pytest.mark.parametrize("made", SYNTHETIC)
@pytest.mark.parametrize("size", [32, 64, 96])
def test_picture_is_rgb_of_the_size_asked_for(made: type[SyntheticSource], size: int) -> None:
    sample = made(image_size=size).draw("test", 1)
    assert sample.picture.mode == "RGB"
    assert sample.picture.size == (size, size)
    assert np.asarray(sample.picture).std() > 5


@pytest.mark.parametrize("made", SYNTHETIC)
def test_no_caption_in_both_splits(made: type[SyntheticSource]) -> None:
    train, test = ({sample.caption for sample in _samples(made, split, 400)} for split in SPLITS)
    assert not train & test


def test_held_out_contents_of_still_life_are_only_in_test() -> None:
    train, test = ({still_life.scene(split, 0, i)[0].content() for i in range(500)} for split in SPLITS)
    assert not train & test


def test_held_out_contents_of_digits_are_only_in_test() -> None:
    train, test = ({digits.page(split, 0, i)[0] for i in range(2000)} for split in SPLITS)
    assert not train & test
    singles = {digits.Page(layout, (d,)) for layout in range(4) for d in range(10)}
    pairs = {digits.Page(layout, (a, b)) for layout in (4, 5) for a in range(10) for b in range(10)}
    assert test == {page for page in singles | pairs if page.held_out()}
    assert len(test & singles) == 4 and len(test & pairs) == 20  # a tenth of each


def test_judges_know_all_contents_and_none_of_the_tests_pictures() -> None:
    known = {digits.page("all", 0, i)[0] for i in range(3000)}
    assert {digits.page("test", 0, i)[0] for i in range(500)} < known
    assert any(still_life.scene("all", 0, i)[0].held_out() for i in range(200))
    assert Digits(image_size=16).draw("all", 3).key.startswith("all-")


def test_the_shipped_handwriting_is_scikit_learns() -> None:
    """The sum was made of `sklearn.datasets.load_digits()`, pictures and then labels, as bytes."""
    with np.load(Path(digits.__file__).with_name("digits.npz"), allow_pickle=False) as data:
        found = data["pictures"].tobytes() + data["labels"].tobytes()
    assert hashlib.sha256(found).hexdigest() == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


def test_splits_share_no_handwriting() -> None:
    train, test = ({p.tobytes() for pool in digits._handwriting()[split] for p in pool} for split in SPLITS)
    assert not train & test
    assert len(train) + len(test) == 1797
    assert all(len(pool) >= 30 for pool in digits._handwriting()["test"])  # of each digit


@pytest.mark.parametrize("made", SYNTHETIC)
@pytest.mark.parametrize("split", SPLITS)
def test_labels_fit_attributes_and_caption(made: type[SyntheticSource], split: str) -> None:
    attributes = made.attributes
    for sample in _samples(made, split, 200):
        assert all(0 <= value < len(attributes[head]) for head, value in sample.labels.items())
        assert any(head.startswith("second_") for head in sample.labels) == (sample.labels["count"] == 1)
        assert all(words in sample.caption for words in _stated(made, sample)), sample.caption


@pytest.mark.parametrize("index", range(40))
def test_digits_stand_where_the_caption_says(index: int) -> None:
    sample = digits.sample("train", 0, index)
    ink = np.asarray(sample.picture)[..., 0] > 64
    assert not (ink[0].any() or ink[-1].any() or ink[:, 0].any() or ink[:, -1].any()), "cut off"
    halves = {"left": ink[:, :32], "right": ink[:, 32:], "top": ink[:32], "bottom": ink[32:]}
    filled = {side for side, half in halves.items() if half.sum() > 0.1 * ink.sum()}
    layout = digits.LAYOUTS[sample.labels["layout"]]
    expected = {"side by side": {"left", "right"}, "stacked": {"top", "bottom"}}.get(layout, set(layout.split()))
    if sample.labels["count"] == 0:
        assert filled == expected
        assert layout in sample.caption
    else:
        gap = ink.any(axis=0 if layout == "side by side" else 1)[24:40]
        assert filled >= expected and not gap.all(), "touching"


def test_a_hard_negative_of_digits_is_of_another_page_and_of_each_kind() -> None:
    """The place's word, the order of the digits, or one digit; never the same page in other words."""
    pages = {digits.said_of(p, k): p for p in _pages() for k in range(len(digits.TEMPLATES[digits.LAYOUTS[p.layout]]))}
    found = {"word": 0, "exchanged": 0, "replaced": 0}
    for index in range(600):
        drawn, _ = digits.page("train", 0, index)
        sample = digits.sample("train", 0, index)
        assert pages[sample.caption] == drawn != pages[sample.hard_negative]
        a, b = (text.split() for text in (sample.caption, sample.hard_negative))
        said = [[w for w in words if w in digits.WORDS] for words in (a, b)]
        if said[0] == said[1]:
            found["word"] += 1
        else:
            same_digits = sorted(said[0]) == sorted(said[1])
            assert [w for w in a if w not in digits.WORDS] == [w for w in b if w not in digits.WORDS]
            found["exchanged" if same_digits else "replaced"] += 1
    assert min(found.values()) > 60, found


def _pages() -> list[digits.Page]:
    single = [digits.Page(layout, (d,)) for layout in range(digits.CORNERS) for d in range(10)]
    layouts = range(digits.CORNERS, len(digits.LAYOUTS))
    return single + [digits.Page(layout, (d, e)) for layout in layouts for d in range(10) for e in range(10)]
