"""What W&B's client is set to, as it says itself."""

import pytest
import wandb

from jobs.runtime.client import has_login, server_url
from pipeline.core.errors import InputError

KEY = "0123456789abcdef0123456789abcdef01234567"
URL = "https://wandb.example.org"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A user who never logged in."""
    for name in ("WANDB_BASE_URL", "WANDB_API_KEY", "NETRC", "WANDB_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    # It keeps what it read for as long as a process lives.
    wandb.teardown()
    yield tmp_path
    wandb.teardown()


def test_the_server_is_the_clients_default(home):
    assert server_url() == wandb.Settings().base_url


def test_a_server_of_ones_own_is_in_the_settings_or_the_environment(home, monkeypatch):
    (home / ".config" / "wandb").mkdir(parents=True)
    (home / ".config" / "wandb" / "settings").write_text(f"[default]\nbase_url = {URL}\n")
    assert server_url() == URL
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:8080/")
    assert server_url() == "http://127.0.0.1:8080"


@pytest.mark.parametrize("url", ["nonsense", "https://host:port", f"https://me:{KEY}@host:port"])
def test_no_address_is_one_line_without_a_password(url, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", url)
    with pytest.raises(InputError, match="WANDB_BASE_URL") as caught:
        server_url()
    assert KEY not in str(caught.value)


def test_a_login_is_of_one_server_and_in_the_environment_of_any(home, monkeypatch):
    assert not has_login(URL)
    (home / ".netrc").write_text(f"machine wandb.example.org login user password {KEY}\n")
    (home / ".netrc").chmod(0o600)
    assert has_login(URL)
    assert not has_login("https://elsewhere.example.org")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert has_login("https://elsewhere.example.org")
    monkeypatch.setenv("WANDB_API_KEY", "of no form")
    assert not has_login("https://elsewhere.example.org")
