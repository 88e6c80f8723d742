"""The entry point of explore.py."""

from __future__ import annotations

from ...config.compose import load_config
from ...config.errors import ConfigError
from ...pipeline.many.named import one_folder
from ..arguments import Arguments
from ..commands import STORED, plain_command
from ..show import show_stored, shows
from .prompts import finished, prompts_of
from .stored import refuse_another_model, send_nowhere


def explore_command() -> None:
    """explore.py: look inside the model of a run."""

    def work(found: Arguments) -> None:
        words = found.words
        if not words["run"]:
            raise ConfigError("run=: say which run to look into, for example run=outputs/base")
        run = finished(one_folder(words["run"]))
        config = load_config(run / "config.yaml", found.overrides)
        if shows(found):
            return show_stored(found, [(str(run), config)])
        numbers = {}
        for name, low, high in (("count", 64, 20000), ("axes", 1, 40)):
            if not words[name].isdigit() or not low <= int(words[name]) <= high:
                raise ConfigError(f"{name}={words[name]}: a whole number from {low} to {high}")
            numbers[name] = int(words[name])
        prompts = prompts_of(words["prompt"], words["prompts"]) if words["prompt"] or words["prompts"] else []
        send_nowhere(config, found.overrides)
        refuse_another_model(config, run)
        from ...pipeline.exploring.explore import Asked, explore

        explore(config, run, Asked(prompts, config.seed, numbers["count"], numbers["axes"]))

    plain_command(
        'python explore.py run=outputs/base [prompt="a small red mug at night"] [prompts=FILE] [seed=0] [count=1024] [axes=8]\n'
        "A page of its own, RUN/explore.html, to which the report links and which W&B shows: what guidance does at each step;\n"
        "axes of the latents, of the UNet's middle and of the text encoder, by linear probes with their accuracy on held-out\n"
        "samples, as walks; axes without words;\n"
        "neighbours; pictures between two prompts and between two pictures. Axes are known attributes, or the words of your\n"
        "captions. count= is how many samples they are learned from. Of a run of alignDRAW: a movie of its glimpses, with its\n"
        "windows and its attention to the words.",
        {"run": "", "prompt": "", "prompts": "", "count": "1024", "axes": "8"},
        work,
        STORED,
        paths=("run", "prompts"),
    )
