"""evaluate.py pictures=DIR: a folder of pictures against another folder, or against a run's pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ...config.errors import ConfigError
from ...config.input.typed import as_path
from ...pipeline.many.named import one_folder
from ..arguments import Arguments, read_columns
from ..show import show_stored, shows

WORDS = ("pictures", "reference", "out")  # of evaluate.py, taken as typed


def folders_asked(words: Mapping[str, str]) -> bool:
    """Whether a command measures a folder. Raises ConfigError for words that belong to that alone."""
    if not words["pictures"] and (word := next((name for name in WORDS if words[name]), "")):
        raise ConfigError(f"{word}=: would be ignored; it belongs to pictures=DIR")
    return bool(words["pictures"])


def measure_folders(found: Arguments) -> None:
    """Measure, print the table and the passport, and write both to out= if it is given."""
    words = found.words
    if found.many:
        raise ConfigError("--multirun: would be ignored; it belongs to run= without pictures=")
    columns = read_columns(words["columns"])
    pictures, reference, out = (Path(as_path(words[name])) if words[name] else None for name in WORDS)
    assert pictures is not None
    from ...pipeline.folders.asked import asked

    given = asked(pictures, reference, one_folder(words["run"]) if words["run"] else None, found.overrides)
    if shows(found):
        return show_stored(found, [(str(given.run), given.config)])
    from ...evaluation.folders.printed import columns_of, print_comparison, say_what_was_read, warnings
    from ...files import write_text
    from ...pipeline.folders.measured import checked_out, measure
    from ...ranks import say

    place = None if out is None else checked_out(out, given)
    columns = columns_of(given.config.evaluation.metrics, columns)
    measured = measure(given)
    values = measured.values
    say_what_was_read(measured.left_out, {"pictures": values["n"], "reference": values["n_reference"]})
    by_judge = str(measured.passport["judge"]["fid_features"]).startswith("judge ")
    for line in warnings(measured.shipped, by_judge, measured.recall, measured.among, measured.common):
        say(line)
    print_comparison(values, measured.real, columns)
    if place is None:
        say(f"passport: {json.dumps(measured.passport)}")
    else:
        write_text(place, measured.as_json() + "\n")
        say(f"numbers and passport: {place}")
