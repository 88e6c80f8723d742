"""The guidance sweep of a run: python evaluate.py run=outputs/base 'guidance.scales=[1,2,3]'."""

from lightning_diff.training.signals import STOP

if __name__ == "__main__":
    STOP.install(deferred=True)  # a signal may come while the rest is imported
    from lightning_diff.app.command_line import evaluate_command

    evaluate_command()
