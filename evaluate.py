"""Measure a run with the guidance sweep: python evaluate.py run=outputs/base 'guidance.scales=[1,2,3]'."""

from lightning_diff.cluster.signals import STOP

if __name__ == "__main__":
    STOP.install(deferred=True)  # a signal may come during the imports
    from lightning_diff.cli.commands import evaluate_command

    evaluate_command()
