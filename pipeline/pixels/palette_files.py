"""Reading and writing palettes as .hex, .gpl (GIMP) and .pal (JASC)."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pipeline.core.errors import InputError
from pipeline.core.files import write_atomic
from pipeline.pixels.oklab import Bytes

Line = tuple[int, str]
"""Number in the file, from 1, and text without surrounding blanks."""

MAX_COLOURS = 4096
"""More is no palette but a picture, or the wrong file."""


def read_palette(path: Path) -> Bytes:
    """Read the colours of a palette file, in its order, each once; the ending tells the format.

    Raises:
        InputError: Naming the file and line, what was found and what is allowed.
    """
    read = _FORMATS.get(path.suffix.lower(), (None, None))[0]
    if read is None:
        raise InputError(f"{path}: ending {path.suffix!r} is not one of {', '.join(_FORMATS)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    colours = list(dict.fromkeys(read(path, lines)))
    if not 1 <= len(colours) <= MAX_COLOURS:
        raise InputError(f"{path}: {len(colours)} colours; 1 to {MAX_COLOURS} are allowed")
    return np.array(colours, dtype=np.uint8)


def write_palette(path: Path, colours_K3: Bytes, *, name: str) -> None:
    """Write colours to a palette file; the ending tells the format.

    Raises:
        InputError: The ending is none of ours.
    """
    write = _FORMATS.get(path.suffix.lower(), (None, None))[1]
    if write is None:
        raise InputError(f"{path}: ending {path.suffix!r} is not one of {', '.join(_FORMATS)}")
    write_atomic(path, write(colours_K3, " ".join(name.split())).encode())


def hex_colours(colours_K3: Bytes) -> list[str]:
    """Return colours as ``rrggbb``."""
    return [bytes(colour.tolist()).hex() for colour in colours_K3]


def _read_hex(path: Path, lines: list[Line]) -> Iterator[tuple[int, ...]]:
    for number, line in lines:
        if line:
            if not re.fullmatch(r"#?[0-9a-fA-F]{6}", line):
                raise _bad(path, number, line, "RRGGBB")
            yield tuple(bytes.fromhex(line.removeprefix("#")))


def _read_gpl(path: Path, lines: list[Line]) -> Iterator[tuple[int, ...]]:
    if not lines or lines[0][1] != "GIMP Palette":
        raise _bad(path, 1, lines[0][1] if lines else "", "GIMP Palette")
    for number, line in lines[1:]:
        if line and not line.startswith(("#", "Name:", "Columns:")):
            yield _triple(path, number, line, rest=True)


def _read_pal(path: Path, lines: list[Line]) -> Iterator[tuple[int, ...]]:
    for number, allowed in ((1, "JASC-PAL"), (2, "0100")):
        if len(lines) < number or lines[number - 1][1] != allowed:
            raise _bad(path, number, lines[number - 1][1] if len(lines) >= number else "", allowed)
    count = lines[2][1] if len(lines) > 2 else ""
    if not re.fullmatch(r"[0-9]{1,5}", count):
        raise _bad(path, 3, count, "the number of colours")
    rows = [(number, line) for number, line in lines[3:] if line]
    if len(rows) != int(count):
        raise _bad(path, 3, count, f"{len(rows)}, the number of colour lines that follow")
    for number, line in rows:
        yield _triple(path, number, line, rest=False)


def _triple(path: Path, number: int, line: str, *, rest: bool) -> tuple[int, ...]:
    words = line.split()
    fits = len(words) >= 3 if rest else len(words) == 3
    values = tuple(int(word) for word in words[:3] if re.fullmatch(r"[0-9]{1,3}", word))
    if not fits or len(values) < 3 or max(values) > 255:
        raise _bad(path, number, line, "three numbers from 0 to 255")
    return values


def _bad(path: Path, number: int, found: str, allowed: str) -> InputError:
    return InputError(f"{path}:{number}: found {found[:40]!r}, allowed is {allowed}")


def _write_hex(colours_K3: Bytes, name: str) -> str:
    return "".join(f"{colour}\n" for colour in hex_colours(colours_K3))


def _write_gpl(colours_K3: Bytes, name: str) -> str:
    rows = "".join(
        f"{red:3d} {green:3d} {blue:3d}\t{red:02x}{green:02x}{blue:02x}\n"
        for red, green, blue in colours_K3.tolist()
    )
    return f"GIMP Palette\nName: {name}\nColumns: 0\n#\n{rows}"


def _write_pal(colours_K3: Bytes, name: str) -> str:
    rows = "".join(f"{red} {green} {blue}\r\n" for red, green, blue in colours_K3.tolist())
    return f"JASC-PAL\r\n0100\r\n{len(colours_K3)}\r\n{rows}"


Reader = Callable[[Path, list[Line]], Iterator[tuple[int, ...]]]
Writer = Callable[[Bytes, str], str]
_FORMATS: dict[str, tuple[Reader, Writer]] = {
    ".hex": (_read_hex, _write_hex),
    ".gpl": (_read_gpl, _write_gpl),
    ".pal": (_read_pal, _write_pal),
}
