"""Names, units, defaults and checks of the human rubric. Standard library only."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class RubricMode(Enum):
    """What a rater is asked."""

    absolute = "absolute"
    """Each picture 1 to 5 on each criterion."""
    pairwise = "pairwise"
    """Which of two pictures of one prompt is better, or neither."""


@dataclass(kw_only=True, slots=True)
class MakeConfig:
    """What goes onto a page of ratings."""

    runs: list[Path] = field(default_factory=list)
    """Run folders of jobs.generate, or folders of PNG; one for absolute ratings, two or more to
    compare. Files of one name belong together."""
    names: list[str] = field(default_factory=list)
    """What the runs are called in the scores, the first is the base; none takes the folders'."""
    out: Path = Path("rubric.html")
    """Page to write; ``.key.json`` beside it says what is what, and is not for raters."""
    mode: RubricMode = RubricMode.absolute
    """What raters are asked."""
    num_images: int = 0
    """Pictures a run, drawn by ``seed``, the same names of each; 0 takes all."""
    num_repeats: int = 6
    """Pictures or pairs that each rater sees twice, so that their consistency can be told."""
    show_prompts: bool = True
    """Whether the rater reads what a picture was to be; pictures of one name share a prompt."""
    references: Path | None = None
    """Folder of PNG that show the style asked for, at most 24; none asks for pixel art as such."""
    seed: int = 0
    """Decides which pictures are drawn, the order of each rater, and what is repeated."""

    def __post_init__(self) -> None:
        if self.num_images < 0:
            raise ValueError(f"num_images: {self.num_images} is below 0")
        if self.num_repeats < 0:
            raise ValueError(f"num_repeats: {self.num_repeats} is below 0")
        if self.names and len(self.names) != len(self.runs):
            raise ValueError(f"names: {len(self.names)} for {len(self.runs)} runs")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"names: {self.names} names two runs alike")


@dataclass(kw_only=True, slots=True)
class ScoreConfig:
    """Which ratings are put together."""

    key: Path = Path("rubric.key.json")
    """What ``make`` wrote beside the page."""
    ratings: list[Path] = field(default_factory=list)
    """Raters' files, JSON or CSV, one a rater."""
    out: Path = Path("rubric.scores.json")
    """Scores to write."""
    num_draws: int = 2000
    """Draws of the bootstrap behind the intervals."""
    seed: int = 0
    """Decides the draws."""

    def __post_init__(self) -> None:
        if self.num_draws < 100:
            raise ValueError(f"num_draws: {self.num_draws} is below 100")
