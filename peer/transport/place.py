"""Where a host is reached, as its announcement says it: its sockets, and the key that answers there.

    tcp://10.0.0.7:40123?key=<public key, 64 hex digits>&door=40124

The key goes with the address, so whoever connects knows whom it reaches before it says anything.
"""

from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from peer.errors import ConfigInvalid
from peer.keys import PUBLIC_KEY_BYTES


class Place(NamedTuple):
    """One host's."""

    members: str
    """Where members send to, as ZeroMQ writes it."""
    door: str
    """Where whoever is not known yet shows its chain."""
    key: bytes
    """The public key of the host that is there."""

    def __str__(self) -> str:
        return f"{self.members}?key={self.key.hex()}&door={self.door.rpartition(':')[2]}"

    @classmethod
    def of(cls, address: str) -> "Place":
        """Return the place that an address names.

        Raises: ConfigInvalid, for what names none: addresses come from others, and may be nonsense.
        """
        try:
            parts = urlsplit(address)
            said = parse_qs(parts.query)
            key, door, port = bytes.fromhex(said["key"][0]), int(said["door"][0]), parts.port
        except (ValueError, KeyError, IndexError):
            key, door, port, parts = b"", 0, None, urlsplit("")
        if parts.scheme != "tcp" or not parts.hostname or not port or len(key) != PUBLIC_KEY_BYTES:
            raise ConfigInvalid(
                f"{address[:200]!r} is no address of a host. Nothing was sent. It has to be as a host announces it:"
                " tcp://ADDRESS:PORT?key=KEY&door=PORT."
            )
        machine = parts.netloc.rpartition(":")[0]
        return cls(f"tcp://{machine}:{port}", f"tcp://{machine}:{door}", key)
