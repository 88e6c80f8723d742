"""Metrics of the frozen components (autoencoder, CLIP model, classifier) on pictures that they were not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..data.dataset import Pictures
from ..data.decode import to_pixels, to_unit
from ..nets.attributes import AttributeClassifier
from ..nets.autoencoder import LatentSpace
from ..nets.text import Tower

BATCH = 256
RECALLED = 256  # captions among which a picture's own one is looked for
RECALL = "recall_at_1_of_"  # and the number of these captions


def psnr(a: Tensor, b: Tensor) -> float:
    """PSNR of uint8 pictures [N, 3, H, W] in dB: the mean over pictures of -10 log10(MSE / 255^2)."""
    error = (a.float() - b.float()).square().mean(dim=(1, 2, 3)) / 255**2
    return float((-10 * error.clamp(min=1e-10).log10()).mean())


def correct_heads(classifier: AttributeClassifier, images: Tensor, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """{head: bool [N]}: whether the picture's attribute is the one that the caption states; True if the caption states none.
    images: uint8."""
    device = next(classifier.parameters()).device
    right: dict[str, list[Tensor]] = {}
    for start in range(0, len(images), BATCH):
        logits = classifier(to_unit(images[start : start + BATCH].to(device)))
        for name, values in logits.items():
            label = labels[name][start : start + BATCH]
            right.setdefault(name, []).append((label < 0) | (values.argmax(dim=1).cpu() == label))
    return {name: torch.cat(parts) for name, parts in right.items()}


def correct(classifier: AttributeClassifier, images: Tensor, labels: Mapping[str, Tensor]) -> Tensor:
    """bool [N]: whether the picture shows every attribute that the caption states."""
    return torch.stack(list(correct_heads(classifier, images, labels).values())).all(dim=0)


def recall_at_1(images: Tensor, texts: Tensor, of: int = RECALLED) -> float:
    """How often a picture's own caption is the nearest among `of` captions. A caption that equals its own counts as its own.
    Incomplete groups of `of` are left out, unless there is only one group."""
    hits, total = 0.0, 0
    for start in range(0, len(images) - of + 1, of) if len(images) >= of else [0]:
        similar = images[start : start + of] @ texts[start : start + of].T
        own = similar.diagonal()
        hits += float((own >= similar.max(dim=1).values - 1e-6).sum())
        total += len(own)
    return hits / total


@torch.no_grad()
def fit_latent_scale(net: LatentSpace, train: Pictures, count: int = 2048) -> None:
    """Set the autoencoder's shift and scale so that each channel of the training set's latents has mean 0 and std 1."""
    means, variances = [], []
    for start in range(0, min(count, len(train)), BATCH):
        mean, log_variance = net.moments(
            to_unit(train.range(start, min(start + BATCH, count)).images).to(net.shift.device)
        )
        means.append(mean)
        variances.append(log_variance.exp())
    mean, variance = torch.cat(means), torch.cat(variances)
    net.shift.copy_(mean.mean(dim=(0, 2, 3)))
    net.scale.copy_((mean.var(dim=(0, 2, 3)) + variance.mean(dim=(0, 2, 3))).sqrt())


def distinct(captions: Sequence[str], labels: Mapping[str, Tensor], unsaid: Sequence[str]) -> list[int]:
    """The first sample of each content. Others are left out, because a model cannot distinguish two captions that are both true
    for the same picture."""
    heads = [values.tolist() for name, values in labels.items() if name not in unsaid]
    contents: list[object] = list(zip(*heads, strict=True)) if heads else list(captions)
    seen: dict[object, int] = {}
    for i, content in enumerate(contents):
        seen.setdefault(content, i)
    return list(seen.values())


@torch.no_grad()
def measure(net: nn.Module, train: Pictures, held_out: Pictures, unsaid: Sequence[str] = ()) -> dict[str, Any]:
    """The component's own metrics on held-out pictures. For an autoencoder, the latent's shift and scale are set first."""
    device = next(net.parameters()).device
    if isinstance(net, LatentSpace):
        fit_latent_scale(net, train)
    values: dict[str, list[Tensor]] = {}
    captions: list[str] = []
    labels: dict[str, list[Tensor]] = {}
    for start in range(0, len(held_out), BATCH):
        batch = held_out.range(start, start + BATCH)
        images = batch.images.to(device)
        captions += batch.captions
        for name, column in batch.labels.items():
            labels.setdefault(name, []).append(column)
        if isinstance(net, LatentSpace):
            rebuilt = to_pixels(net.decode(net.encode(to_unit(images)).mean))
            values.setdefault("a", []).append(images.cpu())
            values.setdefault("b", []).append(rebuilt.cpu())
        elif isinstance(net, Tower):
            values.setdefault("a", []).append(net.image_features(to_unit(images)))
            values.setdefault("b", []).append(net.text_features(batch.captions))
            if all(batch.hard_negatives):
                values.setdefault("c", []).append(net.text_features(batch.hard_negatives))
        elif isinstance(net, AttributeClassifier):
            values.setdefault("a", []).append(correct(net, images, batch.labels).float())
    joined = {name: torch.cat(v) for name, v in values.items()}
    if isinstance(net, LatentSpace):
        return {"psnr": round(psnr(joined["a"], joined["b"]), 3), "n": len(held_out)}
    if isinstance(net, Tower):
        rows = distinct(captions, {name: torch.cat(columns) for name, columns in labels.items()}, unsaid)
        among = min(RECALLED, len(rows))
        metrics = {RECALL + str(among): round(recall_at_1(joined["a"][rows], joined["b"][rows]), 4), "n": len(rows)}
        if "c" in joined:  # how often the caption is nearer than its hard negative
            own, false = ((joined["a"] * joined[name]).sum(dim=1) for name in "bc")
            metrics["caption_over_contrast"] = round(float((own > false).float().mean()), 4)
        return metrics
    return {"accuracy": round(float(joined["a"].mean()), 5), "n": len(held_out)}
