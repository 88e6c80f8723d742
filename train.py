"""Train, then evaluate: python train.py experiment=base (help: --help, the config: --cfg job)."""

from lightning_diff.cluster.signals import STOP

if __name__ == "__main__":
    STOP.install(deferred=True)  # a signal may come during the imports
    from lightning_diff.cli.commands import train_command

    train_command()
