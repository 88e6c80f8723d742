"""What sees: pictures to features, by the judging tower, by Inception v3, or by DINOv2, from local files alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config.errors import ConfigError
from ..data.decode import to_unit
from ..nets.text import Tower
from ..nets.weights import load_state, read_state

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Extractor = Callable[[Tensor], Tensor]  # uint8 [B, 3, H, W] -> [B, F], on the CPU


def judge_features(tower: Tower) -> Extractor:
    """The judging tower's picture embedding, before it is brought to unit length."""
    return lambda images: tower.image_features(to_unit(images.to(tower.device)), normalize=False).cpu()


def inception_features(weights: Path, device: torch.device) -> Extractor:
    """torch-fidelity's Inception v3, 2048 features, resized to 299 as TensorFlow 1 did (the classic FID's), from a local
    file. Raises ConfigError for what is not such weights, without unpickling anything."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        torch.load(
            weights, map_location="cpu", weights_only=True
        )  # refuses all but tensors; it is read once more below
        net = FeatureExtractorInceptionV3("fid", ["2048"], feature_extractor_weights_path=str(weights))
    except Exception as e:
        raise ConfigError(
            f"evaluation.features_weights={weights}: not torch-fidelity's Inception ({type(e).__name__})"
        ) from e
    net = net.to(device).eval()
    return lambda images: net(images.to(device))[0].cpu()


def dinov2_features(name: str, weights: Path, device: torch.device) -> Extractor:
    """A DINOv2 of timm at 224 pixels, bicubic, from a local safetensors file: FD-DINOv2 (Stein et al. 2023). Raises
    ConfigError."""
    import timm
    from timm.models.vision_transformer import checkpoint_filter_fn

    if not timm.is_model(name):
        raise ConfigError(
            f"evaluation.features_model={name}: timm has no such model; for example vit_large_patch14_dinov2"
        )
    net: Any = timm.create_model(name, pretrained=False, num_classes=0, img_size=224)
    state = checkpoint_filter_fn(read_state(weights), net)  # published at 518 pixels: positions are resampled
    load_state(net, state, weights, f" (evaluation.features_model={name})")
    net = net.to(device).eval().requires_grad_(False)
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))

    def extract(images: Tensor) -> Tensor:
        x = (to_unit(images.to(device)) + 1) / 2
        x = F.interpolate(x, size=(224, 224), mode="bicubic", antialias=True).clamp(0, 1)
        return net((x - mean) / std).float().cpu()

    return extract


@torch.no_grad()
def features_of(images: Tensor, extract: Extractor, batch: int = 128) -> Tensor:
    return torch.cat([extract(images[i : i + batch]) for i in range(0, len(images), batch)])
