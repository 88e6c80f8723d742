"""Intervals: as wide as theory has them, paired where cases are compared, blind to what is not stated."""

import numpy as np
import torch

from lightning_diff.evaluation.metrics.captions import CLIPScore
from lightning_diff.evaluation.statistics.adaptive import allocate, compared, growing_looks, hope, leader, planned_looks
from lightning_diff.evaluation.statistics.clusters import contents_of, covariance, interval, resamples


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, 400)
    low, high = interval(x)
    half = 1.96 * x.std() / 20
    assert abs((low + high) / 2 - x.mean()) < 0.15 * half and abs((high - low) / 2 - half) < 0.15 * half


def test_what_states_nothing_does_not_count() -> None:
    x = np.random.default_rng(1).integers(0, 2, 200).astype(float)
    padded = np.concatenate([x, np.full(200, np.nan)])
    low, high = interval(padded)
    assert low < x.mean() < high
    assert all(np.isnan(interval(np.full(5, np.nan))))


def test_resamples_are_always_the_same() -> None:
    assert np.array_equal(resamples(50), resamples(50)) and resamples(50).max() == 49


def test_pairs_tell_apart_what_alone_could_not_be() -> None:
    """Two cases that differ by 0.1 on pictures that differ by far more among themselves."""
    x = np.random.default_rng(2).normal(0.0, 5.0, 100)
    best, found = compared({"a": x, "b": x - 0.1, "c": x + np.random.default_rng(3).normal(0, 5, 100) - 0.3})
    assert best == "a" and found["a"] == (0.0, 0.0, 0.0)
    assert -0.11 < found["b"][1] <= found["b"][0] <= found["b"][2] < -0.09
    assert interval(x)[0] < interval(x - 0.1)[1]  # alone they overlap
    assert found["c"][1] < 0 < found["c"][2]  # no difference is shown


def test_the_leader_is_chosen_on_shared_prompts() -> None:
    """The second has seen harder prompts as well; on those that both have seen it is the better one."""
    easy, hard = np.full(50, 1.0), np.full(50, 0.0)
    assert leader({"a": easy - 0.1, "b": np.concatenate([easy, hard])}) == "b"
    assert leader({"a": easy, "b": easy}) == "a"


def test_extra_pictures_go_where_the_curve_is_uncertain() -> None:
    """Two cases alike, one far behind: the first two share the extra pictures, and a round that was paid for is drawn."""
    a = np.random.default_rng(4).normal(size=1000)
    known = {"a": a, "b": a + np.tile([0.5, -0.5], 500), "c": a - 1}
    asked: list[dict[str, int]] = []

    def look(counts: dict[str, int]) -> dict[str, np.ndarray]:
        asked.append(dict(counts))
        return {case: known[case][:n] for case, n in counts.items()}

    counts = allocate(list(known), planned_looks(100, 1000, 300, 50), 300, look)
    assert counts["c"] == 100 and counts["a"] == counts["b"] == 250 and asked[-1] == counts
    few = planned_looks(100, 120, 300, 50)
    assert few == [100] and allocate(list(known), few, 300, look) == dict.fromkeys(known, 100)  # no more prompts
    far, looks = {"a": np.ones(100), "b": np.zeros(100)}, planned_looks(100, 1000, 300, 50)
    assert allocate(["a", "b"], looks, 300, lambda counts: far) == {"a": 100, "b": 100}  # nothing to find out


def test_the_looks_of_a_sweep_that_goes_on_until_it_is_decided_grow() -> None:
    assert growing_looks(64, 400, 32) == [64, 96, 160, 256, 384, 400]
    assert growing_looks(64, 64, 32) == [64] and growing_looks(5, 9, 1) == [5, 8, 9]


def drawn(*means: float, n: int = 2048) -> dict[str, np.ndarray]:
    """Values of cases with these means, which differ from picture to picture by 1 between any two cases."""
    return {f"{i}": np.random.default_rng(i).normal(m, 0.5**0.5, n) for i, m in enumerate(means)}


def test_until_decided_stops_scales_that_are_behind_and_ends_when_the_best_is_known() -> None:
    known = drawn(0.0, -0.3, -3.0)
    counts = allocate(
        list(known),
        growing_looks(32, 2048, 32),
        None,
        lambda counts: {case: known[case][:n] for case, n in counts.items()},
        until_decided=True,
    )
    assert counts["2"] == 32 and 64 <= counts["0"] == counts["1"] < 1024
    _, found = compared({case: known[case][:n] for case, n in counts.items()}, growing_looks(32, 2048, 32))
    assert found["0"] == (0.0, 0.0, 0.0) and found["1"][2] < 0 and found["2"][2] < 0


def test_until_decided_gives_up_on_equal_scales_before_the_prompts_run_out() -> None:
    known = drawn(0.0, 0.0, -0.3)
    shift = known["0"].mean() - known["1"].mean()

    def look(counts: dict[str, int]) -> dict[str, np.ndarray]:
        return {case: known[case][:n] + shift * (case == "1") for case, n in counts.items()}

    counts = allocate(list(known), growing_looks(32, 2048, 32), None, look, until_decided=True)
    assert max(counts.values()) < 2048
    assert compared(look(counts), growing_looks(32, 2048, 32))[1]["2"][2] < 0  # the third one is told from the best


def test_hope_is_the_share_of_sweeps_that_will_tell_two_cases_apart() -> None:
    draw, now, last, mean = np.random.default_rng(0), 100, 400, -0.2
    true = (
        mean + draw.normal(size=20_000) / now**0.5
    )  # what may be true, after this mean of differences with deviation 1
    end = (now * mean + (last - now) * (true + draw.normal(size=20_000) / (last - now) ** 0.5)) / last
    expected = float(np.mean(np.abs(end) > 3 / last**0.5))
    assert abs(hope((mean, mean - 0.3, mean + 0.3), now, last) - expected) < 0.01
    assert hope((0.0, 0.0, 0.0), 100, 400) == 1.0  # no two pictures differ yet: nothing is known


def test_captions_of_one_content_are_one_cluster() -> None:
    labels = {"colour": torch.tensor([0, 0, 1, 0]), "place": torch.tensor([2, -1, 0, 1])}
    captions = ["a", "b", "c", "a"]
    assert contents_of(captions, labels, ["place"]).tolist() == [0, 0, 1, 0]
    assert contents_of(captions, labels).tolist() == [0, 1, 2, 3]
    assert contents_of(captions, {}).tolist() == [0, 1, 2, 0]


def test_intervals_of_clusters_are_those_of_their_number() -> None:
    """Each value stands there four times: these are 100 values, not 400."""
    x = np.random.default_rng(5).normal(size=100)
    four, groups = np.repeat(x, 4), np.repeat(np.arange(100), 4)
    low, high = interval(four, groups)
    assert np.allclose((low, high), interval(x))
    assert np.allclose(covariance(four[None], groups), x.var(ddof=1) / 100)
    y = np.random.default_rng(6).normal(0.1, 1, 100)
    alone = compared({"x": x, "y": y})[1]["x"]
    assert np.allclose(compared({"x": four, "y": np.repeat(y, 4)}, clusters=groups)[1]["x"], alone)
    assert np.allclose(compared({"x": x, "y": y}, clusters=np.arange(100))[1]["x"], alone)


def test_the_table_takes_captions_of_one_content_as_dependent() -> None:
    values = torch.randn(50, generator=torch.Generator().manual_seed(0)).repeat_interleave(8)
    width = {}
    for name, labels in (("alone", {}), ("together", {"clusters": torch.arange(50).repeat_interleave(8)})):
        metric = CLIPScore().build()
        CLIPScore().feed(metric, {"clip_score": values}, labels, 400)
        found = CLIPScore().row(metric)
        width[name] = found["clip_score_high"] - found["clip_score_low"]
    assert 2.4 < width["together"] / width["alone"] < 3.3  # the root of 8
