"""Training of alignDRAW on pictures and captions. It ends with the weights and their passport, as that of the denoising net."""

from __future__ import annotations

from pathlib import Path

import torch

from ...config.paths import WEIGHTS
from ...data.dataset import pictures
from ...models.build import build, parameters, start_from
from ...nets.aligndraw.model import AlignDraw
from ...nets.weights import save_weights
from ...ranks import first_rank, say, wait_for
from ...strings import counted
from ...training.checkpoint import checkpoints_in
from ...training.modules.aligndraw import AlignDrawModule
from ..fitted import fit_run, origin_of, passport_of
from ..run import Run


def train_align_draw(run: Run) -> None:
    """Train alignDRAW, or continue its training, and write its weights with their passport."""
    config, folder, cache = run.config, run.folder, Path(run.config.cache)
    train_set = pictures(config.data, cache, "train")
    assert train_set is not None
    captions = (one for i in range(len(train_set)) for one in train_set.reader.captions(i))
    described = config.net.described(config.data.image_size, captions)
    torch.manual_seed(config.seed)
    net = build({"part": "net", "net": described})
    assert isinstance(net, AlignDraw)
    if config.init_from and not checkpoints_in(folder):
        start_from(net, Path(config.init_from))
    module = AlignDrawModule(net, config.training, config.seed, config.net.adversarial)
    words = len(described["vocabulary"])
    shown = counted(len(train_set), "picture")
    say(f"net=aligndraw: {parameters(net):.2f} M parameters, {counted(words, 'word')}, {shown}, in {folder}")
    end = fit_run(run, module, train_set, origin_of(config, train_set.index, {}), folder.name)
    if not first_rank():
        wait_for((folder / WEIGHTS).is_file, config.training.patience, f"written {folder / WEIGHTS}")
        return
    passport = passport_of(config, "net", described)
    save_weights(folder / WEIGHTS, module.averaged().state_dict(), passport)
    run.record.write("weights", end, path=WEIGHTS)
