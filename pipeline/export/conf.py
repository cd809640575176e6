"""Names, units, defaults and checks of export. Standard library only."""

from dataclasses import dataclass
from enum import Enum

NAME_PATTERN = "{category}_{name}_{variant}_{frame}"


class ExportFormat(Enum):
    """Who shall read the atlas."""

    texturepacker = "texturepacker"
    aseprite = "aseprite"
    bevy = "bevy"
    godot = "godot"
    tiled = "tiled"
    unity = "unity"
    sheet = "sheet"


WHOLE_CELLS = (ExportFormat.tiled, ExportFormat.sheet)
"""Formats that know neither trimmed sprites nor two names for one place."""


@dataclass(kw_only=True, slots=True)
class ExportConfig:
    """Sprites to an atlas that an engine reads."""

    format: ExportFormat = ExportFormat.texturepacker
    """Which engine's files are written."""
    size_px: int = 2048
    """Longest side of a page; what does not fit goes to a further page."""
    padding_px: int = 2
    """Transparent pixels between two sprites."""
    extrude_px: int = 1
    """How far the outermost pixels of a sprite are repeated outward, so that a bilinear sample at
    its edge, or a mip level of ``log2(extrude_px + 1)``, mixes in nothing of its neighbour."""
    trim: bool = False
    """Whether transparent borders are cut off; their widths are recorded."""
    pot: bool = True
    """Whether the sides of a page are powers of two."""
    dedupe: bool = False
    """Whether sprites with the same pixels share one place."""
    name_pattern: str = NAME_PATTERN
    """Asset names; fields are category, name, variant, frame, index."""

    def __post_init__(self) -> None:
        if not 1 <= self.size_px <= 16384:
            raise ValueError(f"size_px: {self.size_px} is not within 1..16384")
        if self.pot and self.size_px & (self.size_px - 1):
            raise ValueError(f"size_px: {self.size_px} is not a power of two; choose one or no-pot")
        for key in ("padding_px", "extrude_px"):
            if not 0 <= getattr(self, key) <= 256:
                raise ValueError(f"{key}: {getattr(self, key)} is not within 0..256")
        if self.format in WHOLE_CELLS:
            for key in ("trim", "dedupe"):
                if getattr(self, key):
                    raise ValueError(f"{key}: the {self.format.value} format keeps whole cells")
