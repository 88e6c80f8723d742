"""The explorer's mathematics: what a probe reads, in which direction an attribute lies, and what stays where it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lightning_diff.data.synthetic.attributes import STILL_LIFE
from lightning_diff.explorer.attributes import chosen, frequent, known_attributes, words_of
from lightning_diff.explorer.guidance import spread
from lightning_diff.explorer.probes import fit_axes, nearest, principal, slerp
from lightning_diff.explorer.spaces import pushed


def made(count: int, width: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    """(features, bool [N, 2], the true direction of the first attribute). The second attribute is a coin, in no feature. One
    feature of the first also carries noise, which another feature knows."""
    g = torch.Generator().manual_seed(count)
    has = torch.rand(count, 2, generator=g) < torch.tensor([0.3, 0.5])
    x = torch.randn(count, width, generator=g)
    noise = 5 * torch.randn(count, generator=g)
    direction = torch.zeros(width)
    direction[0] = direction[3] = 2.0
    x = x + has[:, :1] * direction
    x[:, 0] += noise
    x[:, 1] = noise
    return x, has, direction


def test_a_probe_reads_what_is_there_and_guesses_what_is_not() -> None:
    x, has, _ = made(600)
    held, held_has, _ = made(400)
    there, coin = fit_axes(x, has, held, held_has, ["there", "coin"])
    assert there.accuracy > 0.85 and abs(coin.accuracy - 0.5) < 0.1
    assert there.share == pytest.approx(float(has[:, 0].float().mean()))


def test_an_axis_is_the_direction_of_the_attribute_not_of_the_noise_that_the_probe_takes_off() -> None:
    x, has, direction = made(4000)
    axis = fit_axes(x, has, x, has, ["there", "coin"])[0].direction
    cosine = torch.nn.functional.cosine_similarity(axis, direction, dim=0)
    assert cosine > 0.9 and abs(float(axis[1])) < 0.3  # the probe's weight there is large and negative


def test_principal_directions_are_those_of_the_covariance_with_its_lengths() -> None:
    x = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 3.0, 1, 1, 1, 1])
    has = (x[:, 1:2] > 0).repeat(1, 1)
    first, second = principal(x, has, ["second is positive"], 2)
    values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))
    for one, i in ((first, -1), (second, -2)):
        assert float(one.direction.norm()) == pytest.approx(float(values[i].sqrt()), rel=1e-3)
        assert abs(float(one.direction @ vectors[:, i])) == pytest.approx(float(one.direction.norm()), rel=1e-3)
    assert first.share == pytest.approx(float(values[-1] / values.sum()), rel=1e-3)
    assert abs(second.r) > 0.7 > abs(first.r) and second.like == "second is positive"
    assert principal(x, torch.zeros(500, 0, dtype=torch.bool), [], 1)[0].like == ""


def test_slerp_keeps_the_ends_the_lengths_and_turns_evenly() -> None:
    a, b = torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 4.0, 0.0])
    torch.testing.assert_close(slerp(a, b, 0.0), a)
    torch.testing.assert_close(slerp(a, b, 1.0), b)
    third = slerp(a, b, 1 / 3)
    assert float(third.norm()) == pytest.approx(2 + 2 / 3)
    assert float(torch.atan2(third[1], third[0])) == pytest.approx(torch.pi / 6, rel=1e-5)
    torch.testing.assert_close(slerp(a, 3 * a, 0.5), 2 * a)


def test_the_nearest_have_the_highest_cosine_after_the_mean() -> None:
    among = torch.tensor([[9.0, 10.0], [11.0, 10.0], [10.0, 11.0], [10.0, 9.0]])
    assert nearest(torch.tensor([[10.0, 14.0], [5.0, 10.0]]), among, 1) == [[2], [0]]


def test_a_hook_moves_each_branch_and_is_gone_afterwards() -> None:
    layer, x = nn.Identity(), torch.zeros(4, 2, 3)
    steps = torch.arange(12.0).view(2, 6)
    with pushed(layer, steps):
        out = layer(x)
    torch.testing.assert_close(out, steps.repeat(2, 1).view(4, 2, 3))
    assert not layer(x).any()


def test_an_attribute_is_that_of_either_thing_and_opposites_are_one_axis() -> None:
    labels = {head: torch.tensor([-1, -1, -1, -1]) for head in STILL_LIFE}
    labels |= {"first_colour": torch.tensor([2, 0, 0, 1]), "second_colour": torch.tensor([-1, 2, -1, 0])}
    labels |= {"count": torch.tensor([0, 1, 0, 1])}
    names, has = known_attributes(labels, STILL_LIFE, ("place",))
    assert has[:, names.index("colour: green")].tolist() == [True, True, False, False]
    assert not any(name.startswith("place") for name in names)
    kept = [names[i] for i in frequent(names, has, has)]
    assert "count: one" in kept and "count: two" not in kept


def test_words_without_meaning_get_no_axis() -> None:
    captions = ["a red disc on the left", "a red square", "the blue disc", "a picture of a disc"]
    names, has = words_of(captions)
    assert {"word: red", "word: disc", "word: left"} <= set(names) and not {
        "word: a",
        "word: the",
        "word: picture",
    } & set(names)
    assert has[:, names.index("word: red")].tolist() == [True, True, False, False]


def test_the_best_of_each_group_come_first() -> None:
    names = ["size: large", "colour: red", "colour: green", "setting: city"]
    assert chosen(names, [0.6, 0.9, 0.95, 0.7], 3) == [2, 3, 0]


def test_shown_steps_are_spread_from_the_first_to_the_last() -> None:
    assert spread(20, 4) == [0, 6, 13, 19] and spread(3) == [0, 1, 2] and spread(1) == [0] and spread(0) == []
