"""What goes wrong, and when: plain values that can be combined with `+`, written to JSON, read back and shrunk.

Times are virtual seconds. Hosts are named `host-1`, `host-2`, ...; None stands for every host. What a fault does
to a world is in `sims.engine.weather`.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from sims.virtual.chance import AnySpread, Exponential, LogNormal, Pareto, Uniform, stream


class AnyFault(Struct, frozen=True, tag=True):
    """Something that goes wrong: the base of every fault, which only lets them be combined."""

    def __add__(self, other: "Fault | Sequence[Fault]") -> "list[Fault]":
        return [self, *([other] if isinstance(other, AnyFault) else other)]  # type: ignore[list-item]

    def __radd__(self, other: "Sequence[Fault]") -> "list[Fault]":
        return [*other, self]  # type: ignore[list-item]


class Loss(AnyFault, frozen=True):
    """A share of frames is lost."""

    share: float
    at: float = 0.0
    until: float = 1.0
    source: str | None = None
    target: str | None = None


class Duplicate(AnyFault, frozen=True):
    """A share of frames comes twice."""

    share: float
    at: float = 0.0
    until: float = 1.0
    source: str | None = None
    target: str | None = None


class Reorder(AnyFault, frozen=True):
    """A share of frames may overtake those before them."""

    share: float
    at: float = 0.0
    until: float = 1.0
    source: str | None = None
    target: str | None = None


class Delay(AnyFault, frozen=True):
    """Frames take longer by what the distribution says."""

    extra: AnySpread
    at: float = 0.0
    until: float = 1.0
    source: str | None = None
    target: str | None = None


class SlowPeer(AnyFault, frozen=True):
    """All that a host sends and receives takes `times` as long, and so does its disk."""

    host: str
    times: float = 20.0
    at: float = 0.0
    until: float = 1.0


class Partition(AnyFault, frozen=True):
    """Nothing passes between two groups of hosts until it heals; one way: nothing from the first to the second."""

    group: tuple[str, ...]
    others: tuple[str, ...] = ()
    """Empty: all the rest."""
    at: float = 0.0
    heal: float | None = 1.0
    """When; None: by `World.heal` alone."""
    one_way: bool = False


class Crash(AnyFault, frozen=True):
    """A host's process ends and starts again; what was not durable is gone."""

    host: str
    at: float = 0.0
    restart_after: float = 0.1
    disk: str = "kept"
    """`kept`; `torn`: a prefix of what was being written survives; `lost`: the end of each log is gone."""
    keep: float = 0.5
    """With a lost disk, which share of each log is still there."""


class Death(AnyFault, frozen=True):
    """A host dies and never comes back, if the others can succeed it.

    They can, if two views know it, of which a majority is left, and another host has a copy of its log.
    """

    host: str
    at: float = 0.0


class KillAtStep(AnyFault, frozen=True):
    """An agent's host ends at the border of the agent's n-th step."""

    agent: str
    nth: int
    point: str = "durable"
    """`asked`: before the step is durable, so it never was; `durable`: before anything of it has left."""
    restart_after: float = 0.1


class KillAtWrite(AnyFault, frozen=True):
    """An agent's host ends at the agent's n-th record of a kind."""

    agent: str
    record: str
    """Of `WRITES`: `intent` to `undone` are of its effects, `word` is a person's."""
    nth: int = 1
    point: str = "durable"
    """`asked`: before the record is durable, so it never was; `durable`: before anything has followed from it."""
    restart_after: float = 0.1


class KillDuringRollback(AnyFault, frozen=True):
    """A participant's host ends while a rollback is under way, at the n-th such record of the whole world."""

    record: str = "vote"
    """`vote` or `decision`."""
    nth: int = 1
    point: str = "durable"
    restart_after: float = 0.1


class KillDuringSuccession(AnyFault, frozen=True):
    """The successor of a dead host ends while it takes over, at the n-th write of this kind in the whole world."""

    record: str = "decided"
    """`decided`: who succeeds whom; `taken`: a record of an agent that is taken over, its log's beginning first."""
    nth: int = 1
    point: str = "durable"
    restart_after: float | None = 0.1
    """None: it dies for good, if it can be succeeded itself."""


class KillDuringMove(AnyFault, frozen=True):
    """A host ends while an agent goes or comes, at the n-th such write of the whole world."""

    record: str = "moved"
    """`moved`: that it is another host's; `arrived`: that it is here; `handed`: that it is known to be there."""
    nth: int = 1
    point: str = "durable"
    restart_after: float | None = 0.1
    """None: it dies for good, if it can be succeeded."""


class ClockSkew(AnyFault, frozen=True):
    """A host's clock is wrong by `skew_ms`, and gains `drift_ppm` microseconds a second, from the start."""

    host: str
    skew_ms: float = 0.0
    drift_ppm: int = 0


class FailedWrite(AnyFault, frozen=True):
    """A host's first write after `at` fails: its agents stop, and it starts again."""

    host: str
    at: float = 0.0
    restart_after: float = 0.1


class TornWrite(AnyFault, frozen=True):
    """A host ends during its first write after `at`: a prefix of what was being written survives."""

    host: str
    at: float = 0.0
    restart_after: float = 0.1


class FailedUndos(AnyFault, frozen=True):
    """The world outside fails the next undos."""

    count: int = 1
    at: float = 0.0


Fault = (
    Loss
    | Duplicate
    | Reorder
    | Delay
    | SlowPeer
    | Partition
    | Crash
    | Death
    | KillAtStep
    | KillAtWrite
    | KillDuringRollback
    | KillDuringSuccession
    | KillDuringMove
    | ClockSkew
    | FailedWrite
    | TornWrite
    | FailedUndos
)

NETWORK = ("loss", "duplicate", "reorder", "delay", "slow", "partition")
CRASHES = ("crash", "kill-at-step", "kill-during-rollback", "failed-write", "torn-write")
KINDS = (*NETWORK, *CRASHES, "clock", "undos")
"""What `random` draws from; what needs replicas is asked for by name."""
NEED_REPLICAS = ("lost-disk", "death", "kill-during-succession")
"""What needs replicas of hosts' logs."""
AT_WRITES = ("kill-at-write", "kill-during-move")
"""What is asked for by name, too: what seeds have drawn of `KINDS` stays as it was."""
WRITES = ("intent", "result", "doubt", "undoing", "undone", "word", "step", "vote", "decision", "cut")
BUDDIES = NEED_REPLICAS
"""The old name."""


def to_json(faults: Sequence[Fault]) -> str:
    """Return faults as JSON."""
    return msgspec.json.encode(list(faults)).decode()


def from_json(text: str | bytes) -> list[Fault]:
    """Read faults back.

    Raises: msgspec.DecodeError.
    """
    return msgspec.json.decode(text, type=list[Fault])


def random(
    seed: int, hosts: Sequence[str], agents: Sequence[str], *,
    kinds: Sequence[str] = KINDS, count: int = 4, horizon: float = 1.0,
) -> list[Fault]:  # fmt: skip
    """Draw faults that all end by `horizon`, but for restarts a little after it.

    Args:
        hosts: who may be hit.
        agents: whose steps may be hit.
        kinds: of `KINDS`, `NEED_REPLICAS` or `AT_WRITES`.
        count: how many at most.
    """
    rng = stream(seed, "faults")
    found: list[Fault] = []
    for _ in range(rng.randint(1, count)):
        at = round(rng.uniform(0.0, horizon * 0.8), 4)
        until = round(at + rng.uniform(0.05, max(0.06, horizon - at)), 4)
        host, after = rng.choice(hosts), round(rng.uniform(0.005, 0.2), 4)
        source = rng.choice((None, host))
        match rng.choice(kinds):
            case "loss":
                found.append(Loss(rng.choice((0.05, 0.2, 0.5)), at, until, source))
            case "duplicate":
                found.append(Duplicate(rng.choice((0.1, 0.5)), at, until, source))
            case "reorder":
                found.append(Reorder(rng.choice((0.2, 1.0)), at, until, source))
            case "delay":
                spreads: tuple[AnySpread, ...] = (
                    Uniform(0, 20_000), Exponential(5_000), LogNormal(3_000, 1.0), Pareto(1_000, 1.3, 200_000),
                )  # fmt: skip
                found.append(Delay(rng.choice(spreads), at, until, source))
            case "slow":
                found.append(SlowPeer(host, rng.choice((5.0, 50.0)), at, until))
            case "partition":
                group = tuple(sorted(rng.sample(list(hosts), rng.randint(1, max(1, len(hosts) - 1)))))
                found.append(Partition(group, (), at, until, rng.random() < 0.4))
            case "crash":
                found.append(Crash(host, at, after, rng.choice(("kept", "torn"))))
            case "lost-disk":
                found.append(Crash(host, at, after, "lost", round(rng.uniform(0.0, 1.0), 2)))
            case "death":
                found.append(Death(host, at))
            case "kill-at-step":
                point = rng.choice(("asked", "durable"))
                found.append(KillAtStep(rng.choice(agents), rng.randint(1, 12), point, after))
            case "kill-at-write":
                record, point = rng.choice(WRITES), rng.choice(("asked", "durable"))
                found.append(KillAtWrite(rng.choice(agents), record, rng.randint(1, 6), point, after))
            case "kill-during-rollback":
                record, point = rng.choice(("vote", "decision")), rng.choice(("asked", "durable"))
                found.append(KillDuringRollback(record, rng.randint(1, 6), point, after))
            case "kill-during-succession":
                record, point = rng.choice(("decided", "taken")), rng.choice(("asked", "durable"))
                nth = rng.randint(1, 2 if record == "decided" else 12)
                found.append(KillDuringSuccession(record, nth, point, rng.choice((after, after, None))))
            case "kill-during-move":
                record, point = rng.choice(("moved", "arrived", "handed")), rng.choice(("asked", "durable"))
                found.append(KillDuringMove(record, rng.randint(1, 4), point, rng.choice((after, after, None))))
            case "failed-write":
                found.append(FailedWrite(host, at, after))
            case "torn-write":
                found.append(TornWrite(host, at, after))
            case "clock":
                found.append(ClockSkew(host, rng.choice((-400.0, -5.0, 5.0, 400.0)), rng.choice((-200, 0, 200))))
            case "undos":
                found.append(FailedUndos(rng.randint(1, 4), at))
            case kind:
                known = ", ".join((*KINDS, *NEED_REPLICAS, *AT_WRITES))
                raise ValueError(f"no kind of fault {kind!r}; there are: {known}")
    return found
