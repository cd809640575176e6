"""Native pixels back from damaged pictures, and up again.

    python -m jobs.restore old_screens/ --out clean/ --enlarge 8

Blurred, noisy or JPEG-compressed pictures of enlarged pixel art. Each gives NAME.png, its native
pixels, and NAME_x8.png. Where there is no telling the grid, the picture is left out and one line
says so. See docs/demos.md.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from jobs.runtime.quiet import quiet_libraries
from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.picture import png_bytes
from pipeline.export.folder import check_replaceable, write_folder
from pipeline.pixels.conf import PaletteConfig, PaletteName
from pipeline.pixels.learned import PYTHON, enlarge_learned
from pipeline.pixels.oklab import Bytes
from pipeline.pixels.restore import CleanUp, RestoreConfig, Restored, Restorer
from pipeline.pixels.scale import Scaler, enlarge

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
LEARNED = "learned"


@one_line_errors
def main() -> int:
    """Restore every picture, then write the folder at once."""
    given = _parse()
    check_replaceable(given.out)
    restorer = Restorer(_config(given), clean_up=_clean_up(given))
    files = _files(given.source)
    images = [_open(file) for file in files]
    found = restorer(images, [given.caption] * len(images))
    sure = [one for one in found if one.native_KLC is not None]
    for file, one in zip(files, found, strict=True):
        if one.native_KLC is None:
            print(f"{file}: not sure, {one.why}")
    if not sure and not given.copy_unsure:
        raise InputError(f"{given.source}: none of its {len(files)} pictures could be restored")
    out = _outputs(files, found, given)
    write_folder(given.out, out, {"restored": _told(files, found)})
    print(f"{len(sure)} of {len(files)} pictures restored: {given.out}")
    return 0


def _outputs(
    files: list[Path], found: list[Restored], given: argparse.Namespace
) -> dict[str, bytes]:
    """Return the files to write; two pictures that want one name are an error."""
    natives = [one.native_KLC for one in found if one.native_KLC is not None]
    sure = [file for file, one in zip(files, found, strict=True) if one.native_KLC is not None]
    wanted: list[tuple[str, bytes]] = []
    for file, native, big in zip(sure, natives, _enlarged(natives, given), strict=True):
        wanted.append((f"{file.stem}.png", png_bytes(Image.fromarray(native))))
        if given.enlarge > 1:
            wanted.append((f"{file.stem}_x{given.enlarge}.png", png_bytes(Image.fromarray(big))))
    if given.copy_unsure:
        wanted += [(file.name, file.read_bytes()) for file in files if file not in sure]
    out = dict(wanted)
    if len(out) < len(wanted):
        names = [name for name, _ in wanted]
        double = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{given.source}: two of its pictures would both become {double}")
    return out


def _config(given: argparse.Namespace) -> RestoreConfig:
    name = given.palette if given.palette in {one.value for one in PaletteName} else "file"
    is_auto = given.palette == "auto"
    kind = PaletteName.none if is_auto else PaletteName(name)
    path = Path(given.palette) if kind is PaletteName.file else None
    if kind is PaletteName.folder:
        raise InputError("palette: folder is not for this; give a palette file, or auto")
    try:
        return RestoreConfig(
            native_size_px=given.native_size_px,
            palette=PaletteConfig(name=kind, path=path, num_colours=given.num_colours),
            auto_palette=is_auto,
            background=given.background,
            cleanup=given.cleanup,
        )
    except ValueError as error:
        raise InputError(str(error)) from None


def _clean_up(given: argparse.Namespace) -> CleanUp | None:
    if given.denoise is None:
        return None
    quiet_libraries()
    from pipeline.generate.conf import SamplerConfig
    from pipeline.generate.denoise import Denoiser
    from pipeline.models.conf import FamilyName, ModelConfig
    from pipeline.models.pixelnano import ASSETS
    from pipeline.models.registry import load_model

    model = load_model(ModelConfig(family=FamilyName.pixelnano, path=ASSETS), device="cpu")
    try:
        sampler = SamplerConfig(num_steps=50)
        denoiser = Denoiser(
            model, sampler=sampler, strength=given.denoise, adds_noise=given.add_noise
        )
    except ValueError as error:
        raise InputError(f"--denoise: {error}") from None
    return denoiser.clean_up


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"{source}: no such file or folder")
    files = sorted(file for file in source.iterdir() if file.suffix.lower() in ENDINGS)
    if not files:
        raise InputError(f"{source}: no pictures there; endings {', '.join(ENDINGS)}")
    seen: dict[str, Path] = {}
    for file in files:
        if (other := seen.setdefault(file.stem.lower(), file)) is not file:
            raise InputError(f"{file}: would be called as {other.name}; rename one of them")
    return files


def _open(file: Path) -> Bytes:
    try:
        with Image.open(file) as image:
            has_alpha = "A" in image.getbands() or "transparency" in image.info
            return np.array(image.convert("RGBA" if has_alpha else "RGB"))
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{file}: cannot be read as an image ({error})") from None


def _enlarged(natives: list[Bytes], given: argparse.Namespace) -> list[Bytes]:
    if given.scaler == LEARNED:
        return enlarge_learned(natives, given.enlarge, python=given.scaler_python)
    try:
        return [enlarge(native, given.enlarge, Scaler(given.scaler)) for native in natives]
    except ValueError as error:
        raise InputError(str(error)) from None


def _told(files: list[Path], found: list[Restored]) -> dict[str, object]:
    return {
        file.name: one.record | ({"not_sure": one.why} if one.why else {})
        for file, one in zip(files, found, strict=True)
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.restore",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("source", type=Path, help="picture, or folder of pictures")
    add("--out", type=Path, required=True, help="folder to make")
    add("--enlarge", type=int, default=8, help="integer factor; 1 writes native pixels only (8)")
    add("--native-size-px", type=int, help="longer side of the native pictures, where known")
    add("--palette", default="none", help="auto, none, kmeans, pico8, db32, ..., or a palette file")
    add("--num-colours", type=int, default=16, help="of the kmeans palette (16)")
    add("--background", action="store_true", help="make a plain background transparent")
    add("--cleanup", action="store_true", help="remove lone pixels")
    add("--scaler", choices=[*(one.value for one in Scaler), LEARNED], default="nearest")
    add("--scaler-python", type=Path, default=PYTHON, help=f"Python of the learned one ({PYTHON})")
    add("--copy-unsure", action="store_true", help="copy pictures that cannot be restored as is")
    add("--denoise", type=float, metavar="STRENGTH", help="diffusion clean-up, kept where better")
    add("--add-noise", action="store_true", help="to the clean-up's picture, as SDEdit does")
    add("--caption", default="", help="what the pictures show, for the clean-up")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
