from itertools import pairwise

import pytest

from pipeline.data.captions import caption_of, group_of
from pipeline.data.captions_crawl import crawl_caption
from pipeline.data.sources.crawl import LIST


@pytest.mark.parametrize(
    ("stem", "caption"),
    [
        ("ruby_potion3", "ruby potion"),
        ("GreenSlime", "green slime"),
        ("0017", ""),
        ("a-b.c", "a b c"),
    ],
)
def test_a_file_name_becomes_words(stem: str, caption: str) -> None:
    assert caption_of(stem) == caption


def test_frames_and_variants_are_one_group() -> None:
    assert group_of("mon", "orc_1") == group_of("mon", "orc_2") != group_of("item", "orc_1")


@pytest.mark.parametrize(
    ("path", "caption"),
    [
        ("dngn/floor/lair3.png", "lair floor tile"),
        ("dngn/wall/abyss/abyss_lightblue4.png", "abyss light blue wall tile"),
        ("dngn/altars/altar_xom2.png", "xom altar"),
        ("item/potion/ruby.png", "ruby potion"),
        ("item/wand/gem_bone.png", "bone wand"),
        ("item/weapon/artefact/urand_axe_of_woe.png", "axe of woe artefact weapon"),
        ("item/misc/runes/rune_abyss.png", "abyss rune"),
        ("effect/cloud_meph1.png", "mephitic cloud effect"),
        ("player/base/deep_elf_f.png", "deep elf female character"),
        ("player/gloves/glove_black.png", "black gloves"),
        ("player/drcwing/drcwing_grey.png", "gray draconian wings"),
        ("player/hand1/club_three.png", "club held weapon"),
        ("mon/humanoids/two_headed_ogre.png", "two headed ogre"),
        ("mon/draco/draco-job-knight.png", "knight draconian"),
        ("item/gold/16.png", "gold coins"),
    ],
)
def test_a_crawl_tile_says_what_it_shows(path: str, caption: str) -> None:
    assert crawl_caption(path) == caption


def test_every_listed_tile_has_a_caption_of_plain_words() -> None:
    lines = [line for line in LIST.read_text().splitlines() if not line.startswith("#")]
    for line in lines:
        caption = crawl_caption(line.split(" ", 2)[2])
        assert caption.replace(" ", "").isalpha(), line
        told = caption.split()
        assert all(a != b for a, b in pairwise(told)), line
        assert len(told) <= 8
