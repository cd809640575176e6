import pytest

from pipeline.models.conf import FamilyName, ModelConfig
from tests.fakes.adapters import NANO
from tests.fakes.tiny import build_tiny


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[FamilyName, ModelConfig]:
    """A small base of each family."""
    made = {FamilyName.pixelnano: NANO}
    for family in (FamilyName.sd15, FamilyName.sdxl):
        folder = build_tiny(family, tmp_path_factory.mktemp("base") / family.value)
        made[family] = ModelConfig(family=family, path=folder, size_px=64)
    return made
