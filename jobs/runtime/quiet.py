"""Libraries that talk at import and while they load: told to speak of errors only."""

import os


def quiet_libraries() -> None:
    """Side effect: set what transformers, diffusers and the hub read when they are imported."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Its one warning at import is about torchvision, which nothing here needs.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
