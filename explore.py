"""Look inside a model: python explore.py run=outputs/base, for axes of its spaces and guidance; its page is RUN/explore.html."""

from lightning_diff.cli.drawing.explore import explore_command

if __name__ == "__main__":
    explore_command()
