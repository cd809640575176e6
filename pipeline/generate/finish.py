"""From the model's pixels to final ones: what a run, or an image's metadata, asks for."""

from collections.abc import Mapping
from typing import Any

from pipeline.generate.conf import GenerateConfig
from pipeline.generate.png import Pixels
from pipeline.generate.store import Finish
from pipeline.pixels.chain import Finisher


def describe_finish(cfg: GenerateConfig) -> dict[str, Any]:
    """Return the finishing of a run as JSON, palette included: what ``finisher_of`` reads.

    Raises:
        InputError: The palette's file or folder is not usable.
    """
    return Finisher(cfg.finish, native_size_px=cfg.native_size_px).recipe()


def finisher_of(told: Mapping[str, Any]) -> Finish:
    """Return the finishing that a recipe or an image's metadata describes.

    A palette that was locked over a batch is in the metadata of each of its images, and is taken
    from there: an image alone does not know the others.
    """
    scale, post = int(told["pixel_scale"]), told["post"]
    locked = told.get("finish", {}).get("palette", {})
    if "colours" in locked:
        post = post | {"palette": locked}
    finishers: dict[int, Finisher] = {}

    def finish(images: Pixels) -> list[tuple[Pixels, dict[str, Any]]]:
        images = reduce_scale(images, scale)
        side_px = images.shape[1]
        if side_px not in finishers:
            native = post["native_size_px"]
            if not post["options"]["grid"]["enabled"]:
                native = side_px
            finishers[side_px] = Finisher.from_recipe(post | {"native_size_px": native})
        return [(done.pixels, done.record) for done in finishers[side_px](images)]

    return finish


def reduce_scale(images: Pixels, scale: int) -> Pixels:
    """Reduce by an integer, nearest neighbour: the pixel in the middle of each cell is kept."""
    middle = scale // 2
    reduced: Pixels = images[:, middle::scale, middle::scale]
    return reduced
