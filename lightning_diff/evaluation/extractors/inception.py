"""Inception v3, whose features the original FID uses."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...config.errors import ConfigError
from ...config.fields import at_least, one_of
from ...config.registry import choice
from ...files import is_safetensors
from .base import FromFile

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..features import Extractor


@choice("features", "inception")
class Inception(FromFile):
    """torch-fidelity's Inception v3 with 2048 features (Heusel et al. 2017). `weights` is torch-fidelity's file, or its tensors
    as safetensors. `resize` says how a picture comes to 299 pixels: tf1 as in TensorFlow 1 and torch-fidelity, clean as in
    clean-fid (Parmar et al. 2022: bicubic, antialiased, not rounded). `crop`: before that, its shorter side is resized to so
    many pixels and its centre square is taken, as with torch-fidelity's samples_resize_and_crop (0: it is not)."""

    install: ClassVar[str] = "-e '.[inception]'"
    safetensors: ClassVar[bool] = False
    side: ClassVar[int | None] = None

    resize: str = one_of("tf1", "tf1", "clean")
    crop: int = at_least(0, 0)

    @property
    def name(self) -> str:
        clean, crop = "clean" if self.resize == "clean" else "", f"crop={self.crop}" if self.crop else ""
        return " ".join(filter(None, [self.kind, clean, crop]))

    @property
    def packages(self) -> list[str]:
        return ["torch_fidelity"]

    def build(self, device: torch.device) -> Extractor:
        """Build the extractor. The file is read once, and nothing except tensors is unpickled: torch-fidelity, which would
        unpickle anything, gets the tensors in memory."""
        import torch
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        from ...nets.weights import read_state
        from ..resizing import clean_resized, resized_and_cropped

        weights, tensors = str(self.weights), io.BytesIO()
        try:
            safe = is_safetensors(Path(weights))
            state = read_state(Path(weights)) if safe else torch.load(weights, map_location="cpu", weights_only=True)
            torch.save(dict(state), tensors)
            tensors.seek(0)
            net = FeatureExtractorInceptionV3("fid", ["2048"], feature_extractor_weights_path=tensors)
        except Exception as e:
            raise ConfigError(
                f"evaluation.features.weights={weights}: not torch-fidelity's Inception ({type(e).__name__})"
            ) from e
        net = net.to(device).eval()

        def extract(images: Tensor) -> Tensor:
            if self.crop:
                images = resized_and_cropped(images, self.crop)
            if self.resize == "tf1":
                return net(images.to(device))[0].cpu()
            ready = ((clean_resized(images, 299) - 128) / 128).to(device)
            # The net resizes what it is given. Here its first layer gets pictures of the right size instead.
            instead = net.Conv2d_1a_3x3.register_forward_pre_hook(lambda layer, given: (ready,))
            try:
                return net(torch.zeros(len(images), 3, 299, 299, dtype=torch.uint8, device=device))[0].cpu()
            finally:
                instead.remove()

        return extract
