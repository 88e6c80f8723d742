"""What the report shows besides the sweep: it is drawn when the run ends, kept in its folder, and read for each report."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from torch import Tensor

from ...config.errors import ConfigError
from ...data.dataset import PictureBatch, pictures
from ...data.decode import to_pixels
from ...data.order import FullOrder
from ...files import write_text
from ...models.align_draw import AlignDrawModel
from ...models.latent_diffusion import LatentDiffusion
from ...nets.files.sealed import DamagedFile
from ...nets.weights import read_arrays, save_arrays
from ...tracking.report import data_uri
from .seen import guidance_data, see_guidance

log = logging.getLogger(__name__)

KEPT = Path("samples") / "kept.safetensors"
SAID = KEPT.with_suffix(".json")
SUM = "said"  # the array with the CRC-32 of SAID; older files have none
SHOWN = 8  # training pictures on two rows, reconstructions
PLAIN = ("contact", "noisy", "guess", "real", "rebuilt")  # lists of pictures
CAPTIONS = 100  # of the viewer's pictures, at most
COMPARED = 2  # of more runs, the page does not show guidance step by step: it would be too large


def keep_for_report(
    run: Any, model: LatentDiffusion | AlignDrawModel | None, captions: Sequence[str], scale: float, split: str
) -> None:
    """Save what the report shows besides the sweep: training pictures, and of a model of this project one trajectory and
    reconstructions, and guidance step by step."""
    source, cache = run.config.data, Path(run.config.cache)
    compared, train = (pictures(source, cache, s) for s in (split, "train"))
    assert compared is not None and train is not None
    real = compared.range(0, min(SHOWN, len(compared)))
    seen = train.__getitems__(FullOrder(len(train), min(2 * SHOWN, len(train)), run.config.seed).places(0))
    kept: dict[str, Tensor] = {"contact": seen.images}
    guided: dict[str, Any] = {}
    if model is not None:
        seed = run.config.evaluation.seed * 2**32
        trajectory = list(model.trajectory(captions[0], seed, scale))
        rebuilt = _rebuilt(model, real)
        noisy, guess = (torch.stack(frames) for frames in zip(*trajectory, strict=True))
        kept |= {"noisy": noisy, "guess": guess, "real": real.images, "rebuilt": rebuilt}
    if isinstance(model, LatentDiffusion):
        arrays, guided = see_guidance(model, captions[0], seed, scale)
        kept |= arrays
    said = {"prompts": list(captions[:CAPTIONS]), "film": captions[0], "scale": scale, "contact": list(seen.captions)}
    said["guided"] = guided
    write_text(run.folder / SAID, text := json.dumps(said))
    save_arrays(run.folder / KEPT, kept | {SUM: torch.tensor(crc32(text.encode()))})


@torch.no_grad()
def _rebuilt(model: LatentDiffusion | AlignDrawModel, real: PictureBatch) -> Tensor:
    """The pictures after the model's own autoencoder, uint8 [B, 3, H, W]."""
    if isinstance(model, AlignDrawModel):
        return model.rebuild(real.images, real.captions)
    return to_pixels(model.autoencoder.decode(model.encode(real.images).mean)).cpu()


def kept(folders: Sequence[Path], labels: Mapping[Path, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"captions": [], "films": [], "seen": [], "rebuilt": [], "contact": []}
    for folder in folders:
        if not (folder / KEPT).is_file():
            continue
        try:
            arrays, text = read_arrays(folder / KEPT), (folder / SAID).read_bytes()
            if SUM in arrays and int(arrays[SUM]) != crc32(text):
                raise DamagedFile(folder / SAID)
            said = json.loads(text)
        except (ConfigError, OSError, ValueError) as e:
            log.warning("%s: not in the report: %s", folder / KEPT, e)
            continue
        uris = {name: [data_uri(p) for p in arrays[name].numpy()] for name in PLAIN if name in arrays}
        run = labels[folder] if len(folders) > 1 else ""
        if said.get("guided") and len(folders) <= COMPARED:
            found["seen"].append(guidance_data(arrays, said["guided"], run))
        if "noisy" in uris:
            frames = {"noisy": uris["noisy"], "guess": uris["guess"]}
            found["films"].append({"run": run, "caption": said["film"], "scale": said["scale"], **frames})
            found["rebuilt"] = found["rebuilt"] or list(zip(uris["real"], uris["rebuilt"], strict=True))
        found["captions"] = found["captions"] or said["prompts"]
        found["contact"] = found["contact"] or list(zip(uris["contact"], said["contact"], strict=True))
    return found
