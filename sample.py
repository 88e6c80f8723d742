"""Draw pictures of a prompt: python sample.py prompt="a large green avocado on a table"."""

from lightning_diff.cli.commands import sample_command

if __name__ == "__main__":
    sample_command()
