"""One optimiser step: forward, loss, backward, clip, update, average.

Shape legend: B batch, C channels, H W height width; lower case: latents.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pipeline.core.noise import sample_noise, sample_timesteps, seed_everything
from pipeline.data.batch import Batch
from pipeline.models.protocol import LoadedModel
from train.conf import LossConfig, TrainConfig
from train.ema import Ema
from train.loss import add_noise, level_weight, sample_error, training_target
from train.noise import training_noise
from train.optim import set_rate
from train.schedule import learning_rate


class Objective(nn.Module):
    """The weighted loss of a batch. One module holds all that is trained, so that DDP sees it."""

    def __init__(self, model: LoadedModel, cfg: LossConfig) -> None:
        super().__init__()
        self.model = model
        self.cfg = cfg
        self.parts = nn.ModuleDict(model.modules)
        self.trains_text = any(
            p.requires_grad
            for name, m in model.modules.items()
            if name != "unet"
            for p in m.parameters()
        )
        self.alphas_cumprod: Tensor
        self.register_buffer("alphas_cumprod", model.alphas_cumprod.clone(), persistent=False)

    def forward(
        self,
        *,
        pixels_BCHW: Float[Tensor, "B C H W"],
        captions: list[str],
        noise_BCHW: Float[Tensor, "B c h w"],
        timesteps_B: Int64[Tensor, " B"],
        posterior_BCHW: Tensor | None,
        alpha_B1HW: Float[Tensor, "B 1 H W"] | None,
        weights_B: Float[Tensor, " B"] | None = None,
    ) -> Float[Tensor, " B"]:
        """Return each sample's weighted mean squared error.

        Args:
            pixels_BCHW: As the loader gives them.
            captions: One a sample.
            noise_BCHW: What is added to the latents.
            timesteps_B: How much of it.
            posterior_BCHW: Noise of a VAE's posterior; None takes its mode.
            alpha_B1HW: Opacity, 0 to 1, where ``transparent_weight`` asks for it.
            weights_B: What each sample counts, where not all count 1.
        """
        model, family = self.model, self.model.family
        with torch.no_grad():
            x0_BCHW = family.encode_pixels(model.pipeline, pixels_BCHW, posterior_BCHW)
        with torch.set_grad_enabled(self.trains_text and torch.is_grad_enabled()):
            conditioning = family.encode_text(model.pipeline, captions)
        alpha_bar_B = self.alphas_cumprod[timesteps_B]
        x_BCHW = add_noise(x0_BCHW, noise_BCHW, alpha_bar_B)
        answer_BCHW = family.predict(self.parts["unet"], x_BCHW, timesteps_B, conditioning)
        target_BCHW = training_target(model.prediction, x0_BCHW, noise_BCHW, alpha_bar_B)
        weights_BCHW = None
        if alpha_B1HW is not None:
            least = self.cfg.transparent_weight
            weights_BCHW = family.loss_weights(least + (1 - least) * alpha_B1HW)
        error_B = sample_error(answer_BCHW, target_BCHW, weights_BCHW)
        weighted_B = error_B * level_weight(model.prediction, alpha_bar_B, self.cfg)
        return weighted_B if weights_B is None else weighted_B * weights_B


class Trainer:
    """What a step needs and changes, and its position in images."""

    def __init__(
        self,
        accelerator: Accelerator,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        *,
        named: Mapping[str, nn.Parameter],
        ema: Ema | None,
        cfg: TrainConfig,
    ) -> None:
        self.accelerator = accelerator
        self.objective = objective
        self.optimizer = accelerator.prepare(optimizer)
        self.wrapped = accelerator.prepare(objective)
        self.named = named
        self.ema = ema
        self.cfg = cfg
        self.num_images = 0
        self.window: list[Tensor] = []
        """This rank's mean loss of each step since the last row of metrics."""
        self.grad_norm = torch.zeros((), device=accelerator.device)
        self.is_finite = torch.ones((), dtype=torch.bool, device=accelerator.device)

    def step(self, batches: Iterator[Batch]) -> None:
        """Collective: take one optimiser step over ``num_accumulation_steps`` micro-batches."""
        cfg = self.cfg
        set_rate(self.optimizer, self.rate_at(self.num_images))
        losses = []
        for _ in range(cfg.num_accumulation_steps):
            batch = next(batches)
            with self.accelerator.accumulate(self.wrapped):
                loss = self.wrapped(**self.inputs(batch)).mean()
                losses.append(loss.detach())
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self._clip()
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
        self._note(torch.stack(losses).mean())
        self.num_images += cfg.batch_size
        if self.ema is not None:
            self.ema.update(self.num_images, batch_size=cfg.batch_size)

    def rate_at(self, num_images: int) -> float:
        """Return the schedule's rate of the step that begins at ``num_images``."""
        cfg = self.cfg
        return learning_rate(
            num_images, total_images=cfg.num_images, batch_size=cfg.batch_size, cfg=cfg.optim
        )

    def inputs(self, batch: Batch) -> dict[str, Any]:
        """Add the noise and timesteps that belong to the batch's global indices."""
        cfg, model = self.cfg, self.objective.model
        noise_BCHW = training_noise(
            cfg.loss, run_seed=cfg.seed, indices=batch.indices, shape=model.latent_shape
        )
        timesteps_B = sample_timesteps(
            cfg.seed, "timestep", batch.indices, num_timesteps=len(model.alphas_cumprod)
        )
        posterior = None
        if hasattr(model.pipeline, "vae"):
            posterior = sample_noise(cfg.seed, "posterior", batch.indices, shape=model.latent_shape)
        # Dropout layers draw from torch's own generator: keyed by position like everything else.
        seed_everything(cfg.seed, "dropout", batch.indices[0])
        device = self.accelerator.device
        told = {}
        if batch.loss_weights is not None:
            told["weights_B"] = torch.tensor(batch.loss_weights, device=device)
        return told | {
            "pixels_BCHW": batch.pixels_BCHW.to(device),
            "captions": batch.captions,
            "noise_BCHW": noise_BCHW.to(device),
            "timesteps_B": timesteps_B.to(device),
            "posterior_BCHW": None if posterior is None else posterior.to(device),
            "alpha_B1HW": None if batch.alpha_B1HW is None else batch.alpha_B1HW.to(device),
        }

    def _clip(self) -> None:
        limit = self.cfg.optim.max_grad_norm or float("inf")
        self.grad_norm = self.accelerator.clip_grad_norm_(list(self.named.values()), limit)

    def _note(self, loss: Tensor) -> None:
        self.window.append(loss)
        # Stays on the device: read only where metrics are, so that no step waits for the GPU.
        finite = torch.isfinite(loss)
        if self.accelerator.scaler is None:
            finite = finite & torch.isfinite(self.grad_norm)
        self.is_finite = self.is_finite & finite
