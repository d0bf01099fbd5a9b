"""Which wire version each kind and each field came with (CL-8): hosts of two neighbouring releases run side by side."""

from functools import cache

VERSION = 2
"""The newest wire version that this release speaks."""
OLDEST = 1
"""The oldest one: that of the release before."""
FIRST = 1
"""What all kinds and fields have come with that have no line below."""

SINCE: dict[str, int] = {
    "Frame.speaks": 2,
    "Ballot.dates": 2,
    "Vote.refutes": 2,
    "Vote.whole": 2,
    "Vote.proof": 2,
    "Vote.incarnation": 2,
    "Copy.is_sealed": 2,
    "Deposit": 2,
    "Deposited": 2,
    "Reclaim": 2,
    "Returned": 2,
}
"""By kind, or `Kind.field`: the version that it came with, of all that frames and logs may hold.

A fact of a newer kind is kept back from an older host, so their comparisons differ (MB-3) until that one is replaced.
"""

PASSED_ON = (
    "HostFact", "Began", "Standing", "Suspicion", "Claim", "Edict",
    "Proposal", "Amendment", "ConeStep", "Suspect", "Grouped", "GroupVote", "Commit", "Restore", "Head",
)  # fmt: skip
"""What is signed or hashed as a whole, or passed on by who has not made it: it has no new fields, ever.

A host that does not know one would lose it on the way, and its hash or signature would not hold any more. `Vote` was to
be signed for the first time: what has lost its signature counts as long as there are such hosts (TR-10).
"""


def since(kind: type) -> int:
    """Return the version that a kind came with."""
    return SINCE.get(kind.__name__, FIRST)


@cache
def newer_than(version: int) -> frozenset[str]:
    """Return the kinds that whoever speaks no more than this version does not know."""
    return frozenset(name for name, came in SINCE.items() if came > version and "." not in name)


def is_read(version: int, newest: int = VERSION) -> bool:
    """Tell whether a host reads frames in a version.

    Args:
        version: theirs.
        newest: the newest one that the host speaks.
    """
    return OLDEST <= version <= newest
