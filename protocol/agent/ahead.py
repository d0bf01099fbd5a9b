"""What is known to be in a cone before the votes of its owners say so (RB-3).

A step's edges never change once it is durable. So an elector can tell those of steps that may be in the cone, before
anybody knows whether they are: its *suspects*. The keeper, who hears of most of the cone, works out which of them are,
and tells whom they have sent something. Nothing depends on it: whoever is not told learns the same from votes.
"""

from collections.abc import Iterable

from protocol.agent.books import Books
from protocol.ids import AgentId, MessageId, StepId
from protocol.proposal import ConeStep, Credit, Suspect


class Ahead:
    """Steps of others that are in one cone, whether or not a vote lists them."""

    def __init__(self, keeper: AgentId) -> None:
        self._keeper = keeper
        self._cone: set[StepId] = set()
        self._suspects: dict[StepId, Suspect] = {}
        self._after: dict[StepId, list[Suspect]] = {}
        """By step, the suspects that depend on it."""
        self._debits: dict[AgentId, list[Credit]] = {}
        self._debited: dict[AgentId, set[MessageId]] = {}
        self._owed: dict[AgentId, dict[StepId, ConeStep]] = {}
        """By receiver, cone steps that it is to be told of."""
        self._fresh: dict[AgentId, list[ConeStep]] = {}
        """Those of them that it has not been told of."""

    def suspect(self, suspects: Iterable[Suspect]) -> None:
        """Somebody tells the edges of own steps that may be in the cone."""
        for suspect in suspects:
            if suspect.step not in self._suspects:
                self._suspects[suspect.step] = suspect
                for cause in suspect.causes:
                    self._after.setdefault(cause, []).append(suspect)
                if any(cause in self._cone for cause in suspect.causes):
                    self._confirm(suspect)

    def know(self, steps: Iterable[StepId]) -> None:
        """These are in the cone: so are the suspects that depend on them."""
        for step in steps:
            if step not in self._cone:
                self._cone.add(step)
                for suspect in self._after.get(step, ()):
                    self._confirm(suspect)

    def find(self, steps: Iterable[ConeStep]) -> None:
        """Somebody tells that these are in the cone."""
        for found in steps:
            self._debit(found)
            self.know((found.step,))

    def debits_to(self, agent: AgentId) -> list[Credit]:
        """Return the messages from such steps to `agent`, in the order in which they became known."""
        return self._debits.get(agent, [])

    def due(self, books: Books, voters: Iterable[AgentId]) -> list[tuple[AgentId, tuple[ConeStep, ...]]]:
        """Return who is to be told of what; a voter that does not credit what it was told is told again."""
        for voter in voters:
            owed = self._owed.get(voter, {})
            for step in [step for step, found in owed.items() if _is_credited(books, voter, found)]:
                del owed[step]
            self._fresh[voter] = list(owed.values())
        due = [(receiver, tuple(steps)) for receiver, steps in self._fresh.items() if steps]
        self._fresh = {}
        return due

    def _confirm(self, first: Suspect) -> None:
        todo = [first]
        while todo:
            suspect = todo.pop()
            if suspect.step in self._cone:
                continue
            self._cone.add(suspect.step)
            self._debit(ConeStep(suspect.step, suspect.sends, suspect.epoch))
            for receiver in dict.fromkeys(debit.receiver for debit in suspect.sends):
                sends = tuple(debit for debit in suspect.sends if debit.receiver == receiver)
                found = ConeStep(suspect.step, sends, suspect.epoch)
                if receiver not in (suspect.step.agent, self._keeper):
                    self._owed.setdefault(receiver, {})[suspect.step] = found
                    self._fresh.setdefault(receiver, []).append(found)
            todo.extend(self._after.get(suspect.step, ()))

    def _debit(self, found: ConeStep) -> None:
        for debit in found.sends:
            message = MessageId(found.step, debit.at)
            debited = self._debited.setdefault(debit.receiver, set())
            if message not in debited:
                debited.add(message)
                self._debits.setdefault(debit.receiver, []).append(Credit(found.step, debit.at, debit.number))


def _is_credited(books: Books, agent: AgentId, found: ConeStep) -> bool:
    return all(books.has_credited(agent, MessageId(found.step, debit.at)) for debit in found.sends)
