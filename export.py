"""Export a run to formats of other programs: python export.py run=outputs/mine format=diffusers out=mine-diffusers."""

from lightning_diff.cli.commands import export_command

if __name__ == "__main__":
    export_command()
