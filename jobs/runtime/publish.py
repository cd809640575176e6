"""A report and saved views on W&B, put there by its own library, and found again when put anew.

A report is known by its title, as the library offers it. A view is known by its name: the library
makes one up for each, here it follows from the title. So nothing is kept of either on this side.
"""

import hashlib
import math
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit

from jobs.runtime.client import client_settings, has_login, server_url
from jobs.runtime.sync import without_key
from pipeline.core.errors import InputError

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

T = TypeVar("T")

TRIES = 3
PAUSE_S = 2.0
"""Seconds before the second try; twice that before the third."""
TIMEOUT_S = 20.0
"""Seconds the server may take for an answer."""
MAX_WORDS = 300
"""Characters that are shown of what the client says."""
NAME = re.compile(r"[^/\\#?%:]{1,128}")
"""What W&B takes as the name of a project."""
NUM_NAME_DIGITS = 11
"""Of a view's name: as many as the library's own have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """What is on the project's page now."""

    title: str
    url: str
    is_new: bool
    """Whether it was not there before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A project on a server, and how long the server is waited for."""

    entity: str
    name: str
    tries: int = TRIES
    timeout_s: float = TIMEOUT_S
    pause_s: float = PAUSE_S

    @property
    def url(self) -> str:
        """Of its page. The library's own leave out what a server has before it."""
        app = str(client_settings().app_url).rstrip("/")
        return f"{app}/{quote(self.entity)}/{quote(self.name)}"

    def save_report(self, report: "Report") -> Saved:
        """Put a report there, in the place of the one with its title; the oldest, if several.

        Raises:
            InputError: The server does not answer or says no, or there is no such project.
        """
        return self._asked(lambda: self._save_report(report))

    def save_view(self, view: "Workspace") -> Saved:
        """Put a saved view there, in the place of the one that was put there before.

        Raises:
            InputError: As of ``save_report``.
        """
        return self._asked(lambda: self._save_view(view))

    def _reports(self) -> dict[str, str]:
        """Return the ids of reports by title."""
        import wandb

        found: dict[str, str] = {}
        try:
            # One by one: asked for its length, which a list does, it has another complaint.
            listed = [each for each in wandb.Api().reports(f"{self.entity}/{self.name}")]  # noqa: C416
        except ValueError as error:
            if "does not exist under" not in str(error):
                raise
            raise InputError(
                f"W&B: no project {self.entity}/{self.name} on {urlsplit(server_url()).hostname}; "
                "see --project and --entity; the first run that is sent makes it"
            ) from None
        for each in sorted(listed, key=lambda each: str(each.created_at)):
            found.setdefault(str(each.display_name), each.id)
        return found

    def _save_report(self, report: "Report") -> Saved:
        from wandb_workspaces.reports.v2 import Report

        told = self._reports().get(report.title)
        if told is not None:
            # Loaded first, so that what people said of it stays. Only names and id are read.
            here = f"https://host/{self.entity}/{self.name}/reports/x--{told}"
            before = Report.from_url(here)
            before.blocks, before.width = report.blocks, report.width
            before.description = report.description
            report = before
        report.save()
        title = re.sub(r"\W+", "-", report.title).strip("-")
        url = f"{self.url}/reports/{quote(title)}--{report.id.replace('=', '')}"
        return Saved(title=report.title, url=url, is_new=told is None)

    def _save_view(self, view: "Workspace") -> Saved:
        from wandb_workspaces.workspaces import Workspace

        told = f"{self.entity}/{self.name}/{view.name}"
        name = hashlib.sha256(told.encode()).hexdigest()[:NUM_NAME_DIGITS]
        try:
            before = Workspace.from_url(f"https://host/{self.entity}/{self.name}?nw={name}")
        except ValueError as error:
            if "not found in project" not in str(error):
                raise
            view._internal_name = f"nw-{name}-v"
            view.save()
            return Saved(title=view.name, url=f"{self.url}?nw={name}", is_new=True)
        # Its name stays as well, which people may have changed.
        before.sections, before.settings = view.sections, view.settings
        before.runset_settings = view.runset_settings
        before.save()
        return Saved(title=before.name, url=f"{self.url}?nw={name}", is_new=False)

    def _asked(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer; every save looks first, so none is made twice."""
        for again in range(self.tries):
            if again:
                time.sleep(self.pause_s * 2 ** (again - 1))
            try:
                return ask()
            except InputError:
                raise
            except Exception as error:  # whatever a client of a service may raise
                if not _is_silence(error):
                    line = " ".join(without_key(f"{type(error).__name__}: {error}").split())
                    raise InputError(f"W&B: {line[:MAX_WORDS]}") from None
        raise InputError(
            f"W&B: {urlsplit(server_url()).hostname} did not answer, {self.tries} times in "
            f"{self.timeout_s:g} s; see WANDB_BASE_URL"
        )


def open_project(
    name: str,
    entity: str | None,
    *,
    tries: int = TRIES,
    timeout_s: float = TIMEOUT_S,
    pause_s: float = PAUSE_S,
) -> Project:
    """Return a project that is there. Before wandb is loaded: it reads once how long it may wait.

    Args:
        name: Of the project.
        entity: Of the project; None: the account's own.
        tries: Of each step.
        timeout_s: Seconds the server may take for an answer.
        pause_s: Seconds after the first try; doubled after each.

    Raises:
        InputError: No login, or the server does not answer, or there is no such project.
    """
    for option, value in (("--project", name), ("--entity", entity)):
        if value is not None and not NAME.fullmatch(value):
            raise InputError(f"{option}: {value!r} is no name on W&B (1 to 128, none of /\\#?%:)")
    os.environ["WANDB_HTTP_TIMEOUT"] = str(math.ceil(timeout_s))
    url = server_url()
    if not has_login(url):
        host = urlsplit(url).hostname
        raise InputError(f"W&B: no login for {host}; `wandb login`, or export WANDB_API_KEY")
    project = Project(
        entity=entity or "", name=name, tries=tries, timeout_s=timeout_s, pause_s=pause_s
    )
    if entity is None:
        project = replace(project, entity=project._asked(_default_entity))
    project._asked(project._reports)
    return project


def _default_entity() -> str:
    import wandb

    api = wandb.Api()
    found = api.settings["entity"] or api.default_entity
    if not found:
        raise InputError("W&B: the account has no entity of its own; give --entity")
    return str(found)


def _is_silence(error: BaseException) -> bool:
    """Whether there was no answer, rather than one that says no."""
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, WandbApiFailedError):
            response = cause.response
            return response is None or not response.http_status or response.http_status >= 500
        cause = cause.__cause__
    return isinstance(error, TimeoutError | ConnectionError)
