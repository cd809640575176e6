"""All pixel metrics of pictures, each picture read once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from eval.metric import MetricInfo
from eval.pixels import animation, colours, palette, repeats, shapes
from eval.pixels.batch import Batch, Values, in_batches
from eval.pixels.palette import PaletteReference
from pipeline.pixels.oklab import Bytes

METRICS: tuple[MetricInfo, ...] = (
    repeats.GRID,
    *colours.METRICS,
    *shapes.METRICS,
    shapes.SYMMETRY,
    *repeats.TILES,
    *palette.METRICS,
    *animation.METRICS,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelMetrics:
    """Maps pictures to one number each under every metric's name.

    What is always there: colours, anti-aliasing, alpha, orphans, outline and silhouette.
    """

    native_size_px: int | None = None
    """The side the art is stated to have; adds grid coherence."""
    reference: PaletteReference | None = None
    """Colours of the data set; adds the palette distance to it."""
    symmetry: bool = False
    """Whether symmetry was asked for."""
    tiles: bool = False
    """Whether the pictures are meant to repeat; adds seam energy and tileability."""

    def __call__(self, images: Sequence[Bytes]) -> Values:
        """Measure straight RGBA (or RGB) pictures of any sizes.

        Returns:
            Float64 arrays as long as ``images``, NaN where a metric is undefined.

        Raises:
            ValueError: A picture is not uint8 (H, W, 3 or 4).
        """
        return in_batches(images, self._measure)

    def _measure(self, batch: Batch) -> Values:
        parts: list[Callable[[Batch], Values]] = [colours.measure_colours, shapes.measure_shapes]
        if self.native_size_px is not None:
            parts.append(partial(repeats.measure_grid, native_size_px=self.native_size_px))
        if self.reference is not None:
            parts.append(partial(palette.measure_palette, reference=self.reference))
        if self.symmetry:
            parts.append(shapes.measure_symmetry)
        if self.tiles:
            parts.append(repeats.measure_tiles)
        found: Values = {}
        for part in parts:
            found |= part(batch)
        return found
