"""From a sampler's name to a diffusers scheduler that fits the model's training schedule."""

from typing import Any

from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

from pipeline.generate.conf import SamplerConfig, SamplerName

SCHEDULERS = {
    SamplerName.ddim: DDIMScheduler,
    SamplerName.dpmpp_2m: DPMSolverMultistepScheduler,
    SamplerName.euler: EulerDiscreteScheduler,
}


def build_scheduler(training: Any, cfg: SamplerConfig) -> Any:
    """Build a scheduler over ``cfg.num_steps`` steps; it holds state, so one a batch.

    Its tables stay on the CPU: they are looked up there, and a GPU that had to be asked for each
    timestep would stop at every step. Single numbers off them go with tensors of any device.

    Args:
        training: The model's own scheduler: betas and prediction type come from its config.
        cfg: Which sampler, how many steps.
    """
    scheduler = SCHEDULERS[cfg.name].from_config(training.config, timestep_spacing="trailing")
    scheduler.set_timesteps(cfg.num_steps)
    return scheduler
