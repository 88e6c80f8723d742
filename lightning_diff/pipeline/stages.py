"""The stages of a run, in order: train its missing frozen components, train its net, run the sweep and the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..cluster.detection import heed_slurm
from ..config.paths import PARTS, WEIGHTS
from ..config.schema import Config
from ..data.sources.own import read_once
from ..devices import take_own_gpu
from ..ranks import first_rank, say
from .aligndraw.training import train_align_draw
from .component_training import train_component
from .components import NAMES, has_part, locate_part, needed_parts, place_part
from .continuing.mend import check_test_split, check_weights, has_weights
from .continuing.same import refuse_another
from .data import check_enough, data_event, prepare_data, say_data
from .exportable import export_line
from .memory import check_machine
from .net_training import train_net
from .run import Run
from .sweep import sweep_stage


def train(config: Config, folder: Path, wait: bool = False, told: set[str] | None = None) -> None:
    """Train the run of this folder, or continue it, then evaluate it if the config says so. Finished stages are skipped. What is
    said of the data is added to `told`, and not said again if it is there.

    If another process uses the folder: `wait` for it, or raise ConfigError."""
    heed_slurm(config.cluster.slurm)
    take_own_gpu(config.training.accelerator)
    check_machine(config)
    with read_once(), Run(config, folder, wait=wait) as run:
        trained = has_weights(config, folder, run.record)
        if not trained:
            data = prepare_data(config)
            check_test_split(data, config, run.record)
            event = data_event(data, config)
            if not wait:  # a component is trained for a run that has said it
                say_data(data, config, event, told)
            check_enough(data, config)
            if config.task == "diffusion" and hasattr(config.data, "source") and (line := export_line(config)):
                say(line)
            if first_rank():
                run.record.write("data", 0, **event)
        if not config.generates:
            return train_component(run, trained)
        place_components(needed_parts(config, config.evaluation.enabled), config, folder)
        if not trained:
            (train_align_draw if config.task == "aligndraw" else train_net)(run)
        if config.evaluation.enabled:
            sweep_stage(run, [config])
        elif trained:
            say(f"{folder}: finished; its weights are {folder / WEIGHTS}")


def evaluate(
    configs: Sequence[Config], folder: Path, columns: Sequence[str] = (), words: Sequence[str] | None = None
) -> None:
    """Run the sweep of a finished run, for each of these configs in turn. `columns` are those of the printed table. `words` of
    the command gave the configs; None: no other process can be given them."""
    heed_slurm(configs[0].cluster.slurm)
    take_own_gpu(configs[0].training.accelerator)
    for config in configs[1:]:
        refuse_another(folder, config, given=True)
    with read_once(), Run(configs[0], folder, "evaluate", given=True) as run:
        check_weights(configs[0], folder)
        check_test_split(prepare_data(configs[0]), configs[0], run.record)
        place_components(needed_parts(configs[0], measured=True), configs[0], folder)
        sweep_stage(run, configs, columns, words)


def train_missing(part: str, config: Config) -> Path:
    """The path of a component's weights. They are trained now if they are missing. Raises ConfigError."""
    place = locate_part(part, config)
    if place.recipe is not None and not place.path.is_file():
        folder = place.path.parent
        say(
            f"no {NAMES[part]} for these pictures ({config.data.identity(Path(config.cache))}): training it first, in {folder}"
        )
        train(place.recipe, folder, wait=True)
    return place.path


def place_components(parts: Iterable[str], config: Config, folder: Path) -> None:
    """Make the run's own copies of these frozen components. A missing component is trained first."""
    for part in parts:
        if not has_part(folder / PARTS / f"{part}.safetensors"):
            train_missing(part, config)
        place_part(part, config, folder)
