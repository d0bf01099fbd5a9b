"""For all tests: each runs as if it were the only one."""

import logging
import os
from collections.abc import Iterator

import pytest

# Workers of pytest-xdist are told 80, and what is piped is not cut to a width.
os.environ.pop("COLUMNS", None)


@pytest.fixture(autouse=True)
def _said_as_before() -> Iterator[None]:
    """Commands that run in this process may silence the runtime, as they may in one of their own."""
    logger = logging.getLogger("ebbtide")
    level = logger.level
    yield
    logger.setLevel(level)
