"""Agents on their way to the process of their host, in parts that are small enough to travel with its beginning.

Ray keeps what is larger than 100 kB in a store, as long as whoever has sent it lives: a host that outlives its launcher
could not begin again (ray-project/ray#53727).
"""

import zlib
from collections.abc import Sequence

from peer.agents.spec import AgentSpec
from peer.backends.ray_import import cloudpickle

PART_BYTES = 64 << 10


def packed(specs: Sequence[AgentSpec]) -> list[bytes]:
    """Return agents in parts. Raises: what pickling raises, for what can't be sent."""
    data = zlib.compress(cloudpickle.dumps(list(specs)), 1)  # type: ignore[reportPrivateImportUsage]
    return [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]


def unpacked(parts: Sequence[bytes]) -> list[AgentSpec]:
    """Return agents as they were packed."""
    return cloudpickle.loads(zlib.decompress(b"".join(parts)))  # type: ignore[reportPrivateImportUsage]
