"""What a tile tells of itself survives XML, whatever was typed."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import pytiled_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import InputError
from pipeline.export.atlas import Atlas, Placed, build_atlas
from pipeline.export.conf import ExportConfig, ExportFormat
from pipeline.export.naming import label_of_prompt
from pipeline.export.packing import Box
from pipeline.export.records import Sprite
from pipeline.export.tiled import printable, write


def sprite(prompt: str, size: tuple[int, int] = (8, 8)) -> Sprite:
    return Sprite(
        name="tile", label=label_of_prompt(prompt, variant=0, index=0), file="0.png", sha256="",
        prompt=prompt, pixels_HWC=np.zeros((*size, 4), np.uint8),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(prompt=st.text(), other=st.integers(1, 9))
def test_any_prompt_is_kept_but_for_what_xml_forbids(prompt: str, other: int) -> None:
    atlas = build_atlas([sprite(prompt), sprite("", (8, other))], ExportConfig())
    with tempfile.TemporaryDirectory() as name:
        for file, data in write(atlas).items():
            (Path(name) / file).write_bytes(data)
            tile = pytiled_parser.parse_tileset(Path(name) / file).tiles[0]
            # The reader drops a property without text.
            assert (tile.properties or {}).get("prompt", "") == printable(prompt)
    assert printable(prompt) == prompt or any(
        ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 or ord(char) in (0xFFFE, 0xFFFF)
        for char in prompt
    )


def test_a_page_whose_columns_tiled_would_miscount_is_refused() -> None:
    item = sprite("")
    placed = Placed(
        sprite=item, page=0, x_px=1, y_px=1, width_px=8, height_px=8, offset_x_px=0, offset_y_px=0
    )
    # 8 + 2 of extrusion and 2 of padding: Tiled finds a second column from 21 pixels on, cut off.
    boxes = [Box(width_px=21, height_px=10, columns=1)]
    atlas = Atlas(boxes=boxes, placed=[placed], padding_px=2, extrude_px=1)
    with pytest.raises(InputError, match="Tiled counts 2 columns"):
        write(atlas)


@settings(max_examples=60, deadline=None)
@given(
    side=st.integers(1, 40), count=st.integers(1, 80), padding_px=st.integers(0, 5),
    extrude_px=st.integers(0, 4), pot=st.booleans(),
)  # fmt: skip
def test_pages_with_room_are_counted_as_they_are(
    side: int, count: int, padding_px: int, extrude_px: int, pot: bool
) -> None:
    cfg = ExportConfig(
        format=ExportFormat.tiled, padding_px=padding_px, extrude_px=extrude_px, pot=pot
    )
    atlas = build_atlas([sprite("", (side, side))] * count, cfg)
    assert list(write(atlas)) == ["atlas_0.tsx"]
