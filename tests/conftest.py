from pathlib import Path

import pytest

from pipeline.data.conf import PrepareConfig, SourceConfig, SourceKind
from pipeline.data.prepare import prepare


@pytest.fixture(scope="session")
def smoke_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of our own drawing, tiles and sprites, with a validation split."""
    out = tmp_path_factory.mktemp("data") / "smoke"
    source = SourceConfig(kind=SourceKind.procedural, num_images=48)
    cfg = PrepareConfig(source=source, out=out, validation_fraction=0.2)
    assert prepare(cfg, should_stop=lambda: False).finished
    return out
