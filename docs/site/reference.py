"""The pages of the reference that are made from the code: what each command says of itself, and the library's face."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "train.py": "Train, then measure and report",
    "evaluate.py": "Measure a run, a model, or a folder of pictures",
    "sample.py": "Draw pictures of prompts",
    "prepare.py": "Prepare a set of pictures, or look at it",
    "explore.py": "Look inside a model",
    "export.py": "Write a run for other programs",
    "-m lightning_diff": "List runs, open and make reports",
    "-m lightning_diff.doctor": "Find what would go wrong with a training",
}
WIDE = 100  # characters of a signature that stays on one line


def commands_page() -> str:
    """Each command with what its --help prints."""
    text = "# Commands\n\nWhat each one prints for `--help`. [The command line](../commands.md) tells what they have in common.\n"
    for words, title in COMMANDS.items():
        said = subprocess.run(
            [sys.executable, *words.split(), "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        text += f"\n## {title}\n\n```text\n{said.stdout.strip()}\n```\n"
    return text


def library_page() -> str:
    """Everything that `import lightning_diff as ld` offers, with its signature and its docstring."""
    import lightning_diff as ld

    text = "# The library\n\n`import lightning_diff as ld`. [As a library](../library.md) shows how the parts work together.\n"
    for name in ld._FACE:
        text += "".join(_described(f"ld.{name}", getattr(ld, name)))
    for name, group in ld._CHOICES.items():
        keys = f"[Choices and keys](../choices.md#{group}) has the keys"
        text += f"\n## ld.{name}\n\nThe same as `{group}=` of the commands; {keys}.\n\n"
        found = getattr(ld, name)
        for choice in dir(found):
            text += f"- **`ld.{name}.{choice}`** {_first(getattr(found, choice))}\n"
    return text


def _described(name: str, found: Any) -> Iterator[str]:
    if isinstance(found, ModuleType):
        yield f"\n## {name}\n\n{_paragraphs(found)}\n\n"
        for key, cls in vars(found).items():
            if inspect.isclass(cls) and cls.__module__ == found.__name__ and not key.startswith("_"):
                yield f"- **`{name}.{key}`** {_first(cls)}\n"
        return
    if inspect.isclass(found) and issubclass(found, Exception):
        yield f"\n## {name}\n\n{_paragraphs(found)}\n"
        return
    yield _called(f"## {name}", name, found)
    for key, method in vars(found).items() if inspect.isclass(found) else ():
        method = getattr(method, "__wrapped__", getattr(method, "__func__", method))
        if inspect.isfunction(method) and not key.startswith("_") and method.__doc__:
            yield _called(f"### {name.removeprefix('ld.')}.{key}", f".{key}", method)


def _called(heading: str, name: str, found: Any) -> str:
    return f"\n{heading}\n\n```python\n{_signature(name, found)}\n```\n\n{_paragraphs(found)}\n"


def _signature(name: str, found: Any) -> str:
    """The call as one reads it, a parameter a line where it is long."""
    called = inspect.signature(found)
    parameters = [p for p in called.parameters.values() if p.name != "self"]
    words = [re.sub(r"(?<=: )'([^']*)'", r"\1", str(p)) for p in parameters]
    given = "" if inspect.isclass(found) else inspect.formatannotation(called.return_annotation).strip("'")
    back = f" -> {given}" if given and called.return_annotation is not inspect.Signature.empty else ""
    line = f"{name}({', '.join(words)}){back}"
    return line if len(line) <= WIDE else f"{name}(\n" + "".join(f"    {w},\n" for w in words) + f"){back}"


def _paragraphs(found: Any) -> str:
    """The docstring as Markdown."""
    return inspect.cleandoc(found.__doc__ or "")


def _first(found: Any) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join(_paragraphs(found).partition("\n\n")[0].split())
