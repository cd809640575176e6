"""Make an image again from its own metadata alone, and compare the bytes."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_file
from pipeline.generate.conf import ComputeConfig, Precision, SamplerConfig, SamplerName, Wrap
from pipeline.generate.draw import Drawer
from pipeline.generate.finish import finisher_of
from pipeline.generate.png import encode, provenance_of
from pipeline.generate.recipe import FORMAT
from pipeline.generate.work import Item
from pipeline.models import lora
from pipeline.models.conf import LoraUse, ModelConfig
from pipeline.models.protocol import LoadedModel
from pipeline.models.registry import load_model

NEEDED: dict[str, type | tuple[type, ...]] = {
    "index": int,
    "prompt": str,
    "negative": str,
    "seed": int,
    "seed_number": int,
    "noise_index": int,
    "size_px": int,
    "attempt": int,
    "batch_row": int,
    "batch_rows": int,
    "pixel_scale": int,
    "num_steps": int,
    "guidance_scale": (int, float),
    "guidance_interval": list,
    "model": dict,
    "loras": list,
    "compute": dict,
    "post": dict,
    "sampler": str,
    "wrap": str,
    "precision": str,
}
BOUNDS = {"size_px": 4096, "batch_rows": 1024, "num_steps": 1000, "pixel_scale": 64}
"""Most that is taken from a file that may come from anybody."""


def check_told(told: Mapping[str, Any], path: Path) -> None:
    """Refuse metadata that is not ours, not whole, or asks for what no run makes.

    Raises:
        InputError: Naming the file and the field.
    """
    if told.get("format") != FORMAT:
        raise InputError(f"{path}: its metadata is not {FORMAT}: {told.get('format')!r}")
    for key, kind in NEEDED.items():
        if not isinstance(told.get(key), kind) or isinstance(told.get(key), bool):
            raise InputError(f"{path}: {key} in its metadata is {told.get(key)!r}")
    for key, most in BOUNDS.items():
        if not 1 <= told[key] <= most:
            raise InputError(f"{path}: {key}={told[key]} in its metadata is outside 1..{most}")
    if not 0 <= told["batch_row"] < told["batch_rows"]:
        raise InputError(f"{path}: batch_row={told['batch_row']} of {told['batch_rows']}")


class Reproducer:
    """Makes images again; keeps a loaded model for those that follow with the same one."""

    def __init__(
        self, *, models: Iterable[ModelConfig], loras: Iterable[Path], device: str
    ) -> None:
        """Say where weights may be found; which are taken, their digests decide.

        Args:
            models: Base models that images may have been made with.
            loras: Adapter files, or runs that hold one.
            device: ``cpu`` or ``cuda:<index>``.

        Raises:
            InputError: An adapter is not there.
        """
        self.models = list(models)
        self.loras = {sha256_file(file): file for file in map(lora.resolve, loras)}
        self.device = device
        self._key: object = None
        self._drawer: Drawer | None = None

    def again(self, data: bytes, *, path: Path) -> bytes:
        """Return the PNG that an image's metadata makes.

        The image is drawn in its own row of a batch of the same size. What stood in the other rows
        does not matter, so it is repeated there.

        Args:
            data: A PNG of ``jobs.generate``.
            path: Where it is, for messages.

        Raises:
            InputError: It carries no such metadata, or the weights it names are not to be found.
        """
        with Image.open(BytesIO(data)) as image:
            told = provenance_of(image)
        check_told(told, path)
        drawer = self._drawer_for(told, path)
        item = Item(
            index=told["index"],
            prompt=told["prompt"],
            negative=told["negative"],
            seed=told["seed"],
            seed_number=told["seed_number"],
            noise_index=told["noise_index"],
            variant=0,
            size_px=told["size_px"],
        )
        row = told["batch_row"]
        drawn = drawer([item] * told["batch_rows"], attempt=told["attempt"])
        finish = finisher_of(told)
        (pixels, _) = finish(drawn[row : row + 1].cpu().numpy())[0]
        return encode(pixels, told)

    def _drawer_for(self, told: Mapping[str, Any], path: Path) -> Drawer:
        shared = ("model", "loras", "sampler", "num_steps", "guidance_scale", "guidance_interval")
        key = {name: told[name] for name in (*shared, "wrap", "compute", "precision")}
        if self._drawer is None or key != self._key:
            self._drawer = self._load(told, path)
            self._key = key
        return self._drawer

    def _load(self, told: Mapping[str, Any], path: Path) -> Drawer:
        uses = []
        for record in told["loras"]:
            if record["sha256"] not in self.loras:
                raise InputError(
                    f"{path}: was made with {record['file']} (sha256 {record['sha256'][:12]}...), "
                    "which is not among the loras given; name it with --lora"
                )
            uses.append(LoraUse(path=self.loras[record["sha256"]], weight=record["weight"]))
        compute = dict(told["compute"])
        fused = compute.pop("fused")
        low, high = told["guidance_interval"]
        model = self._find_model(told["model"])
        if model is not None:
            return Drawer(
                model,
                variants=[uses],
                sampler=SamplerConfig(
                    name=SamplerName(told["sampler"]),
                    num_steps=told["num_steps"],
                    guidance_scale=told["guidance_scale"],
                    guidance_low=low,
                    guidance_high=high,
                    wrap=Wrap(told["wrap"]),
                ),
                compute=ComputeConfig(**compute, fuse_loras=fused),
                precision=Precision(told["precision"]),
                device=self.device,
            )
        family, digest = told["model"]["family"], told["model"]["sha256"]
        raise InputError(
            f"{path}: was made with a {family} of sha256 {digest[:12]}..., which is none of the "
            "models given; name it with --model"
        )

    def _find_model(self, wanted: Mapping[str, Any]) -> LoadedModel | None:
        """Load the first base of the right digest; what cannot be loaded is none."""
        for cfg in self.models:
            if cfg.family.value != wanted["family"]:
                continue
            told = replace(cfg, variant=wanted.get("variant") or cfg.variant)
            with suppress(InputError):
                model = load_model(told, device=self.device)
                if model.digest == wanted["sha256"]:
                    return model
        return None
