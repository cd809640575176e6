"""RON for Bevy: a page's ``TextureAtlasLayout``, and the names of its places.

``atlas_<page>.layout.ron`` is what serde reads as ``bevy::image::TextureAtlasLayout`` with Bevy's
``serialize`` feature: ``size: UVec2, textures: Vec<URect>``, a vector as a tuple
(https://docs.rs/bevy/latest/bevy/image/struct.TextureAtlasLayout.html, the same since 0.14).
``atlas_<page>.sprites.ron`` maps each name to its index there and to what trimming took away.
"""

from pipeline.export.atlas import Atlas, Placed


def write(atlas: Atlas) -> dict[str, bytes]:
    """Return layout and names of every page."""
    files = {}
    for page, box in enumerate(atlas.boxes):
        items = atlas.on_page(page)
        # Places shared by sprites with the same pixels are listed once.
        places = {_place(item): None for item in items}
        index = {place: i for i, place in enumerate(places)}
        rects = "".join(
            f"        (min: ({x}, {y}), max: ({x + w}, {y + h})),\n" for x, y, w, h in places
        )
        layout = (
            f"(\n    size: ({box.width_px}, {box.height_px}),\n    textures: [\n{rects}    ],\n)\n"
        )
        names = "".join(_entry(item, index[_place(item)]) for item in items)
        files[f"atlas_{page}.layout.ron"] = layout.encode()
        files[f"atlas_{page}.sprites.ron"] = f"{{\n{names}}}\n".encode()
    return files


def _place(item: Placed) -> tuple[int, int, int, int]:
    return item.x_px, item.y_px, item.width_px, item.height_px


def _entry(item: Placed, index: int) -> str:
    return (
        f'    "{item.sprite.name}": (index: {index}, '
        f"offset: ({item.offset_x_px}, {item.offset_y_px}), "
        f"source_size: ({item.source_width_px}, {item.source_height_px})),\n"
    )
