"""Train, then evaluate: python train.py experiment=base (help: --help, the config: --cfg job)."""

from lightning_diff.app.command_line import train_command

if __name__ == "__main__":
    train_command()
