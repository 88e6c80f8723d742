"""Export a run to formats of other programs: python export.py run=outputs/mine format=diffusers out=mine-diffusers."""

from lightning_diff.cluster.signals import STOP

if __name__ == "__main__":
    STOP.install(deferred=True)  # a signal may come during the imports
    from lightning_diff.cli.commands import export_command

    export_command()
