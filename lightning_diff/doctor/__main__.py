"""python -m lightning_diff.doctor experiment=base: find what would go wrong with that training here, and how to fix it."""

from ..cli.commands import doctor_command

if __name__ == "__main__":
    doctor_command()
