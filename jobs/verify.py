"""Check generated images: ``python -m jobs.verify RUN``, or single PNGs, or a folder of them.

Exit status 1 when anything is not as it was made; each such thing is one line.
"""

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.conf import GenerateJob
from jobs.runtime.config import compose_config
from jobs.runtime.freeze import load_frozen
from jobs.runtime.quiet import quiet_libraries
from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.rundir import RunDir
from pipeline.models.conf import FamilyName, ModelConfig


@one_line_errors
def main() -> int:
    """Check, and make again where asked."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", type=Path, nargs="+", help="run folder, folder or PNG")
    parser.add_argument(
        "--reproduce",
        type=int,
        nargs="?",
        const=0,
        metavar="N",
        help="make the images again from their metadata and compare bytes; N: only N of each path",
    )
    parser.add_argument("--seed", type=int, default=0, help="decides which N (default: 0)")
    parser.add_argument("--lora", type=Path, action="append", default=[], help="adapter to look in")
    parser.add_argument("--model", type=Path, action="append", default=[], help="base to look in")
    families = [family.value for family in FamilyName]
    parser.add_argument("--family", default="pixelnano", choices=families, help="of --model")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:0")
    arguments = parser.parse_args()
    if (arguments.reproduce or 0) < 0:
        raise InputError(f"--reproduce: {arguments.reproduce} is below 0")

    num_checked, faults = 0, 0
    for path in arguments.paths:
        for fault in _check(path):
            print(f"{fault.path}: {fault.what}")
            faults += 1
    if arguments.reproduce is not None and not faults:
        for path, is_same in _reproduce(arguments):
            num_checked += 1
            if not is_same:
                print(f"{path}: made again, it has other bytes")
                faults += 1
        print(f"{num_checked} images made again")
    print(f"{faults} faults" if faults else "all as it was made")
    return 1 if faults else 0


def _check(path: Path) -> Iterator[Any]:
    from pipeline.generate.verify import check_image, check_run, images_of

    if (path / "recipe.json").exists():
        yield from check_run(RunDir(path))
        return
    for file in images_of(path):
        yield from check_image(file, file.read_bytes())


def _reproduce(arguments: argparse.Namespace) -> Iterator[tuple[Path, bool]]:
    quiet_libraries()
    from pipeline.generate.reproduce import Reproducer
    from pipeline.generate.verify import images_of

    models = [
        ModelConfig(family=FamilyName(arguments.family), path=path) for path in arguments.model
    ]
    loras = list(arguments.lora)
    for path in arguments.paths:
        run_dir = _run_of(path)
        if run_dir is not None:
            frozen: GenerateJob = load_frozen(run_dir, GenerateJob)
            models.append(frozen.model)
            variants = [frozen.loras, *(variant.loras for variant in frozen.variants)]
            loras += [use.path for uses in variants for use in uses]
    models.append(compose_config("generate", GenerateJob, ["prompts=[-]"]).model)
    reproducer = Reproducer(models=models, loras=loras, device=arguments.device)
    for path in arguments.paths:
        files = images_of(path)
        if arguments.reproduce:
            chosen = random.Random(arguments.seed).sample(
                files, min(arguments.reproduce, len(files))
            )
            files = sorted(chosen)
        for file in files:
            data = file.read_bytes()
            yield file, reproducer.again(data, path=file) == data


def _run_of(path: Path) -> RunDir | None:
    """Return the run that a run folder, or an image in one, belongs to."""
    for folder in (path, path.parent, path.parent.parent):
        if (folder / "recipe.json").exists() and (folder / "code.json").exists():
            return RunDir(folder)
    return None


if __name__ == "__main__":
    sys.exit(main())
