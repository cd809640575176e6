"""What W&B's client is set to: its server and whether it has a login. Asks no server."""

import os
from typing import Any
from urllib.parse import urlsplit

from pipeline.core.errors import InputError


def server_url() -> str:
    """Return where the client would send runs: ``WANDB_BASE_URL``, its settings, its default.

    Raises:
        InputError: That is no address.
    """
    import wandb

    told = os.environ.get("WANDB_BASE_URL")
    try:
        settings = client_settings()
        # What was set after the client's own were read counts for it too.
        url = str(wandb.Settings(base_url=told).base_url if told else settings.base_url)
        urlsplit(url).port  # noqa: B018  raises where it is no number
    except ValueError:
        # What is before an @ is a password.
        named = (told or "").rpartition("@")[2]
        raise InputError(f"WANDB_BASE_URL: {named!r} is no address of a server") from None
    return url


def client_settings() -> Any:
    """Return the settings that this process's client goes by."""
    import wandb

    # Quiet: what is to be said is said by whoever asked.
    return wandb.setup(settings=wandb.Settings(silent=True)).settings


def has_login(url: str) -> bool:
    """Say whether the client has a key, or another login, for a server; nobody is asked for one."""
    from wandb.errors import AuthenticationError
    from wandb.sdk.lib.wbauth import authenticate_session

    try:
        login = authenticate_session(host=url, source="jobs", prompt=False, update_session=False)
    except AuthenticationError:  # there is one, of no form that the client knows
        return False
    return login is not None
