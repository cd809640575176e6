"""Names, units, defaults and checks of pixel finishing. Standard library only.

Every step is off by default except those that do nothing to a native sprite with hard alpha, so
that ``FinishConfig()`` leaves such a sprite as it is, byte for byte.
"""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


def _between(key: str, value: float | int, low: float | int, high: float | int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{key}: {value} is not within {low}..{high}")


class CellColour(Enum):
    """How the pixels of a cell become one."""

    majority = "majority"
    """The colour with the most others near it; the steadiest."""
    median = "median"
    """Median of each channel."""
    k_centroid = "k_centroid"
    """Two means a cell; the centre of the larger group."""


class PaletteName(Enum):
    """Where the colours come from."""

    none = "none"
    """Colours stay as they are."""
    kmeans = "kmeans"
    """Clusters of the image's own colours (of the whole batch with ``lock``)."""
    pico8 = "pico8"
    db16 = "db16"
    db32 = "db32"
    endesga32 = "endesga32"
    gameboy = "gameboy"
    nes = "nes"
    file = "file"
    """A .gpl, .hex or .pal file."""
    folder = "folder"
    """Clusters of the colours of a folder of images: the data set's own."""


class DitherName(Enum):
    """How a colour between two of the palette is shown."""

    none = "none"
    bayer2 = "bayer2"
    bayer4 = "bayer4"
    bayer8 = "bayer8"
    floyd_steinberg = "floyd_steinberg"
    atkinson = "atkinson"


@dataclass(kw_only=True, slots=True)
class GridConfig:
    """Finding the grid of a picture that was drawn big, and reducing it to native pixels."""

    enabled: bool = False
    """Off: pictures are taken to be native."""
    period_min_px: float = 2.0
    """Smallest side of a cell that is looked for."""
    min_cells: int = 12
    """Fewest cells along the longer side; sets the largest cell that is looked for."""
    min_significance: float = 3.0
    """Decades: minus the logarithm of the chance that edges at random places line up so well."""
    min_contrast: float = 0.5
    """0..1: how much less the colour changes inside cells than across their borders."""
    colour: CellColour = CellColour.majority
    """How the pixels of a cell become one."""
    interior: float = 0.5
    """Share of a cell's side that votes, in its middle; the rest may be blurred."""
    coherent_step: float = 0.12
    """OKLab. A pixel within this of its cell's colour counts as coherent."""

    def __post_init__(self) -> None:
        _between("finish.grid.period_min_px", self.period_min_px, 2.0, 1024.0)
        _between("finish.grid.min_cells", self.min_cells, 2, 4096)
        _between("finish.grid.min_significance", self.min_significance, 0.0, 300.0)
        _between("finish.grid.min_contrast", self.min_contrast, 0.0, 1.0)
        _between("finish.grid.interior", self.interior, 0.1, 1.0)
        _between("finish.grid.coherent_step", self.coherent_step, 0.0, 2.0)


@dataclass(kw_only=True, slots=True)
class BackgroundConfig:
    """Making the background transparent by a flood from the border."""

    enabled: bool = False
    """Whether to look for a background."""
    tolerance: float = 0.06
    """OKLab. What is within this of the border's colour is background if the flood reaches it."""
    min_border_share: float = 0.6
    """Share of the border that must be one colour; below it the step is not sure and leaves all."""

    def __post_init__(self) -> None:
        _between("finish.background.tolerance", self.tolerance, 0.0, 2.0)
        _between("finish.background.min_border_share", self.min_border_share, 0.0, 1.0)


@dataclass(kw_only=True, slots=True)
class AlphaConfig:
    """Hard alpha: a pixel is there or it is not."""

    enabled: bool = True
    """Does nothing to a sprite whose alpha is hard."""
    threshold: int = 128
    """Bytes. Alpha from here up becomes 255, below it the pixel becomes transparent black."""

    def __post_init__(self) -> None:
        _between("finish.alpha.threshold", self.threshold, 1, 255)


@dataclass(kw_only=True, slots=True)
class PaletteConfig:
    """Reducing the colours."""

    name: PaletteName = PaletteName.none
    """Which palette."""
    num_colours: int = 16
    """Most colours of a clustered palette (kmeans, folder)."""
    path: Path | None = None
    """The palette file (file) or the folder of images (folder)."""
    lock: bool = False
    """One clustered palette over the batch; then images depend on what they are batched with."""
    seed: int = 0
    """Of the first centres of a clustered palette."""

    def __post_init__(self) -> None:
        _between("finish.palette.num_colours", self.num_colours, 1, 4096)
        if (self.path is None) == (self.name in {PaletteName.file, PaletteName.folder}):
            raise ValueError(
                f"finish.palette.path: {self.path} with name={self.name.value}; a path goes with "
                "file and folder, and with them only"
            )
        if self.lock and self.name is not PaletteName.kmeans:
            raise ValueError(
                f"finish.palette.lock: only kmeans differs between images, not {self.name.value}"
            )


@dataclass(kw_only=True, slots=True)
class DitherConfig:
    """Patterns for colours the palette lacks. Colours it has are never touched."""

    name: DitherName = DitherName.none
    """Which pattern; needs a palette."""
    strength: float = 1.0
    """0..1. Share of the error that is spread, or of the pattern's reach."""

    def __post_init__(self) -> None:
        _between("finish.dither.strength", self.strength, 0.0, 1.0)


@dataclass(kw_only=True, slots=True)
class CleanupConfig:
    """Stray pixels and doubled corners of outlines."""

    orphans: bool = False
    """Replace single pixels unlike all their neighbours."""
    orphan_max_step: float = 0.2
    """OKLab. A lone pixel that stands out by more is kept: an eye, a glint, a star."""
    orphan_min_step: float = 0.02
    """OKLab. Neighbours within this count as alike."""
    orphan_min_agree: int = 6
    """Of the eight neighbours, how many must share the colour that replaces the pixel."""
    outline: bool = False
    """Thin the L-shaped doubles of outlines one pixel wide."""
    outline_max_lightness: float = 0.35
    """OKLab lightness up to which a colour can be an outline's."""

    def __post_init__(self) -> None:
        _between("finish.cleanup.orphan_max_step", self.orphan_max_step, 0.0, 2.0)
        _between("finish.cleanup.orphan_min_step", self.orphan_min_step, 0.0, 2.0)
        _between("finish.cleanup.orphan_min_agree", self.orphan_min_agree, 1, 8)
        _between("finish.cleanup.outline_max_lightness", self.outline_max_lightness, 0.0, 1.0)


@dataclass(kw_only=True, slots=True)
class SeamConfig:
    """Tiles that repeat without a visible border."""

    check: bool = False
    """Whether the verdict asks for it."""
    repair: bool = False
    """Cut a patch from the middle along the path of least difference; no new colour is made."""
    band: float = 0.25
    """Share of a side, at each border, within which the patch's edge may run."""
    max_score: float = 1.5
    """Mean step across the border over mean step inside; 1 is what the inside looks like."""

    def __post_init__(self) -> None:
        _between("finish.seams.band", self.band, 0.01, 0.5)
        _between("finish.seams.max_score", self.max_score, 0.0, 1e6)


@dataclass(kw_only=True, slots=True)
class VerdictConfig:
    """What an image must be to pass, beyond hard alpha, native size and a coherent grid."""

    max_colours: int | None = None
    """Most visible colours; by default what the palette has, or any number without one."""
    min_coherent: float = 0.85
    """Share of pixels inside cells that must be near their cell's colour, if a grid was sought."""

    def __post_init__(self) -> None:
        if self.max_colours is not None:
            _between("finish.verdict.max_colours", self.max_colours, 1, 2**24)
        _between("finish.verdict.min_coherent", self.min_coherent, 0.0, 1.0)


@dataclass(kw_only=True, slots=True)
class FinishConfig:
    """The steps in the order they are taken."""

    grid: GridConfig = field(default_factory=GridConfig)
    background: BackgroundConfig = field(default_factory=BackgroundConfig)
    alpha: AlphaConfig = field(default_factory=AlphaConfig)
    palette: PaletteConfig = field(default_factory=PaletteConfig)
    dither: DitherConfig = field(default_factory=DitherConfig)
    cleanup: CleanupConfig = field(default_factory=CleanupConfig)
    seams: SeamConfig = field(default_factory=SeamConfig)
    verdict: VerdictConfig = field(default_factory=VerdictConfig)

    def __post_init__(self) -> None:
        if self.dither.name is not DitherName.none and self.palette.name is PaletteName.none:
            raise ValueError(
                f"finish.dither.name: {self.dither.name.value} needs a palette; set "
                "finish.palette.name, or dither to none"
            )
