"""The runs whose logs the tests of this folder ask."""

from pathlib import Path

import pytest
from shop import Scene, played

from peer.audit import Trail, read_trail

OLD = Path(__file__).parents[3] / "data" / "logs" / "0.1.0-sqlite"


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return played(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def trail(scene: Scene) -> Trail:
    return read_trail(scene.folder)


@pytest.fixture
def old() -> Path:
    """Logs of the release before steps told their models, and intents their kinds."""
    return OLD
