"""The records of what is said of an agent as a whole, by people or by whoever doubts it: no step hangs on them."""

from protocol.ids import Number
from protocol.step import LogRecord


class PausedRecord(LogRecord, frozen=True):
    """A person pauses the agent, or lets it go on (ST-14)."""

    is_on: bool
    note: str
    by: str
    time_us: Number
    """When, by the host's clock; it decides nothing."""
    proof: bytes = b""
    """What the person has signed; empty where nobody need sign."""


class HeldRecord(LogRecord, frozen=True):
    """Somebody keeps what the agent requests from being let go, or lets it go again (RQ-5)."""

    by: str
    """Who: several may hold one agent, and each lets go what is theirs."""
    is_on: bool
    note: str
    time_us: Number
    """When, by the host's clock; it decides nothing."""


class TierRecord(LogRecord, frozen=True):
    """A person sets the agent's tier, by its name: what it may do alone is its class's to say (ST-15)."""

    tier: str
    note: str
    by: str
    time_us: Number
    """When, by the host's clock; it decides nothing."""
    proof: bytes = b""
    """What the person has signed; empty where nobody need sign."""
