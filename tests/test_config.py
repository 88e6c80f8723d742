"""No config is silently ignored (law 5): what is wrong is one line that names the key, before anything is loaded."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from lightning_diff.config import registry
from lightning_diff.config.checks import check, keys, single_groups
from lightning_diff.config.compose import compose_config, load_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import CONF, PACKAGE_FOLDER
from lightning_diff.config.schema import Config
from lightning_diff.files import sha256
from lightning_diff.nets.weights import save_arrays

FILES = [(p.parent.name, p.stem) for p in sorted(CONF.glob("*/*.yaml")) if p.parent.name != "experiment"]
CHOSEN = single_groups(Config())
GROUPS = [*FILES, *((registry.place_of(group), name) for group in sorted(CHOSEN) for name in registry.choices(group))]
NEEDS = {  # what the user must say for the groups that cannot know it
    ("data", "folder"): ["data.source=."],
    ("data", "shards"): ["data.source=."],
    ("text", "open_clip"): ["text.weights=lightning_diff/weights/still_life/parts/text.safetensors"],
    ("text", "sdxl"): [
        "text.weights=lightning_diff/weights/still_life/parts/text.safetensors",
        "text.more=[{weights:lightning_diff/weights/still_life/parts/judge.safetensors}]",
    ],
    ("text", "judge"): ["task=contrastive"],
    ("guidance", "auto"): ["guidance.guide=ema:0.05@500", "training.ema_every=500"],
    ("guidance", "cfgpp"): ["sampler=ddim"],
    ("sampler", "heun_karras"): ["objective=v"],
    ("evaluation", "inception"): ["evaluation.features.weights=train.py"],
    ("evaluation/features", "inception"): ["evaluation.features.weights=train.py"],
    ("evaluation/features", "dinov2"): [
        "evaluation.features.weights=lightning_diff/weights/still_life/parts/text.safetensors"
    ],
    ("evaluation", "dinov2"): ["evaluation.features.weights=lightning_diff/weights/still_life/parts/text.safetensors"],
}
WRONG = [  # the command's words, and what the message must say
    ("text.more=[{layer:2}]", "text.more[0].weights: "),
    ("text.more=[{weights:nope.safetensors}]", "text.more=nope.safetensors: no such file"),
    ("text.more=[{weights:train.py,layr:2}]", "layr: no such key; did you mean 'layer'?"),
    ("text.more=[{weights:train.py,layer:0}]", "text.more[0].layer=0: must be at least 1"),
    ("text.more=5", "text.more"),
    ("text.join=tokens", "text.join: would be ignored; it belongs to text.more=[...]"),
    ("text.layer=3", "text.layer=3: the tower has text.layers=2 layers"),
    ("task=autoencoder unet.heads=2", "unet.heads: would be ignored; it belongs to unet.kind=ldm"),
    ("task=autoencoder sampler=ddim", "sampler: would be ignored; it belongs to task=diffusion"),
    ("data=folder data.source=. data.train=9", "data.train: would be ignored; it belongs to data=still_life or digits"),
    ("data.source=.", "data.source: would be ignored; it belongs to data=folder or shards"),
    ("evaluation.ema=[0.1]", "evaluation.ema=[0.1]: needs the averages that training.ema_every=STEPS"),
    ("evaluation.ema=[]", "evaluation.ema=[]: name each length once"),
    ("guidance.scales=[[1]]", "guidance.scales"),
    ("tracking.also.more=[csv]", "tracking.also.more: no such key"),
    ("unet.widths=[100000,8]", "unet.widths=[100000, 8]: must be at most 16384"),
    ("training.batch=1000000000", "training.batch=1000000000: must be at most"),
    ("outputs=train.py", "outputs=train.py: no folder can be there"),
    ("name=..", "name=..: a name of a folder"),
    ("tracking.project=a/b", "tracking.project=a/b: W&B takes names"),
    ("text.weights=tests", "text.weights=tests: not a diffusers folder"),
    ("text.null=learnt", "text.null=learnt: must be one of empty, zeros, learned; did you mean 'learned'?"),
    ("text.layer=2 task=autoencoder", "task=autoencoder: text.more, layer"),
    ("training.stpes=5", "training.stpes: no such key; did you mean 'training.steps'?"),
    ("trainng.steps=5", "trainng: no such key; did you mean 'training'?"),
    ("objektive=eps", "objektive: no such key; did you mean 'objective'?"),
    ("objective=epz", "objective=epz: no such choice; did you mean 'eps'?"),
    ("experiment=bse", "experiment=bse: no such choice; did you mean 'base'?"),
    ("sampler=eular", "sampler=eular: no such choice; did you mean 'euler'?"),
    ("++training.foo=1", "training.foo: no such key"),
    ("+training.step=1", "training.step: no such key; did you mean 'training.steps'?"),
    ("+foo=1", "foo: no such key"),
    ("training.steps=many", "training.steps: Value 'many'"),
    ("training.steps=1.5", "training.steps: Value '1.5'"),
    ("training.steps=null", "training.steps: "),
    ("training.compile=maybe", "training.compile: Value 'maybe'"),
    ("unet.widths=64", "unet.widths: "),
    ("guidance.scales=[1,x]", "guidance.scales[1]: Value 'x'"),
    ("name=${nope}", "name: Interpolation key 'nope'"),
    ("training.steps=0", "training.steps=0: must be at least 1"),
    ("training.learning_rate=0", "training.learning_rate=0.0: must be greater than 0"),
    ("training.learning_rate=nan", "training.learning_rate=nan: must be"),
    ("sampler=ddim sampler.eta=1.5", "sampler.eta=1.5: must be at most 1"),
    ("training.ema=1", "training.ema=1.0: must be at most 0.999999"),
    ("seed=-1", "seed=-1: must be at least 0"),
    ("data.image_size=48", "data.image_size=48: must be one of 16, 32"),
    ("task=atributes", "task=atributes: must be one of"),
    ("sampler.kind=ddim", "sampler.kind=ddim: this table is that of euler; choose with sampler=ddim"),
    ("objective.prediction=eps objective.schedule=flow", "objective.prediction=eps on objective.schedule=flow"),
    ("objective=eps objective.schedule=flow", "objective.prediction=eps on objective.schedule=flow"),
    ("training.batch=7 training.devices=2", "training.batch=7: must be a multiple of"),
    ("guidance.scales=[]", "guidance.scales=[]: "),
    ("guidance.scales=[1,-2]", "guidance.scales=[1.0, -2.0]: "),
    ("guidance.scales=[1,1.0]", "guidance.scales=[1.0, 1.0]: a scale is named twice"),
    ("unet.widths=[64]", "unet.attention=[False, True]: "),
    ("unet.widths=[60,128]", "unet.widths=[60, 128]: "),
    ("unet.head_width=48", "unet.head_width=48: "),
    ("data.image_size=16 unet.widths=[8,8,8,8] unet.attention=[no,no,no,no]", "unet.widths=[8, 8, 8, 8]: "),
    ("text.patch_size=7", "text.patch_size=7: must divide data.image_size=64"),
    ("text.model=ViT-B-32", "text.model=ViT-B-32: its weights must be a local file"),
    ("evaluation=inception", "evaluation.features=inception: its weights must be a local file"),
    ("evaluation/features=dinov2", "evaluation.features=dinov2: its weights must be a local file"),
    ("evaluation/features=dinvo2", "evaluation/features=dinvo2: no such choice; did you mean 'dinov2'?"),
    ("evaluation=inception evaluation.features.weights=/no/file", "evaluation.features.weights=/no/file: no such file"),
    (
        "evaluation=dinov2 evaluation.features.weights=train.py",
        "evaluation.features.weights=train.py: not a safetensors",
    ),
    (
        "evaluation.features.weights=train.py",
        "evaluation.features.weights: no such key; evaluation/features=dinov2 or inc",
    ),
    (
        "evaluation=inception evaluation.features.model=x",
        "evaluation.features.model: no such key; evaluation/features=dinov2",
    ),
    ("evaluation.metrics=[fid,clip_score,kidd]", "evaluation.metrics[2]=kidd: no such choice; did you mean 'kid'?"),
    ("evaluation.metrics=[kid,clip_score]", "evaluation.metrics=['kid', 'clip_score']: none gives the column fid"),
    (
        "evaluation.metrics=[fid,torchmetrics_fid,clip_score]",
        "evaluation.metrics=['fid', 'torchmetrics_fid', 'clip_score']: two",
    ),
    (
        "evaluation.metrics=[fid,clip_score,{kind:kid,subsets:9}]",
        "evaluation.metrics[2].subsets: no key of metric=kid",
    ),
    (
        "evaluation.metrics=[fid,clip_score,{kind:torchmetrics_kid,subset_size:1}]",
        "evaluation.metrics[2].subset_size=1: must be",
    ),
    (
        "evaluation.metrics=[fid,clip_score,{kind:torchmetrics_kid,subset_size:999}]",
        "evaluation.metrics: torchmetrics_kid draws",
    ),
    ("evaluation.metrics=[[fid]]", "evaluation.metrics[0]=['fid']: must name a choice"),
    ("evaluation.metrics=fid", "evaluation.metrics: "),
    ("task=attributes data=folder data.source=.", "task=attributes on data.kind=folder"),
    ("data=folder", "data.kind=folder: say where the pictures are, data.source=PATH"),
    ("data=folder data.source=/no/where", "data.source=/no/where: no such folder"),
    ("autoencoder.weights=/no/file", "autoencoder.weights=/no/file: no such file"),
    ("text.weights=/no/file", "text.weights=/no/file: no such file"),
    ("init_from=/no/file", "init_from=/no/file: no such file"),
    # Each of these would fail after minutes, or be ignored.
    ("guidance.scales=[1,nan]", "guidance.scales="),
    ("guidance.scale=inf", "guidance.scale=inf"),
    ("training.learning_rate=inf", "training.learning_rate=inf"),
    ("seed=99999999999999999999", "seed=99999999999999999999"),
    ("training=5", "training=5"),
    ("name=???", "name"),
    ("text=judge", "text.role=judge"),
    # Keys that would be ignored, and what the mathematics does not allow.
    ("sampler=euler sampler.eta=0.5", "sampler.eta: no such key; sampler=ddim has it"),
    ("sampler.shift=2", "sampler.shift: would be ignored; it belongs to sampler.grid=shifted"),
    ("objective.weight_value=3", "objective.weight_value: would be ignored"),
    ("objective.times=cosine objective.times_std=2", "objective.times_std: would be ignored"),
    ("objective.times_std=0", "objective.times_std=0.0: must be greater than 0"),
    ("objective.data_std=0.5", "objective.data_std: would be ignored"),
    ("objective=v_zero objective.prediction=eps", "objective.prediction=eps on objective.schedule=scaled_linear_zero"),
    ("sampler.grid=karras", "sampler.grid=karras on objective.schedule=flow"),
    ("sampler=heun_karras", "sampler=heun_karras on objective.schedule=flow"),
    ("guidance.norm=2", "guidance.norm: no such key; guidance=apg has it"),
    ("guidance=cfgpp guidance.scale=3", "guidance=cfgpp with scale=3"),
    ("guidance=cfgpp sampler=heun", "guidance=cfgpp with sampler=heun"),
    ("guidance=cfgpp guidance.rescale=0.5", "guidance=cfgpp: rescale"),
    ("guidance.interval=[5,1]", "guidance.interval=[5.0, 1.0]: two limits in sigma / alpha"),
    ("guidance.threshold=[0.9]", "guidance.threshold=[0.9]: a quantile and a bound"),
    ("guidance=auto", "guidance=auto: say which network is the worse one"),
    ("guidance=auto guidance.guide=/no/file", "guidance.guide=/no/file: neither a safetensors file nor"),
    ("guidance.guide=ema:0.05@500", "guidance.guide: no such key; guidance=auto has it"),
]


def test_the_default_composes() -> None:
    config = compose_config([])
    assert config.task == "diffusion" and config.objective.prediction == "flow" and config.sampler.kind == "euler"


@pytest.mark.parametrize("name", sorted(p.stem for p in (CONF / "experiment").glob("*.yaml")))
def test_every_experiment_composes(name: str) -> None:
    first, second = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()[:2]
    assert first == "# @package _global_" and second.startswith(f"# python train.py experiment={name}")
    needs = ["data.source=."] if name == "folder" else []
    assert compose_config([f"experiment={name}", *needs]).name == name


@pytest.mark.parametrize("group, name", GROUPS)
def test_every_file_of_every_group_composes(group: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PACKAGE_FOLDER)
    compose_config([f"{group}={name}", *NEEDS.get((group, name), [])])


@pytest.mark.parametrize("words, says", WRONG)
def test_what_is_wrong_is_one_line_that_names_the_key(words: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PACKAGE_FOLDER)
    with pytest.raises(ConfigError) as e:
        compose_config(words.split())
    assert str(e.value).startswith(says) and "\n" not in str(e.value)


def test_every_number_can_be_set_by_its_key() -> None:
    """All of the schema's numbers, each set to its own value by its dotted key, compose to what was there before."""
    plain = compose_config([])
    node = OmegaConf.structured(plain)
    values = {key: OmegaConf.select(node, key) for key in keys(Config())}
    words = [f"{key}={value}" for key, value in values.items() if isinstance(value, int | float)]
    assert len(words) > 40 and compose_config(words) == plain


def test_a_stored_config_is_read_back(tmp_path: Path) -> None:
    config = compose_config(["objective=v", "guidance.scales=[1,2.5]", "name=a b"])
    path = tmp_path / "config.yaml"
    path.write_text(OmegaConf.to_yaml(OmegaConf.structured(config)))
    assert load_config(path) == config
    other = load_config(path, ["sampler=heun", "seed=3"])
    assert (other.sampler.kind, other.sampler.steps, other.seed) == ("heun", 10, 3)
    assert {k for k, v in asdict(other).items() if v != asdict(config)[k]} == {"sampler", "seed"}
    for wrong, says in (("sampler=hein", "sampler=hein: "), ("smapler=heun", "smapler: "), ("seed=x", "seed: ")):
        with pytest.raises(ConfigError, match="^" + re.escape(says)) as e:
            load_config(path, [wrong])
        assert "\n" not in str(e.value)
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml")
    path.write_text("training: {stpes: 5}")
    with pytest.raises(ConfigError, match=r"training\.stpes"):
        load_config(path)


def test_a_config_of_version_1_is_read_in_the_words_of_today(tmp_path: Path) -> None:
    """Its features were a name beside their keys; a nested choice takes the place of the stored one, with all its keys."""
    path, weights = tmp_path / "config.yaml", tmp_path / "dinov2.safetensors"
    save_arrays(weights, {"x": torch.zeros(1)})
    features = f"features: dinov2, features_weights: {weights}, features_model: vit_small_patch14_dinov2"
    path.write_text(
        f"sampler: {{name: ddim, eta: 0.5}}\nguidance: {{scale: 2}}\nevaluation: {{samples: 99, {features}}}"
    )
    old = load_config(path)
    assert (old.sampler.kind, old.sampler.eta, old.guidance.kind, old.guidance.scale) == ("ddim", 0.5, "cfg", 2)
    assert (old.evaluation.samples, old.evaluation.features.kind) == (99, "dinov2")
    assert old.evaluation.features.model == "vit_small_patch14_dinov2"
    for words in ("evaluation=inception", "evaluation/features=inception"):
        e = load_config(path, [words, f"evaluation.features.weights={weights}"]).evaluation
        assert (e.samples, asdict(e.features)) == (99, {"kind": "inception", "weights": str(weights)})


def test_the_schema_is_legal_by_itself() -> None:
    check(Config())


def test_pinned_weights_are_the_only_ones_that_may_be_named(tmp_path: Path) -> None:
    """By the beginning of their SHA-256; of a folder every file that it could mean. Pins that nothing has are refused too."""
    file, folder = tmp_path / "a.safetensors", tmp_path / "vae"
    save_arrays(file, {"x": torch.zeros(1)})
    save_arrays(folder / "b.safetensors", {"x": torch.ones(1)})
    (folder / "config.json").write_text("{}")
    ours, theirs = sha256(file), sha256(folder / "b.safetensors")
    words = [f"init_from={file}", f"autoencoder.weights={folder}"]
    compose_config([*words, f"pins=['{ours[:12]}','{theirs}']"])
    for pins, says in (
        (f"['{ours}']", f"autoencoder.weights={folder}: b.safetensors has the SHA-256 {theirs}, which is none of pins"),
        (f"['{theirs[:20]}']", f"init_from={file}: a.safetensors has the SHA-256 {ours}"),
        (f"['{ours}','{theirs}','0123456789ab']", "no weights that this config names have the SHA-256 0123456789ab"),
        (f"['{ours[:11]}']", "is not the beginning of a SHA-256"),
    ):
        with pytest.raises(ConfigError, match=re.escape(says)):
            compose_config([*words, f"pins={pins}"])
