"""Names are legal, unique and stable, whatever the prompt."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import InputError
from pipeline.export.conf import NAME_PATTERN
from pipeline.export.naming import asset_names, label_of_file, label_of_prompt, tell_apart


def names_of(prompts: list[str], pattern: str = NAME_PATTERN) -> list[str]:
    labels = [label_of_prompt(text, variant=0, index=i) for i, text in enumerate(prompts)]
    return asset_names(tell_apart(labels), pattern)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("red potion", "potion_red_3_0"),
        ("grass floor tile", "tile_grass-floor_3_0"),
        ("brick brown wall", "tile_brick-brown-wall_3_0"),
        ("long sword", "weapon_long-sword_3_0"),
        ("orc warrior", "sprite_orc-warrior_3_0"),
        ("statue of a dragon by a door", "door_statue-of-a-dragon-by-a_3_0"),
        ("potion", "potion_potion_3_0"),
        ("Café  Crème!", "sprite_cafe-creme_3_0"),
    ],
)
def test_fields_come_from_the_prompt(prompt: str, name: str) -> None:
    label = label_of_prompt(prompt, variant=3, index=0)
    assert asset_names([label], NAME_PATTERN) == [name]


@given(st.lists(st.one_of(st.text(max_size=300), st.sampled_from(["", "orc", "orc 2"]))))
def test_any_prompts_give_unique_legal_names(prompts: list[str]) -> None:
    names = names_of(prompts)
    assert len({name.lower() for name in names}) == len(prompts)
    for name in names:
        assert re.fullmatch(r"[a-z]+_[a-z0-9-]+_\d+_\d+", name)
        assert len(name) < 80


@given(st.lists(st.text(max_size=60), min_size=1))
def test_a_name_does_not_depend_on_what_comes_after(prompts: list[str]) -> None:
    assert names_of(prompts)[:-1] == names_of(prompts[:-1])


def test_collisions_are_numbered_past_names_that_are_taken() -> None:
    assert names_of(["orc", "orc 2", "orc", "orc"]) == [
        "sprite_orc_0_0", "sprite_orc-2_0_0", "sprite_orc-3_0_0", "sprite_orc-4_0_0",
    ]  # fmt: skip
    assert names_of(["orc", "elf"], "{category}") == ["sprite", "sprite-2"]


def test_prompts_without_letters_or_too_long_differ_by_their_hash() -> None:
    first, second = names_of(["\u706b", "\u6c34"])
    assert first != second
    long = "a very long prompt " * 9
    assert names_of([long + "x"])[0] != names_of([long + "y"])[0]


def test_files_with_all_four_fields_keep_them() -> None:
    labels = [
        label_of_file("hero_walk_1_12", index=0), label_of_file("Hero Walk 12", index=1),
    ]  # fmt: skip
    assert asset_names(labels, NAME_PATTERN) == ["hero_walk_1_12", "sprite_hero-walk-12_0_0"]
    assert labels[0].group == "hero_walk_1"


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("{prompt}", "no field 'prompt'"), ("{name", "not a pattern"), ("{name:d}", "cannot be"),
        ("a/{name}", "a/orc"), ("", "makes ''"), ("{index:0200d}", "makes"), ("{}", "no field ''"),
    ],
)  # fmt: skip
def test_patterns_that_make_no_names_are_refused(pattern: str, part: str) -> None:
    with pytest.raises(InputError, match=re.escape(part)):
        names_of(["orc"], pattern)
