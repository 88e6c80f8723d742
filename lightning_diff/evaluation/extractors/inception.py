"""Inception v3, whose features the original FID uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ...config.errors import ConfigError
from ...config.registry import choice
from .base import FromFile

if TYPE_CHECKING:
    import torch

    from ..features import Extractor


@choice("features", "inception")
class Inception(FromFile):
    """torch-fidelity's Inception v3 with 2048 features (Heusel et al. 2017). Pictures are resized to 299 pixels in the same way
    as in TensorFlow 1. `weights` is torch-fidelity's file."""

    install: ClassVar[str] = "-e '.[inception]'"
    safetensors: ClassVar[bool] = False

    @property
    def packages(self) -> list[str]:
        return ["torch_fidelity"]

    def build(self, device: torch.device) -> Extractor:
        """Build the extractor. Nothing except tensors is unpickled."""
        import torch
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        weights = str(self.weights)
        try:
            torch.load(
                weights, map_location="cpu", weights_only=True
            )  # torch-fidelity itself loads without weights_only
            net = FeatureExtractorInceptionV3("fid", ["2048"], feature_extractor_weights_path=weights)
        except Exception as e:
            raise ConfigError(
                f"evaluation.features.weights={weights}: not torch-fidelity's Inception ({type(e).__name__})"
            ) from e
        net = net.to(device).eval()
        return lambda images: net(images.to(device))[0].cpu()
