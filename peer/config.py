"""What users set, checked: bad values are named, with what they may be."""

import math
import operator
import os
import re
import warnings
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from peer import errors
from peer.store.storage import Storage
from peer.values.brief import brief
from peer.values.texts import check_agent_name
from protocol.limits import CheckpointLimits, Limits
from protocol.policy import PolicyMaker

_DURABILITY = re.compile(r"local|replicated(\((?P<count>\d{1,3})\))?")
SECONDS_MAX = 1e9
"""Some thirty years: what is longer is a mistake, and overflows in microseconds."""


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
    found = _DURABILITY.fullmatch(durability) if isinstance(durability, str) else None
    if found is None:
        raise errors.CallerError(
            f"durability={durability!r}: it is 'local', or 'replicated(k)' with k other hosts. Nothing was started."
        )
    interval_us = _seconds("checkpoint_every_s", every_s)
    kept = count("checkpoints_kept", kept, 1)
    replicas = count("replicas", replicas, 0)
    successor_us = _seconds("successor_s", successor_s)
    is_replicated = durability != "local"
    if is_replicated:
        replicas = int(found["count"] or replicas or 1)
        if not replicas:
            raise errors.CallerError(f"durability={durability!r}: at least one other host. Nothing was started.")
    return CheckpointLimits(
        interval_us=interval_us, epochs_kept=kept, replicas=replicas, successor_us=successor_us,
        policy=policy, is_replicated=is_replicated,
        kept_us=0 if storage is None else storage.checkpoints_kept_s * 1_000_000,
        kept_bytes=0 if storage is None else storage.checkpoints_kept_bytes,
    )  # fmt: skip


def count(name: str, value: Any, least: int) -> int:
    """Return a whole number that somebody has set. Raises: CallerError, naming it."""
    if isinstance(value, bool):
        _refused(name, value, f"a whole number, at least {least}")
    try:
        found = operator.index(value)
    except TypeError:
        _refused(name, value, f"a whole number, at least {least}")
    if found < least:
        raise errors.CallerError(f"{name}={found}: at least {least}. Nothing was started.")
    return found


def folder_named(name: str, value: Any) -> Path:
    """Return a folder that somebody has named. Raises: CallerError, naming it."""
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        _refused(name, value, "a path, as a str or a Path")
    return Path(value)


def check_limits(limits: Any) -> None:
    """Check limits that somebody has set. Raises: CallerError, naming what is none."""
    if not isinstance(limits, Limits):
        _refused("limits", limits, "Limits(...), or left out")
    for name, value in msgspec.structs.asdict(limits).items():
        count(f"limits.{name}", value, 0)


def _seconds(name: str, value: Any) -> int:
    """Return seconds that somebody has set, in microseconds. Raises: CallerError, naming them."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value > SECONDS_MAX:
        _refused(name, value, f"seconds, from 0 to {SECONDS_MAX:,.0f}")
    if value < 0:
        raise errors.CallerError(f"{name}={value}: at least 0. Nothing was started.")
    return int(value * 1e6)


def _refused(name: str, value: Any, what: str) -> NoReturn:
    raise errors.CallerError(f"{name}={brief(value)}: it is {what}. Nothing was started.")


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
