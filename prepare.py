"""Write pictures and captions into shards: python prepare.py data=folder source=DIR."""

from lightning_diff.cluster.signals import STOP

if __name__ == "__main__":
    STOP.install(deferred=True)  # a signal may come during the imports
    from lightning_diff.cli.commands import prepare_command

    prepare_command()
