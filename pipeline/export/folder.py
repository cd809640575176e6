"""An export folder: whole or absent, and replaced only where it is ours and untouched."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError
from pipeline.core.files import fsync_dir, read_json, sha256_bytes, sha256_file, write_json

FORMAT = "dgx-pixels-export/1"
LEDGER = "export.json"


def check_replaceable(out: Path) -> None:
    """Return when ``out`` is absent, empty, or an export that nobody changed since.

    Raises:
        InputError: Anything else; the message names the first file that is not ours.
    """
    if not out.exists() and not out.is_symlink():
        return
    if out.is_symlink() or not out.is_dir():
        raise InputError(f"{out}: exists and is no folder; choose another --out")
    found = {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*"))}
    if not found:
        return
    if LEDGER not in found:
        raise InputError(f"{out}: not empty and has no {LEDGER} of ours; choose another --out")
    ledger = read_json(out / LEDGER)
    files = ledger.get("files")
    if ledger.get("format") != FORMAT or not isinstance(files, dict):
        raise InputError(f"{out / LEDGER}: format is {ledger.get('format')!r}, not {FORMAT!r}")
    for name, path in found.items():
        if name != LEDGER and (not path.is_file() or sha256_file(path) != files.get(name)):
            raise InputError(f"{path}: not as it was exported; choose another --out")


def write_folder(out: Path, files: Mapping[str, bytes], told: Mapping[str, Any]) -> None:
    """Put files into ``out`` at once, with a ledger of them in ``export.json``.

    Args:
        out: Folder to make or, if ``check_replaceable`` allows, to replace.
        files: Plain file names and contents.
        told: What else the ledger says.

    Raises:
        InputError: ``out`` may not be replaced.
        OSError: The disk is full or the folder cannot be written; ``out`` is as it was.
    """
    check_replaceable(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{out}: cannot be made, {out.parent} is no folder") from None
    try:
        for name, data in files.items():
            with (temporary / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        digests = {name: sha256_bytes(data) for name, data in sorted(files.items())}
        write_json(temporary / LEDGER, {"format": FORMAT, **told, "files": digests})
        temporary.chmod(0o755)
        fsync_dir(temporary)
        _exchange(temporary, out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _exchange(new: Path, out: Path) -> None:
    old = new.with_name(f"{new.name}.old")
    if out.exists():
        out.rename(old)
    try:
        new.rename(out)
    except BaseException:
        if old.exists():
            old.rename(out)
        raise
    fsync_dir(out.parent)
    shutil.rmtree(old, ignore_errors=True)
