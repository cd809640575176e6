"""Look at LoRA files and make others of them: ``python -m jobs.lora info|convert|merge|...``.

    python -m jobs.lora info RUN
    python -m jobs.lora convert RUN --to comfyui --out tiles.safetensors
    python -m jobs.lora merge A:0.7 B:0.3 --out both.safetensors
    python -m jobs.lora resize RUN --rank 8 --out small.safetensors
    python -m jobs.lora extract --base MODEL --tuned RUN --rank 32 --out tuned.safetensors

A LoRA is a .safetensors file or a run folder. It runs here and at once. See docs/lora.md.
"""

import argparse
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.runtime.quiet import quiet_libraries
from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import sha256_file
from pipeline.models.conf import FamilyName, LoraForm

if TYPE_CHECKING:
    from pipeline.models.lora_algebra import Kept, Loss
    from pipeline.models.lora_weights import Lora

FORMS = [form.value for form in LoraForm]
FAMILIES = [family.value for family in FamilyName]


@one_line_errors
def main() -> int:
    """Do what the first word says."""
    arguments = _parse()
    quiet_libraries()
    commands = {
        "info": _info,
        "convert": _convert,
        "merge": _merge,
        "resize": _resize,
        "extract": _extract,
    }
    commands[arguments.command](arguments)
    return 0


def _info(arguments: argparse.Namespace) -> None:
    from pipeline.models.lora import resolve
    from pipeline.models.lora_info import describe

    for given in arguments.files:
        print(describe(resolve(given), family=_family(arguments)))


def _convert(arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    from pipeline.models.lora_derived import MADE_KEY, input_record, made_from
    from pipeline.models.lora_header import TITLE_KEY

    path, digest, lora = _read(arguments.file, arguments)
    record = made_from("convert", inputs=[input_record(path, digest)])
    title = lora.metadata.get(TITLE_KEY)
    _write(replace(lora, metadata=lora.metadata | {MADE_KEY: record}), arguments, title=title)


def _merge(arguments: argparse.Namespace) -> None:
    from pipeline.models.lora_algebra import keep_rank, merge, resize
    from pipeline.models.lora_derived import input_record, made_from, merged, resized

    given = [_weighted(text) for text in arguments.files]
    read = [_read(path, arguments) for path, _ in given]
    weights = [weight for _, weight in given]
    inputs = [input_record(p, d, w) for (p, d, _), w in zip(read, weights, strict=True)]
    loras = [lora for _, _, lora in read]
    names = [_name(path) for path, _, _ in read]
    record = made_from("merge", inputs=inputs)
    made = merged(loras, names, merge(loras, weights), record)
    if arguments.rank is not None:
        layers, loss = resize(made, keep_rank(arguments.rank))
        record = made_from(
            "merge", inputs=inputs, rank=arguments.rank, relative_error=round(loss.whole, 6)
        )
        made = resized(made, layers, record)
        _tell(loss)
    _write(made, arguments)


def _resize(arguments: argparse.Namespace) -> None:
    from pipeline.models.lora_algebra import resize
    from pipeline.models.lora_derived import input_record, made_from, resized

    kept, how = _kept(arguments)
    path, digest, lora = _read(arguments.file, arguments)
    layers, loss = resize(lora, kept)
    told = {**how, "relative_error": round(loss.whole, 6)}
    record = made_from("resize", inputs=[input_record(path, digest)], **told)
    _tell(loss)
    _write(resized(lora, layers, record), arguments)


def _extract(arguments: argparse.Namespace) -> None:
    from pipeline.models.lora_derived import made_from, resized
    from pipeline.models.lora_extract import extract_lora

    kept, how = _kept(arguments)
    lora, loss, digests = extract_lora(arguments.base, arguments.tuned, kept)
    record = made_from("extract", **digests, **how, relative_error=round(loss.whole, 6))
    _tell(loss)
    _write(resized(lora, lora.layers, record), arguments)


def _read(given: Path, arguments: argparse.Namespace) -> "tuple[Path, str, Lora]":
    from pipeline.models.lora import resolve
    from pipeline.models.lora_weights import read_lora

    path = resolve(given)
    if arguments.out.exists() and arguments.out.samefile(path):
        raise InputError(f"--out: {arguments.out} is what is read; give another file")
    return path, sha256_file(path), read_lora(path, family=_family(arguments))


def _name(path: Path) -> str:
    """Return what a file is called: its run's name where it lies in a run."""
    return path.parent.parent.name if path.parent.name == "lora" else path.stem


def _write(lora: "Lora", arguments: argparse.Namespace, *, title: str | None = None) -> None:
    from dataclasses import replace

    from pipeline.models.lora_derived import parse_settings
    from pipeline.models.lora_header import TITLE_KEY
    from pipeline.models.lora_weights import write_lora

    form = LoraForm(arguments.to) if arguments.to else lora.form
    named = lora.metadata | {TITLE_KEY: title or arguments.out.stem}
    told = replace(lora, metadata=named | parse_settings(arguments.set))
    try:
        write_lora(told, arguments.out, form)
    except OSError as error:
        raise InputError(f"--out: {arguments.out}: {error.strerror}") from error
    print(f"{arguments.out}: {form.value}, {len(lora.layers)} layers, rank {_ranks(lora)}")


def _ranks(lora: "Lora") -> str:
    found = sorted({layer.rank for layer in lora.layers.values()})
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _tell(loss: "Loss") -> None:
    print(f"relative error {loss.whole:.3g} (worst layer {loss.worst:.3g}: {loss.layer})")


def _kept(arguments: argparse.Namespace) -> "tuple[Kept, Mapping[str, float]]":
    from pipeline.models.lora_algebra import keep_energy, keep_rank

    if arguments.rank is not None:
        return keep_rank(arguments.rank), {"rank": arguments.rank}
    return keep_energy(arguments.keep), {"keep": arguments.keep}


def _weighted(text: str) -> tuple[Path, float]:
    """Split ``FILE:0.7``; a file alone counts 1."""
    name, colon, number = text.rpartition(":")
    if not colon:
        return Path(text), 1.0
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise InputError(f"{text!r}: {number!r} is no weight; allowed: FILE or FILE:0.7")
    return Path(name), weight


def _family(arguments: argparse.Namespace) -> FamilyName | None:
    return FamilyName(arguments.family) if arguments.family else None


def _rank(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and up to 1")
    return share


def _out(text: str) -> Path:
    if not text.endswith(".safetensors") or Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a .safetensors file")
    return Path(text)


def _parse() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m jobs.lora", description=__doc__, formatter_class=raw
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, about: str, *, writes: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        if name != "extract":
            added.add_argument("--family", choices=FAMILIES, help="where the file does not tell")
        if writes:
            added.add_argument("--out", type=_out, required=True, help="the .safetensors to write")
            added.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                               help="modelspec key, such as license=CC0-1.0")  # fmt: skip
        return added

    def form(added: argparse.ArgumentParser, *, required: bool = False) -> None:
        added.add_argument("--to", choices=FORMS, required=required, help="form of the new file"
                           + ("" if required else " (as what is read)"))  # fmt: skip

    def rank(added: argparse.ArgumentParser) -> None:
        either = added.add_mutually_exclusive_group(required=True)
        either.add_argument("--rank", type=_rank, help="largest rank of a layer")
        either.add_argument(
            "--keep", type=_share, help="share of each layer's energy, such as 0.95"
        )

    info = command("info", "what is in LoRA files", writes=False)
    info.add_argument("files", type=Path, nargs="+", metavar="LORA")
    convert = command("convert", "the same LoRA under other names")
    convert.add_argument("file", type=Path, metavar="LORA")
    form(convert, required=True)
    merge = command("merge", "a weighted sum of LoRAs: exact, ranks add up, unless --rank is given")
    merge.add_argument("files", nargs="+", metavar="LORA[:WEIGHT]")
    merge.add_argument("--rank", type=_rank, help="cut the sum to this rank")
    form(merge)
    resize = command("resize", "the nearest LoRA of a smaller rank, by singular values")
    resize.add_argument("file", type=Path, metavar="LORA")
    rank(resize)
    form(resize)
    extract = command("extract", "the LoRA between two whole models, by singular values")
    extract.add_argument("--base", type=Path, required=True, help="model folder, diffusers layout")
    extract.add_argument(
        "--tuned", type=Path, required=True, help="another, or an adapter=full run"
    )
    rank(extract)
    form(extract)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
