"""Files that are either whole or absent: write beside, flush, rename."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError


def sha256_bytes(data: bytes) -> str:
    """Return the hex digest of ``data``."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hex digest of a file's bytes. Reads the whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync_dir(path: Path) -> None:
    """Make a rename in ``path`` survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _beside(path: Path, data: bytes) -> Iterator[Path]:
    """Lend a whole, flushed file in the folder of ``path``; what is not renamed goes away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``; a reader sees the old file or the new one, never a part.

    Raises:
        OSError: The disk is full or the folder is read-only; ``path`` is as it was.
    """
    with _beside(path, data) as whole:
        whole.replace(path)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Lend an empty folder that takes the place of ``path`` when the block ends without an error.

    What stood there goes only then: a block that fails leaves ``path`` as it was. A process that
    is killed leaves it whole, the old one or the new, or absent.

    Raises:
        OSError: The folder above is read-only.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        fsync_dir(scratch)
        if path.exists():
            shutil.rmtree(path)
        scratch.replace(path)
        fsync_dir(path.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` atomically as indented JSON with a final newline."""
    write_atomic(path, _json(value))


def create_json(path: Path, value: Mapping[str, Any]) -> bool:
    """Write ``value`` whole where there is no file yet; False where another was first."""
    with _beside(path, _json(value)) as whole:
        try:
            path.hardlink_to(whole)
        except FileExistsError:
            return False
    return True


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: The file is missing, is not JSON, or holds something other than an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value
