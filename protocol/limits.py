"""Every bound, with its reason. A bound that is met is reported, never silent."""

from msgspec import Struct

from protocol.policy import PolicyMaker

FRAME_BYTES_MAX = 1 << 20
"""Larger frames are refused before memory is taken for them: a stranger may announce what it likes."""

WHOLE_BYTES_MAX = 1 << 30
"""What is cut into pieces for the wire, as a whole: the largest step, or the largest space, fits into it."""

STEP_BYTES_MAX = WHOLE_BYTES_MAX // 2
"""Of what one step writes and sends together: it is refused when it is made, not when it can't be copied any more."""

PIECE_BYTES = 256 << 10
"""Of one piece: what is larger than two is cut, so that nothing else waits long behind it."""

ENVELOPES_MAX = 4096
"""Messages in one frame: a host flushes what one turn of its loop has made."""

CLOCK_ENTRIES_MAX = 100_000
"""Agents upstream of one step: more is a broken or hostile clock."""

MEMBERS_MAX = 100_000
"""Hosts that a tally or a commit names: more is a broken or hostile one."""

VOTE_STEPS_MAX = 1_000_000
"""Cone steps in one vote."""


GROUP_MEMBERS_MAX = 256
"""Members of one group of requests: each tells all others what it says."""

SOURCES_MAX = 10_000
"""External sources, and so keys of inputs, that an agent remembers: the least recently used is forgotten first."""

FACTS_MAX = 4096
"""Facts in one frame; a host sends fewer at a time."""

PROBES_MAX = 64
"""Probes in one frame; a host sends one or two."""

COMPARED_MAX = 4096
"""Hashes, names and wants in one comparison of facts: each may cost its reader a look at all facts."""

NUMBER_MAX = 1 << 61
"""Versions, incarnations and terms: microseconds since 1970 stay below it for 73,000 years, four fit into a word."""

NEVER_US = 1 << 60
"""When a request is due that waits for its answer, and for nothing else."""


class Limits(Struct, frozen=True):
    """What a peer waits for and how often it tries, in microseconds and counts."""

    resend_us: int = 200_000
    """The least wait for an acknowledgment; a same-host round trip with two fsyncs takes a few ms."""
    resend_us_max: int = 5_000_000
    """The wait follows what acknowledgments take, and doubles in vain, up to this: a receiver may take its time."""
    resend_batch: int = 64
    """Messages resent to one receiver at a time, so that a dead one costs little."""
    window: int = 1024
    """Unacknowledged messages under way to one receiver; the rest wait in the log."""
    at_hand: int = 2048
    """Messages to one receiver that memory holds: two windows. Those that wait behind them lie on disk (CL-5)."""
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
    """Tries of one undo before people are told; it is tried on, until it succeeds or somebody settles it (EF-4)."""
    undo_wait_us: int = 50_000
    """First wait between tries of an undo; doubles."""
    undo_wait_us_max: int = 180_000_000
    """Up to this: a service that was down for an hour is asked again within minutes of its return."""
    effect_wait_us: int = 300_000_000
    """How long an undone step's effect waits for the new run of its lineage, before it is undone."""
    mailbox_max: int = 100_000
    """Inputs that may wait at an agent when more come from outside: some 100 MB; more are not taken on (ST-13)."""
    backlog_max: int = 100_000
    """Messages that an agent has sent and nobody has taken yet: with more it begins nothing from outside (ST-13)."""
    unplaced_us: int = 60_000_000
    """How long a message waits for an agent that nobody has heard of, before it counts as undeliverable (CL-7)."""
    order_wait_us: int = 10_000_000
    """How long an undo waits for the undos that depend on it, before it goes on and says so."""


class CheckpointLimits(Struct, frozen=True):
    """When a host begins a checkpoint, and how it gossips, in microseconds and counts."""

    interval_us: int = 0
    """A member begins an epoch this long after the last commit that it knows; 0: only when asked."""
    interval_records: int = 0
    """It begins one once its agents have written so many records since their last cut; 0: no such bound."""
    interval_bytes: int = 0
    """The same, in bytes."""
    failure_us: int = 0
    """Mean time between failures: with it the interval follows from the measured cost of a checkpoint (CP-9)."""
    policy: PolicyMaker | None = None
    """Makes the policy that says how long to wait, in place of the two above (CP-9)."""
    gossip_us: int = 100_000
    """How often a host tells one other what it knows of an open count."""
    epochs_kept: int = 4
    """Committed epochs that can be restored to; what is older is folded (CP-6)."""
    kept_us: int = 0
    """Epochs younger than this are kept, however many; 0: by count alone."""
    kept_bytes: int = 0
    """Of epochs, no more than those in which agents of this host wrote so many bytes; 0: no such bound."""
    replicas: int = 0
    """Other hosts that keep copies of this one's logs; 0: none, and nobody succeeds a host that is dead for good."""
    is_replicated: bool = False
    """Every record is with the backups before anything leaves, not facts alone: losing a disk loses nothing (CP-10)."""
    successor_us: int = 30_000_000
    """How long a host must have failed before a backup proposes to succeed it: far longer than a restart takes."""


class HostLimits(Struct, frozen=True):
    """What a host waits for among hosts, in microseconds and counts."""

    probe_us: int = 1_000_000
    """A host probes one other in each such period: two frames, however many hosts there are."""
    probe_timeout_us: int = 400_000
    """Without an answer by then, others are asked to probe: ten slow round trips, so a busy process still answers."""
    helpers: int = 3
    """How many others are asked; each fails on its own, so three make a false alarm rare."""
    relays_max: int = 1000
    """Probes for others under way; at the bound the oldest is dropped, and its asker hears nothing."""
    health_max: int = 8
    """How many times slower a host may get that doubts itself (Lifeguard's S)."""
    suspicion_periods: int = 4
    """The least time to refute, in probe periods for each factor of ten of hosts: rumours take log N rounds."""
    suspicion_stretch: int = 6
    """How many times that a lone doubt waits (Lifeguard's beta)."""
    confirmations: int = 3
    """Doubts of others that bring the wait down to its least (Lifeguard's K)."""
    fan_out: int = 3
    """To how many others a host passes news on at a time: more than two reaches all with high probability."""
    gossip_us: int = 100_000
    """Pushes of news are this far apart, and what is new meanwhile goes along: frames are bounded, whatever happens."""
    rumour_factor: int = 1
    """A piece of news is sent this many times log2 N by each host: N / e^(log2 N) hosts miss it, fewer than one."""
    rumours_max: int = 4096
    """News under way at a host; at the bound the oldest is dropped, and is left to the repair."""
    weight_max: int = 2048
    """Names in one frame of facts, some 40 bytes each: well below `FACTS_MAX`, so that every frame is read."""
    repair_us: int = 1_000_000
    """How often a host compares its facts with those of another, chosen at random."""
    hurry_us: int = 100_000
    """The same, while the host knows nobody but its seeds."""
    retry_failed: int = 10
    """Every so many repairs one that failed is tried as well, for good: a partition heals by that."""
