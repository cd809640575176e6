"""From a sampler's name to a diffusers scheduler that fits the model's training schedule."""

from typing import Any

from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

from pipeline.generate.conf import SamplerConfig, SamplerName

SCHEDULERS = {
    SamplerName.ddim: DDIMScheduler,
    SamplerName.dpmpp_2m: DPMSolverMultistepScheduler,
    SamplerName.euler: EulerDiscreteScheduler,
}


def build_scheduler(training: Any, cfg: SamplerConfig, *, device: str) -> Any:
    """Build a scheduler over ``cfg.num_steps`` steps; it holds state, so one a batch.

    Args:
        training: The model's own scheduler: betas and prediction type come from its config.
        cfg: Which sampler, how many steps.
        device: Where its tables live.
    """
    scheduler = SCHEDULERS[cfg.name].from_config(training.config, timestep_spacing="trailing")
    scheduler.set_timesteps(cfg.num_steps, device=device)
    return scheduler
