"""Nets that see, from local files: the same features as their own libraries have, and one line for a wrong file."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.data.imagenet_info import ImageNetInfo
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from lightning_diff.config.errors import ConfigError
from lightning_diff.evaluation.extractors.dinov2 import DINOv2
from lightning_diff.evaluation.extractors.imagenet import ImageNet, class_words, named_classes
from lightning_diff.evaluation.extractors.inception import Inception
from lightning_diff.evaluation.features import features_of

CPU = torch.device("cpu")


def random_inception(path: Path) -> Path:
    """Random weights in the form of torch-fidelity's file, with statistics that keep activations in range."""
    torch.manual_seed(0)
    with patch("torch.load", return_value={}), patch.object(torch.nn.Module, "load_state_dict"):
        net: Any = FeatureExtractorInceptionV3("fid", ["2048"], feature_extractor_weights_path="none")
    for p in net.parameters():
        if p.ndim > 1:
            torch.nn.init.kaiming_normal_(p)
    torch.save(net.state_dict(), path)
    return path


def test_inception_is_torch_fidelitys(tmp_path: Path) -> None:
    weights = random_inception(tmp_path / "inception.pth")
    images = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    theirs = FeatureExtractorInceptionV3("fid", ["2048"], feature_extractor_weights_path=str(weights)).eval()
    found = features_of(images, Inception(weights=str(weights)).build(CPU), batch=2)
    assert found.shape == (3, 2048) and found.std() > 0
    torch.testing.assert_close(found, theirs(images)[0], rtol=1e-4, atol=1e-4 * float(found.abs().max()))


def test_what_is_no_inception_is_one_line(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pth")
    torch.save({"a": print}, tmp_path / "code.pth")
    for name in ("other", "code"):
        with pytest.raises(ConfigError, match="not torch-fidelity's Inception"):
            Inception(weights=str(tmp_path / f"{name}.pth")).build(CPU)


def test_dinov2_is_timms(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net: Any = timm.create_model(
        "vit_small_patch14_dinov2", pretrained=False, num_classes=0, dynamic_img_size=True
    ).eval()
    save_file(net.state_dict(), tmp_path / "small.safetensors")
    weights = str(tmp_path / "small.safetensors")
    extract = DINOv2(weights=weights, model="vit_small_patch14_dinov2").build(CPU)
    grey = torch.full((1, 3, 32, 32), 128, dtype=torch.uint8)  # of one colour, whatever the resize
    mean, std = (torch.tensor(v)[None, :, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        theirs = net((torch.full((1, 3, 224, 224), 128 / 255) - mean) / std)
        torch.testing.assert_close(extract(grey), theirs, rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match="timm has no such model"):
        DINOv2(weights=weights, model="vit_smal_patch14_dinov2").build(CPU)
    with pytest.raises(ConfigError, match="not weights of this architecture"):
        DINOv2(weights=weights, model="vit_base_patch14_dinov2").build(CPU)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """A net with random weights, and their file."""
    torch.manual_seed(0)
    net: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    path = tmp_path_factory.mktemp("imagenet") / "net.safetensors"
    save_file(net.state_dict(), path)
    return net, str(path)


def test_the_imagenet_classifier_is_timms(classifier: tuple[Any, str], tmp_path: Path) -> None:
    net, weights = classifier
    judge = ImageNet(weights=weights).build(CPU)
    images = torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8)  # at its own size: nothing is resized
    with torch.no_grad():
        x = images / 255 * 2 - 1
        features = judge(images)
        torch.testing.assert_close(
            features, net.forward_head(net.forward_features(x), pre_logits=True), rtol=1e-4, atol=1e-5
        )
        five = net(x).topk(5, dim=1).indices
    infos = ImageNetInfo()
    said = [infos.index_to_description(int(i)) for i in (five[0, 4], (five[1, 0] + 1) % 1000)] + [
        "nothing that has a name"
    ]
    found = judge.finds(features, said)
    assert found[0] == 1 and torch.isnan(found[2])
    assert found[1] == float(set(named_classes(said[1], judge.names)) & set(five[1].tolist()) != set())
    with pytest.raises(ConfigError, match="timm has no such model"):
        ImageNet(weights=weights, model="tf_efficientnet_lit0").build(CPU)
    with pytest.raises(ConfigError, match="not weights of this architecture"):
        ImageNet(weights=weights, model="resnet18").build(CPU)


def test_a_caption_names_the_classes_of_its_longest_name() -> None:
    names, info = class_words(), ImageNetInfo()

    def named(caption: str) -> list[str]:
        return [info.index_to_description(i).split(", ")[0] for i in named_classes(caption, names)]

    assert named("A frog.") == ["tree frog", "tailed frog"]
    assert named("a coffee mug on a table") == ["coffee mug"]
    assert named("A Goldfish") == ["goldfish"] and named("the letter v") == []
    assert "tabby" in named("a cat") and "polecat" not in named("a cat")
