"""A model folder's manifest: the sha256 of every file, in the form that ``sha256sum -c`` reads.

    MODEL/
      SHA256SUMS        <64 hex digits>  <path inside the folder>, one line a file, sorted
      SHA256SUMS.sig    signature over that file (python -m deploy.sign), where there is one

The list is of all files, as a loader also picks up what was added. Hidden files, which downloads
and desktops leave, are not looked at, and no loader reads them.
"""

import re
from pathlib import Path

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_file, write_atomic

NAME = "SHA256SUMS"
SIGNATURE = f"{NAME}.sig"
PICKLES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
# "./" is what `find` writes before a name, "*" what `sha256sum --binary` does.
LINE = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(.+)")


def write_sums(folder: Path) -> Path:
    """List every file of a model folder; return the list.

    Raises:
        InputError: The folder is absent or empty, or a file is a pickle or has no plain name.
    """
    files = _files(folder)
    if not files:
        raise InputError(f"{folder}: no model folder, or nothing in it")
    for name, file in files.items():
        if file.suffix in PICKLES:
            raise InputError(f"{file}: may hold a pickle; only .safetensors weights are listed")
        if "\n" in name:
            raise InputError(f"{folder}: holds a file name with a newline: {name!r}")
    lines = [f"{sha256_file(file)}  {name}\n" for name, file in files.items()]
    write_atomic(folder / NAME, "".join(lines).encode())
    return folder / NAME


def check_sums(folder: Path) -> bool:
    """Hold a model folder against its list; False where it has none.

    Reads every file whole.

    Raises:
        InputError: A file is missing, changed or not listed, or the list is broken.
    """
    if not (folder / NAME).is_file():
        return False
    expected, files = _read(folder / NAME), _files(folder)
    for name in sorted(expected.keys() | files.keys()):
        if name not in files:
            raise InputError(f"{folder / name} is missing; {NAME} lists it")
        if name not in expected:
            raise InputError(f"{folder / name} is not in {NAME}; remove it")
        found = sha256_file(files[name])
        if found != expected[name]:
            raise InputError(
                f"{folder / name} has sha256 {found[:12]}..., {NAME} lists "
                f"{expected[name][:12]}...; restore it"
            )
    return True


def _read(path: Path) -> dict[str, str]:
    expected = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text ({error})") from None
    for number, line in enumerate(lines, start=1):
        match = LINE.fullmatch(line)
        if match is None:
            raise InputError(f"{path}: line {number} is not '<sha256>  <file>': {line[:40]!r}")
        expected[match[2]] = match[1]
    return expected


def _files(folder: Path) -> dict[str, Path]:
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            found[inside.as_posix()] = path
    return {name: path for name, path in found.items() if name not in (NAME, SIGNATURE)}
