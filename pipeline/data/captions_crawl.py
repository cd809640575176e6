"""Captions for Dungeon Crawl tiles: the file's words plus the noun its folder stands for."""

import re
from pathlib import PurePosixPath

from pipeline.data.captions import words

NOUNS = {
    "dngn/altars": "altar",
    "dngn/doors": "door",
    "dngn/floor": "floor tile",
    "dngn/gateways": "gateway",
    "dngn/shops": "shop",
    "dngn/statues": "statue",
    "dngn/traps": "trap",
    "dngn/trees": "tree",
    "dngn/wall": "wall tile",
    "dngn/water": "water tile",
    "effect": "effect",
    "gui/abilities": "ability icon",
    "gui/invocations": "ability icon",
    "gui/skills": "skill icon",
    "gui/spells": "spell icon",
    "item/amulet": "amulet",
    "item/amulet/artefact": "artefact amulet",
    "item/armour/artefact": "artefact armour",
    "item/armour/shields": "shield",
    "item/book": "spell book",
    "item/food": "food",
    "item/gold": "gold coins",
    "item/misc/runes": "rune",
    "item/potion": "potion",
    "item/ring": "ring",
    "item/ring/artefact": "artefact ring",
    "item/rod": "rod",
    "item/scroll": "scroll",
    "item/staff": "staff",
    "item/wand": "wand",
    "item/weapon/artefact": "artefact weapon",
    "misc/blood": "blood stain",
    "mon/demons": "demon",
    "mon/draco": "draconian",
    "mon/unique": "unique monster",
    "player/base": "character",
    "player/body": "body armour",
    "player/boots": "boots",
    "player/cloak": "cloak",
    "player/drchead": "draconian head",
    "player/drcwing": "draconian wings",
    "player/gloves": "gloves",
    "player/hair": "hair",
    "player/hand1": "held weapon",
    "player/hand1/misc": "held item",
    "player/hand2": "held shield",
    "player/hand2/misc": "held item",
    "player/head": "headgear",
    "player/legs": "legwear",
    "UNUSED/floor/sigils": "floor sigil",
    "UNUSED/food": "food",
    "UNUSED/gui": "icon",
    "UNUSED/player": "character",
    "UNUSED/spells": "spell icon",
}
"""Folder to noun; the deepest folder that is listed counts."""

DROPPED = {
    *("dngn", "mon", "item", "misc", "new", "old", "i", "tile", "urand", "unrand", "spwpn", "gem"),
    *("left", "right", "up", "down", "middle", "top", "bottom", "btm", "lft", "rgt"),
    *("north", "south", "east", "west", "ne", "nw", "se", "sw", "n", "s", "e", "w"),
    *("base", "job", "overlay", "drchead", "drcwing"),
}
"""Words that name a place in a set, not what is seen."""

COUNTS = {"one", "two", "three", "four", "five"}
"""At a name's end they number its variants."""

SPELLED = {
    "art": "artefact",
    "bk": "black knight",
    "bord": "border",
    "bplate": "breastplate",
    "breast": "breastplate",
    "calc": "calcifying",
    "dd": "deep dwarf",
    "dk": "death knight",
    "draco": "draconian",
    "dragonarm": "dragon",
    "ego": "enchanted",
    "f": "female",
    "fhelm": "full helm",
    "grey": "gray",
    "inert": "unlit",
    "lbl": "long blade",
    "lorc": "lava orc",
    "m": "male",
    "mdam": "damage",
    "meph": "mephitic",
    "mottle": "mottled",
    "neg": "negative energy",
    "onep": "one piece",
    "pj": "pyjama",
    "rb": "red blue",
    "rw": "red white",
    "sbl": "short blade",
    "susp": "suspenders",
    "tloc": "translocation",
    "unid": "unidentified",
    "vgate": "gate",
    "ybrown": "yellow brown",
}
"""What abbreviations of the set stand for."""

TWO_COLOURS = re.compile(
    r"(light|dark|black|blue|red)(blue|brown|cyan|gold|gray|grey|green|magenta|red)"
)


def crawl_caption(path: str) -> str:
    """Turn ``dngn/floor/lair3.png`` into ``lair floor tile``."""
    pure = PurePosixPath(path)
    told = _spelled(words(pure.stem))
    if told[0:1] in (["cloud"], ["altar"]):
        told = [*told[1:], told[0]]
    noun = _noun(pure.parent).split()
    kept = [word for word in told if word not in noun and f"{word}s" not in noun]
    return " ".join([*dict.fromkeys(kept), *noun]) or words(pure.parent.name)[-1]


def _noun(folder: PurePosixPath) -> str:
    found = (NOUNS.get(part.as_posix()) for part in (folder, *folder.parents))
    return next((noun for noun in found if noun), "")


def _spelled(raw: list[str]) -> list[str]:
    if raw[-1:] and raw[-1] in COUNTS and len(raw) > 1:
        raw = raw[:-1]
    told: list[str] = []
    for word in raw:
        if word in DROPPED:
            continue
        halves = TWO_COLOURS.fullmatch(word)
        for part in halves.groups() if halves else (word,):
            told += SPELLED.get(part, part if len(part) > 1 else "").split()
    return told
