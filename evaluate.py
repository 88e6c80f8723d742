"""The guidance sweep of a run: python evaluate.py run=outputs/base 'guidance.scales=[1,2,3]'."""

from lightning_diff.cluster.signals import STOP

if __name__ == "__main__":
    STOP.install(deferred=True)  # a signal may come while the rest is imported
    from lightning_diff.cli.commands import evaluate_command

    evaluate_command()
