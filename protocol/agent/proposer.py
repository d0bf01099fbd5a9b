"""The one who proposes: it asks, and collects what became of it; it decides nothing, and blocks nothing (RB-1)."""

from typing import Any

from protocol.action import Finish, Reply
from protocol.agent.case import verdict_of
from protocol.agent.core import Core
from protocol.event import ProposeWanted
from protocol.ids import AgentId, ProposalId, StepId
from protocol.message import Ballot, Done, Propose
from protocol.proposal import INPUTS, Proposal
from protocol.records import BaseRecord, OutcomeRecord, ProposedRecord
from protocol.step import RollbackDraft


class _Asked:
    def __init__(self, record: ProposedRecord, wait_us: int) -> None:
        self.record, self.proposal = record, record.proposal
        self.done: dict[AgentId, Done] = {}
        self.due_us: int | None = None
        """When to ask again; None until the proposal is durable."""
        self.wait_us = wait_us

    def electors(self) -> set[AgentId]:
        owners = {root.agent for root in self.proposal.roots}
        return owners.union(*(done.electors for done in self.done.values()))


class Proposer:
    """The proposals of one agent, until every elector has said what became of them."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._asked: dict[ProposalId, _Asked] = {}
        self.count = 0
        """How many proposals this agent has ever made."""
        self.outcomes: dict[ProposalId, OutcomeRecord] = {}

    def wanted(self, event: ProposeWanted) -> None:
        """Somebody asks for a rollback: write the proposal down, then send it to the roots' owners."""
        core = self._core
        if not event.roots or event.inputs not in INPUTS:
            text = f"a rollback needs steps, and inputs of discard, retry or amend; not {event.inputs!r}"
            core.actions.append(Reply(event.request, "", text))
            return
        missing = set(event.roots) - {amendment.root for amendment in event.amendments}
        if event.inputs == "amend" and missing:
            text = f"no corrected input for {sorted(missing)[0]}; nothing changed"
            core.actions.append(Reply(event.request, "", text))
            return
        draft = RollbackDraft(
            event.roots, event.inputs, event.reason, event.evidence, event.amendments, event.deadline_us
        )
        record = self.prepare(draft)
        core.append((record,), lambda: self._durable(event.request, record.proposal), is_fact=True)

    def prepare(self, draft: RollbackDraft) -> ProposedRecord:
        """Make a proposal; once its record is durable, `begin` it."""
        core = self._core
        self.count += 1
        proposal = Proposal(
            id=f"{core.agent}/{core.lives.incarnation}/p{self.count}",
            proposer=core.agent,
            roots=tuple(sorted(set(draft.roots))),
            inputs=draft.inputs,
            reason=draft.reason,
            evidence=draft.evidence,
            amendments=draft.amendments,
            began_us=core.now_us,
            deadline_us=draft.deadline_us,
        )
        record = ProposedRecord(proposal, draft.then)
        self.apply_proposed(record)
        return record

    def begin(self, proposal: Proposal) -> None:
        """A proposal is durable: send it to the roots' owners."""
        self._ask(self._asked[proposal.id])

    def _durable(self, request: int, proposal: Proposal) -> None:
        self._core.actions.append(Reply(request, proposal.id))
        self.begin(proposal)

    def _ask(self, asked: _Asked) -> None:
        asked.due_us = self._core.now_us + asked.wait_us
        for agent in sorted(asked.electors() - asked.done.keys()):
            self._core.send(agent, Propose(asked.proposal))

    def balloted(self, sender: AgentId, message: Ballot) -> None:
        """An elector asks to whom nobody else answers: tell it the end, if it is known here."""
        pid = message.proposal.id
        ends = [*self._asked[pid].done.values()] if pid in self._asked else []
        if pid in self.outcomes:
            outcome = self.outcomes[pid]
            ends.append(Done(pid, outcome.decision, (), (), outcome.rejects, (), outcome.decided_us))
        if message.wants and ends:
            self._core.send(sender, verdict_of(ends[0]))

    def done(self, sender: AgentId, message: Done) -> None:
        """An elector has decided and carried it out. Who has not seen the proposal has guessed its name."""
        asked = self._asked.get(message.proposal)
        if asked is None or message.shows != asked.proposal.shown():
            return
        # The first word is the fullest: who is asked again may have forgotten the steps since (CP-6).
        asked.done.setdefault(sender, message)
        if asked.electors() <= asked.done.keys():
            self._finish(asked)

    def _finish(self, asked: _Asked) -> None:
        core, parts = self._core, [asked.done[agent] for agent in sorted(asked.done)]
        then, proposal = asked.record.then, asked.proposal
        record = OutcomeRecord(
            proposal=asked.proposal.id,
            decision=parts[0].decision,
            undone=tuple(step for part in parts for step in part.undone),
            electors=tuple(sorted(asked.electors())),
            rejects=tuple(sorted({reject for part in parts for reject in part.rejects})),
            notes=tuple(note for part in parts for note in part.notes),
            began_us=asked.proposal.began_us,
            decided_us=max(part.decided_us for part in parts),
            then=then,
            roots=proposal.roots if then else (),
            evidence=proposal.evidence if then else b"",
        )
        self.apply_outcome(record)
        core.append((record,), lambda: core.actions.append(Finish(record)))

    def apply_proposed(self, record: ProposedRecord) -> None:
        """Take in an own proposal, live or from the log."""
        self.count = max(self.count, int(record.proposal.id.rsplit("/p", 1)[1]))
        limits = self._core.limits
        self._asked[record.proposal.id] = _Asked(record, limits.ask_us)

    def apply_outcome(self, record: OutcomeRecord) -> None:
        """Take in the end of an own proposal, live or from the log."""
        self._asked.pop(record.proposal, None)
        self.outcomes[record.proposal] = record

    def work(self) -> None:
        """Ask again those who have not said what became of a proposal."""
        for asked in list(self._asked.values()):
            if asked.due_us is not None and asked.due_us <= self._core.now_us:
                asked.wait_us = min(2 * asked.wait_us, self._core.limits.ask_us_max)
                self._ask(asked)

    def deadline_us(self) -> int | None:
        """Return when to ask again."""
        if not self._asked:
            return None
        return min((asked.due_us for asked in self._asked.values() if asked.due_us is not None), default=None)

    def recovered(self) -> None:
        """Ask again for what was open when the last life ended."""
        for asked in self._asked.values():
            asked.due_us = self._core.now_us

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base: the proposals that are not over, outcomes, and how many it was in all."""
        proposed = tuple(asked.record for asked in self._asked.values())
        return {"proposed": proposed, "outcomes": tuple(self.outcomes.values()), "proposals": self.count}

    def load(self, base: BaseRecord) -> None:
        """Take in this part's slice of a base."""
        for record in base.proposed:
            self.apply_proposed(record)
        for outcome in base.outcomes:
            self.apply_outcome(outcome)
        self.count = max(self.count, base.proposals)

    def open(self) -> list[tuple[ProposalId, tuple[StepId, ...]]]:
        """Return the proposals that are not over."""
        return [(pid, asked.proposal.roots) for pid, asked in self._asked.items()]
