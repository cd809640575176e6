"""Checkpoints that are either whole or invisible.

    checkpoints/
      000000131072/            named by images seen; appears by rename
        <group>.safetensors    one a group of tensors (weights, optimiser, average, ...)
        state.json             position, loss window, whatever is not a tensor
        manifest.json          written last: digest of every file, identity of the run

Nothing is ever pickled. A folder without a valid manifest, or with a file that does not match its
digest, is reported and passed over in favour of the next older one.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.core.errors import InputError
from pipeline.core.files import fsync_dir, read_json, sha256_file, write_json

log = logging.getLogger(__name__)

FORMAT = "dgx-pixels-checkpoint/1"
MANIFEST = "manifest.json"
STATE = "state.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A checkpoint that was read and found whole."""

    num_images: int
    path: Path
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: Where they stand; made when the first is saved.
        keep: Newest checkpoints to keep, from 1 up.
        identity: What a run may not change between save and resume, as dotted keys and values.
    """

    def __init__(self, folder: Path, *, keep: int, identity: Mapping[str, str]) -> None:
        self.folder = folder
        self.keep = keep
        self.identity = dict(identity)

    def save(
        self,
        num_images: int,
        tensors: Mapping[str, Mapping[str, Tensor]],
        state: Mapping[str, Any],
    ) -> Path:
        """Save one checkpoint and drop the oldest. Called on the main rank only.

        Returns:
            The checkpoint's folder.

        Raises:
            InputError: The disk is full or the folder cannot be written; nothing half-written is
                left and older checkpoints are untouched.
        """
        final = self.folder / f"{num_images:012d}"
        temporary = self.folder / f".tmp-{num_images:012d}-{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            temporary.mkdir()
            self._write(temporary, num_images, tensors, state)
            if final.exists():
                # The same position again, after a resume from an older one: the new one is whole.
                final.replace(self.folder / f".old-{final.name}-{os.getpid()}")
            temporary.replace(final)
            fsync_dir(self.folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise InputError(f"{final}: could not save the checkpoint ({error})") from error
        self._remove_leftovers()
        for stale in self._folders():
            # Later than now: found not valid when the run went on from an earlier one.
            if int(stale.name) > num_images:
                self._drop(stale)
        for old in self._folders()[: -self.keep]:
            self._drop(old)
        return final

    def latest(self) -> Checkpoint | None:
        """Read the newest valid checkpoint, or return None when there is none.

        Raises:
            InputError: The checkpoint belongs to another model, data set or setting; the message
                names the field, what was saved and what is asked for now.
        """
        for folder in reversed(self._folders()):
            try:
                found = _read(folder)
            except (SafetensorError, FileNotFoundError, KeyError, ValueError) as error:
                # Another error of the disk may pass: it ends the job, not the checkpoint.
                log.warning("checkpoint %s is not valid and is passed over: %s", folder, error)
                continue
            self._check_identity(folder, found[1])
            return found[0]
        return None

    def _write(
        self,
        folder: Path,
        num_images: int,
        tensors: Mapping[str, Mapping[str, Tensor]],
        state: Mapping[str, Any],
    ) -> None:
        for group, named in tensors.items():
            plain = {name: t.detach().cpu().contiguous() for name, t in named.items()}
            save_file(plain, folder / f"{group}.safetensors")
        (folder / STATE).write_text(json.dumps(dict(state), allow_nan=False), encoding="utf-8")
        digests = {}
        for file in sorted(folder.iterdir()):
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
            digests[file.name] = sha256_file(file)
        manifest = {
            "format": FORMAT,
            "num_images": num_images,
            "identity": self.identity,
            "sha256": digests,
        }
        write_json(folder / MANIFEST, manifest)
        fsync_dir(folder)

    def _check_identity(self, folder: Path, saved: Mapping[str, str]) -> None:
        for key in sorted(saved.keys() | self.identity.keys()):
            if saved.get(key) != self.identity.get(key):
                raise InputError(
                    f"{key}: the checkpoint {folder} was made with {saved.get(key)!r}, this run "
                    f"has {self.identity.get(key)!r}; restore it or start a new run"
                )

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if p.is_dir() and p.name.isdigit())

    def _drop(self, folder: Path) -> None:
        # Renamed first: a kill in the middle of the removal leaves no half checkpoint by its name.
        doomed = folder.with_name(f".old-{folder.name}-{os.getpid()}")
        folder.replace(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _remove_leftovers(self) -> None:
        for pattern in (".tmp-*", ".old-*"):
            for leftover in self.folder.glob(pattern):
                shutil.rmtree(leftover, ignore_errors=True)


def _read(folder: Path) -> tuple[Checkpoint, dict[str, str]]:
    manifest = read_json(folder / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise InputError(f"format is {manifest.get('format')!r}, not {FORMAT!r}")
    for name, digest in manifest["sha256"].items():
        if sha256_file(folder / name) != digest:
            raise InputError(f"{name} does not match its sha256")
    tensors = {
        Path(name).stem: load_file(folder / name)
        for name in manifest["sha256"]
        if name.endswith(".safetensors")
    }
    checkpoint = Checkpoint(
        num_images=int(manifest["num_images"]),
        path=folder,
        tensors=tensors,
        state=read_json(folder / STATE),
    )
    return checkpoint, dict(manifest["identity"])
