"""The entry point of each command. An error in the config is one line and exit code 2, before anything is loaded."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from ..cluster.detection import heed_slurm
from ..cluster.standby import STANDBY, stand_by
from ..config.compose import compose_config, load_config
from ..config.errors import ConfigError, nearest
from ..config.input.search import SEARCH
from ..config.input.typed import for_hydra
from ..config.installed import check_installed
from ..config.paths import WEIGHTS
from ..config.schema import Config
from ..config.texts.areas import check_used
from ..pipeline.continuing.presets import as_begun
from ..pipeline.many.named import check_runs, folders_of, one_folder
from ..pipeline.naming import run_folder
from ..ranks import say
from ..strings import clean_text, visible
from .arguments import OF_HYDRA, OF_MANY, SHOWN, Arguments, Words, product_of, read_arguments, read_columns
from .drawing.prompts import finished, out_folder, prompts_of, shipped_run, whole_number
from .drawing.stored import refuse_another_model, send_nowhere
from .errors import exit_on_error
from .help import answer, experiments_text, help_text
from .measuring.folders import folders_asked, measure_folders
from .measuring.models import measure_model
from .multirun import finish_many, refuse_one_folder, say_which, with_hydra
from .show import show_composed, show_stored, shows

CONFIGS = ("--config-dir", "--config-name", *SHOWN)  # flags of a command that composes a config
STORED = ("--config-dir", *SHOWN)  # flags of a command that reads a run's config


def train_command() -> None:
    """train.py: compose with Hydra (multirun and launchers included), check, then train."""

    def work() -> None:
        from .hydra_targets import guard_hydra

        found = read_arguments(sys.argv[1:], flags=(*CONFIGS, *OF_HYDRA, "--multirun"))
        if answer(found, help_text):
            return
        guard_hydra()
        if not found.overrides and SEARCH.name == "config" and not {"--cfg", *OF_HYDRA} - {"--run"} & set(found.flags):
            raise ConfigError(experiments_text())
        if "--hydra-help" in found.flags and found.overrides:
            raise ConfigError(f"{found.overrides[0]}: would be ignored; --hydra-help stands alone")
        launched = next((o for o in found.overrides if o.lstrip("+").startswith(OF_MANY)), "")
        if launched and not found.many and "--cfg" not in found.flags:
            raise ConfigError(f"{launched}: would be ignored; it belongs to -m, or sbatch slurm/train.sbatch")
        if found.flags.get("--cfg") == "job":
            return show_composed(found, product_of(found.overrides) if found.many else [found.overrides])
        if "--run" in found.flags and "--cfg" in found.flags:
            raise ConfigError("--run: would be ignored, --cfg only prints; leave one of them out")
        if found.many:
            refuse_one_folder(product_of(found.overrides))
        if found.many or {"--cfg", *OF_HYDRA} - {"--run"} & set(found.flags):
            return with_hydra(found)
        _train(found.overrides)

    exit_on_error(work)


def _train(overrides: list[str]) -> None:
    config = compose_config(overrides, SEARCH.name)
    check_installed(config)
    folder = run_folder(config, overrides)
    stand_by(lambda: import_module("lightning_diff.pipeline.stages"))
    config = _as_trained(config, folder, overrides)
    if not (folder / WEIGHTS).exists():
        STANDBY.start(config.training)
    from ..pipeline.stages import train

    train(config, folder)


def _as_trained(config: Config, folder: Path, words: Sequence[str]) -> Config:
    """The config of a training in this folder on this machine, asked for by these words."""
    from ..cluster.processes import with_processes

    config = as_begun(config, folder, words)
    config.training = with_processes(config.training, words)
    return config


def plain_command(
    doc: str,
    defaults: Words,
    work: Callable[[Arguments], None],
    flags: Sequence[str] = (),
    paths: Sequence[str] = (),
) -> None:
    """Run a command. `defaults` are its own words, `paths` those that hold a path, `flags` what it knows besides --help."""

    def job() -> None:
        from .hydra_targets import guard_hydra

        command = doc.partition(" ")[2].removeprefix("-m ").split()[0]
        found = read_arguments(sys.argv[1:], defaults, paths, flags, command)
        if answer(found, lambda: doc):
            return
        guard_hydra()
        work(found)

    exit_on_error(job)


def evaluate_command() -> None:
    """evaluate.py: measure runs with the guidance sweep."""

    def work(found: Arguments) -> None:
        if folders_asked(found.words):
            return measure_folders(found)
        if found.words["model"]:
            return measure_model(found)
        if not found.words["run"]:
            raise ConfigError("run=: say which run to measure, for example run=outputs/base; or model=, which model")
        combinations = product_of(found.overrides) if found.many else [found.overrides]
        runs = [finished(run) for run in folders_of(found.words["run"])]
        columns = read_columns(found.words["columns"])
        for word in itertools.chain(*combinations):
            if word in ("evaluation=none", "evaluation.enabled=false"):
                raise ConfigError(f"{word}: would be ignored; evaluate.py measures; leave it out")
        wanted = {run: [load_config(run / "config.yaml", some) for some in combinations] for run in runs}
        if shows(found):
            titles = [f"{run} {' '.join(some)}" for run in runs for some in combinations]
            return show_stored(found, list(zip(titles, itertools.chain(*wanted.values()), strict=True)))
        for config, some in (
            (c, some) for configs in wanted.values() for c, some in zip(configs, combinations, strict=True)
        ):
            check_installed(config)
            send_nowhere(config, some)
        from ..pipeline.stages import evaluate

        for number, (run, configs) in enumerate(wanted.items(), 1):
            if len(runs) > 1:
                say_which(number, len(runs), run.name)
            evaluate(configs, run, columns, [*found.overrides, *["-m"] * found.many])
        finish_many(runs)

    plain_command(
        "python evaluate.py run=outputs/base ['guidance.scales=[1,2,3]' sampler=heun evaluation.samples=512 ...]\n"
        "python evaluate.py run='base-*' [columns=scale,fid,kid]\n"
        "python evaluate.py -m run=outputs/a,outputs/b guidance=cfg,interval sampler=euler,heun sampler.nfe=20,40\n"
        "python evaluate.py model=FOLDER|FILE.py:NAME data=shards data.source=... 'guidance.scales=[1,3]' [sampler.steps=30]\n"
        "python evaluate.py pictures=DIR reference=DIR [run=NAME] [evaluation/features=inception ...] [out=FILE.json]\n"
        "FID, CLIP score (and attribute accuracy) at every guidance scale, to RUN/sweep.csv, sweep.json, figures/ and\n"
        "report.html; with -m of every combination. run= takes names, paths and patterns; several runs end side by side.\n"
        "pictures= measures a folder against another folder, or against a run's held-out pictures, and writes only to out=.",
        {"run": "", "model": "", "columns": "", "pictures": "", "reference": "", "out": ""},
        work,
        (*STORED, "--multirun"),
        paths=("run", "model"),
    )


def sample_command() -> None:
    """sample.py: draw pictures of prompts, or a picture again."""

    def work(found: Arguments) -> None:
        words = found.words
        if words["again"]:
            from .drawing.again import again_asked

            return again_asked(found)
        run = finished(one_folder(words["run"])) if words["run"] else shipped_run()
        check_used("sample.py", found.overrides)
        config = load_config(run / "config.yaml", found.overrides)
        if shows(found):
            return show_stored(found, [(str(run), config)])
        prompts = prompts_of(words["prompt"], words["prompts"])
        count, out = whole_number("count", words["count"], 1, 256), out_folder(words["out"])
        refuse_another_model(config, run)
        several = any(word.startswith("guidance.scales=") for word in found.overrides)
        say(f"loading {run if words['run'] else 'the shipped model'}")  # torch takes seconds
        from .drawing.sample import sample

        scales = config.guidance.scales if several else ()
        negative = clean_text(words["negative"])
        sample(config, run, prompts, count, out, scales, found.overrides, negative)

    plain_command(
        'python sample.py prompt="a large green avocado on a table" [run=outputs/base] [prompts=FILE] [count=4]\n'
        "                 [negative=\"at night\"] [guidance.scale=3] ['guidance.scales=[1,2,4,8]'] [sampler=ddpm]\n"
        "                 [seed=0] [out=outputs/samples]\n"
        "python sample.py again=PICTURE.png [run=FOLDER]\n"
        "Pictures of one prompt, or of each line of a file; without run= by the shipped model. The prompt is taken as typed.\n"
        "Each PNG says how it was made; again= draws it a second time, bit for bit. With several scales the grid has a row for\n"
        "each prompt and seed, and a column for each scale.",
        {"prompt": "", "prompts": "", "negative": "", "run": "", "count": "4", "out": "outputs/samples", "again": ""},
        work,
        STORED,
        paths=("run", "prompts", "out", "again"),
    )


def export_command() -> None:
    """export.py: write a run for other projects, or show what a model of theirs is."""
    formats = ("diffusers", "single_file", "kohya_lora")
    truths = {"": None, "true": True, "false": False}

    def work(found: Arguments) -> None:
        words = found.words
        if words["show"]:
            from .exporting.show import show

            if words["run"] or words["out"] or found.overrides:
                raise ConfigError("show=: shows a model and writes nothing; leave the other words out")
            return print(visible("\n".join(show(Path(words["show"])))))
        if words["format"] not in formats:
            hint = nearest(words["format"], list(formats))
            raise ConfigError(f"format={words['format']}: must be one of {', '.join(formats)}; {hint}")
        if words["verify"] not in truths:
            raise ConfigError(f"verify={words['verify']}: must be true or false")
        for name, what in (("run", "which run to export, run=outputs/NAME"), ("out", "where to write, out=PATH")):
            if not words[name]:
                raise ConfigError(f"{name}=: say {what}")
        run = finished(one_folder(words["run"]))
        check_used("export.py", found.overrides)
        config = load_config(run / "config.yaml", found.overrides)
        if shows(found):
            return show_stored(found, [(str(run), config)])
        from .exporting.export import export

        export(config, run, words["format"], Path(words["out"]), truths[words["verify"]])

    plain_command(
        "python export.py run=outputs/NAME format=diffusers|single_file|kohya_lora out=PATH [verify=true] [sampler=ddim ...]\n"
        "python export.py show=PATH\n"
        "A run of net=ldm as a folder for StableDiffusionPipeline.from_pretrained, or as a single-file checkpoint; its adapters\n"
        "under kohya's names. verify= (the default where diffusers is installed) opens what was written and compares pictures.\n"
        "show= says what a model of another project is, where each word of it was read, and what this project does with it.",
        {"run": "", "format": "diffusers", "out": "", "verify": "", "show": ""},
        work,
        STORED,
        paths=("run", "out", "show"),
    )


def prepare_command() -> None:
    """prepare.py: write pictures and captions into WebDataset shards."""

    def work(found: Arguments) -> None:
        words = found.words
        checked = words["data"] == "validate"
        if checked:
            from .preparing.validate import kind_of, validate

            if words["show"]:
                raise ConfigError(
                    "show=: would be ignored; data=validate gives the account, data=shards show=FOLDER pictures"
                )
            words["data"] = kind_of(words["source"])
        elif words["repair"]:
            raise ConfigError("repair=: would be ignored; it belongs to data=validate")
        data = [f"data={words['data']}"] if words["data"] else []
        data += [for_hydra(f"data.source={words['source']}")] if words["source"] else []
        if words["source"] and (twice := next((o for o in found.overrides if o.startswith("data.source=")), "")):
            raise ConfigError(f"{twice}: source={words['source']} says it already; give one of them")
        shown = whole_number("show.count", words["show.count"], 0, 10**8, "; 0 shows all")
        overrides = [*data, *found.overrides]
        if shows(found):
            return show_composed(found, [overrides])
        config = compose_config(overrides, SEARCH.name)
        heed_slurm(config.cluster.slurm)
        if checked:
            return validate(config, words["repair"])
        from ..cluster.processes import with_processes
        from .prepare import prepare, prepare_experiment

        if any(o.startswith("experiment=") for o in overrides) and not words["show"]:
            if "SLURM_JOB_ID" not in os.environ:  # the tasks of a job share the parts, not one part's training
                config.training = with_processes(config.training, overrides)
            prepare_experiment(config)
        else:
            prepare(config, words["show"], shown)

    plain_command(
        "python prepare.py data=folder source=DIR [data.image_size=64 data.test=auto]\n"
        "python prepare.py data=shards source=DIR show=FOLDER [show.count=64]\n"
        "python prepare.py data=table source=FILE.parquet ['data.filter=width >= 256']\n"
        "python prepare.py data=validate source=DIR [repair=FOLDER]\n"
        "python prepare.py experiment=base [the overrides of train.py ...] [show=step:1234]\n"
        "Captioned pictures (KEY.jpg beside KEY.txt) to WebDataset shards, kept in outputs/cache/data. With an experiment also\n"
        "the frozen parts that it needs, and the latents and caption features that they make; processes that are given the\n"
        "same command (sbatch --array=0-3 slurm/prepare.sbatch ...) share the work. show= writes what the trainer sees, and\n"
        "nothing is trained: each picture at its training size, samples.csv, left-out.csv and a contact sheet; of a whole set\n"
        "to a folder, or the batch of a step to outputs/step-1234. data=validate says what of a set can be used, and what\n"
        "cannot and why; repair= writes shards of what can.",
        {"data": "", "source": "", "show": "", "show.count": "0", "repair": ""},
        work,
        CONFIGS,
        paths=("show", "repair"),
    )


def runs_command() -> None:
    """python -m lightning_diff: list runs, open a report, compare runs."""

    def work(found: Arguments) -> None:
        words = found.words
        if found.overrides:
            raise ConfigError(f"{found.overrides[0]}: no such word; {nearest(found.overrides[0], sorted(words))}")
        outputs = Path(words["outputs"])
        folders = folders_of(words["open"] or words["report"], outputs)
        columns = read_columns(words["columns"])
        if not folders:
            from ..pipeline.many.listing import list_runs

            return list_runs(outputs, columns)
        if columns:
            raise ConfigError("columns=: chooses the columns of the list of runs; leave open= and report= out")
        word = "open" if words["open"] else "report"
        typed = f"{word}={words[word]}"
        check_runs(folders, typed, outputs)
        from ..pipeline.reports.page import report_runs

        place = report_runs(folders, typed)
        if words["open"]:
            import webbrowser

            webbrowser.open(place.resolve().as_uri())

    plain_command(
        "python -m lightning_diff [outputs=outputs] [columns=run,seed,FID] [open=NAME] [report=NAME,NAME or 'NAME-*']\n"
        "The runs with their state, what differs and their best numbers; open= makes and opens a report, report= makes it.\n"
        "Both take names, paths and patterns; of several runs (measured alike) they make one report, with a .csv beside it.",
        {"outputs": "outputs", "columns": "", "open": "", "report": ""},
        work,
        paths=("outputs",),
    )


def doctor_command() -> None:
    """python -m lightning_diff.doctor: find what would go wrong with a training, and say how to fix it."""

    def work(found: Arguments) -> None:
        if shows(found):
            return show_composed(found, [found.overrides])
        config = compose_config(found.overrides, SEARCH.name)
        check_installed(config)
        folder = run_folder(config, found.overrides)
        from ..doctor.report import doctor

        if not doctor(_as_trained(config, folder, found.overrides), folder):
            sys.exit(2)

    plain_command(
        "python -m lightning_diff.doctor experiment=base [the words that train.py will get]\n"
        "What would go wrong with that training here, each with its remedy: ranks, GPUs, memory, disk, data, weights,\n"
        "tracking, clocks, the run folder. Trains nothing, leaves nothing behind; exit code 2 if something is wrong. For all\n"
        "ranks of a job: srun python -m lightning_diff.doctor experiment=base training.devices=4 training.nodes=2",
        {},
        work,
        CONFIGS,
    )
