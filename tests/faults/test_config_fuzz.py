"""Sixty commands of python -m tests.faults.config_fuzz, which repeats this with as many as one likes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.config_fuzz import attempt, workplace
from tests.faults.mutations import mutation


@pytest.mark.slow
def test_each_command_runs_or_is_refused_in_one_line_that_names_a_key(tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    defects = {}
    with workplace(tmp_path):
        for i in range(60):
            outcome, said = attempt(mutation(i), tmp_path, i)
            outcomes[outcome] += 1
            if outcome == "DEFECT":
                defects[i, " ".join(mutation(i).changes)] = said
    assert defects == {}
    assert outcomes["ran"] >= 3 and outcomes["refused"] >= 20, outcomes


def test_a_number_is_always_the_same_command() -> None:
    assert mutation(7) == mutation(7) and len({" ".join(mutation(i).words) for i in range(200)}) > 190
