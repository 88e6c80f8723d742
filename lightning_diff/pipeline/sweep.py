"""The sweep of a run: turn the config into objects for evaluation, measure, then make the report and tell the trackers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..cluster.helpers import Helpers
from ..config.checks import all_choices
from ..config.paths import PARTS, WEIGHTS
from ..config.registry import plugins_entry
from ..config.schema import Config, Tracking
from ..devices import device_of
from ..diffusion.path import Path as DiffusionPath
from ..diffusion.samplers.base import Sampler
from ..evaluation.runner import Swept, run_sweep
from ..evaluation.setup import Combination, EvaluationSetup, make_judges
from ..files import file_hash
from ..models.align_draw import Glimpses
from ..models.latent_diffusion import precision_of
from ..nets.text import Tower, Towers
from ..ranks import say
from ..tracking.base import Sweep
from .components import place_part
from .folders.reference import reference_pictures
from .many.differences import all_values
from .objects import generator_of, path_of
from .reports.kept import keep_for_report
from .reports.page import make_report
from .run import Run


def sweep_stage(
    run: Run, configs: Sequence[Config], columns: Sequence[str] = (), words: Sequence[str] | None = ()
) -> None:
    """Measure the run, print these columns, then make its report and tell the trackers. `words`: those with which evaluate.py
    measures it in the same way, so that other processes can help; None if they cannot."""
    folder, accelerator = run.folder, configs[0].training.accelerator
    with Helpers(folder, words, accelerator) as helpers:
        asked = _combinations(configs, folder)
        swept = run_sweep(asked, folder, run.record, all_values(folder), columns, helpers.work_left)
    if swept is not None:
        finish_sweep(run, swept)


def finish_sweep(run: Run, swept: Swept) -> None:
    """Make the report of a measured run, and tell the trackers."""
    folder = run.folder
    setup, best = swept.made_by.setup, swept.best_asked
    model = swept.made_by.load(best["ema"]) if isinstance(swept.made_by, Combination) else None
    keep_for_report(run, model, setup.captions, float(best["scale"]), setup.split)
    report = make_report([folder], folder / "report.html")
    run.mirror.sweep(Sweep(swept.rows, swept.best, setup.seed, swept.pictures, setup.captions, swept.figures, report))
    say(f"table {folder / 'sweep.csv'}, figures {folder / 'figures'}, report {report}")


def _combinations(configs: Sequence[Config], folder: Path) -> Iterator[Combination]:
    """Yield the Combination of each config. Consecutive configs with the same data and evaluation share their judges."""
    last: tuple[Config, EvaluationSetup] | None = None
    for config in configs:
        if last is None or (config.data, config.evaluation) != (last[0].data, last[0].evaluation):
            last = config, evaluation_setup(config, folder)
        yield combination(config, folder, last[1], file_hash(folder / WEIGHTS))


def combination(config: Config, folder: Path, setup: EvaluationSetup, weights: str) -> Combination:
    """What a config asks to draw. `weights` is the name of the net's weights in passports."""
    path = path_of(config.objective)
    return Combination(
        guider=config.guidance,
        sampler=_sampler(config, path),
        path=path,
        load=partial(generator_of, config, folder),
        weights=weights,
        decay=config.training.ema,
        plugins=plugins_entry(all_choices(replace(config, tracking=Tracking()))),  # trackers change no score
        settings=config.evaluation,
        setup=setup,
        nets=_nets(config),
    )


def _nets(config: Config) -> list[type]:
    """The classes of the nets that draw: alignDRAW, or the net, the autoencoder and the text encoder."""
    if config.task == "aligndraw":
        return [config.net.module()]
    return [config.net.module(), config.autoencoder.module(), Tower, Towers]


def _sampler(config: Config, path: DiffusionPath) -> Sampler | Glimpses:
    """The sampler with its final steps and precision."""
    if config.task == "aligndraw":
        return Glimpses(steps=config.net.glimpses)
    sampler: Sampler = config.sampler.resolve_nfe(config.guidance, path)
    return replace(sampler, precision=precision_of(sampler, device_of(config.training.accelerator)))


def evaluation_setup(config: Config, folder: Path) -> EvaluationSetup:
    """The captions and pictures to compare with, and the judges. Raises ConfigError if there are no pictures."""
    e, player = config.evaluation, folder / PARTS / "text.safetensors"
    split, asked = reference_pictures(config)
    judges, judged_by = make_judges(
        place_part("judge", config, folder),
        player if player.is_file() else None,
        place_part("attributes", config, folder) if config.data.attributes else None,
        e.features,
        e.metrics,
        asked.images,
        device_of(config.training.accelerator),
        Path(config.cache),
    )
    return EvaluationSetup(split, asked, judges, judged_by, e.seed, config.data.fit, config.data.unsaid)
