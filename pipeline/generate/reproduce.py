"""Make an image again from its own metadata alone, and compare the bytes."""

from collections.abc import Iterable, Mapping
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
from pipeline.models.conf import FamilyName, LoraUse, ModelConfig


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
        if told.get("format") != FORMAT:
            raise InputError(f"{path}: its metadata is not {FORMAT}: {told.get('format')!r}")
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
        for cfg in self.models:
            if cfg.family is not FamilyName(told["model"]["family"]):
                continue
            drawer = Drawer(
                cfg,
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
            if drawer.model.digest == told["model"]["sha256"]:
                return drawer
        model = told["model"]
        raise InputError(
            f"{path}: was made with a {model['family']} of sha256 {model['sha256'][:12]}..., which "
            "is none of the models given; name it with --model"
        )
