"""``smoke.json``, what a smoke run leaves: its name, its format, how it is read. No torch.

{"format", "environment": {...}, "checked": {"by", "passed", "how", "verdicts"}, "settings": {...},
 "weights_sha256", "device", "pictures": [{"file", "prompt", "pixels_sha256", ...}],
 "speed": {"rate_img_per_s", "latency_p95_s", "latency_s"}, "peak_memory_mib", "peak_memory_of"}
"""

from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError
from pipeline.core.files import read_json

FORMAT = "dgx-pixels-smoke/1"
FILE = "smoke.json"
NONE = "none here"
"""What is shown for what a machine has not."""


def read_smoke(path: Path) -> dict[str, Any]:
    """Read a record from its own file, a run folder or a baseline.

    Raises:
        InputError: It is missing, or not such a record.
    """
    file = path / FILE if path.is_dir() else path
    value = read_json(file)
    # A baseline of bench holds the whole record beside its figures.
    extra = value.get("extra")
    told = extra.get("smoke") if isinstance(extra, dict) else value
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise InputError(f"{file}: no {FORMAT} record; give a {FILE}, a run or a baseline")
    kinds = {"environment": dict, "settings": dict, "speed": dict, "pictures": list}
    for key, kind in kinds.items():
        if not isinstance(told.get(key), kind):
            raise InputError(f"{file}: {key} is missing or not a {kind.__name__}")
    return told
