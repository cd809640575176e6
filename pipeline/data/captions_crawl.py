"""Captions for Dungeon Crawl tiles: the file's words plus the noun its folder stands for."""

from pathlib import PurePosixPath

from pipeline.data.captions import words

NOUNS = {
    "item/potion": "potion",
    "item/ring": "ring",
    "item/amulet": "amulet",
    "item/scroll": "scroll",
    "item/wand": "wand",
    "item/staff": "staff",
    "item/rod": "rod",
    "item/book": "spell book",
    "item/food": "food",
    "item/gold": "gold coins",
    "dngn/floor": "floor tile",
    "dngn/wall": "wall tile",
    "dngn/water": "water tile",
    "dngn/doors": "door",
    "dngn/altars": "altar",
    "dngn/trees": "tree",
    "dngn/gateways": "gateway",
    "dngn/statues": "statue",
    "gui/spells": "spell icon",
    "gui/invocations": "ability icon",
    "gui/skills": "skill icon",
    "player/base": "character",
    "player/hair": "hair",
    "player/boots": "boots",
    "player/gloves": "gloves",
    "player/cloak": "cloak",
    "player/head": "headgear",
    "player/body": "body armour",
    "player/hand1": "held weapon",
    "player/hand2": "held shield",
    "player/legs": "legwear",
}
DROPPED = {
    "dngn",
    "mon",
    "item",
    "new",
    "old",
    "i",
    "tile",
    "left",
    "right",
    "up",
    "down",
    "middle",
    "north",
    "south",
    "east",
    "west",
    "ne",
    "nw",
    "se",
    "sw",
    "n",
    "s",
    "e",
    "w",
    "top",
    "bottom",
}
"""Words that name a place in a set, not what is seen."""
REPLACED = {
    "abyss": "abyss tile",
    "lorc": "lava orc",
    "dngn": "",
    "gate": "gate",
    "vgate": "gate",
    "unid": "unidentified",
    "crystal": "crystal",
}


def crawl_caption(path: str) -> str:
    """Turn ``dngn/floor/lair3.png`` into ``lair floor tile``."""
    pure = PurePosixPath(path)
    told = [REPLACED.get(w, w) for w in words(pure.stem) if w not in DROPPED and len(w) > 1]
    folder = pure.parent.as_posix()
    noun = next((n for f, n in NOUNS.items() if folder == f or folder.startswith(f + "/")), "")
    for word in noun.split():
        told = [t for t in told if t != word]
    caption = " ".join(" ".join([*told, noun]).split())
    return caption or words(pure.parent.name)[-1]
