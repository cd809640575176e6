"""How a long piece of work tells its caller that it ended, or that it was asked to stop."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a job's library function returns."""

    finished: bool
    """False: it stopped where it was told to, saved, and wants to be run again."""
    figures: dict[str, float | int | str] = field(default_factory=dict)
    """What goes into ``run.json``; keys carry their unit last."""

    @property
    def position(self) -> int:
        """How far it is, in whatever only grows while it gets on; -1: it does not say."""
        return int(self.figures.get("position", self.figures.get("num_images", -1)))
