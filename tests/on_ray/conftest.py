"""A real Ray for the tests of each module; its workers find the agents in the modules here."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},
    )  # fmt: skip
    yield
    ray.shutdown()
