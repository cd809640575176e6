"""Names, units, defaults and checks of all that concerns data sets. Standard library only."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class SourceKind(Enum):
    """Where raw art comes from."""

    folder = "folder"
    sheet = "sheet"
    crawl = "crawl"
    procedural = "procedural"


class ArtKind(Enum):
    """What of a source to keep: opaque tiles, transparent sprites, or both."""

    tile = "tile"
    sprite = "sprite"
    any = "any"


class Background(Enum):
    """What alpha becomes before a model sees it."""

    keep = "keep"
    """Four channels, colour premultiplied by alpha."""
    solid = "solid"
    """Three channels, over ``background_rgb``."""
    random = "random"
    """Three channels, over a colour drawn for each sample."""


@dataclass(kw_only=True, slots=True)
class SourceConfig:
    """Raw art and how to read it."""

    kind: SourceKind = SourceKind.folder
    """Which of the sources."""
    path: Path | None = None
    """Folder of PNGs (``folder``), one sheet or a folder of them (``sheet``), or a local
    ``crawl_*.orig.tar.xz`` or its ``rltiles`` folder (``crawl``; fetched when not given)."""
    cell_px: int = 32
    """Pixels. Side of one cell of a sheet."""
    margin_px: int = 0
    """Pixels. Border round a whole sheet."""
    spacing_px: int = 0
    """Pixels. Gap between cells of a sheet."""
    licence: str = "unknown"
    """Licence of the art, an SPDX identifier where there is one; goes into the ledger."""
    attribution: str = ""
    """Author and link, where the licence asks for them."""
    caption: str = ""
    """Caption of images that have none of their own (no sidecar, no word in the name); "" leaves
    such images out."""
    num_images: int = 64
    """Images the ``procedural`` source draws."""

    def __post_init__(self) -> None:
        for name, least in (("cell_px", 1), ("margin_px", 0), ("spacing_px", 0), ("num_images", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"source.{name}: {getattr(self, name)} is below {least}")


@dataclass(kw_only=True, slots=True)
class PrepareConfig:
    """From raw art to shards."""

    source: SourceConfig = field(default_factory=SourceConfig)
    out: Path
    """Folder of the data set to make."""
    art: ArtKind = ArtKind.any
    """Which kind of art to keep."""
    size_px: int = 32
    """Pixels. Side of every stored image, at its native grid."""
    seed: int = 0
    """Decides the split and what the ``procedural`` source draws."""
    validation_fraction: float = 0.05
    """Share of the images that is held out at most, 0 to 0.5; groups of siblings go whole."""
    min_opaque_fraction: float = 0.04
    """Images with a smaller share of visible pixels are left out."""
    images_per_shard: int = 2048
    """Images in one tar shard."""
    flip_ok: bool = True
    """Whether a mirrored image is still right; recorded for the loader."""
    strict: bool = False
    """Whether one unusable file stops the job."""
    cache_dir: Path = Path("data/downloads")
    """Where fetched archives are kept."""
    max_input_px: int = 8192
    """Pixels. A larger side is refused unread, so that a bomb cannot fill the memory."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.validation_fraction <= 0.5:
            raise ValueError(f"validation_fraction: {self.validation_fraction} is outside 0..0.5")
        if self.size_px < 4 or self.size_px % 4:
            raise ValueError(f"size_px: {self.size_px} is not a multiple of 4 from 4 up")
        if self.images_per_shard < 1:
            raise ValueError(f"images_per_shard: {self.images_per_shard} is below 1")


@dataclass(kw_only=True, slots=True)
class MoreData:
    """One more data set of a run, beside the first.

    A set of the base's own pictures of the class, with captions of the class alone, is prior
    preservation (Ruiz et al. 2022, arXiv 2208.12242, section 3.2).
    """

    path: Path
    """Folder that ``jobs.prepare`` made, of the same side; its training images are taken."""
    weight: int = 1
    """Images of this set in each round of as many images as all weights add up to."""
    loss_weight: float = 1.0
    """What an image of this set counts in the loss."""
    trigger: str = ""
    """Words put before its captions, in place of ``data.trigger``."""

    def __post_init__(self) -> None:
        if self.weight < 1:
            raise ValueError(f"data.more.weight: {self.weight} is below 1")
        if self.loss_weight < 0:
            raise ValueError(f"data.more.loss_weight: {self.loss_weight} is below 0")


@dataclass(kw_only=True, slots=True)
class DataConfig:
    """What a trainer reads and how it is turned into tensors."""

    path: Path
    """Folder that ``jobs.prepare`` made (it holds ``dataset.json``)."""
    pixel_scale: int = 1
    """Integer nearest-neighbour enlargement; 8 puts one sprite pixel on one latent cell of an 8x
    VAE."""
    background: Background = Background.keep
    """What alpha becomes."""
    background_rgb: list[int] = field(default_factory=lambda: [128, 128, 128])
    """0 to 255 each, for ``background=solid``."""
    flip: bool = True
    """Mirror half of the samples, where the data set allows it."""
    caption_dropout: float = 0.1
    """Share of samples trained without their caption, 0 to 1."""
    recolour: float = 0.0
    """Share of samples whose red, green and blue trade places, 0 to 1; captions follow."""
    recolour_word: str = "recoloured"
    """Word put after the caption of such a sample where no colour word tells the change."""
    hue: float = 0.0
    """Share of samples whose hues are all turned by one angle, 0 to 1: ramps stay as bright and
    colours as many. Colour words leave the caption, and ``recolour_word`` comes after it."""
    trigger: str = ""
    """Words put before every caption."""
    shuffle_tags: bool = False
    """Put a caption's comma-separated parts in another order each time."""
    keep_tags: int = 0
    """Parts at the beginning that stay where they are."""
    weight: int = 1
    """Images of this set in each round of as many images as all weights add up to."""
    more: list[MoreData] = field(default_factory=list)
    """Further sets to train on. Validation looks at this one alone."""
    cache_gib: float = 4.0
    """GiB a rank. A data set whose pixels fit as float32 is decoded once; 0 decodes each time."""
    num_threads: int = 0
    """CPU threads of the loader; 0 takes what the rank was given."""

    def __post_init__(self) -> None:
        if self.pixel_scale < 1:
            raise ValueError(f"data.pixel_scale: {self.pixel_scale} is below 1")
        for name, least in (("weight", 1), ("keep_tags", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"data.{name}: {getattr(self, name)} is below {least}")
        for name in ("caption_dropout", "recolour", "hue"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"data.{name}: {getattr(self, name)} is outside 0..1")
        if len(self.background_rgb) != 3 or any(not 0 <= c <= 255 for c in self.background_rgb):
            raise ValueError(f"data.background_rgb: {self.background_rgb} is not three of 0..255")
