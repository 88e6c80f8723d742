"""The console command of an installed package: `lightning-diff train experiment=base` does what `python train.py` does."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from .. import __version__
from ..cluster.signals import STOP
from ..terminal import CONSOLE_WORD

COMMANDS = {
    "train": "train, then measure and report",
    "evaluate": "measure a run, a model, or a folder of pictures",
    "sample": "draw pictures of prompts",
    "prepare": "prepare a set of pictures, or look at it",
    "explore": "look inside a run: axes of its spaces, and what guidance does",
    "export": "write a run for other programs",
    "doctor": "find what would go wrong with a training",
    "runs": "list runs, open and make reports",
}
ELSEWHERE = {"explore": "lightning_diff.cli.drawing.explore"}  # the other commands are in cli/commands.py


def main() -> None:
    """Run the command that the first word names. Exit code 2 if there is no such command."""
    STOP.install(deferred=True)  # a signal may come during the imports
    words = sys.argv[1:]
    name = os.environ.get(CONSOLE_WORD, "") if "LOCAL_RANK" in os.environ else ""
    if not name:
        name, words = (words[0], words[1:]) if words else ("--help", [])
    if name in ("--version", "-V"):
        print(f"lightning-diff {__version__}")
        return
    if name not in COMMANDS:
        lines = [f"  lightning-diff {command:<9} {text}" for command, text in COMMANDS.items()]
        said = "\n".join(["Text-to-image latent diffusion. lightning-diff COMMAND --help tells more.", *lines])
        if name in ("--help", "-h"):
            print(said)
            return
        print(f"error: {name}: no such command; there are {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    os.environ[CONSOLE_WORD] = name
    sys.argv = [str(Path(sys.argv[0])), *words]
    getattr(importlib.import_module(ELSEWHERE.get(name, "lightning_diff.cli.commands")), f"{name}_command")()
