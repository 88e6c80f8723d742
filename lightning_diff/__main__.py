"""python -m lightning_diff: list the runs in outputs/ with their best numbers, and make their reports."""

from .cli.commands import runs_command

if __name__ == "__main__":
    runs_command()
