"""Draw pictures of a prompt: python sample.py prompt="a large green avocado on a table"."""

from lightning_diff.cluster.signals import STOP

if __name__ == "__main__":
    STOP.install(deferred=True)  # a signal may come during the imports
    from lightning_diff.cli.commands import sample_command

    sample_command()
