"""The guidance sweep of a run: python evaluate.py run=outputs/base 'guidance.scales=[1,2,3]'."""

from lightning_diff.app.command_line import evaluate_command

if __name__ == "__main__":
    evaluate_command()
