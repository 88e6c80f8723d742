"""Private names of other libraries that the code uses, for want of a public way to the same. All of them are in DOORS, and each
has a test here that fails when its library changes it. pyproject.toml allows no minor release of these libraries that
was not tried: when one is out, raise its bound and see whether these tests pass."""

from __future__ import annotations

import ast
import re
import signal
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from torchmetrics.image import LearnedPerceptualImagePatchSimilarity

from lightning_diff.cli.hydra_targets import PLUGINS, guard_hydra
from lightning_diff.config.compose import register_schema
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import CONF
from lightning_diff.config.schema import Training
from lightning_diff.nets.perceptual import WIDTHS
from lightning_diff.training.footprint import fake_step
from lightning_diff.training.graphs import hooked
from lightning_diff.training.trainer import make_trainer
from tests.test_dependencies import PROJECT, ROOT, pinned

DOORS = {  # the name -> its library, and what no public name does
    "hydra._internal.config_loader_impl.ConfigLoaderImpl": ("hydra-core", "see a config before Hydra acts on it"),
    "hydra._internal.sources_registry.SourcesRegistry": ("hydra-core", "read a config file with checks of ours"),
    "hydra._internal.core_plugins": ("hydra-core", "the place of Hydra's own launcher and sweeper, as configs name it"),
    "pytorch_lightning.Trainer._signal_connector": ("pytorch-lightning", "leave the process's signal handlers alone"),
    **dict.fromkeys(
        (f"torch.nn.Module._{w}_hooks" for w in ("forward", "forward_pre", "backward", "backward_pre")),
        ("torch", "know whether a net has hooks"),
    ),
    "torch._C._functorch.is_functorch_wrapped_tensor": ("torch", "leave torch.func the operations that it knows"),
    "torch._subclasses.fake_tensor.FakeTensorMode": ("torch", "run operations of the CPU, in bf16 too, without memory"),
    "torch.utils._python_dispatch.TorchDispatchMode": ("torch", "see each operation of a backward pass"),
}
STANDARD = {"_asdict", "_fields", "_replace", "_exit"}  # public in Python's own library, in spite of their names


def private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def names_used(tree: ast.AST) -> Iterator[str]:
    """What a file imports, names in a string, or (with a dot before it) takes from an object, that is private."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if private(a.name))
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (name for a in node.names if private(name := f"{node.module}.{a.name}"))
        elif isinstance(node, ast.Constant) and re.match(r"[a-z]\w*(\.\w+)*\._\w", str(node.value)):
            yield str(node.value).rstrip(".")
        elif isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in STANDARD:
            yield f".{node.attr}"


def names_given(tree: ast.AST) -> Iterator[str]:
    """The private names that a file itself gives to something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield f".{node.name}"
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield f".{node.id}"
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield f".{node.attr}"


def test_the_code_uses_no_other() -> None:
    files = [*ROOT.glob("*.py"), *(ROOT / "lightning_diff").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")]
    trees = [ast.parse(file.read_text()) for file in files]
    own = {name for tree in trees for name in names_given(tree)}
    used = {name for tree in trees for name in names_used(tree)} - own
    doors = {next((door for door in DOORS if door.endswith(name)), name) for name in used}
    assert doors == set(DOORS)


@pytest.mark.parametrize("library", sorted({library for library, _ in DOORS.values()}))
def test_no_release_is_allowed_that_was_not_tried(library: str) -> None:
    (version,) = {v for name, v in pinned("requirements.txt") if name == canonicalize_name(library)}
    (allowed,) = (r.specifier for r in map(Requirement, PROJECT["project"]["dependencies"]) if r.name == library)
    assert version in allowed and f"{Version(version).major}.{Version(version).minor + 1}" not in allowed


def test_each_kind_of_hook_is_seen() -> None:
    for kind in ("forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook"):
        net = torch.nn.Sequential(torch.nn.Linear(2, 1))
        assert not hooked(net)
        getattr(net[0], f"register_{kind}")(lambda *_: None)
        assert hooked(net), kind


class Small(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(2, 1)

    def training_step(self, batch: torch.Tensor) -> torch.Tensor:
        return self.net(batch).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class Look(pl.Callback):
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.heard_by = signal.getsignal(signal.SIGTERM)


def test_lightning_takes_no_signals(tmp_path: Path) -> None:
    """As it comes, it takes SIGTERM."""
    before, quiet = signal.getsignal(signal.SIGTERM), {"enable_progress_bar": False, "enable_model_summary": False}
    theirs = pl.Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[Look()], **quiet
    )
    ours = make_trainer(Training(steps=1, accelerator="cpu"), tmp_path, [Look()])
    for trainer in (theirs, ours):
        trainer.fit(Small(), torch.utils.data.DataLoader(torch.zeros(4, 2)))
    assert theirs.callbacks[0].heard_by != before and ours.callbacks[0].heard_by == before


@pytest.mark.parametrize("bf16", [False, True])
def test_fake_tensors_take_no_memory_and_the_backward_pass_is_seen(bf16: bool) -> None:
    wide = 2**20
    step = fake_step(lambda: torch.nn.Linear(wide, wide, bias=False), lambda net: net(torch.empty(1, wide)), bf16)
    assert 4 * wide**2 <= step.peak < 8 * wide**2  # four tebibytes: the gradient, at its end


def test_lpips_has_its_layers_and_takes_torchvisions_vgg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError("downloads")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refused)
    with pytest.raises(OSError, match="downloads"):  # as it comes; so only its linear layers are taken
        LearnedPerceptualImagePatchSimilarity(net_type="vgg")
    file = resources.files("torchmetrics") / "functional/image/lpips_models/vgg.pth"
    weights = torch.load(file, map_location="cpu", weights_only=True)  # type: ignore[arg-type]
    assert {n: t.shape[1] for n, t in weights.items()} == {f"lin{i}.model.1.weight": w for i, w in enumerate(WIDTHS)}
    assert all((w >= 0).all() and w.any() for w in weights.values())  # trained to be so


@pytest.fixture
def guarded_hydra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the test ends."""
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", ConfigLoaderImpl.load_configuration)
    guard_hydra()
    register_schema()


def test_hydra_composes_by_the_method_that_is_guarded(guarded_hydra: None) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(ConfigError, match=r"_target_=os\.mkdir"):
        compose("config", ["+hydra.callbacks.x._target_=os.mkdir"])


def test_hydra_names_its_own_plugins_so(guarded_hydra: None) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        node = compose("config", return_hydra_config=True).hydra
    assert all(part["_target_"].startswith(PLUGINS[0]) for part in (node.launcher, node.sweeper))
