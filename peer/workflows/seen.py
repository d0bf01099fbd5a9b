"""What was seen of a method: to whom it sends what, which tools it uses, which keys it reads and writes."""

from dataclasses import dataclass, field
from typing import Any

from peer.agents.tool import Tool

ANSWER = "Answer"
"""What the answer to a question is handled as, and that none has come in time."""
SAGA_FAILED = "SagaFailed"
"""What the message that began a saga is handled as once more, when that has failed."""
SAGAS = "!saga"
"""Where the runtime keeps an agent's sagas."""
ROLLED_BACK = "rolled-back"
"""What an agent is told as when a rollback is over that it has proposed."""
SUSPICION, WATCHED = "Suspicion", "Seen"
"""What a watcher gets: that somebody doubts a step, and what each step of who is watched was like."""
SENDER = "<sender>"
"""Stands for whoever has sent the message at hand."""


@dataclass
class Seen:
    """What was found."""

    sends: set[tuple[str | None, str | None]] = field(default_factory=set)
    """Receiver, as a name or a pattern of names, and kind; None: it can't be told."""
    to_self: set[str | None] = field(default_factory=set)
    """Kinds of timers that it sets."""
    asks: set[tuple[str | None, str | None, str]] = field(default_factory=set)
    """Receiver, kind, and the method that handles the answer."""
    uses: dict[str, Tool[..., Any]] = field(default_factory=dict)
    requests: set[tuple[str, str]] = field(default_factory=set)
    """Tool, and the method that handles the result."""
    tools: dict[str, Tool[..., Any]] = field(default_factory=dict)
    """Those that it uses or requests, by short name."""
    approved: set[str] = field(default_factory=set)
    """Tools that it requests with an approval of that request alone."""
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    sagas: set[str] = field(default_factory=set)
    """Methods that handle sagas that have failed; empty for one that it only joins."""
    ended: set[str] = field(default_factory=set)
    """Methods that are told how rollbacks have ended."""
    replies: bool = False
    proposes: bool = False
    """It proposes rollbacks."""
    unknown: list[str] = field(default_factory=list)

    def joined(self, other: "Seen") -> "Seen":
        """Return what either does."""
        return Seen(
            self.sends | other.sends, self.to_self | other.to_self, self.asks | other.asks, self.uses | other.uses,
            self.requests | other.requests, self.tools | other.tools, self.approved | other.approved,
            self.reads | other.reads, self.writes | other.writes, self.sagas | other.sagas, self.ended | other.ended,
            self.replies or other.replies, self.proposes or other.proposes, [*self.unknown, *other.unknown],
        )  # fmt: skip
