"""No config is silently ignored (law 5): what is wrong is one line that names the key, before anything is loaded."""

import re
from dataclasses import asdict, replace
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
from lightning_diff.pipeline.continuing.same import refuse_another

FILES = [(p.parent.name, p.stem) for p in sorted(CONF.glob("*/*.yaml")) if p.parent.name != "experiment"]
CHOSEN = single_groups(Config())
GROUPS = [*FILES, *((registry.place_of(group), name) for group in sorted(CHOSEN) for name in registry.choices(group))]
TOWER = "lightning_diff/weights/still_life/parts/text.safetensors"
A_FILE = f"evaluation.features.weights={TOWER}"
NEEDS = {  # what the user must say for the groups that cannot know it
    ("net", "aligndraw"): ["experiment=aligndraw"],
    ("data", "folder"): ["data.source=."],
    ("data", "shards"): ["data.source=."],
    ("data", "table"): ["data.source=conf/schema.json"],
    ("data", "coco"): ["data.source=.", "data.annotations=train.py"],
    ("text", "open_clip"): [f"text.weights={TOWER}"],
    ("text", "sdxl"): [
        "text.weights=FOLDER",
        "text.more=[{kind:folder,weights:FOLDER,layer:2}]",
    ],
    ("text", "folder"): ["text.weights=FOLDER"],
    ("text", "judge"): ["task=contrastive"],
    ("guidance", "auto"): ["guidance.guide=ema:0.05@500", "training.ema_every=500"],
    ("guidance", "cfgpp"): ["sampler=ddim"],
    ("sampler", "heun_karras"): ["objective=v"],
    ("evaluation", "inception"): ["evaluation.features.weights=train.py"],
    ("evaluation", "coco30k"): ["evaluation.features.weights=train.py"],
    ("evaluation/features", "inception"): ["evaluation.features.weights=train.py"],
    ("evaluation/features", "dinov2"): [A_FILE],
    ("evaluation", "imagenet"): [A_FILE],
    ("evaluation/features", "imagenet"): [A_FILE],
    ("evaluation", "dinov2"): [A_FILE],
}
WRONG = [  # the command's words, and what the message must say
    ("text.more=[{layer:2}]", "text.more[0].kind: say which choice of text it is, one of folder, open_clip, small"),
    ("text.more=[{kind:small,layer:2}]", "text.more[0].weights: say which weights file it is"),
    ("text.more=[{kind:small,weights:nope.safetensors}]", "text.more=nope.safetensors: no such file"),
    (
        "text.more=[{kind:small,weights:train.py,layr:2}]",
        "text.more[0].layr: no key of text=small; did you mean 'layer'",
    ),
    ("text.more=[{kind:small,weights:train.py,layer:0}]", "text.more[0].layer=0: must be at least 1"),
    (
        f"text.more=[{{kind:small,weights:{TOWER},width:64}}]",
        "text.more[0].width: would be ignored; it belongs to text",
    ),
    (f"text.more=[{{kind:small,weights:{TOWER},join:tokens}}]", "text.more[0].join: would be ignored"),
    ("text.more=[{kind:open_clip}]", "text.more[0].model=ViT-B-32: its weights must be a local file"),
    ("text.more=[small]", "text.more[0].weights: say which weights file it is"),
    ("text.more=5", "text.more"),
    ("text.join=tokens", "text.join: would be ignored; it belongs to text.more=[...]"),
    ("text.layer=3", "text.layer=3: the tower has text.layers=2 layers"),
    ("task=autoencoder net.heads=2", "net.heads: no such key; net=ldm has it"),
    ("task=autoencoder sampler=ddim", "sampler: would be ignored; it belongs to task=diffusion"),
    ("data=folder data.source=. data.train=9", "data.train: no such key; data=digits or still_life has it"),
    ("data.source=.", "data.source: no such key; data=coco or folder or shards or table has it"),
    ("data=folder data.source=. data.hold_out=false", "data.hold_out: no such key; data=digits or still_life has it"),
    (
        "data=still_life data.captions=lines",
        "data.captions: no such key; data=coco or folder or shards or table has it",
    ),
    (
        "data=shards data.source=. data.shard_size=9",
        "data.shard_size: no such key; data=coco or digits or folder or still_life",
    ),
    ("data.source.more=1", "data.source.more: no such key; give data.source itself"),
    (
        "experiment=judge data=shards data.source=. data.seed=1",
        "data.seed: no such key; data=digits or still_life has it",
    ),
    ("data.trian=9", "data.trian: no key of data=still_life; did you mean 'train'?"),
    ("data=folders", "data=folders: no such choice; did you mean 'folder'?"),
    ("data.kind=folder", "data.kind=folder: this table is that of still_life; choose with data=folder"),
    ("evaluation.ema=[0.1]", "evaluation.ema=[0.1]: needs the averages that training.ema_every=STEPS"),
    ("evaluation.ema=[]", "evaluation.ema=[]: name each length once"),
    ("guidance.scales=[[1]]", "guidance.scales"),
    ("tracking.also.more=[csv]", "tracking.also.more: no such key"),
    ("net.widths=[100000,8]", "net.widths=[100000, 8]: must be at most 16384"),
    ("training.batch=1000000000", "training.batch=1000000000: must be at most"),
    ("outputs=train.py", "outputs=train.py: no folder can be there"),
    ("name=..", "name=..: a name of a folder"),
    ("tracking.also=csv", "tracking.also: must be a list"),
    ("tracking.also=[mlflow,{kind:csv,uri:x}]", "tracking.also[1].uri: no key of tracker=csv; tracker=mlflow has it"),
    ("tracker=csv", "tracker: no such key; did you mean 'tracking'?"),
    ("tracking.project=a/b", "tracking.project=a/b: W&B takes names"),
    ("text=folder text.weights=tests", "text.weights=tests: not a diffusers folder"),
    ("text.weights=FOLDER", "text.weights=FOLDER: a folder, which text=folder reads"),
    ("text=open_clip text.weights=FOLDER", "text.weights=FOLDER: a folder, which text=folder reads"),
    (f"text=folder text.weights={TOWER}", f"text.weights={TOWER}: weights of this project, which text=small reads"),
    ("text=folder", "text.weights: say where its weights are"),
    ("text=folder text.width=64", "text.width: no such key; text=small has it"),
    ("text=open_clip text.role=judge", "text.role: no such key; text=small has it"),
    ("text.null=learnt", "text.null=learnt: must be one of empty, zeros, learned; did you mean 'learned'?"),
    ("text.layer=2 task=autoencoder", "task=autoencoder: text.more, layer"),
    ("training.stpes=5", "training.stpes: no such key; did you mean 'training.steps'?"),
    ("trainng.steps=5", "trainng.steps: no such key; did you mean 'training.steps'?"),
    ("objektive=eps", "objektive: no such key; did you mean 'objective'?"),
    ("objective=epz", "objective=epz: no such choice; did you mean 'eps'?"),
    ("objective=vpred", "objective=vpred: no such choice; did you mean 'v'?"),
    (
        "objective.prediction=EpsPrediction",
        "objective.prediction=EpsPrediction: must be one of eps, v, x0, flow, edm; did you",
    ),
    ("sampler=DDIMScheduler", "sampler=DDIMScheduler: no such choice; did you mean 'ddim'?"),
    ("sampler=qqq", "sampler=qqq: no such choice; 1"),
    ("tracking=qqq", "tracking=qqq: no such choice; known are: disabled, offline, online"),
    ("experiment=bse", "experiment=bse: no such choice; did you mean 'base'?"),
    ("sampler=eular", "sampler=eular: no such choice; did you mean 'euler'?"),
    ("++training.foo=1", "training.foo: no such key"),
    ("+training.step=1", "training.step: no such key; did you mean 'training.steps'?"),
    ("+foo=1", "foo: no such key"),
    ("training.steps=many", "training.steps=many: must be a whole number"),
    ("training.steps=1.5", "training.steps=1.5: must be a whole number"),
    ("training.steps=true", "training.steps=true: must be a whole number"),
    ("training.steps=null", "training.steps=null: must be a whole number"),
    ("training.precision=null", "training.precision=null: must be a text"),
    ("training.precision=[auto]", "training.precision=['auto']: must be one text"),
    ("guidance.scale=abc", "guidance.scale=abc: must be a number"),
    ("guidance.scales=null", "guidance.scales=null: must be a list"),
    ("guidance.scales={a:1}", "guidance.scales: must be a list; write it in brackets, [A,B]"),
    ("training.compile=maybe", "training.compile=maybe: must be true or false"),
    ("net.widths=64", "net.widths: must be a list; write it in brackets, [A,B]"),
    ("guidance.scales=[1,x]", "guidance.scales[1]=x: must be a number"),
    ("name=${nope}", "name: ${nope} names a key that does not exist"),
    ("name=${oc.env:NO_SUCH_NAME}", "name: Environment variable 'NO_SUCH_NAME' not found"),
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
    ("net=small net.widths=[64]", "net.attention=[False, True]: "),
    ("net.widths=[60,128]", "net.widths=[60, 128]: "),
    ("net=small net.head_width=48", "net.head_width=48: "),
    ("net=ldm net.groups=24", "net.widths=[64, 128]: widths must be positive multiples of 24"),
    ("net=ldm net.heads=3", "net.heads=3: must divide the widths that attend, [128]"),
    ("net=sd15 net.head_width=64", "net.head_width: would be ignored; it belongs to net.heads=0"),
    ("net=ldm net.attention=[true,true]", "net.attention: no such key; net=small has it"),
    ("net=ldm net.depth=[1]", "net.depth=[1]: needs one value for each"),
    ("net=5", "net=5: net is a group"),
    ("training.lora=4", "training.lora=4: adapters are trained on weights of net=ldm"),
    ("autoencoder.groups=8", "autoencoder.groups: no such key; autoencoder=ldm has it"),
    (
        "autoencoder=ldm autoencoder.widths=[16,32]",
        "autoencoder.widths=[16, 32]: widths must be positive multiples of 32",
    ),
    ("autoencoder.lpips_weights=train.py", "autoencoder.lpips_weights=train.py: not a safetensors file"),
    (
        f"autoencoder.lpips_weights={TOWER}",
        "autoencoder.lpips_weights: would be ignored; it belongs to autoencoder.perc",
    ),
    ("autoencoder.adversarial_from=9", "autoencoder.adversarial_from: would be ignored"),
    (f"task=autoencoder autoencoder.weights={TOWER}", "autoencoder.weights: would be ignored; it belongs to task=diff"),
    (f"task=contrastive text.weights={TOWER}", "text.weights: would be ignored; it belongs to task=diffusion"),
    (
        f"task=contrastive text=open_clip text.weights={TOWER}",
        "text=open_clip: would be ignored; it belongs to task=diff",
    ),
    (f"text.width=64 text.weights={TOWER}", "text.width: would be ignored; it belongs to text.weights=auto"),
    ("data.image_size=16 net=small net.widths=[8,8,8,8] net.attention=[no,no,no,no]", "net.widths=[8, 8, 8, 8]: "),
    ("text.patch_size=7", "text.patch_size=7: must divide data.image_size=64"),
    ("text.model=RN50", "text.model: no such key; text=open_clip has it"),
    ("text=open_clip", "text.model=ViT-B-32: its weights must be a local file"),
    ("evaluation=inception", "evaluation.features=inception: its weights must be a local file"),
    (
        "task=attributes data=folder data.source=.",
        "task=attributes with data.source=.: only data=digits or still_life knows",
    ),
    ("data=folder", "data=folder: say where the pictures are, data.source=PATH"),
    ("data=shards", "data=shards: say where the pictures are, data.source=PATH"),
    ("data=shards data.source=pipe:ls", "data.source=pipe:ls: only local paths, and https, http, s3 and gs are read"),
    ("data=shards data.source=/no/where", "data.source=/no/where: no such file or folder"),
    ("data=folder data.source=. data.test=3", "data.test=3: the sweep needs at least 4 test pictures"),
    ("data.test=63", "data.test=63: the sweep needs at least 64 test captions"),
    ("evaluation/features=dinov2", "evaluation.features=dinov2: its weights must be a local file"),
    ("evaluation.metrics=[fid,clip_score,named]", "evaluation.metrics=named: it needs ImageNet's classifier"),
    ("evaluation/features=dinvo2", "evaluation/features=dinvo2: no such choice; did you mean 'dinov2'?"),
    ("evaluation=inception evaluation.features.weights=/no/file", "evaluation.features.weights=/no/file: no such file"),
    (
        "evaluation=dinov2 evaluation.features.weights=train.py",
        "evaluation.features.weights=train.py: not a safetensors",
    ),
    (
        "evaluation.features.weights=train.py",
        "evaluation.features.weights: no such key; evaluation/features=dinov2 or imagenet or inc",
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
    ("guidance=cfgpp", "guidance=cfgpp with sampler=euler"),
    ("objective=v sampler.grid=shifted", "sampler.grid=shifted on objective.schedule=cosine"),
    ("objective=edm objective.shift=2", "objective.shift=2: needs objective.schedule=flow"),
    ("guidance.schedule=linear guidance.scales=[0,3]", "guidance.schedule=linear with w = 0"),
    ("guidance=cfgpp sampler=ddim guidance.rescale=0.5 guidance.scales=[0.5]", "guidance=cfgpp: rescale"),
    ("guidance.interval=[5,1]", "guidance.interval=[5.0, 1.0]: two limits in sigma / alpha"),
    ("guidance.threshold=[0.9]", "guidance.threshold=[0.9]: a quantile and a bound"),
    ("guidance=auto", "guidance=auto: say which network is the worse one"),
    ("guidance=auto guidance.guide=/no/file", "guidance.guide=/no/file: neither a safetensors file nor"),
    ("guidance.guide=ema:0.05@500", "guidance.guide: no such key; guidance=auto has it"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a folder of diffusers is known by."""
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def test_the_default_composes() -> None:
    config = compose_config([])
    assert config.task == "diffusion" and config.objective.prediction == "flow" and config.sampler.kind == "euler"


@pytest.mark.parametrize("name", sorted(p.stem for p in (CONF / "experiment").glob("*.yaml")))
def test_every_experiment_composes(name: str) -> None:
    first, second = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()[:2]
    assert first == "# @package _global_" and second.startswith(f"# python train.py experiment={name}")
    needs = ["data.source=."] if name in ("folder", "stamps") else []
    assert compose_config([f"experiment={name}", *needs]).name == name


@pytest.mark.parametrize("group, name", GROUPS)
def test_every_file_of_every_group_composes(
    group: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PACKAGE_FOLDER)
    needs = [word.replace("FOLDER", str(folder)) for word in NEEDS.get((group, name), [])]
    compose_config([f"{group}={name}", *needs])


@pytest.mark.parametrize("words, says", WRONG)
def test_what_is_wrong_is_one_line_that_names_the_key(
    words: str, says: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PACKAGE_FOLDER)
    with pytest.raises(ConfigError) as e:
        compose_config(words.replace("FOLDER", str(folder)).split())
    assert str(e.value).startswith(says.replace("FOLDER", str(folder))) and "\n" not in str(e.value)


def test_every_number_can_be_set_by_its_key() -> None:
    """All of the schema's numbers, each set to its own value by its dotted key, compose to what was there before."""
    plain = compose_config(["validation.every=4"])  # without it validation.samples would be refused as useless
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
    for words in (["sampler.steps=2", "sampler=heun"], ["sampler=heun", "sampler.steps=2"]):
        assert (
            load_config(path, words).sampler == compose_config(words).sampler
            and compose_config(words).sampler.steps == 2
        )
    nested = ["evaluation.samples=9", "evaluation/features=judge", "evaluation=none"]
    assert load_config(path, nested).evaluation == load_config(path, nested[::-1]).evaluation
    assert (load_config(path, nested).evaluation.samples, load_config(path, nested).evaluation.enabled) == (9, False)
    with pytest.raises(ConfigError, match=r"^~seed: a run's config has a value"):
        load_config(path, ["~seed"])
    for wrong, says in (
        ("sampler=hein", "sampler=hein: "),
        ("smapler=heun", "smapler: "),
        ("seed=x", "seed=x: must be a whole number"),
    ):
        with pytest.raises(ConfigError, match="^" + re.escape(says)) as e:
            load_config(path, [wrong])
        assert "\n" not in str(e.value)
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml")
    path.write_text("training: {stpes: 5}")
    with pytest.raises(ConfigError, match=r"training\.stpes"):
        load_config(path)


def test_an_old_stored_config_names_its_trackers_in_todays_words(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("tracking: {wandb: disabled, also: [csv, mlflow], mlflow_uri: 'http://host:5000'}")
    assert (
        load_config(path).tracking
        == compose_config(["tracking=disabled", "tracking.also=[csv,{kind:mlflow,uri:'http://host:5000'}]"]).tracking
    )
    path.write_text("tracking: {also: [csv], mlflow_uri: null}")
    assert load_config(path).tracking == compose_config(["tracking.also=[csv]"]).tracking
    with pytest.raises(ConfigError, match=r"^tracking.also=csv: must be a list of choices"):
        load_config(path, ["tracking.also=csv"])


def test_a_config_of_version_1_is_read_in_todays_words(folder: Path) -> None:
    """One table of keys for all kinds of a group; `unet`; `text` without kinds; a kind that was not said."""
    shipped = load_config(Path(__file__).parent / "config" / "version_1.yaml")  # as it was shipped
    assert [getattr(shipped, g).kind for g in ("net", "autoencoder", "text", "guidance")] == ["small"] * 3 + ["cfg"]
    assert (shipped.net.widths, shipped.autoencoder.kl_weight, shipped.text.patch_size) == ([64, 128], 1e-4, 8)
    tower = str(PACKAGE_FOLDER / TOWER)
    sizes = {"width": 128, "role": "text", "layer": 1}
    old = {
        "unet": {"kind": "ldm", "widths": [32, 64], "attention": [], "depth": [0, 1], "groups": 8, "head_width": 32},
        "autoencoder": {"kind": "small", "widths": [32, 96], "groups": 32},
        "text": {"model": "ViT-B-32", "weights": tower, **sizes, "more": [{"model": None, "weights": tower, "layer": 2},
                                                                          {"weights": str(folder), "final_norm": False}]},
    }  # fmt: skip
    path = folder / "old.yaml"
    path.write_text(OmegaConf.to_yaml(OmegaConf.create(old)))
    found = load_config(path)
    assert (found.net.kind, found.net.depth, found.net.groups) == ("ldm", [0, 1], 8)
    assert (found.autoencoder.kind, found.text.kind, found.text.model) == ("small", "open_clip", "ViT-B-32")
    assert [(t.kind, t.layer, t.final_norm) for t in found.text.more] == [("small", 2, True), ("folder", 1, False)]
    path.write_text(OmegaConf.to_yaml(OmegaConf.create({"text": {"model": None, "weights": str(folder)}})))
    assert load_config(path).text.kind == "folder"


def test_a_preset_says_nothing_to_a_source_without_its_keys() -> None:
    """A judge of other pictures, and debug=, are for any source; `test` is a key of a folder too."""
    made, mine = (
        compose_config(["experiment=judge", *words]) for words in (["data=digits"], ["data=folder", "data.source=."])
    )
    assert made.data.seed == 1001 and mine.data.kind == "folder"
    small = compose_config(["experiment=folder", "data.source=.", "debug=one_batch"]).data
    assert (small.test, small.source, hasattr(small, "train")) == ("64", ".", False)


def test_an_old_run_of_a_folder_is_the_same_run(tmp_path: Path) -> None:
    """Version 1 had one table of keys for all sources."""
    config = compose_config(["experiment=folder", "data.source=."])
    old = OmegaConf.to_container(OmegaConf.structured(config))
    assert isinstance(old, dict)
    old["data"] |= {"train": 16384, "seed": 0, "hold_out": True}
    del old["version"]
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(old)))
    assert load_config(tmp_path / "config.yaml") == replace(config, version=2)
    refuse_another(tmp_path, config)
    for words, says in (
        (["experiment=folder", "data.source=.", "data.test=9"], r"^data\.test=9: .* holds a run with data\.test=auto"),
        (["experiment=base"], r"^data\.kind=still_life: .* holds a run with data\.kind=folder"),
    ):
        with pytest.raises(ConfigError, match=says):
            refuse_another(tmp_path, compose_config(words))


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
        assert (e.samples, e.features.kind, e.features.weights) == (99, "inception", str(weights))


def test_a_stored_net_has_what_it_had_before_a_key_came(tmp_path: Path) -> None:
    """Before net.after there were no residual blocks behind the transformer, before net.rotary attention was plain.

    A command without a stored config gets today's."""
    path = tmp_path / "config.yaml"
    path.write_text("version: 2\nnet: {kind: uvit, depth: 4}")
    old = load_config(path).net
    assert (old.depth, old.after, old.rotary) == (4, 0, False)
    path.write_text("version: 2\nnet: {kind: uvit, depth: 4, after: 2}")
    assert load_config(path).net.after == 2
    path.write_text("version: 2\nnet: {kind: small}")
    assert load_config(path).net == compose_config(["net=small"]).net
    today = compose_config([]).net
    assert today.after == 1 and today.rotary


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
