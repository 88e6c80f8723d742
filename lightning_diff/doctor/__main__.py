"""python -m lightning_diff.doctor experiment=base: what would go wrong with that training here, and how to mend it."""

from ..cli.commands import doctor_command

if __name__ == "__main__":
    doctor_command()
