"""python -m lightning_diff: list the runs in outputs/ with their best numbers, and make their reports."""

from .cluster.signals import STOP

if __name__ == "__main__":
    STOP.install(deferred=True)  # a signal may come during the imports
    from .cli.commands import runs_command

    runs_command()
