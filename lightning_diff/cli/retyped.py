"""How an argument must be typed that is not key=value, or whose value cannot be read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ..config.errors import nearest
from ..config.input.search import SEARCH
from ..config.input.typed import exists, kind_of, listed_group, quoted
from ..config.input.values import PLAIN
from ..config.texts.suggest import AT_HAND, exactly, suggest
from ..pipeline.many.named import is_run


def as_pair(argument: str, before: str, following: Sequence[str], flags: Sequence[str]) -> str:
    """How an argument that is not key=value must be typed. `before` is the key=value that comes before it, or empty."""
    name, equals, value = argument.lstrip("-").partition("=")
    after = following[0] if following and "=" not in following[0] else "VALUE"
    if name in AT_HAND.known():
        return f"overrides are written key=value; type {shlex.quote(f'{name}={value if equals else after}')}"
    if argument.startswith("-"):
        keys = exactly(name)[0]
        flag = nearest(argument.partition("=")[0], list(flags))
        close = flag.startswith("did you mean")
        return f"no such flag; {f'type {keys[0]}={value if equals else after}' if keys else flag if close else suggest(name)}"
    whole = " ".join([argument, *_bare(following)])
    if before and (typed := _with_blanks(before, whole)):
        return typed
    if SEARCH.file("experiment", name) is not None and "experiment" in AT_HAND.known():
        return f"not of the form key=value; type experiment={name}"
    for word in ("run", "open"):
        if word in AT_HAND.words and is_run(argument):
            return f"not of the form key=value; type {shlex.quote(f'{word}={argument}')}"
    likely = nearest(name, sorted(AT_HAND.words))
    if " " not in whole and likely.startswith("did you mean"):  # a word of the command without its value
        return f"not of the form key=value; {likely}"
    if "prompt" in AT_HAND.words:
        return f"not of the form key=value; did you mean prompt={shlex.quote(whole)}?"
    return f"not of the form key=value; {suggest(name)}"


def _bare(following: Sequence[str]) -> list[str]:
    """The arguments up to the next key=value or flag."""
    end = next((i for i, word in enumerate(following) if "=" in word or word.startswith("-")), len(following))
    return list(following[:end])


def _with_blanks(before: str, rest: str) -> str:
    """How key=value is typed if `rest` belongs to its value, which has blanks; empty if it does not."""
    key, _, value = before.partition("=")
    kind, many = kind_of(key.lstrip("+"))
    if many or value.startswith("["):
        return f"a list has no blanks; {retyped(f'{before} {rest}')}"
    own = key in AT_HAND.words  # a path, a prompt, a name
    if exists(f"{value} {rest}") or own or (kind in ("path", "text") and SEARCH.file("experiment", rest) is None):
        return f"quote a value with blanks: {shlex.quote(f'{before} {rest}')}"
    return ""


def retyped(word: str) -> str:
    """An argument as it must be typed in a shell: a list in brackets, any other value in quotes."""
    head, _, value = word.partition("=")
    if not re.fullmatch(r"[+~]*[\w./@:-]+", head, re.ASCII):  # a blank in it, a curly quote
        return f"{head!r} is no key; {suggest(re.sub(r'[^ -~]', '', head).strip())}"
    kind, many = kind_of(head.lstrip("+"))
    if listed_group(head.lstrip("+")) and re.search(r"[{:]", value):
        return f"""type its values in quotes, as in '{head}=[{{kind: NAME, key: "VALUE"}}]'"""
    if many or listed_group(head.lstrip("+")):
        parts = [part for part in re.split(r"[\s,;\[\](){}\"']+", value) if part]
        if kind in ("int", "float") and any(not re.fullmatch(r"[-+.\deE_]+", part) for part in parts):
            return f"{head} takes a list of numbers, {head}=[1,2]"
        return "type " + shlex.quote(f"{head}=[{','.join(parts)}]")
    if kind in PLAIN:
        return f"{head} takes {PLAIN[kind]}"
    inner = quoted(value) if '"' in value else f'"{value}"'
    return "type " + shlex.quote(f"{head}={inner}")


def blanks_in_list(key: str, value: str) -> bool:
    """Whether a list of numbers has blanks in the place of commas, as in [1 2 4]."""
    kind, many = kind_of(key)
    return many and kind in PLAIN and re.search(r"[^\s,\[]\s+[^\s,\]]", value) is not None
