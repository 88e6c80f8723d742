"""Look inside a model: python explore.py run=outputs/base, for axes of its spaces and guidance; its page is RUN/explore.html."""

from lightning_diff.cluster.signals import STOP

if __name__ == "__main__":
    STOP.install(deferred=True)  # a signal may come during the imports
    from lightning_diff.cli.drawing.explore import explore_command

    explore_command()
