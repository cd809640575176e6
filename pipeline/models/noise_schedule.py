"""Changes a training makes to its base's noise schedule, and how generation hears of them.

A LoRA that was trained on another schedule than its base's says so in its header; the sampler then
walks that schedule.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

from diffusers import DDPMScheduler

from pipeline.core.errors import InputError
from pipeline.models.protocol import LoadedModel

SCHEDULE_KEY = "dgx_pixels_schedule"
"""In a LoRA's header: JSON of the settings of the base's scheduler that were changed."""
PREDICTION = "prediction_type"
ZERO_SNR = "rescale_betas_zero_snr"
ALLOWED = {PREDICTION: ("epsilon", "v_prediction", "sample"), ZERO_SNR: (True,)}


def changed_scheduler(scheduler: Any, changes: Mapping[str, Any]) -> Any:
    """Return the scheduler with other settings; itself where there are none.

    Args:
        scheduler: A model's own.
        changes: ``prediction_type``, in diffusers' words, and ``rescale_betas_zero_snr``: betas
            shifted and scaled so that the last step holds no signal at all (Lin et al. 2024, arXiv
            2305.08891, Algorithm 1; diffusers does it).
    """
    if not changes:
        return scheduler
    if ZERO_SNR in changes:
        # Not every base's scheduler knows the setting; this one does, and its last step is exact.
        # Sampling must begin at that step, which only trailing steps do (section 3.4).
        return DDPMScheduler.from_config(scheduler.config, **changes, timestep_spacing="trailing")
    changed = copy.deepcopy(scheduler)
    changed.register_to_config(**changes)
    return changed


def change_schedule(model: LoadedModel, changes: Mapping[str, Any]) -> None:
    """Give the model another schedule to train on.

    Raises:
        InputError: Zero terminal SNR without v-prediction: noise alone tells nothing of an error in
            noise, so nothing would be learnt at the last step (section 3.3 of the paper).
    """
    model.pipeline.scheduler = changed_scheduler(model.pipeline.scheduler, changes)
    if ZERO_SNR in changes and model.prediction != "v":
        raise InputError(
            f"loss.zero_terminal_snr: needs v-prediction, this training has {model.prediction}; "
            "set loss.prediction=v"
        )


def read_changes(metadata: Mapping[str, str], *, file: object) -> dict[str, Any]:
    """Return the changes a LoRA's header tells of.

    Raises:
        InputError: They are not ones that exist.
    """
    told = metadata.get(SCHEDULE_KEY, "{}")
    try:
        changes = json.loads(told)
        known = all(value in ALLOWED[key] for key, value in changes.items())
    except (ValueError, KeyError, AttributeError, TypeError):
        known = False
    if not known:
        raise InputError(f"loras: {file} has {SCHEDULE_KEY}={told!r}; allowed: {ALLOWED}")
    return dict(changes)
