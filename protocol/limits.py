"""Every bound, with its reason. A bound that is met is reported, never silent."""

from msgspec import Struct

FRAME_BYTES_MAX = 32 << 20
"""Larger frames are refused: a vote of 100,000 cone steps has about 4 MB."""

ENVELOPES_MAX = 4096
"""Messages in one frame: a host flushes what one turn of its loop has made."""

CLOCK_ENTRIES_MAX = 100_000
"""Agents upstream of one step: more is a broken or hostile clock."""

VOTE_STEPS_MAX = 1_000_000
"""Cone steps in one vote."""


class Limits(Struct, frozen=True):
    """What a peer waits for and how often it tries, in microseconds and counts."""

    resend_us: int = 200_000
    """First wait for an acknowledgment; a same-host round trip with two fsyncs takes a few ms."""
    resend_us_max: int = 5_000_000
    """The wait doubles up to this: a receiver may take long over a step."""
    resend_batch: int = 64
    """Messages resent to one receiver at a time, so that a dead one costs little."""
    window: int = 1024
    """Unacknowledged messages under way to one receiver; the rest wait in the log."""
    ask_us: int = 100_000
    """First wait for a missing vote or Done before it is asked for; doubles."""
    ask_us_max: int = 3_000_000
    attempts_max: int = 16
    """Runs of one input that rollbacks gave back, before it is a dead letter: no livelock."""
    failures_max: int = 3
    """Exceptions of one input's handler before it is a dead letter, unless the agent's policy says else."""
    failure_wait_us: int = 50_000
    """First wait before a failed input is tried again; doubles."""
    undo_tries_max: int = 6
    """Tries of one undo before an overseer is told; it stays in the journal."""
    undo_wait_us: int = 50_000
    """First wait between tries of an undo; doubles."""
    effect_wait_us: int = 300_000_000
    """How long an undone step's effect waits for the new run of its lineage, before it is undone."""
    order_wait_us: int = 10_000_000
    """How long an undo waits for the undos that depend on it, before it goes on and says so."""


class CheckpointLimits(Struct, frozen=True):
    """When a host begins a checkpoint, and how it gossips, in microseconds and counts."""

    interval_us: int = 0
    """A member begins an epoch this long after the last commit that it knows; 0: only when asked."""
    gossip_us: int = 100_000
    """How often a host tells one other what it knows of an open count."""
    epochs_kept: int = 4
    """Committed epochs that can be restored to; what is older is folded (CP-6)."""
