"""ISO 8601 weeks, Monday to Sunday, in UTC."""

import datetime
import re
from dataclasses import dataclass

from pipeline.core.errors import InputError

WEEK = datetime.timedelta(days=7)


@dataclass(frozen=True, slots=True, order=True)
class Week:
    """One week."""

    start: datetime.datetime
    """Monday, 00:00 UTC."""

    @classmethod
    def of(cls, when: datetime.datetime) -> "Week":
        """Return the week that a moment lies in."""
        day = when.astimezone(datetime.UTC).date()
        monday = day - datetime.timedelta(days=day.weekday())
        return cls(datetime.datetime.combine(monday, datetime.time(), tzinfo=datetime.UTC))

    @classmethod
    def parse(cls, text: str) -> "Week":
        """Read ``2026-W48``.

        Raises:
            InputError: It is no ISO week.
        """
        try:
            if not re.fullmatch(r"2\d{3}-W\d\d", text, re.ASCII):
                raise ValueError
            # strptime would take a 53rd week of any year.
            monday = datetime.date.fromisocalendar(int(text[:4]), int(text[-2:]), 1)
        except ValueError:
            raise InputError(f"--week: {text!r} is no ISO week; give one as 2026-W48") from None
        return cls(datetime.datetime.combine(monday, datetime.time(), tzinfo=datetime.UTC))

    @property
    def end(self) -> datetime.datetime:
        """The next Monday; not in the week."""
        return self.start + WEEK

    @property
    def label(self) -> str:
        """The week as ``2026-W48``."""
        year, week, _ = self.start.isocalendar()
        return f"{year:04d}-W{week:02d}"

    @property
    def days(self) -> str:
        """Its first and last day."""
        return f"{self.start:%Y-%m-%d} to {self.end - datetime.timedelta(days=1):%Y-%m-%d}"

    def before(self, num_weeks: int = 1) -> "Week":
        """Return an earlier week; a later one for a number below 0."""
        return Week(self.start - num_weeks * WEEK)

    def has(self, when: datetime.datetime) -> bool:
        """Whether a moment lies in it."""
        return self.start <= when < self.end
