"""The CC0 tiles of Dungeon Crawl Stone Soup, out of the source package of the machine's own mirror.

Which tiles are CC0 is told by their pixels: ``crawl_cc0.txt`` lists the digests of those that equal
the Crawl team's own CC0 release of November 2015. Nothing else in the package is kept.
"""

import hashlib
import logging
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_file
from pipeline.data.captions import group_of
from pipeline.data.captions_crawl import crawl_caption
from pipeline.data.conf import ArtKind, SourceConfig
from pipeline.data.sources.art import Art, Found, Pixels, Rejected, Unusable, read_pixels

log = logging.getLogger(__name__)

ARCHIVE = "crawl_0.28.0.orig.tar.xz"
SHA256 = "5a6be168f8888b84bdb199184ca20bd8636f77ba7e9e0124ebee8850092f2f47"
TILES = "source/rltiles/"
LIST = Path(__file__).with_name("crawl_cc0.txt")
ATTRIBUTION = "Dungeon Crawl Stone Soup tile artists, CC0 release of November 2015"
FETCH_TIMEOUT_S = 300


def read_crawl(cfg: SourceConfig, *, art: ArtKind, cache_dir: Path, max_px: int) -> Found:
    """Yield the listed tiles of one kind in list order; a listed tile that is absent is rejected.

    Raises:
        InputError: The package can be neither found nor fetched, or is another one.
    """
    wanted = list(_listed(art))
    files = dict(_read_tree(cfg.path or _fetch(cache_dir), {path for _, path in wanted}))
    for digest, path in wanted:
        if path not in files:
            yield Rejected(name=path, reason="listed as CC0 but not in the package")
            continue
        try:
            pixels = read_pixels(files[path], max_px=max_px)
        except Unusable as error:
            yield Rejected(name=path, reason=str(error))
            continue
        if _sha1(pixels) != digest:
            yield Rejected(name=path, reason="pixels differ from the CC0 release")
            continue
        folder, _, name = path.rpartition("/")
        yield Art(
            name=path,
            pixels=pixels,
            caption=crawl_caption(path),
            licence="CC0-1.0",
            attribution=ATTRIBUTION,
            source="Dungeon Crawl Stone Soup 0.28.0",
            group=group_of(folder, Path(name).stem),
        )


def _listed(art: ArtKind) -> Iterator[tuple[str, str]]:
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        digest, kind, path = line.split(" ", 2)
        if art in (ArtKind.any, ArtKind(kind)):
            yield digest, path


def _sha1(pixels: Pixels) -> str:
    shown = np.where(pixels[..., 3:] > 0, pixels, 0).astype(np.uint8)
    return hashlib.sha1(shown.tobytes(), usedforsecurity=False).hexdigest()


def _read_tree(path: Path, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for name in sorted(wanted):
            if (path / name).is_file():
                yield name, (path / name).read_bytes()
        return
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                name = member.name.partition(TILES)[2]
                if name in wanted and (file := tar.extractfile(member)) is not None:
                    yield name, file.read()
    except (OSError, tarfile.TarError, EOFError) as error:
        why = str(error).splitlines()[0].rstrip(":") if str(error) else type(error).__name__
        raise InputError(f"source.path: {path} cannot be read as a tar archive ({why})") from None


def _fetch(cache_dir: Path) -> Path:
    """Return the cached archive, fetched through apt's own configured mirror when absent."""
    archive = cache_dir / ARCHIVE
    if archive.is_file() and sha256_file(archive) == SHA256:
        return archive
    log.info("fetching %s (13.9 MB) through apt", ARCHIVE)
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir) as scratch:
        found = _apt_source(Path(scratch)) / ARCHIVE
        if not found.is_file():
            raise InputError(
                f"source: apt has no {ARCHIVE}; give source.path=FILE (this archive, or its "
                "rltiles folder)"
            )
        digest = sha256_file(found)
        if digest != SHA256:
            raise InputError(f"source: {ARCHIVE} from apt has sha256 {digest}, expected {SHA256}")
        found.replace(archive)
    return archive


def _apt_source(scratch: Path) -> Path:
    """Download with apt-get into ``scratch``, touching nothing of the system and without root."""
    for folder in ("lists/partial", "cache/archives/partial", "out"):
        (scratch / folder).mkdir(parents=True)
    sources = scratch / "sources.list"
    sources.write_text("\n".join(_source_lines()) + "\n", encoding="utf-8")
    options = [
        f"Dir::Etc::sourcelist={sources.resolve()}",
        "Dir::Etc::sourceparts=/dev/null",
        f"Dir::State::lists={(scratch / 'lists').resolve()}",
        f"Dir::Cache={(scratch / 'cache').resolve()}",
        "Debug::NoLocking=1",
    ]
    apt = ["apt-get", "-q", *(f"-o{option}" for option in options)]
    for command in (
        [*apt, "update"],
        # --tar-only: the packaging patch is not needed, and mirrors may lack it.
        [*apt, "source", "--download-only", "--tar-only", "crawl"],
    ):
        _run(command, scratch / "out")
    return scratch / "out"


def _run(command: list[str], folder: Path) -> None:
    hint = "give source.path=FILE with the archive instead"
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise InputError(f"source: this machine has no apt-get; {hint}") from None
    except subprocess.TimeoutExpired:
        raise InputError(f"source: apt-get took over {FETCH_TIMEOUT_S} s; {hint}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"source: apt-get {command[-1]} failed ({last}); {hint}")


def _source_lines() -> list[str]:
    """Return ``deb-src`` lines for the mirrors the machine already uses, of both file formats."""
    lines = []
    etc = Path("/etc/apt")
    for file in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]:
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            lines += [re.sub(r"^deb ", "deb-src ", t) for t in text.splitlines() if t[:4] == "deb "]
    for file in sorted((etc / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
            fields = dict(re.findall(r"^([\w-]+):[ \t]*(.+)$", stanza, flags=re.MULTILINE))
            signed = f"[signed-by={fields['Signed-By']}] " if "Signed-By" in fields else ""
            lines += [
                f"deb-src {signed}{uri} {suite} {fields.get('Components', '')}".rstrip()
                for uri in fields.get("URIs", "").split()
                for suite in fields.get("Suites", "").split()
            ]
    return lines
