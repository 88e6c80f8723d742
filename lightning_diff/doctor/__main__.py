"""python -m lightning_diff.doctor experiment=base: find what would go wrong with that training here, and how to fix it."""

from ..cluster.signals import STOP

if __name__ == "__main__":
    STOP.install(deferred=True)  # a signal may come during the imports
    from ..cli.commands import doctor_command

    doctor_command()
