"""A data set and settings so small that a bench takes a second."""

import pytest

from bench.conf import BenchConfig, BenchName
from jobs.bench import SCHEMA
from jobs.runtime.config import compose_config


@pytest.fixture
def settings(smoke_data):
    """From a bench's name and overrides to its settings on a tiny data set."""

    def make(bench: BenchName, *overrides: str) -> BenchConfig:
        return compose_config(
            "bench",
            SCHEMA,
            [
                f"bench={bench.value}",
                f"data.path={smoke_data}",
                "warmup=0",
                "repeats=1",
                *overrides,
            ],
        )

    return make
