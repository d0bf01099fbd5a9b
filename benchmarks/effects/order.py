"""What a worker's process is told to do, by a file named on its command line. Standard library only."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.effects.chatter import Entry, as_told
from benchmarks.effects.orders import Plan, as_json, read_plan, tell


@dataclass(frozen=True)
class Order:
    """One process's work."""

    system: str
    """The system and its setting: `systems.ALL` has the names."""
    folder: str
    """Where it keeps what it keeps."""
    port: int
    """The ledger's."""
    kind: str
    """`orders` or `chatter`."""
    seed: str
    first: int = 0
    """The batch to begin with: those before it are done."""
    plan: Plan | None = None
    trials: int = 0
    wrong: tuple[int, ...] = ()
    """The trials in which a step is found wrong."""
    batch: int = 10
    """How many trials of agents that talk are under way together."""

    @property
    def is_guarded(self) -> bool:
        """Whether the user has written a guard: the order as the idempotency key of its payment."""
        return self.system.endswith("-key")

    def batches(self) -> list[range]:
        """Return the trials of agents that talk."""
        return [range(at, min(at + self.batch, self.trials)) for at in range(0, self.trials, self.batch)]


def write_order(order: Order, file: Path) -> None:
    """Write it for a worker."""
    plan = None if order.plan is None else as_json(order.plan)
    file.write_text(json.dumps({**order.__dict__, "plan": plan}), encoding="utf-8")


def my_order() -> Order:
    """Read what this process was started for."""
    found: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    plan = None if found["plan"] is None else read_plan(found["plan"])
    return Order(**{**found, "plan": plan, "wrong": tuple(found["wrong"])})


def tell_trial(trial: int, root: str | None, before: list[Entry], after: list[Entry]) -> None:
    """Tell what agents' states hold, when the wrong step was found and at the end: the oracle judges."""
    tell(trial=trial, root=root, before=as_told(before), after=as_told(after))
