"""Train, then evaluate: python train.py experiment=base (help: --help, the config: --cfg job)."""

from lightning_diff.training.signals import STOP

if __name__ == "__main__":
    STOP.install(deferred=True)  # a signal may come while the rest is imported
    from lightning_diff.app.command_line import train_command

    train_command()
