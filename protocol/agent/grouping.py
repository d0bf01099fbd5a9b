"""Groups of requests, of several agents: let go together, or none of them is (RQ-4).

A ballot without a coordinator, as a rollback's. A member is *ready* when each of its requests in the group might go
by itself (RQ-2, RQ-3). It says so, or why none may go, once and for good, in a record that is with its backups before
anybody hears it. Who knows that all are ready decides *go*; who knows of one no decides *none*: both are stable, and
exclude each other. Who has decided goes on answering those who have not.
"""

from typing import Any

from msgspec import DecodeError, msgpack

from protocol.agent.core import Core
from protocol.group import GroupDecidedRecord, GroupState, GroupVotedRecord
from protocol.ids import AgentId, Lineage
from protocol.message import GroupVotes
from protocol.records import BaseRecord
from protocol.step import Grouped, GroupVote, Input

FREE, BOUND, GO, NONE = "free", "bound", "go", "none"
"""How a request stands in its group: nothing is said yet; it may go if all others may; it is let go; it is not."""


class _Group:
    """What one member knows of a group."""

    def __init__(self, group: Grouped, since_us: int, wait_us: int) -> None:
        self.group = group
        self.since_us = since_us
        """Since when it is known here, in this life; or when the first step here ran that has requested in it."""
        self.voted: GroupVotedRecord | None = None
        self.is_told = False
        """The own vote is durable."""
        self.heard: dict[AgentId, str] = {}
        """What others have said."""
        self.was_ready = False
        """Others have heard that this one is ready, which it has forgotten with its disk: it says nothing else."""
        self.decided: GroupDecidedRecord | None = None
        self.knowing: set[AgentId] = set()
        """Who is known to know what decides."""
        self.due_us = 0
        self.wait_us = wait_us

    def votes(self, me: AgentId) -> dict[AgentId, str]:
        """Return what is known to have been said."""
        votes = dict(self.heard)
        if self.voted is not None and self.is_told:
            votes[me] = self.voted.why
        return votes

    def is_decided_by(self, votes: dict[AgentId, str]) -> bool:
        """Tell whether votes are enough to decide: a no, or all."""
        return any(votes.values()) or all(member in votes for member in self.group.members)


class Grouping:
    """The groups of one agent."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._groups: dict[str, _Group] = {}
        """All in which anything is said. The end of each stays known: somebody may have been cut off for long."""
        self._open: dict[str, _Group] = {}
        """Those of which the end is not known."""
        self._seen: object = None
        self._floor = 0
        self._next_us: int | None = None
        """When a group's time is over, or others are asked again, or before."""
        self.changes = 0
        """Grows with each vote and decision of this agent."""

    # -- the own word ----------------------------------------------------------------------------------------------

    def is_quiet(self) -> bool:
        """Tell whether there is nothing to say in any group, as nearly always."""
        return not self._open and not self._core.timers.has_grouped()

    def work(self) -> None:
        """Say no where that has to be said, and ask again for what others say."""
        self._look()
        next_us, now_us = self._next_us, self._core.now_us
        if next_us is None or now_us < next_us:
            return
        self._next_us = None
        for found in list(self._open.values()):
            late_us = _late_us(found)
            if late_us is not None and late_us <= now_us:
                self._say_no(found, f"{self._core.agent} was not ready in time")
            elif found.is_told and found.due_us <= now_us:
                self._ask(found)
            self._wake(found.due_us if found.is_told else late_us)

    def _wake(self, at_us: int | None) -> None:
        """Look at the groups' time at that moment at the latest."""
        if at_us is not None and (self._next_us is None or at_us < self._next_us):
            self._next_us = at_us

    def _look(self) -> None:
        """Look at the own requests if anything has become of them."""
        core = self._core
        seen, due_us = (core.timers.pushes(), core.undone, self.changes), core.timers.due_us()
        if seen != self._seen or (due_us is not None and due_us <= core.now_us):
            self._seen = seen
            named: set[str] = set()
            for item, group, ended in core.timers.grouped(core.now_us):
                named.add(group.id)
                found = self._group(group)
                found.since_us = min(found.since_us, item.time_us)
                self._wake(_late_us(found))
                if ended and found.voted is None and found.decided is None:
                    self._say_no(found, self._word_on(item.lineage) or ended)
            for found in list(self._open.values()):
                if not (found.voted or found.heard or found.was_ready or found.group.id in named):
                    # What had requested in it is undone, and nobody else has said anything.
                    del self._groups[found.group.id], self._open[found.group.id]

    def _word_on(self, lineage: Lineage) -> str:
        """Return what a person has said of a request, in full if that is known; empty if nobody has."""
        effects = self._core.intents.of(lineage)
        if not effects or not effects[-1].word:
            return ""
        try:
            return msgpack.decode(effects[-1].result, type=str)
        except DecodeError:
            return effects[-1].word

    def _say_no(self, found: _Group, why: str) -> None:
        if not found.was_ready:
            self._vote(found, GroupVotedRecord(found.group, why))

    def say_ready(self, group: Grouped, items: list[Input]) -> None:
        """All that is requested here in a group might go by itself: say so."""
        floor = max(item.epoch for item in items) + 1
        record = GroupVotedRecord(group, "", tuple(item.lineage for item in items), floor)
        self._vote(self._group(group), record)

    def _vote(self, found: _Group, record: GroupVotedRecord) -> None:
        self.apply_voted(record)
        found.is_told = False
        self._core.tell("group-vote", found.group.id, record.why or "ready")
        self._core.append((record,), lambda: self._told(found), is_fact=True)

    def _told(self, found: _Group) -> None:
        """The own vote is durable, and with the backups: others may hear it."""
        found.is_told = True
        self._decide(found)
        if found.decided is None:
            self._ask(found)

    # -- what the others say ---------------------------------------------------------------------------------------

    def _ask(self, found: _Group) -> None:
        """Tell all others what is known, and ask what they know."""
        found.due_us = self._core.now_us + found.wait_us
        found.wait_us = min(2 * found.wait_us, self._core.limits.ask_us_max)
        self._wake(found.due_us)
        self._tell(found, [member for member in found.group.members if member != self._core.agent], wants=True)

    def _tell(self, found: _Group, receivers: list[AgentId], *, wants: bool) -> None:
        votes = found.votes(self._core.agent)
        message = GroupVotes(found.group, tuple(GroupVote(*vote) for vote in votes.items()), wants)
        for receiver in receivers:
            self._core.send(receiver, message)

    def heard(self, sender: AgentId, message: GroupVotes) -> None:
        """A member says what it knows."""
        core, group = self._core, message.group
        known = self._groups.get(group.id)
        if not {sender, core.agent} <= {*group.members} or (known and known.group != group):
            core.tell("refused", sender, f"votes in group {group.id}, which is not one of {sender} and {core.agent}")
            return
        found = self._group(group)
        said = {agent: why for agent, why in message.votes if agent in group.members}
        if said.get(core.agent) == "" and found.voted is None:
            found.was_ready = True
        for agent, why in said.items():
            if agent != core.agent:
                found.heard.setdefault(agent, why)
        if found.is_decided_by(said):
            found.knowing.add(sender)
        self._decide(found)
        if message.wants and found.votes(core.agent).keys() - said.keys():
            self._tell(found, [sender], wants=False)

    def _decide(self, found: _Group) -> None:
        core, votes = self._core, found.votes(self._core.agent)
        if found.decided is not None or not found.is_decided_by(votes):
            return
        noes = tuple(GroupVote(agent, why) for agent, why in votes.items() if why)
        record = GroupDecidedRecord(found.group, not noes, noes)
        self.apply_decided(record)
        core.tell("group-decided", found.group.id, why_none(noes) or "go")
        for lineage in found.voted.requests if found.voted is not None and record.is_go else ():
            if not core.timers.requests(lineage):
                core.tell("group-broken", found.group.id, f"{lineage} is gone with a lost disk: it can't be let go")
        core.append((record,))
        others = [member for member in found.group.members if member != core.agent and member not in found.knowing]
        self._tell(found, others, wants=False)

    # -- what it means for requests --------------------------------------------------------------------------------

    def stand(self, group: Grouped, lineage: Lineage) -> tuple[str, str]:
        """Return how a request stands in its group, and why if it is not let go."""
        found = self._groups.get(group.id)
        if found is None or (found.voted is None and found.decided is None):
            return FREE, ""
        noes = () if found.decided is None else found.decided.noes
        if not noes and found.voted is not None and found.voted.why:
            noes = (GroupVote(self._core.agent, found.voted.why),)
        if noes:
            return NONE, f"none of group {group.id} is let go: {why_none(noes)}"
        if found.voted is None or lineage not in found.voted.requests:
            return NONE, f"{self._core.agent} has spoken in group {group.id} before this was requested"
        return (BOUND if found.decided is None else GO), ""

    def binds(self, group: Grouped | None, lineage: Lineage) -> bool:
        """Tell whether a request may go any time by what its agent has said: its step must stay."""
        return group is not None and self.stand(group, lineage)[0] in (BOUND, GO)

    def floor(self) -> int:
        """Return before which epoch a restore would undo what may go any time, or went with a group."""
        bound = (found.voted.floor for found in self._open.values() if found.voted is not None)
        return max(self._floor, max(bound, default=0))

    def deadline_us(self) -> int | None:
        """Return when to ask again, or when a group's time is over here."""
        return self._next_us if self._open else None

    def open(self) -> list[str]:
        """Return the groups in which this agent has spoken, and of which it does not know the end."""
        return [name for name, found in self._open.items() if found.voted is not None]

    # -- recovery --------------------------------------------------------------------------------------------------

    def _group(self, group: Grouped) -> _Group:
        found = self._groups.get(group.id)
        if found is None:
            found = self._groups[group.id] = _Group(group, self._core.now_us, self._core.limits.ask_us)
            self._open[group.id] = found
            self._wake(_late_us(found))
        return found

    def apply_voted(self, record: GroupVotedRecord) -> None:
        """Take in the own vote, live or from the log."""
        found = self._group(record.group)
        found.voted, found.is_told = record, True
        self.changes += 1
        for lineage in record.requests:
            self._core.timers.bind(lineage)

    def apply_decided(self, record: GroupDecidedRecord) -> None:
        """Take in what became of a group, live or from the log."""
        found = self._group(record.group)
        found.decided = record
        self.changes += 1
        self._open.pop(record.group.id, None)
        found.heard |= dict.fromkeys(record.group.members, "") if record.is_go else dict(record.noes)
        found.heard.pop(self._core.agent, None)
        if found.voted is not None and record.is_go:
            self._floor = max(self._floor, found.voted.floor)
        elif found.voted is not None:
            for lineage in found.voted.requests:
                self._core.timers.bind(lineage, False)

    def recovered(self) -> None:
        """Ask anew what others have said: a crash has forgotten it."""
        for found in list(self._open.values()):
            self._decide(found)
        self._wake(self._core.now_us)

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base: what was said, and what became of it."""
        said = (found for found in self._groups.values() if found.voted or found.decided)
        return {"groups": tuple(GroupState(found.group, found.voted, found.decided) for found in said)}

    def load(self, base: BaseRecord) -> None:
        """Take in this part's slice of a base; the timers have loaded theirs."""
        for state in base.groups:
            if state.voted is not None:
                self.apply_voted(state.voted)
            if state.decided is not None:
                self.apply_decided(state.decided)


def _late_us(found: _Group) -> int | None:
    """Return when it is too late to be ready; None: never, or not any more."""
    if found.voted is not None or found.was_ready or not found.group.deadline_us:
        return None
    return found.since_us + found.group.deadline_us


def why_none(noes: tuple[GroupVote, ...]) -> str:
    """Say who has said no in a group, and why; empty if nobody has."""
    return "; ".join(f"{agent} says no: {why}" for agent, why in noes)
