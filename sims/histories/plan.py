"""What a seed decides before anything of a history runs."""

from dataclasses import dataclass, replace
from random import Random

MS = 1000
"""Microseconds in a millisecond."""

CONVERSING = 1_000_000
"""Seeds from here on have conversations in their histories."""

STRANGE = 2_000_000
"""Seeds from here on have names that nobody has heard of, for a while or ever."""

TIMED = 3_000_000
"""Seeds from here on set timers, and cancel them."""

CALLED_OFF = 4_000_000
"""Seeds from here on have inputs that somebody calls off while they wait or run."""

CROWDED = 5_000_000
"""Seeds from here on have agents that begin nothing from outside while little of what they sent is not taken yet."""


PEOPLED = 6_000_000
"""Seeds from here on have requests that wait for people, and overseers of rollbacks."""

SHELVING = 7_000_000
"""Seeds from here on have agents that keep few messages at hand, and little under way."""

SLEEPING = 8_000_000
"""Seeds from here on have agents that sleep while nothing concerns them, and work that comes in turns."""


@dataclass
class Plan:
    """What a seed decides before anything runs; a test may give its own."""

    seed: int
    agents: int = 4
    inputs: int = 12
    depth: int = 4
    fan_out: int = 2
    proposals: int = 2
    rejects: float = 0.1
    loss: float = 0.05
    double: float = 0.05
    crashes: int = 2
    keys: int = 3
    shared: float = 0.3
    calls: float = 0.3
    delay_us: int = 5 * MS
    losses: int = 0
    """Disks whose last records go; a history has these or proposals, not both."""
    steps_max: int = 400
    hosts: int = 0
    """How many hosts the agents share; 0: each has its own."""
    late: float = 0.0
    """Share of hosts that come later."""
    checkpoints: int = 0
    """How often a host begins an epoch."""
    restores: int = 0
    """How often everything goes back to a committed epoch."""
    deaths: int = 0
    """Hosts that die for good, and are succeeded by others."""
    kept: int = 3
    """Committed epochs that can be restored to; steps before them are forgotten."""
    tolerant: float = 0.0
    """Share of shared reads that declare a tolerance."""
    conversations: int = 0
    """Inputs that begin a conversation: each turn answers the last, round a ring of agents."""
    turns: int = 0
    """How many turns one has."""
    redrives: int = 0
    """How often somebody has a dead letter handled after all."""
    strange: float = 0.0
    """Share of steps that send to a name that nobody has; above 0, who begins anew hears of others by and by."""
    calloffs: int = 0
    """How often somebody calls an input off."""
    timed: float = 0.0
    """Share of steps that set a timer; a quarter as many cancel what is set under a key."""
    backlog: int = 0
    """How many messages that are not taken keep an agent from what comes from outside; 0: as many as it is usual."""

    window: int = 0
    """How many messages may be under way to one receiver; 0: as many as it is usual."""
    at_hand: int = 0
    """How many memory holds; 0: as many as it is usual."""
    unread: float = 0.0
    """How often what lies on the shelf can't be read when it is asked for."""

    requests: float = 0.0
    """Share of steps that request something, most of it of people."""
    words: int = 0
    """How often somebody looks at what waits, and says something of it."""
    overseen: float = 0.0
    """Share of agents whose rollbacks a person oversees."""
    sleeps: bool = False
    """Agents that nothing concerns are told of no cuts and commits (CP-13)."""

    @classmethod
    def random(cls, seed: int) -> "Plan":
        """Draw a plan: small worlds of every kind, more often than large ones."""
        rng = Random(seed)
        losing = rng.random() < 0.15
        quiet = rng.random() < 0.2
        plan = cls(
            seed=seed,
            agents=rng.choice((2, 2, 3, 3, 4, 5, 6, 8)),
            inputs=rng.randint(2, 14),
            depth=rng.randint(1, 5),
            fan_out=rng.choice((1, 1, 2, 2, 3)),
            proposals=rng.choice((0, 1, 2)) if losing else rng.choice((1, 1, 2, 3)),
            rejects=rng.choice((0.0, 0.0, 0.1, 0.4)),
            loss=0.0 if quiet else rng.choice((0.0, 0.05, 0.2)),
            double=0.0 if quiet else rng.choice((0.0, 0.1)),
            crashes=0 if quiet else rng.choice((0, 1, 3)),
            keys=rng.choice((1, 2, 5)),
            shared=rng.choice((0.0, 0.0, 0.3, 0.6)),
            calls=rng.choice((0.0, 0.3, 0.6)),
            delay_us=rng.choice((1, 5, 30)) * MS,
            losses=rng.choice((1, 2)) if losing else 0,
        )
        plan = replace(
            plan,
            hosts=rng.choice((0, 0, 1, 2, 3)),
            late=rng.choice((0.0, 0.0, 0.3)),
            checkpoints=rng.choice((0, 2, 5, 8)),
            restores=rng.choice((0, 0, 1, 2)),
            kept=rng.choice((1, 1, 2, 3)),
            deaths=rng.choice((0, 0, 0, 1)),
            tolerant=rng.choice((0.0, 0.0, 0.5)),
        )
        if seed < CONVERSING:
            return plan
        if seed >= SLEEPING:
            return _sleeping(plan)
        if seed >= SHELVING:
            return _shelving(plan)
        if seed >= PEOPLED:
            rng = Random(f"{seed}/people")
            return replace(
                plan,
                requests=rng.choice((0.2, 0.5)),
                words=rng.choice((4, 12, 40)),
                overseen=rng.choice((0.0, 0.5, 1.0)),
                checkpoints=rng.choice((2, 5, 8)),
                timed=rng.choice((0.0, 0.0, 0.2)),
            )
        if seed >= CROWDED:
            rng = Random(f"{seed}/crowds")
            return replace(plan, backlog=rng.choice((1, 2, 4)), inputs=rng.randint(6, 30))
        if seed >= CALLED_OFF:
            rng = Random(f"{seed}/called off")
            return replace(plan, calloffs=rng.choice((4, 12, 30)), timed=rng.choice((0.0, 0.0, 0.3)))
        if seed >= TIMED:
            return replace(plan, timed=Random(f"{seed}/timers").choice((0.2, 0.5, 0.8)))
        if seed >= STRANGE:
            rng = Random(f"{seed}/strange")
            strange, late = rng.choice((0.01, 0.1, 0.3)), rng.choice((0.0, 0.3, 0.6))
            return replace(plan, strange=strange, late=late, redrives=rng.choice((0, 2, 6)))
        # A generator of its own: seeds below draw what they always drew.
        rng = Random(f"{seed}/conversations")
        return replace(
            plan,
            conversations=rng.choice((1, 1, 2, 3)),
            turns=rng.choice((6, 20, 60, 150)),
            proposals=rng.choice((1, 2, 4)),
            delay_us=rng.choice((1, 1, 5)) * MS,
            inputs=rng.randint(0, 6),
        )


def _shelving(plan: Plan) -> Plan:
    rng = Random(f"{plan.seed}/shelves")
    return replace(
        plan,
        window=rng.choice((1, 2, 8)),
        at_hand=rng.choice((1, 2, 5)),
        unread=rng.choice((0.0, 0.0, 0.2)),
        fan_out=rng.choice((2, 4, 6)),
        depth=rng.choice((1, 1, 2)),
        inputs=rng.randint(4, 12),
        delay_us=rng.choice((1, 1, 5)) * MS,
        strange=rng.choice((0.0, 0.0, 0.1)),
        timed=rng.choice((0.0, 0.0, 0.2)),
        checkpoints=rng.choice((0, 5, 12)),
        losses=rng.choice((0, 1, 2)) if plan.losses else 0,
    )


def _sleeping(plan: Plan) -> Plan:
    rng = Random(f"{plan.seed}/sleep")
    return replace(
        plan,
        sleeps=True,
        agents=rng.choice((3, 4, 6, 8)),
        hosts=rng.choice((1, 2, 3, 3, 4, 4)),
        # Few inputs, and few agents each: so some sleep while others work.
        inputs=rng.randint(1, 10),
        depth=rng.choice((0, 1, 1, 2, 3)),
        fan_out=rng.choice((1, 1, 2)),
        shared=rng.choice((0.0, 0.0, 0.0, 0.3)),
        calls=rng.choice((0.0, 0.0, 0.3)),
        checkpoints=rng.choice((8, 16, 30)),
        kept=rng.choice((1, 1, 1, 2)),
        crashes=rng.choice((0, 1, 3, 6)),
        deaths=rng.choice((0, 1, 1)),
        restores=rng.choice((0, 0, 1, 2)),
        delay_us=rng.choice((1, 1, 5)) * MS,
        timed=rng.choice((0.0, 0.0, 0.2)),
        requests=rng.choice((0.0, 0.0, 0.2)),
    )
