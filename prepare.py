"""Write pictures and captions into shards: python prepare.py data=folder source=DIR."""

from lightning_diff.cli.commands import prepare_command

if __name__ == "__main__":
    prepare_command()
