"""Unity import settings: ``atlas_<page>.png.meta`` slices the page into sprites.

Only fields that Unity's manual names are written (Texture Importer, and ``SpriteMetaData``: name,
rect, alignment, pivot, border; https://docs.unity3d.com/ScriptReference/SpriteMetaData.html); Unity
fills in the rest. A rect's y points up from the page's lower edge. Texture settings are those for
pixel art: point filter, no compression, no mip maps, no rescaling to a power of two.
"""

import hashlib
from collections import Counter

from pipeline.export.atlas import Atlas, Placed, encode, page_file, page_pixels

CENTRE, CUSTOM = 0, 9
"""Values of Unity's SpriteAlignment."""
SPRITE_CLASS = 213
"""Unity's class id of a Sprite (YAML class id reference)."""


def write(atlas: Atlas) -> dict[str, bytes]:
    """Return the ``.meta`` file of every page."""
    common = Counter(item.source_width_px for item in atlas.placed).most_common(1)[0][0]
    return {
        f"{page_file(page)}.meta": _meta(atlas, page, pixels_per_unit=common).encode()
        for page in range(len(atlas.boxes))
    }


def _meta(atlas: Atlas, page: int, *, pixels_per_unit: int) -> str:
    items, box = atlas.on_page(page), atlas.boxes[page]
    # The same page gets the same id, another page another one.
    guid = hashlib.blake2b(encode(page_pixels(atlas, page)), digest_size=16).hexdigest()
    table = "".join(
        f"  - first:\n      {SPRITE_CLASS}: {internal_id(guid, item.sprite.name)}\n"
        f"    second: {_scalar(item.sprite.name)}\n"
        for item in items
    )
    ids = "".join(
        f"      {_scalar(item.sprite.name)}: {internal_id(guid, item.sprite.name)}\n"
        for item in items
    )
    max_px = max(2048, 1 << (max(box.width_px, box.height_px) - 1).bit_length())
    sprites = "".join(_sprite(item, guid=guid, page_height_px=box.height_px) for item in items)
    return f"""fileFormatVersion: 2
guid: {guid}
TextureImporter:
  internalIDToNameTable:
{table}  serializedVersion: 12
  mipmaps:
    enableMipMap: 0
    sRGBTexture: 1
  isReadable: 0
  maxTextureSize: {max_px}
  textureSettings:
    serializedVersion: 2
    filterMode: 0
    aniso: 1
    mipBias: 0
    wrapU: 1
    wrapV: 1
    wrapW: 1
  nPOTScale: 0
  spriteMode: 2
  spriteExtrude: {min(atlas.extrude_px, 32)}
  spriteMeshType: 0
  alignment: 0
  spritePivot: {{x: 0.5, y: 0.5}}
  spritePixelsToUnits: {pixels_per_unit}
  spriteBorder: {{x: 0, y: 0, z: 0, w: 0}}
  alphaUsage: 1
  alphaIsTransparency: 1
  textureType: 8
  textureShape: 1
  platformSettings:
  - serializedVersion: 3
    buildTarget: DefaultTexturePlatform
    maxTextureSize: {max_px}
    textureFormat: -1
    textureCompression: 0
  spriteSheet:
    serializedVersion: 2
    sprites:
{sprites}    nameFileIdTable:
{ids}  userData:
  assetBundleName:
  assetBundleVariant:
"""


def _sprite(item: Placed, *, guid: str, page_height_px: int) -> str:
    x, y = pivot(item)
    number = internal_id(guid, item.sprite.name)
    return f"""    - serializedVersion: 2
      name: {_scalar(item.sprite.name)}
      rect:
        serializedVersion: 2
        x: {item.x_px}
        y: {page_height_px - item.y_px - item.height_px}
        width: {item.width_px}
        height: {item.height_px}
      alignment: {CUSTOM if item.trimmed else CENTRE}
      pivot: {{x: {x:.9g}, y: {y:.9g}}}
      border: {{x: 0, y: 0, z: 0, w: 0}}
      spriteID: {hashlib.blake2b(f"{guid}/{item.sprite.name}".encode(), digest_size=16).hexdigest()}
      internalID: {number}
"""


def pivot(item: Placed) -> tuple[float, float]:
    """Return the middle of the untrimmed sprite as shares of the kept part, y up."""
    x = (item.source_width_px / 2 - item.offset_x_px) / item.width_px
    down = (item.source_height_px / 2 - item.offset_y_px) / item.height_px
    return x, 1.0 - down


def internal_id(guid: str, name: str) -> int:
    """Return a sprite's id within its page: a signed 64-bit integer, never 0."""
    digest = hashlib.blake2b(f"{guid}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) or 1


def _scalar(name: str) -> str:
    """Return a name as YAML text, in quotes where it could be read as a number or a truth value."""
    return name if name[0].isalpha() and "_" in name else f"'{name}'"
