"""The entry point of each command. An error in the config is one line and exit code 2, before anything is loaded."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..config.compose import load_config, register_schema
from ..config.convert import to_config
from ..config.errors import ConfigError, nearest
from ..config.ignored import check_words
from ..config.installed import check_installed
from ..config.messages import wrong_word
from ..config.paths import CONF
from ..config.plugins import load_plugins
from ..pipeline.naming import group_name, run_name
from .errors import exit_on_error
from .help import help_text
from .prompts import finished, prompts_of, shipped_run

Words = dict[str, str]


def train_command() -> None:
    """train.py: compose with Hydra (multirun and launchers included), check, then train."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import DictConfig

    from .hydra_targets import guard_hydra

    exit_on_error(lambda: load_plugins(sys.argv[1:]))
    if {"-h", "--help"} & set(sys.argv[1:]):
        return print(help_text())
    register_schema()
    guard_hydra()

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
    def job(node: DictConfig) -> None:
        def work() -> None:
            config = to_config(node)
            check_installed(config)
            hydra_job = HydraConfig.get()
            if hydra_job.mode == RunMode.RUN and hydra_job.runtime.choices["hydra/launcher"] == "slurm":
                raise ConfigError(
                    "hydra/launcher=slurm: would be ignored; it belongs to -m, or sbatch slurm/train.sbatch"
                )
            overrides = list(hydra_job.overrides.task)
            check_words(config, overrides)
            if hydra_job.mode == RunMode.MULTIRUN and config.tracking.group is None:
                config.tracking.group = group_name(config, overrides)
            name = run_name(config, overrides)
            from ..pipeline.stages import train

            train(config, Path(config.outputs) / name)

        exit_on_error(work)  # here too, because Hydra would print a line of its own before ours

    def composed() -> None:
        try:
            job()
        except ValueError as e:
            if found := wrong_word(sys.argv[1:], e):
                raise found from e
            raise

    exit_on_error(composed)


def take_words(arguments: Sequence[str], defaults: Words, flags: Sequence[str] = ()) -> tuple[Words, list[str]]:
    """Split off the arguments that are plain text, which Hydra's grammar must not parse: prompt=a, "b" [c]."""
    words, rest = dict(defaults), []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key in words:
            words[key] = value
        elif equals or argument in ("-h", "--help", *flags):
            rest.append(argument)
        else:
            raise ConfigError(f"{argument}: not of the form key=value; {nearest(argument, sorted(words))}")
    return words, rest


def product_of(overrides: Sequence[str]) -> list[list[str]]:
    """All combinations of the values in overrides like sampler=euler,heun (Hydra's grammar)."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    choices = []
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        values = list(override.sweep_string_iterator()) if override.is_sweep_override() else None
        line = override.input_line or ""
        choices.append([line] if values is None else [f"{override.get_key_element()}={v}" for v in values])
    return [list(some) for some in itertools.product(*choices)]


def _plain_command(
    doc: str, defaults: Words, work: Callable[[Words, list[str]], None], flags: Sequence[str] = ()
) -> None:
    def job() -> None:
        words, overrides = take_words(sys.argv[1:], defaults, flags)
        if {"-h", "--help"} & set(overrides):
            print(doc)
            return
        work(words, overrides)

    exit_on_error(job)


def evaluate_command() -> None:
    """evaluate.py: measure runs with the guidance sweep."""

    def work(words: Words, overrides: list[str]) -> None:
        if not words["run"]:
            raise ConfigError("run=: say which run to measure, for example run=outputs/base")
        many = "-m" in overrides
        rest = [o for o in overrides if o != "-m"]
        combinations = product_of(rest) if many else [rest]
        runs = [finished(Path(r)) for r in (words["run"].split(",") if many else [words["run"]])]
        wanted = {run: [load_config(run / "config.yaml", some) for some in combinations] for run in runs}
        for config in itertools.chain(*wanted.values()):
            check_installed(config)
        from ..pipeline.stages import evaluate

        for run, configs in wanted.items():
            evaluate(configs, run)
        if len(runs) > 1:
            from ..pipeline.report import report_runs

            report_runs(runs)

    _plain_command(
        "python evaluate.py run=outputs/base ['guidance.scales=[1,2,3]' sampler=heun evaluation.samples=512 ...]\n"
        "python evaluate.py -m run=outputs/a,outputs/b guidance=cfg,interval sampler=euler,heun sampler.nfe=20,40\n"
        "FID, CLIP score (and attribute accuracy) at every guidance scale, to RUN/sweep.csv, sweep.json, figures/ and\n"
        "report.html; with -m of every combination, and of several runs side by side.",
        {"run": ""},
        work,
        ("-m",),
    )


def sample_command() -> None:
    """sample.py: draw pictures of prompts."""

    def work(words: Words, overrides: list[str]) -> None:
        run = finished(Path(words["run"])) if words["run"] else shipped_run()
        prompts = prompts_of(words["prompt"], words["prompts"])
        if not words["count"].isdigit() or not 1 <= int(words["count"]) <= 256:
            raise ConfigError(f"count={words['count']}: a whole number from 1 to 256")
        config = load_config(run / "config.yaml", overrides)
        from .sample import sample

        sample(config, run, prompts, int(words["count"]), Path(words["out"]))

    _plain_command(
        'python sample.py prompt="a large green avocado on a table" [run=outputs/base] [prompts=FILE] [count=4]\n'
        "                 [out=outputs/samples] [guidance.scale=3] [sampler=ddpm] [seed=0]\n"
        "Pictures of one prompt, or of each line of a file; without run= by the shipped model. The prompt is taken as typed.",
        {"prompt": "", "prompts": "", "run": "", "count": "4", "out": "outputs/samples"},
        work,
    )


def export_command() -> None:
    """export.py: write a run as a diffusers folder or as a single-file checkpoint."""
    formats = ("diffusers", "single_file")

    def work(words: Words, overrides: list[str]) -> None:
        if words["format"] not in formats:
            hint = nearest(words["format"], list(formats))
            raise ConfigError(f"format={words['format']}: must be one of {', '.join(formats)}; {hint}")
        for name, what in (("run", "which run to export, run=outputs/NAME"), ("out", "where to write, out=PATH")):
            if not words[name]:
                raise ConfigError(f"{name}=: say {what}")
        run = finished(Path(words["run"]))
        config = load_config(run / "config.yaml", overrides)
        from .export import export

        export(config, run, words["format"], Path(words["out"]))

    _plain_command(
        "python export.py run=outputs/NAME format=diffusers|single_file out=PATH [sampler=ddim ...]\n"
        "A run of net=ldm as a folder for StableDiffusionPipeline.from_pretrained, or as a single-file checkpoint.",
        {"run": "", "format": "diffusers", "out": ""},
        work,
    )


def prepare_command() -> None:
    """prepare.py: write pictures and captions into WebDataset shards."""

    def work(words: Words, overrides: list[str]) -> None:
        from ..config.compose import compose_config

        data = [f"data={words['data']}"] if words["data"] else []
        if words["source"]:
            quoted = words["source"].replace("\\", "\\\\").replace("'", "\\'")
            data.append(f"data.source='{quoted}'")
        if not words["show.count"].isdigit():
            raise ConfigError(f"show.count={words['show.count']}: a whole number; 0 shows all")
        config = compose_config([*data, *overrides])
        from .prepare import prepare, prepare_experiment

        if any(o.startswith("experiment=") for o in overrides) and not words["show"]:
            prepare_experiment(config)
        else:
            prepare(config, words["show"], int(words["show.count"]))

    _plain_command(
        "python prepare.py data=folder source=DIR [data.image_size=64 data.test=0]\n"
        "python prepare.py data=shards source=DIR show=FOLDER [show.count=64]\n"
        "python prepare.py experiment=base [the overrides of train.py ...] [show=step:1234]\n"
        "Captioned pictures (KEY.jpg beside KEY.txt) to WebDataset shards, kept in outputs/cache/data. With an experiment also\n"
        "the frozen parts that it needs, and the latents and caption features that they make; processes that are given the\n"
        "same command (sbatch --array=0-3 slurm/prepare.sbatch ...) share the work. show= writes what the trainer sees, and\n"
        "nothing is trained: each picture at its training size, samples.csv, left-out.csv and a contact sheet; of a whole set\n"
        "to a folder, or the batch of a step to outputs/step-1234.",
        {"data": "", "source": "", "show": "", "show.count": "0"},
        work,
    )


def runs_command() -> None:
    """python -m lightning_diff: list runs, open a report, compare runs."""

    def work(words: Words, overrides: list[str]) -> None:
        if overrides:
            raise ConfigError(f"{overrides[0]}: no such word; {nearest(overrides[0], sorted(words))}")
        outputs = Path(words["outputs"])
        names = [n for n in (words["open"] or words["report"]).split(",") if n]
        if not names:
            from ..pipeline.runs import list_runs

            return list_runs(outputs)
        from ..pipeline.report import report_runs

        place = report_runs([outputs / n for n in names])
        if words["open"]:
            import webbrowser

            webbrowser.open(place.resolve().as_uri())

    _plain_command(
        "python -m lightning_diff [outputs=outputs] [open=NAME] [report=NAME,NAME]\n"
        "The runs with their best numbers; open= makes and opens a report, report= makes it, of several runs if several\n"
        "are named (their numbers must have been measured alike), with their rows as one .csv.",
        {"outputs": "outputs", "open": "", "report": ""},
        work,
    )


def doctor_command() -> None:
    """python -m lightning_diff.doctor: find what would go wrong with a training, and say how to fix it."""

    def work(words: Words, overrides: list[str]) -> None:
        from ..config.compose import compose_config

        config = compose_config(overrides)
        check_installed(config)
        name = run_name(config, overrides)
        from ..doctor.report import doctor

        if not doctor(config, Path(config.outputs) / name):
            sys.exit(2)

    _plain_command(
        "python -m lightning_diff.doctor experiment=base [the words that train.py will get]\n"
        "What would go wrong with that training here, each with its remedy: ranks, GPUs, memory, disk, data, weights,\n"
        "tracking, clocks, the run folder. Trains nothing, leaves nothing behind; exit code 2 if something is wrong. For all\n"
        "ranks of a job: srun python -m lightning_diff.doctor experiment=base training.devices=4 training.nodes=2",
        {},
        work,
    )
