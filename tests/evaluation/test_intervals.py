"""Intervals: as wide as theory has them, paired where cases are compared, blind to what is not stated."""

import numpy as np

from lightning_diff.evaluation.statistics.adaptive import allocate, compared, interval, leader, resamples


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

    counts = allocate(list(known), 100, 1000, 300, 50, look)
    assert counts["c"] == 100 and counts["a"] == counts["b"] == 250 and asked[-1] == counts
    assert allocate(list(known), 100, 120, 300, 50, look) == dict.fromkeys(known, 100)  # no more prompts
    far = {"a": np.ones(100), "b": np.zeros(100)}
    assert allocate(["a", "b"], 100, 1000, 300, 50, lambda counts: far) == {"a": 100, "b": 100}  # nothing to find out
