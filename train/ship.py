"""Make a finished run's model the embedded default.

python -m train.ship runs/train/pixelnano/RUN

    pipeline/models/assets/pixelnano/
      model_index.json  scheduler/  tokenizer/  text_encoder/  unet/    diffusers layout, fp16
      provenance.json                                                   what made these weights
      SHA256SUMS                                                        looked at when it is loaded

Prints the lines of ``configs/model/pixelnano.yaml`` that name the digests.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml

from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import read_json, sha256_file, write_json
from pipeline.core.rundir import RunDir
from pipeline.data.dataset import Dataset
from pipeline.models.pixelnano import ASSETS, PixelnanoPipeline
from pipeline.models.sums import write_sums

KEPT = ("num_images", "validation_loss", "loss")
"""Figures of the run that go into the provenance."""


def ship(run: RunDir, assets: Path) -> dict[str, str]:
    """Write the weights as fp16 with their provenance; return the digest of each weight file.

    Raises:
        InputError: The run did not finish, or trained an adapter only.
    """
    record = read_json(run.run_json)
    model = run.path / "model"
    if record["status"] != "finished" or not model.is_dir():
        raise InputError(f"{run.path}: no finished run with adapter=full (no model/ there)")
    provenance = _provenance(run, record)
    pipeline: Any = PixelnanoPipeline.from_pretrained(model, local_files_only=True)
    pipeline.to(dtype=torch.float16)
    with tempfile.TemporaryDirectory(dir=assets) as scratch:
        pipeline.save_pretrained(scratch)
        # The tokenizer stays as make_tokenizer wrote it; a library would write it anew.
        for part in ("unet", "text_encoder", "scheduler"):
            shutil.rmtree(assets / part, ignore_errors=True)
            shutil.move(Path(scratch, part), assets / part)
        shutil.move(Path(scratch, "model_index.json"), assets / "model_index.json")
    # transformers loads in the type named here; the fp16 is for the disk, arithmetic is fp32.
    text = assets / "text_encoder" / "config.json"
    write_json(text, read_json(text) | {"dtype": "float32"})
    for file in (assets / "model_index.json", *sorted(assets.glob("*/config.json"))):
        # Where the model lay on the machine that made it is nobody's concern.
        told = read_json(file)
        if told.pop("_name_or_path", None) is not None:
            write_json(file, told)
    weights = sorted(assets.rglob("*.safetensors"))
    for file in weights:
        file.chmod(0o644)
    digests = {file.relative_to(assets).as_posix(): sha256_file(file) for file in weights}
    write_json(assets / "provenance.json", provenance | {"sha256": digests})
    write_sums(assets)
    return digests


def _provenance(run: RunDir, record: dict[str, Any]) -> dict[str, Any]:
    config = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    origin = read_json(run.code_json)
    dataset = Dataset.open(Path(config["data"]["path"]))
    manifests = sorted(run.checkpoints.glob("*/manifest.json"))
    if not manifests:
        raise InputError(f"{run.checkpoints}: no checkpoint, which tells what data was learnt")
    learnt = read_json(manifests[-1])["identity"]["data"]
    if learnt != dataset.digest:
        raise InputError(f"{dataset.path}: not the data the run learnt ({learnt[:12]}...)")
    more = [Dataset.open(Path(each["path"])) for each in config["data"].get("more", [])]
    all_of_it = [dataset, *more]
    told = {"more_dataset_digests": [each.digest for each in more]} if more else {}
    return told | {
        "command": origin.get("command", f"python -m jobs.train +experiment={config['name']}"),
        "commit": origin["commit"],
        "uncommitted_changes": origin["diff_sha256"] is not None,
        "lock_sha256": origin["lock_sha256"],
        "dataset": dataset.card["name"],
        "dataset_digest": dataset.digest,
        "licences": sorted({row["licence"] for one in all_of_it for row in one.card["licences"]}),
        "figures": {key: record["figures"][key] for key in KEPT if key in record["figures"]},
        "attempts_time_h": [round(a.get("elapsed_s", 0.0) / 3600, 2) for a in record["attempts"]],
        "packages": read_json(run.env_json)["packages"],
        "before": _before(config["model"]["path"]),
    }


def _before(path: str | None) -> dict[str, Any] | None:
    """Return what made the weights that a run started from; None: it started from none.

    Raises:
        InputError: They do not say.
    """
    if path is None:
        return None
    folder = Path(path)
    if (folder / "provenance.json").is_file():
        return read_json(folder / "provenance.json")
    first = RunDir(folder.parent)
    if not first.run_json.is_file():
        raise InputError(f"{folder}: neither a shipped model nor the model/ of a run")
    return _provenance(first, read_json(first.run_json))


@one_line_errors
def main() -> int:
    """Ship a run."""
    parser = argparse.ArgumentParser(prog="python -m train.ship", description=__doc__)
    parser.add_argument("run", type=Path, help="run folder of jobs.train with adapter=full")
    digests = ship(RunDir(parser.parse_args().run), ASSETS)
    sys.stdout.write("sha256:\n" + "".join(f"  {k}: {v}\n" for k, v in digests.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
