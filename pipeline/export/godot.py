"""Godot 4 resources as text (``format=3``): an AtlasTexture a sprite, SpriteFrames over all.

Format: https://docs.godotengine.org/en/stable/engine_details/file_formats/tscn.html. An
AtlasTexture draws ``region`` of ``atlas`` and adds ``margin`` around it: position is what trimming
took at the left and top, size what it took in all. Pages are named by a path relative to the
resource, so the folder may lie anywhere in a project.
"""

from collections.abc import Sequence
from itertools import groupby

from pipeline.core.errors import InputError
from pipeline.export.aseprite import by_animation
from pipeline.export.atlas import Atlas, Placed, page_file

FRAMES_PER_S = 10.0
FRAMES_FILE = "sprite_frames.tres"


def write(atlas: Atlas) -> dict[str, bytes]:
    """Return ``<name>.tres`` of every sprite, and ``sprite_frames.tres``.

    Raises:
        InputError: A sprite has the name of the latter.
    """
    if any(f"{item.sprite.name}.tres".lower() == FRAMES_FILE for item in atlas.placed):
        raise InputError(f"name_pattern: a sprite would be called like {FRAMES_FILE}")
    files = {f"{item.sprite.name}.tres": _texture(item) for item in atlas.placed}
    return files | {FRAMES_FILE: _sprite_frames(atlas)}


def page_resource(page: int) -> str:
    """Return the heading that makes a page known to a resource file."""
    return f'[ext_resource type="Texture2D" path="{page_file(page)}" id="page_{page}"]\n'


def _texture(item: Placed) -> bytes:
    return (
        '[gd_resource type="AtlasTexture" load_steps=2 format=3]\n\n'
        f"{page_resource(item.page)}\n[resource]\n{_region(item)}"
    ).encode()


def _region(item: Placed) -> str:
    size = f"{item.width_px}, {item.height_px}"
    lines = [
        f'atlas = ExtResource("page_{item.page}")',
        f"region = Rect2({item.x_px}, {item.y_px}, {size})",
    ]
    if item.trimmed:
        less = (item.source_width_px - item.width_px, item.source_height_px - item.height_px)
        offset = (item.offset_x_px, item.offset_y_px)
        lines.append(f"margin = Rect2({offset[0]}, {offset[1]}, {less[0]}, {less[1]})")
    return "\n".join([*lines, "filter_clip = true"]) + "\n"


def _sprite_frames(atlas: Atlas) -> bytes:
    items = by_animation(atlas.placed)
    steps = len(atlas.boxes) + len(items) + 1
    parts = [f'[gd_resource type="SpriteFrames" load_steps={steps} format=3]\n']
    parts.append("".join(page_resource(page) for page in range(len(atlas.boxes))))
    for number, item in enumerate(items):
        parts.append(f'[sub_resource type="AtlasTexture" id="frame_{number}"]\n{_region(item)}')
    animations = ", ".join(_animations(items))
    parts.append(f"[resource]\nanimations = [{animations}]\n")
    return "\n".join(parts).encode()


def _animations(items: Sequence[Placed]) -> list[str]:
    animations = []
    numbered = enumerate(item.sprite.label.group for item in items)
    for group, members in groupby(numbered, key=lambda pair: pair[1]):
        frames = ", ".join(
            f'{{\n"duration": 1.0,\n"texture": SubResource("frame_{number}")\n}}'
            for number, _ in members
        )
        animations.append(
            f'{{\n"frames": [{frames}],\n"loop": true,\n"name": "{group}",\n'
            f'"speed": {FRAMES_PER_S}\n}}'
        )
    return animations
