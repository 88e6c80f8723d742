"""The tensors of a part of a foreign model: float32, finite, with the scales of fp8 files multiplied in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from ...config.errors import ConfigError
from ...nets.weights import refuse_infinite
from .find import EMA, Found, header

State = dict[str, Tensor]
INPUT_SCALES = (".scale_input", ".input_scale")  # for arithmetic in fp8; the weights do not need them
MARKS = ("scaled_fp8", "v_pred", "ztsnr", "model_ema.decay", "model_ema.num_updates")


def read_tensors(files: Mapping[str, tuple[Path, str]]) -> State:
    """{name: tensor} of {name: (file, name there)}. Floating-point tensors become float32."""
    by_file: dict[Path, list[tuple[str, str]]] = {}
    for name, (file, there) in files.items():
        by_file.setdefault(file, []).append((name, there))
    state: State = {}
    for file, names in by_file.items():
        with safe_open(file, framework="pt") as f:
            for name, there in names:
                t = f.get_tensor(there)
                state[name] = t.float() if t.is_floating_point() else t
    return state


def shape_of_tensor(at: tuple[Path, str]) -> list[int]:
    """The shape of a tensor; it is not read."""
    with safe_open(at[0], framework="pt") as f:
        return list(f.get_slice(at[1]).get_shape())


def read_found(found: Found) -> State:
    """The part's tensors under their own names. Raises ConfigError for NaN and inf."""
    state = descaled(read_tensors({n: at for n, at in found.tensors.items() if n not in MARKS}))
    refuse_infinite(state, found.path)
    return state


def descaled(state: State) -> State:
    """The weights times their scales, where a file in fp8 has any: NAME.scale_weight, NAME.weight_scale, scales.NAME.weight."""
    out = {n: t for n, t in state.items() if not n.endswith(INPUT_SCALES)}
    for name in [n for n in out if n.endswith(".weight")]:
        base = name.removesuffix("weight")
        for scale in (f"{base}scale_weight", f"{name}_scale", f"scales.{name}"):
            if scale in out:
                out[name] = out[name] * out.pop(scale)
    return out


def read_ema(path: Path, names: Iterable[str]) -> State:
    """The averaged weights of a single file, under LDM's `names` (without prefix); the file stores them without dots. Raises
    ConfigError if it has none."""
    there = set(header(path)[0])
    wanted = {n: f"{EMA}diffusion_model{n.replace('.', '')}" for n in names}
    if missing := next((n for n in wanted.values() if n not in there), None):
        raise ConfigError(f"{path}: no {missing} in it: it has no averaged weights of this net; leave init_average out")
    state = read_tensors({n: (path, there) for n, there in wanted.items()})
    refuse_infinite(state, path)
    return state
