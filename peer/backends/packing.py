"""How many agents share a host where nobody has said, and whether those that are wanted fit into memory."""

from collections.abc import Callable, Sequence
from pathlib import Path

from peer import errors

AUTO = "auto"
"""In place of a number of agents for each host."""
TOGETHER_MAX = 5_000
"""Agents that share a host at most, where nobody has said otherwise."""
AGENT_BYTES = 20_000
"""What an idle agent takes, at the least (docs/scale.md)."""
HOST_BYTES = {"ray": 48_000_000, "local": 0}
"""What the process of a host takes, at the least, beyond what all of them share."""
MEMINFO = Path("/proc/meminfo")
NAMED = 3
"""Agents that are named where a host is."""


def together(agents: int, hosts_up: int, cores: int, replicas: int) -> int:
    """Return how many agents are to share a host: one host a core, and as many as are to keep copies.

    Args:
        agents: how many are launched.
        hosts_up: how many hosts there are already.
        cores: how many processors all machines have.
        replicas: how many other hosts keep copies of a host's logs.
    """
    hosts = max(cores, replicas + 1) - hosts_up
    return max(1, min(TOGETHER_MAX, -(-agents // max(1, hosts))))


def available_bytes() -> int | None:
    """Return how much memory this machine has left; None where it does not say."""
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def check_fits(agents: int, hosts: int, backend: str, available: int | None) -> None:
    """Check that agents that are to run on this machine fit into its memory, idle and with nothing in their logs.

    Raises: CallerError, telling what they would take at the least, and how much there is.
    """
    least = agents * AGENT_BYTES + hosts * HOST_BYTES.get(backend, 0)
    if available is not None and least > available:
        raise errors.CallerError(
            f"{agents:,} agents on {hosts:,} hosts take at least {least / 1e9:.1f} GB, and this machine has"
            f" {available / 1e9:.1f} GB left. Nothing was started. Launch fewer, have more of them share a host"
            f" (agents_per_actor={AUTO!r}), or use several machines."
        )


def few(names: Sequence[str], most: int = NAMED) -> str:
    """Name some agents, and tell how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counting(tell: Callable[[int, int], None], of: int) -> Callable[[int], None]:
    """Return what takes how many more are up, and tells how many are, of so many."""
    up = 0

    def came(more: int) -> None:
        nonlocal up
        up += more
        tell(up, of)

    return came
