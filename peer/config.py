"""What users set, checked: bad values are named, with what they may be."""

import re
import warnings

from peer import errors
from peer.store.storage import Storage
from peer.values.texts import check_agent_name
from protocol.limits import CheckpointLimits
from protocol.policy import PolicyMaker

_DURABILITY = re.compile(r"local|replicated(\((?P<count>\d{1,3})\))?")


def checkpoint_limits(
    every_s: float, kept: int, replicas: int, successor_s: float, policy: PolicyMaker | None = None,
    durability: str = "local", storage: Storage | None = None,
) -> CheckpointLimits:  # fmt: skip
    """Return the limits of checkpoints and successions.

    Args:
        every_s: seconds from one checkpoint to the next; 0: only when asked.
        kept: committed checkpoints that can be restored to.
        replicas: how many other hosts keep a copy of a host's logs.
        successor_s: seconds for which a host must have failed before a backup succeeds it.
        policy: says how long to wait, instead of `every_s`.
        durability: `local`, or `replicated(k)`: on k other hosts; without a number, as many as `replicas` says.
        storage: says how long checkpoints are kept, besides how many.

    Raises: CallerError, naming the value.
    """
    found = _DURABILITY.fullmatch(durability)
    if found is None:
        raise errors.CallerError(
            f"durability={durability!r}: it is 'local', or 'replicated(k)' with k other hosts. Nothing was started."
        )
    is_replicated = durability != "local"
    if is_replicated:
        replicas = int(found["count"] or replicas or 1)
        if not replicas:
            raise errors.CallerError(f"durability={durability!r}: at least one other host. Nothing was started.")
    for name, value, least in (
        ("checkpoint_every_s", every_s, 0), ("checkpoints_kept", kept, 1), ("replicas", replicas, 0),
        ("successor_s", successor_s, 0),
    ):  # fmt: skip
        if value < least:
            raise errors.CallerError(f"{name}={value}: at least {least}. Nothing was started.")
    return CheckpointLimits(
        interval_us=int(every_s * 1e6), epochs_kept=kept, replicas=replicas, successor_us=int(successor_s * 1e6),
        policy=policy, is_replicated=is_replicated,
        kept_us=0 if storage is None else storage.checkpoints_kept_s * 1_000_000,
        kept_bytes=0 if storage is None else storage.checkpoints_kept_bytes,
    )  # fmt: skip


def replicas_of(replicas: int, buddies: int | None) -> int:
    """Return how many copies are wanted, where a caller may still use the old name of `replicas`."""
    if buddies is None:
        return replicas
    warnings.warn("buddies=... is called replicas=... now; the old name will go", DeprecationWarning, stacklevel=3)
    return buddies


def check_names(names: list[str], taken: list[str]) -> None:
    """Check what new agents are to be called.

    Raises: CallerError, naming the first that is taken, there twice, or not made of letters, digits, '.', '_' and '-'.
    """
    seen = set(taken)
    for name in names:
        check_agent_name(name, "Nothing was started.")
        if name in seen:
            raise errors.CallerError(f"there is an agent {name!r} already. Nothing was started.")
        seen.add(name)
