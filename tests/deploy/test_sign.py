import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.sign import NAMESPACE, sign, verify
from pipeline.core.errors import InputError
from pipeline.models.sums import NAME, SIGNATURE, check_sums, write_sums

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


def make_key(path: Path, namespace: str = NAMESPACE) -> Path:
    """Make a key and, beside it, an allowed-signers file that lists it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    public = " ".join(path.with_suffix(".pub").read_text().split()[:2])
    path.with_suffix(".signers").write_text(f'{path.name} namespaces="{namespace}" {public}\n')
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a.safetensors").write_bytes(b"weights")
    return folder


def test_a_signed_model_is_verified_and_still_whole(model: Path, tmp_path: Path) -> None:
    key = make_key(tmp_path / "ada")
    sign(model, key)
    assert verify(model, key.with_suffix(".signers")) == "ada"
    assert check_sums(model), "the signature is no file of the model"
    sign(model, key)
    assert verify(model, key.with_suffix(".signers")) == "ada"


def test_what_was_changed_after_signing_is_refused(model: Path, tmp_path: Path) -> None:
    key = make_key(tmp_path / "ada")
    sign(model, key)
    (model / "a.safetensors").write_bytes(b"others")
    with pytest.raises(InputError, match=r"a\.safetensors"):
        verify(model, key.with_suffix(".signers"))
    write_sums(model)
    with pytest.raises(InputError, match=SIGNATURE):
        verify(model, key.with_suffix(".signers"))


def test_strangers_and_other_purposes_are_refused(model: Path, tmp_path: Path) -> None:
    ada, eve = make_key(tmp_path / "ada"), make_key(tmp_path / "eve")
    sign(model, eve)
    with pytest.raises(InputError, match="does not list"):
        verify(model, ada.with_suffix(".signers"))
    letters = make_key(tmp_path / "letters", namespace="file")
    sign(model, letters)
    with pytest.raises(InputError, match=SIGNATURE):
        verify(model, letters.with_suffix(".signers"))


def test_what_is_missing_is_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        sign(model, tmp_path / "absent")
    not_a_key = tmp_path / "text"
    not_a_key.write_text("hello\n")
    with pytest.raises(InputError, match="text"):
        sign(model, not_a_key)
    key = make_key(tmp_path / "ada")
    (model / NAME).unlink()
    with pytest.raises(InputError, match=NAME):
        verify(model, key.with_suffix(".signers"))
