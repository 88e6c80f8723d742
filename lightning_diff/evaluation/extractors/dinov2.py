"""DINOv2: distances between its features rank models like people do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.errors import ConfigError
from ...config.registry import choice
from .base import FromFile

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..features import Extractor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@choice("features", "dinov2")
class DINOv2(FromFile):
    """A DINOv2 model of timm for FD-DINOv2 (Stein et al. 2023). Pictures are resized to 224 pixels (bicubic). `weights` is its
    safetensors file, `model` its name in timm."""

    side: ClassVar[int | None] = 224

    model: str = "vit_large_patch14_dinov2"

    @property
    def name(self) -> str:
        return self.model

    def build(self, device: torch.device) -> Extractor:
        import timm
        import torch
        import torch.nn.functional as F
        from timm.models.vision_transformer import checkpoint_filter_fn

        from ...data.decode import to_unit
        from ...nets.weights import load_state, read_state

        weights, said = Path(str(self.weights)), f"evaluation.features.model={self.model}"
        if not timm.is_model(self.model):
            raise ConfigError(f"{said}: timm has no such model; for example vit_large_patch14_dinov2")
        net: Any = timm.create_model(self.model, pretrained=False, num_classes=0, img_size=224)
        state = checkpoint_filter_fn(read_state(weights), net)  # made for 518 pixels: positions are resampled
        load_state(net, state, weights, f" ({said})")
        net = net.to(device).eval().requires_grad_(False)
        mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))

        def extract(images: Tensor) -> Tensor:
            x = (to_unit(images.to(device)) + 1) / 2
            x = F.interpolate(x, size=(224, 224), mode="bicubic", antialias=True).clamp(0, 1)
            return net((x - mean) / std).float().cpu()

        return extract
