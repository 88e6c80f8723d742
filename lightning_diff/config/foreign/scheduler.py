"""The scheduler_config.json of a diffusers pipeline: what the net predicts, on which noise schedule, and at which steps the
pipeline draws. These words set `objective` and `sampler.grid`, unless the command says otherwise; then it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from .laws import Laws, carried, equal, heed, no_effect

BETAS = {"linear": (1e-4, 0.02), "scaled_linear": (0.00085, 0.012)}  # of the schedules of those names here
PREDICTIONS = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
SPACINGS = {
    ("trailing", 0): "uniform",
    ("leading", 0): "leading",
    ("leading", 1): "leading_1",
    ("linspace", 0): "linspace",
}
OF_THE_SOLVER = "belongs to the peer's solver; here `sampler` says how to draw"

# What all of them have: the noise schedule that the net was trained on.
TRAINED: Laws = {
    "num_train_timesteps": equal(1000),
    "beta_start": carried(0.0001),
    "beta_end": carried(0.02),
    "beta_schedule": carried("linear"),
    "trained_betas": equal(None),
    "prediction_type": carried("epsilon"),
}
SPACED: Laws = {"timestep_spacing": carried("linspace"), "steps_offset": carried(0)}
ZERO: Laws = {"rescale_betas_zero_snr": carried(False)}
LEADING = SPACED | {"timestep_spacing": carried("leading")}


def _solver(**defaults: Any) -> Laws:
    return {name: no_effect(default, OF_THE_SOLVER) for name, default in defaults.items()}


SIGMAS = _solver(use_karras_sigmas=False, use_exponential_sigmas=False, use_beta_sigmas=False)
CLIPPED = _solver(clip_sample=True, clip_sample_range=1.0)
THRESHOLD = _solver(thresholding=False, dynamic_thresholding_ratio=0.995, sample_max_value=1.0)
FLOW: Laws = {"use_flow_sigmas": equal(False), **_solver(flow_shift=1.0, use_dynamic_shifting=False)}
FLOW = FLOW | _solver(time_shift_type="exponential")
MULTISTEP = SIGMAS | THRESHOLD | FLOW | _solver(solver_order=2, final_sigmas_type="zero")
WIDE = {"beta_start": carried(0.00085), "beta_end": carried(0.012)}

CLASSES: dict[str, Laws] = {
    "DDIMScheduler": TRAINED | LEADING | ZERO | CLIPPED | THRESHOLD | _solver(set_alpha_to_one=True),
    "DDPMScheduler": TRAINED | LEADING | ZERO | CLIPPED | THRESHOLD | _solver(variance_type="fixed_small"),
    "PNDMScheduler": TRAINED | LEADING | _solver(skip_prk_steps=False, set_alpha_to_one=False),
    "LMSDiscreteScheduler": TRAINED | SPACED | SIGMAS,
    "EulerDiscreteScheduler": TRAINED
    | SPACED
    | ZERO
    | SIGMAS
    | _solver(interpolation_type="linear", sigma_min=None, sigma_max=None, final_sigmas_type="zero")
    | {"timestep_type": equal("discrete")},
    "EulerAncestralDiscreteScheduler": TRAINED | SPACED | ZERO,
    "HeunDiscreteScheduler": TRAINED | WIDE | SPACED | SIGMAS | _solver(clip_sample=False, clip_sample_range=1.0),
    "KDPM2DiscreteScheduler": TRAINED | WIDE | SPACED | SIGMAS,
    "KDPM2AncestralDiscreteScheduler": TRAINED | WIDE | SPACED | SIGMAS,
    "DPMSolverMultistepScheduler": TRAINED
    | SPACED
    | ZERO
    | MULTISTEP
    | _solver(algorithm_type="dpmsolver++", solver_type="midpoint", lower_order_final=True, euler_at_final=False)
    | _solver(use_lu_lambdas=False, lambda_min_clipped=float("-inf"), variance_type=None),
    "DPMSolverSinglestepScheduler": TRAINED
    | MULTISTEP
    | _solver(algorithm_type="dpmsolver++", solver_type="midpoint", lower_order_final=False)
    | _solver(lambda_min_clipped=float("-inf"), variance_type=None),
    "DEISMultistepScheduler": TRAINED
    | SPACED
    | SIGMAS
    | THRESHOLD
    | FLOW
    | _solver(solver_order=2, algorithm_type="deis", solver_type="logrho", lower_order_final=True),
    "UniPCMultistepScheduler": TRAINED
    | SPACED
    | ZERO
    | MULTISTEP
    | _solver(predict_x0=True, solver_type="bh2", lower_order_final=True, disable_corrector=[], solver_p=None)
    | _solver(sigma_min=None, sigma_max=None, shift_terminal=None),
}


@dataclass(frozen=True)
class Said:
    """What a model says of itself, as values of our keys; a key that it does not speak of is not there. `where` it says so."""

    keys: Mapping[str, str]
    where: str


def scheduler_words(config: Mapping[str, Any], where: object) -> Said:
    """The keys that a scheduler's config sets. Raises ConfigError for a scheduler that is not known here, and for a schedule or
    a prediction that is not computed here."""
    name = config.get("_class_name", "DDIMScheduler")
    if name not in CLASSES:
        raise ConfigError(
            f"{where}: _class_name={name}: its noise schedule is not computed here; these are: {', '.join(sorted(CLASSES))}"
        )
    c = heed(CLASSES[name], config, where)
    if c["prediction_type"] not in PREDICTIONS:
        raise ConfigError(
            f"{where}: prediction_type={c['prediction_type']}: only {', '.join(PREDICTIONS)} are computed here"
        )
    betas = (c["beta_start"], c["beta_end"])
    if BETAS.get(c["beta_schedule"]) != betas:
        known = ", ".join(f"{name} {low} to {high}" for name, (low, high) in BETAS.items())
        raise ConfigError(
            f"{where}: beta_schedule={c['beta_schedule']} from {betas[0]} to {betas[1]}: only {known} are computed here"
        )
    keys = {
        "objective.prediction": PREDICTIONS[c["prediction_type"]],
        "objective.schedule": c["beta_schedule"] + ("_zero" if c.get("rescale_betas_zero_snr") else ""),
    }
    if "timestep_spacing" in c:
        spacing = (c["timestep_spacing"], c["steps_offset"] if c["timestep_spacing"] == "leading" else 0)
        if spacing not in SPACINGS:
            raise ConfigError(f"{where}: timestep_spacing={spacing[0]}, steps_offset={spacing[1]}: not computed here")
        keys["sampler.grid"] = SPACINGS[spacing]
    return Said(keys, str(where))
