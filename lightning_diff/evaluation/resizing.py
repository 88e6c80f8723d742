"""How other projects bring pictures to a net's size. Their numbers can only be met with their rule."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import CenterCrop, Compose, PILToTensor, Resize, ToPILImage


def clean_resized(images: Tensor, size: int) -> Tensor:
    """uint8 [B, 3, H, W] -> float32 [B, 3, size, size] in [0, 255], by Pillow's bicubic filter, which is antialiased. Each
    channel is resized as float32 and not rounded (clean-fid, Parmar et al. 2022). The ratio of the sides is not kept."""
    channels = images.float().flatten(0, 1).numpy()
    resized = [np.asarray(Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC)) for c in channels]
    return torch.from_numpy(np.stack(resized)).clamp(0, 255).view(len(images), 3, size, size)


def resized_and_cropped(images: Tensor, size: int) -> Tensor:
    """uint8 [B, 3, H, W] -> uint8 [B, 3, size, size]: the shorter side is resized to `size` (Pillow's bilinear filter), then the
    centre is cut out, as with torch-fidelity's samples_resize_and_crop."""
    brought = Compose([ToPILImage(), Resize(size), CenterCrop(size), PILToTensor()])
    return torch.stack([brought(image) for image in images])
