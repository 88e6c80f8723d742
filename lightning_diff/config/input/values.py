"""What OmegaConf says of a value of the wrong type, in this project's words."""

from __future__ import annotations

import re

from .typed import kind_of

PLAIN = {"int": "a whole number", "float": "a number", "bool": "true or false"}
TYPES = {"Integer": "int", "Float": "float"}  # OmegaConf's name of a type -> ours
A_LIST = "must be a list; write it in brackets, [A,B]"


def wrong_value(key: str, said: str) -> str:
    """The line on a value that the key `key` does not take. `said` is OmegaConf's line."""
    if found := re.match(r"Value (.*) of type '\w+' could not be converted to (Integer|Float)$", said):
        return f"{key}={_bare(found[1])}: must be {PLAIN[TYPES[found[2]]]}"
    if found := re.match(r"Value (.*) is not a valid bool", said):
        return f"{key}={_bare(found[1])}: must be {PLAIN['bool']}"
    if found := re.match(r"Cannot convert '\w+' to string: (.*)$", said):
        return f"{key}={_bare(found[1])}: must be one text, no list and no table"
    if said.endswith("is not Optional"):
        kind, many = kind_of(key)
        return f"{key}=null: {A_LIST if many else 'must be ' + PLAIN.get(kind, 'a text')}"
    if "is not a ListConfig" in said or said == "Cannot merge DictConfig with ListConfig":
        return f"{key}: {A_LIST}"
    if found := re.match(r"Interpolation key '(.*)' not found$", said):
        return f"{key}: ${{{found[1]}}} names a key that does not exist"
    if found := re.match(r"\w+ raised while resolving interpolation: (.*)$", said):
        return f"{key}: {_bare(found[1])}"
    return f"{key}: {said}"


def _bare(text: str) -> str:
    """The text without the quotes around it; True as it is typed."""
    inner = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
    return inner.lower() if inner in ("True", "False") else inner
