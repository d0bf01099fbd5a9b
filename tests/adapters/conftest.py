"""Servers that the tests of one process share: each test takes names of its own on them."""

from collections.abc import Iterator

import pytest

from tests.adapters import servers


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with servers.postgres() as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def redis() -> Iterator[str]:
    with servers.redis() as url:
        yield url
