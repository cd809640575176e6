"""What raters are asked, and what each grade means in words: anchors for 16 px and 32 px art.

Five grades with an anchor each, 5 the best on every criterion, artefacts too, so that grades can be
averaged. Anchors name what one can point at in the picture, not how good it feels. Own wording.
"""

from collections.abc import Mapping
from dataclasses import dataclass

SMALL_SIDE_PX = 16
"""Pictures up to this side are held to the anchors for 16 px, larger ones to those for 32 px."""
GRADES = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One thing that is rated."""

    name: str
    title: str
    question: str
    anchors: Mapping[int, tuple[str, ...]]
    """What the grades 1 to 5 mean, by the side in px that it holds for: 16 and 32."""


CRITERIA = (
    Criterion(
        name="clarity",
        title="Clarity",
        question="Can you tell what it is?",
        anchors={
            16: (
                "No thing at all: specks or a blob.",
                "A thing, but it could be several; only the text tells which.",
                "Recognised after a second look; one main part is missing or misplaced.",
                "Recognised at once; a small part is unclear.",
                "Recognised at once, and the few pixels there are all say it.",
            ),
            32: (
                "No thing at all: specks or a blob.",
                "A thing, but it could be several; only the text tells which.",
                "The kind is plain, its parts are not: limbs, handles or doors run together.",
                "Kind and parts are plain; a detail is muddled.",
                "Kind, parts and material are plain; no detail is muddled.",
            ),
        },
    ),
    Criterion(
        name="palette_consistency",
        title="Palette consistency",
        question="Do the colours belong to one small palette, used with a plan?",
        anchors={
            16: (
                "Nearly every pixel has a colour of its own.",
                "Many stray colours: more than about 16, or hues that fit nothing.",
                "A palette can be seen, but some shades are doubled or stray.",
                "About 12 colours or fewer; one or two pixels stray.",
                "About 8 colours or fewer, each with a use; shades step in clear ramps.",
            ),
            32: (
                "Nearly every pixel has a colour of its own.",
                "Many stray colours: more than about 40, or hues that fit nothing.",
                "A palette can be seen, but ramps have doubled shades or stray hues.",
                "About 24 colours or fewer; a few pixels stray.",
                "About 16 colours or fewer, each with a use; shades step in clear ramps.",
            ),
        },
    ),
    Criterion(
        name="readability_1x",
        title="Readability at 1x",
        question="Look only at the small picture: does it read at its true size?",
        anchors={
            16: (
                "A smudge; it would not be noticed in a game.",
                "Something is there, but not what.",
                "Its outline reads; what is inside does not.",
                "Outline and main part read; contrast is weak in places.",
                "Reads at a glance: outline, main part and light against dark.",
            ),
            32: (
                "A smudge; it would not be noticed in a game.",
                "Something is there, but not what.",
                "Its outline reads; what is inside turns to noise.",
                "Outline and main parts read; fine detail turns to noise.",
                "Reads at a glance, detail too; light and dark lead the eye.",
            ),
        },
    ),
    Criterion(
        name="style_match",
        title="Style match",
        question="Does it look as if made by the same hand as the examples?",
        anchors={
            16: (
                "Another medium: a shrunk photo, a vector icon or a blurred painting.",
                "Pixel art, but with other outlines, shading and proportions.",
                "One of outlines, shading and proportions is alike.",
                "Two of outlines, shading and proportions are alike.",
                "Could be placed among the examples without being noticed.",
            ),
            32: (
                "Another medium: a shrunk photo, a vector icon or a blurred painting.",
                "Pixel art, but with other outlines, shading and proportions.",
                "One of outlines, shading and proportions is alike.",
                "Two of outlines, shading and proportions are alike; texture differs.",
                "Could be placed among the examples without being noticed.",
            ),
        },
    ),
    Criterion(
        name="artefacts",
        title="Freedom from artefacts",
        question="Is it free of what an artist would clean up? 5 is clean.",
        anchors={
            16: (
                "Broken: noise, or half of it missing.",
                "Faults at first sight: frayed edge, dirty ground, smeared pixels.",
                "Four or more stray pixels or gaps in the outline.",
                "One to three stray pixels; seconds to mend.",
                "Nothing to mend.",
            ),
            32: (
                "Broken: noise, or half of it missing.",
                "Faults at first sight: frayed edge, dirty ground, smeared areas.",
                "Eight or more stray pixels, gaps in the outline or a doubled line.",
                "Some stray pixels, at most seven; a minute to mend.",
                "Nothing to mend.",
            ),
        },
    ),
)
NAMES = tuple(criterion.name for criterion in CRITERIA)
PLAIN_STYLE = Criterion(
    name="style_match",
    title="Style match",
    question="Is it pixel art placed by hand, in one style throughout?",
    anchors=dict.fromkeys(
        (16, 32),
        (
            "Another medium: a shrunk photo, a vector icon or a blurred painting.",
            "Pixel art in parts: blurred areas or pixels of several sizes.",
            "Pixel art, but outline, shading and light follow no common rule.",
            "One style; one of outline, shading and light falls out of it.",
            "One style: outline, shading and light agree everywhere.",
        ),
    ),
)
"""What is asked about style where the page shows no examples."""
PAIR_QUESTION = "Which picture would you rather put into a game as it is?"


def criteria(*, has_references: bool) -> tuple[Criterion, ...]:
    """Return what is asked on a page, with or without examples of the style."""
    if has_references:
        return CRITERIA
    plain = {PLAIN_STYLE.name: PLAIN_STYLE}
    return tuple(plain.get(criterion.name, criterion) for criterion in CRITERIA)
