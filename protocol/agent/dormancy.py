"""Whether an agent has anything that a cut or a commit would change (CP-13)."""

from protocol.agent.core import Core
from protocol.agent.effects import Effects
from protocol.agent.grouping import Grouping
from protocol.agent.proposer import Proposer
from protocol.agent.rollback import Rollback
from protocol.agent.sharing import Sharing
from protocol.agent.stepping import Stepping


class Dormancy:
    """Looks at all parts of one agent."""

    def __init__(
        self, core: Core, effects: Effects, proposer: Proposer, stepping: Stepping, rollback: Rollback,
        grouping: Grouping, sharing: Sharing,
    ) -> None:  # fmt: skip
        self._core = core
        self._effects = effects
        self._proposer = proposer
        self._stepping = stepping
        self._rollback = rollback
        self._grouping = grouping
        self._sharing = sharing

    def is_complete(self) -> bool:
        """Tell whether cuts and commits are nothing to the agent, until it handles something.

        All that it has is durable, nothing waits, and every step of it is forgotten. What it keeps for good stays:
        values, dead letters, verdicts, names of inputs, what it has lost. A commit would forget nothing of it, settle
        nothing and let nothing go; a cut would stand where its log ends.
        """
        core = self._core
        # The usual reasons for the opposite come first.
        return not (
            len(core.cone)
            or not core.is_flushed()
            or self._has_work()
            or core.outbox.has_any()
            or core.unplaced
            or any(core.timers.told().values())
            or any(core.intents.told().values())
            or any(self._effects.told().values())
            or core.own_entries
            or core.subscribers
            or core.versions.has_unfolded()
            or self._sharing.has_waiting()
            or self._rollback.has_unforgotten()
            or not self._grouping.is_quiet()
            or self._proposer.open()
        )

    def _has_work(self) -> bool:
        # Of a paused agent what waits is not counted as such.
        return bool(self._core.paused or self._stepping.backlog() or self._stepping.held)
