"""The header of a safetensors file: what a LoRA says of itself, without reading its tensors.

The format: 8 bytes of header length, little-endian; JSON padded with spaces, its ``__metadata__``
an object of strings; the tensors, at offsets counted from the header's end.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_bytes, sha256_file

METADATA = "__metadata__"
MAX_BYTES = 100_000_000
"""What the format allows a header."""
SPEC_HASH = "modelspec.hash_sha256"
SHORT_HASH = "sshs_model_hash"
"""What A1111 and its kin show as a LoRA's hash: that of the tensors alone."""

RUN_KEY = "dgx_pixels_run"
COMMIT_KEY = "dgx_pixels_code_commit"
DIFF_KEY = "dgx_pixels_code_diff_sha256"
TITLE_KEY = "modelspec.title"
OUTPUT_KEY = "ss_output_name"
WHO = frozenset({RUN_KEY, COMMIT_KEY, DIFF_KEY, TITLE_KEY, OUTPUT_KEY})
"""Keys that tell one run from another that made the same."""


def read_header(path: Path) -> tuple[dict[str, str], dict[str, Any], int]:
    """Return metadata, what there is of each tensor (dtype, shape, offsets), and the length.

    The length is that of everything before the tensors.

    Raises:
        InputError: The file is missing or not a safetensors file.
    """
    broken = f"{path} is not a whole safetensors file"
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= MAX_BYTES:
                raise InputError(broken)
            header = json.loads(file.read(length))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, IsADirectoryError) as error:
        raise InputError(broken) from error
    if not isinstance(header, dict):
        raise InputError(broken)
    metadata = header.pop(METADATA, None) or {}
    return dict(sorted(metadata.items())), header, 8 + length


def with_metadata(data: bytes, metadata: Mapping[str, str]) -> bytes:
    """Give a serialised file these metadata and the hash of its tensors, in sorted order.

    safetensors' own writer orders metadata at random; the same call gives the same bytes here.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    tensors = memoryview(data)[8 + length :]
    digest = hashlib.sha256(tensors).hexdigest()
    told = dict(metadata) | {SPEC_HASH: f"0x{digest}", SHORT_HASH: digest}
    header[METADATA] = dict(sorted(told.items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + tensors


def tensors_sha256(path: Path) -> str:
    """Return the digest of all tensor bytes, without the header."""
    start = read_header(path)[2]
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()


def made_sha256(path: Path) -> str:
    """Return a digest of what was made, whoever made it: all but the keys of ``WHO``.

    Two runs of one config on one data set give the same. A file that cannot be read counts whole.
    """
    try:
        metadata, tensors, _ = read_header(path)
    except InputError:
        return sha256_file(path)
    kept = {key: value for key, value in metadata.items() if key not in WHO}
    text = json.dumps([kept, tensors], sort_keys=True)
    return sha256_bytes(f"{text} {tensors_sha256(path)}".encode())
