"""What all images of a run have in common, and a run's right to go on: ``recipe.json``."""

from typing import Any

from pipeline.core.errors import InputError
from pipeline.core.files import create_json, read_json
from pipeline.core.rundir import RunDir
from pipeline.generate.conf import GenerateConfig
from pipeline.generate.finish import describe_finish
from pipeline.generate.work import Item, WorkList
from pipeline.models.conf import ModelConfig

FORMAT = "dgx-pixels-image/2"
LoraRecords = list[dict[str, str | float]]


class Recipe:
    """Describes items: what every image of the run shares, and what is its own."""

    def __init__(
        self,
        cfg: GenerateConfig,
        *,
        work: WorkList,
        model_sha256: str,
        loras: list[LoraRecords],
        run_dir: RunDir,
    ) -> None:
        """Gather.

        Args:
            cfg: The run's settings.
            work: Its work.
            model_sha256: Digest over the base's weights.
            loras: Of each variant: its adapters.
            run_dir: Knows the run's name and where its code came from.

        Raises:
            InputError: The palette of the finishing is not usable.
        """
        self.work, self.loras = work, loras
        origin = read_json(run_dir.code_json) if run_dir.code_json.exists() else {}
        self.shared: dict[str, Any] = {
            "format": FORMAT,
            "project": {key: origin.get(key) for key in ("commit", "diff_sha256")},
            "run_id": run_dir.path.name,
            "model": describe_model(cfg.model) | {"sha256": model_sha256},
            "sampler": cfg.sampler.name.value,
            "num_steps": cfg.sampler.num_steps,
            "guidance_scale": cfg.sampler.guidance_scale,
            "guidance_interval": [cfg.sampler.guidance_low, cfg.sampler.guidance_high],
            "wrap": cfg.sampler.wrap.value,
            "compute": {
                "channels_last": cfg.compute.channels_last,
                "compile": cfg.compute.compile,
                "decode_batch_size": cfg.compute.decode_batch_size,
                "fused": cfg.compute.fuse_loras and len(loras) == 1 and bool(loras[0]),
            },
            "precision": cfg.precision.value,
            "pixel_scale": cfg.pixel_scale,
            "post": describe_finish(cfg),
        }

    def describe(self, item: Item) -> dict[str, Any]:
        """Return all that decides an image but for its place in the batch."""
        return self.shared | {
            "prompt": item.prompt,
            "negative": item.negative,
            "seed": item.seed,
            "seed_number": item.seed_number,
            "noise_index": item.noise_index,
            "size_px": item.size_px,
            "variant": self.work.variants[item.variant],
            "loras": self.loras[item.variant],
        }

    def hold(self, run_dir: RunDir, *, batch_size: int) -> None:
        """Write the recipe of a new run; refuse to go on with a run that was made by another.

        Raises:
            InputError: Naming what differs.
        """
        now = {
            **self.shared,
            "loras": self.loras,
            "variants": list(self.work.variants),
            "batch_size": batch_size,
            "num_images": len(self.work),
            "work_sha256": self.work.digest,
        }
        path = run_dir.path / "recipe.json"
        if not path.exists() and create_json(path, now):
            return
        was = read_json(path)
        for key in now.keys() | was.keys():
            if key != "project" and was.get(key) != now.get(key):
                name = "prompts" if key in ("work_sha256", "num_images") else key
                raise InputError(
                    f"{name}: the images of {run_dir.path.name} were made with {key} "
                    f"{was.get(key)!r}, now it is {now.get(key)!r}; restore it or start a new run"
                )


def describe_model(cfg: ModelConfig) -> dict[str, Any]:
    """Return where a base comes from, without what differs from machine to machine."""
    told: dict[str, Any] = {"family": cfg.family.value, "size_px": cfg.size_px}
    if cfg.path is not None:
        return told | {"name": cfg.path.name, "variant": cfg.variant}
    if cfg.repo is not None:
        return told | {"repo": cfg.repo, "revision": cfg.revision, "variant": cfg.variant}
    return told
