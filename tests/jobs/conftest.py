from collections.abc import Iterator

import pytest

from jobs.runtime import meter as module
from tests.fakes.metering import Gpus


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "openers", lambda **_: [Gpus])
    monkeypatch.setattr(module, "visible_uuids", lambda _: ("a", "b"))
    yield
