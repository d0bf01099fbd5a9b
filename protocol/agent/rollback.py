"""Negotiated rollback (RB-1 to RB-9): joins cone, quarantine and books.

An elector works out its part, freezes it, votes durably, and decides alone from the votes that reach it. Source:
docs/model/Rollback.tla, whose actions are named beside the code that does them.
"""

from typing import Any

from msgspec.structs import replace

from protocol.action import Consult
from protocol.agent.books import NO_EPOCH, keeper_of
from protocol.agent.case import Case, end_for
from protocol.agent.core import Core
from protocol.agent.disposal import Disposal
from protocol.agent.effects import Effects
from protocol.agent.stepping import Stepping
from protocol.agent.voting import Voting
from protocol.event import Consulted
from protocol.ids import AgentId, Lineage, ProposalId, StepId
from protocol.message import Ballot, Done, Propose
from protocol.proposal import Proposal, Suspect, Vote
from protocol.records import BaseRecord, DecisionRecord, VoteRecord
from protocol.step import Input, VoidOut


class Rollback:
    """This peer as an elector."""

    def __init__(self, core: Core, effects: Effects, stepping: Stepping, disposal: Disposal) -> None:
        self._core = core
        self._effects = effects
        self._stepping = stepping
        self._disposal = disposal
        self._voting = Voting(core)
        self._cases: dict[ProposalId, Case] = {}
        self._open: dict[ProposalId, Case] = {}
        """Those of them that are not decided: what is looked at after every event."""
        self.decided: dict[ProposalId, DecisionRecord] = {}

    # -- hearing ---------------------------------------------------------------------------------------------------

    def proposed(self, sender: AgentId, message: Propose) -> None:
        """A proposer names this agent's steps, or asks what became of them."""
        proposal = message.proposal
        decision = self.decided.get(proposal.id)
        if decision is not None:
            self._core.when_durable(lambda: self._tell_end(sender, decision))
        elif proposal.id not in self._cases and any(root.agent == self._core.agent for root in proposal.roots):
            self._cases[proposal.id] = self._open[proposal.id] = Case(proposal)
            self._review(proposal.id)

    def balloted(self, sender: AgentId, message: Ballot) -> None:
        """Votes have come (Learn)."""
        proposal = message.proposal
        decision, case = self.decided.get(proposal.id), self._cases.get(proposal.id)
        if decision is None:
            case = case or Case(proposal)
            case.answered(sender, message)
            is_news = self._take(case, sender, message)
            is_new = proposal.id not in self._cases
            if is_new:
                if not case.books.concerns(self._core.agent) and not case.ahead.debits_to(self._core.agent):
                    return
                self._cases[proposal.id] = self._open[proposal.id] = case
            if is_new or is_news:
                self._review(proposal.id)
                self._publish(proposal.id)
                self._evaluate(proposal.id)
            if case.keeper == self._core.agent and proposal.id in self._open:
                voters = [vote.voter for vote in message.votes if vote.voter == sender]
                for receiver, steps in case.ahead.due(case.books, voters):
                    self._core.send(receiver, Ballot(proposal, (), found=steps))
        if decision is not None:
            if message.wants or message.dates or keeper_of(proposal) == self._core.agent:
                # Who asks hears of it, and who has sent the keeper a vote only after the end.
                self._core.when_durable(lambda: self._tell_end(sender, decision))
        elif message.dates and case is not None:
            self._voting.disputing.answer(case, sender)
        elif message.wants and case is not None and (answer := case.answer(self._core.agent, sender, message)):
            self._core.send(sender, answer)

    def _take(self, case: Case, sender: AgentId, message: Ballot) -> bool:
        """Take in what a ballot says; True if anything of it may be news."""
        is_news = self._voting.disputing.heard(case, sender, message) or bool(message.found or message.suspects)
        for vote in message.votes:
            if vote.voter == self._core.agent:
                continue
            known = case.books.votes.get(vote.voter)
            if vote.voter == sender and vote.since > (0 if known is None else known.version):
                # The difference to a vote that never came, which will be asked for: it is the voter's own word (TR-10).
                case.ahead.find(vote.cone)
                is_news = True
            is_news = case.books.take(vote) or is_news
        case.ahead.find(step for step in message.found if step.step.agent != self._core.agent)
        if case.keeper == self._core.agent:
            denies = self._voting.disputing.denies
            case.ahead.suspect(each for each in message.suspects if each.step.agent == sender and not denies(each))
        return is_news

    def heard_end(self, sender: AgentId, message: Done) -> None:
        """Another elector, which has seen the proposal, has decided: what it saw is stable (RB-4)."""
        if (case := self._open.get(message.proposal)) is not None and case.may_end(sender, message):
            case.verdict = message
            if case.part.doubted:
                self._review(message.proposal)
            self._heed(case)

    def _heed(self, case: Case) -> None:
        if case.verdict is not None and case.vote is not None and not case.busy:
            rejects = {*case.verdict.rejects, *case.books.rejects()}
            self._decide(case, case.verdict.decision, tuple(sorted(rejects)))

    # -- voting ----------------------------------------------------------------------------------------------------

    def _review(self, pid: ProposalId) -> None:
        """Work out the part, freeze it, and vote if it is new or has grown (Vote; RB-2, RB-3, RB-6)."""
        case = self._cases[pid]
        self._voting.grow(case)
        self._freeze(case)
        if case.busy or not case.is_to_vote():
            return
        case.busy = True
        self._consult(case)

    def _consult(self, case: Case) -> None:
        part = tuple(sorted(case.part.steps))
        case.asked, case.asked_steps = next(iter(part), None), len(part)
        self._core.actions.append(Consult(case.books.proposal, part))

    def _freeze(self, case: Case) -> None:
        core = self._core
        steps, messages = core.quarantine.freeze(case.books.proposal.id, *case.part.frozen())
        core.outbox.hold(steps)
        for message in messages:
            if number := case.part.credits[message]:
                producer = message.producer
                passed = core.inbox.park(producer.agent, producer.incarnation, number)
                self._stepping.deliver(producer.agent, passed)

    def consulted(self, event: Consulted) -> None:
        """The agent has spoken: write the vote down, then let it be known (RB-12)."""
        case = self._cases.get(event.proposal)
        if case is None or not case.busy or event.proposal in self.decided:
            return
        self._voting.grow(case)
        self._freeze(case)
        case.found(event.findings)
        if event.accepts and self._is_of_another_part(case, event):
            self._consult(case)
            return
        proposal = case.books.proposal
        vote, suspects = self._voting.vote(case, event)
        case.latest = vote.after(case.latest)
        record = VoteRecord(proposal, vote, case.list_findings())
        self._core.append((record,), lambda: self._voted(proposal.id, vote, suspects), is_fact=True)

    def _is_of_another_part(self, case: Case, event: Consulted) -> bool:
        """Tell whether the part reaches further back by now (RB-12), or is more than people were asked (RB-13)."""
        if event.overseen and len(case.part.steps) != case.asked_steps:
            return True
        return event.looked_back and min(case.part.steps, default=None) != case.asked

    def _voted(self, pid: ProposalId, vote: Vote, suspects: tuple[Suspect, ...]) -> None:
        """The vote is durable (RB-5): votes overtake data."""
        if pid in self.decided:
            # An abort was decided while this was being written.
            return
        case = self._cases[pid]
        case.busy = False
        case.became_durable(vote, suspects)
        self._heed(case)
        if pid in self.decided:
            return
        case.wait_us = self._core.limits.ask_us
        case.due_us = self._core.now_us + case.wait_us
        self._review(pid)
        self._publish(pid)
        self._evaluate(pid)

    def _publish(self, pid: ProposalId) -> None:
        """Tell the vote to whom the cone has reached from here, and to the keeper; to nobody else (RB-8)."""
        for receiver, ballot in self._cases[pid].untold(self._core.agent):
            self._core.send(receiver, ballot)

    # -- deciding --------------------------------------------------------------------------------------------------

    def _evaluate(self, pid: ProposalId) -> None:
        """Decide alone, if the books say so (Commit, Abort; RB-4)."""
        case = self._cases[pid]
        if case.vote is None or pid in self.decided:
            return
        if case.books.is_refused():
            self._decide(case, "abort", case.books.rejects())
        elif case.books.is_balanced():
            self._decide(case, "commit", ())

    def _decide(self, case: Case, decision: str, rejects: tuple[tuple[AgentId, str], ...]) -> None:
        core, books, vote = self._core, case.books, case.vote
        assert vote is not None
        retracted: tuple[StepId, ...] = ()
        taken: tuple[Input, ...] = ()
        by_lineage: dict[Lineage, tuple[VoidOut, ...]] = {}
        if decision == "commit":
            retracted = tuple(sorted(step.step for step in vote.cone if step.step not in core.retraction))
            core.retraction.add_all(retracted)
            core.retraction.add_all(credit.producer for credit in vote.credits)
            for step in retracted:
                lineage = core.cone.record(step).input.lineage
                discarded = books.proposal.inputs == "discard" and step in books.proposal.roots
                if discarded or lineage in self._effects.voided:
                    by_lineage[lineage] = self._core.void_all(lineage, ordered=discarded)
            taken = self._disposal.take_back(books.proposal, retracted)
            for item in taken if books.proposal.inputs == "discard" else ():
                # What its undone runs have sent will not come again either (EF-5).
                by_lineage[item.lineage] = self._core.void_all(item.lineage, ordered=True)
        record = DecisionRecord(
            proposal=books.proposal,
            decision=decision,
            retracted=retracted,
            credits=vote.credits,
            # Who was never reached before an abort has frozen nothing, and need not hear of it.
            electors=books.reached() if decision == "commit" else tuple(sorted(books.votes)),
            rejects=rejects,
            decided_us=core.now_us,
            voids=tuple(out for voids in by_lineage.values() for out in voids),
            notes=self._disposal.notes(books.proposal, retracted) if decision == "commit" else (),
            taken=taken,
            epoch=core.colours.epoch,
        )
        self.apply_decision(record, by_lineage)
        core.append((record,), lambda: self._decision_durable(record))

    def _decision_durable(self, record: DecisionRecord) -> None:
        self._core.release_voids(record.voids)
        self._core.flush()
        for item in record.taken:
            if item.producer is not None:
                self._core.acknowledge(item.sender, item.incarnation, item.number, None)
        self._tell_end(record.proposal.proposer, record)
        if keeper_of(record.proposal) == self._core.agent:
            for elector in record.electors:
                if elector not in (self._core.agent, record.proposal.proposer):
                    self._tell_end(elector, record)

    def _tell_end(self, receiver: AgentId, record: DecisionRecord) -> None:
        self._core.send(receiver, end_for(receiver, record))

    # -- carrying out ----------------------------------------------------------------------------------------------

    def apply_decision(self, record: DecisionRecord, voids: dict[Lineage, tuple[VoidOut, ...]] | None = None) -> None:
        """Carry a decision out, live or from the log: one durable record, all or nothing (RB-5)."""
        core, proposal = self._core, record.proposal
        self.decided[proposal.id] = record
        case = self._open.pop(proposal.id, None)
        if case is not None:
            case.ended()
        steps, messages = core.quarantine.lift(proposal.id)
        if record.decision == "commit":
            core.retraction.add_all(record.retracted)
            core.retraction.add_all(credit.producer for credit in record.credits)
            core.outbox.drop(record.retracted)
            core.unplaced.empty(record.retracted)
            core.withdraw(record.retracted)
            for credit in record.credits:
                if credit.number:
                    producer = credit.producer
                    passed = core.inbox.settle(producer.agent, producer.incarnation, credit.number)
                    self._stepping.deliver(producer.agent, passed)
            core.post_voids(record.voids)
            for step in record.retracted:
                core.note_undone(step, proposal.id)
                is_root = step in proposal.roots
                self._disposal.dispose(
                    step,
                    (voids or {}).get(core.cone.record(step).input.lineage, ()),
                    discarded=f"discarded by {proposal.id}" if is_root and proposal.inputs == "discard" else "",
                    proposal=proposal if is_root else None,
                    at_us=record.decided_us,
                )
            self._disposal.dispose_taken(record, voids or {})
        core.outbox.unhold(steps)
        if record.decision == "abort":
            for message, number in messages.items():
                if number and not core.quarantine.defers(message):
                    producer = message.producer
                    late = core.inbox.unpark(producer.agent, producer.incarnation, number)
                    self._stepping.deliver(producer.agent, late)
        self.refresh_held()
        core.line.undefer()

    def refresh_held(self) -> None:
        """Inputs wait whose undone step an undecided proposal names: what becomes of them is still open (RB-9)."""
        core = self._core
        self._stepping.held = {
            core.cone.record(root).input.lineage
            for case in self._open.values()
            for root in case.books.proposal.roots
            if root.agent == core.agent and root in core.cone and root in core.retraction
        }

    # -- the horizon -----------------------------------------------------------------------------------------------

    def least_epoch(self) -> int | None:
        """Return the oldest epoch that an undecided proposal, or its proposer's, still needs; None without one."""
        epochs = [self._voting.least_epoch(case) for case in self._open.values()]
        return min((epoch for epoch in epochs if epoch < NO_EPOCH), default=None)

    def forget(self, horizon: int) -> None:
        """What was decided before the horizon keeps its name and verdict only (CP-6)."""
        for pid, record in self.decided.items():
            if record.epoch < horizon and (record.retracted or record.credits or pid in self._cases):
                self.decided[pid] = replace(record, retracted=(), credits=(), voids=(), taken=())
                self._cases.pop(pid, None)

    def has_unforgotten(self) -> bool:
        """Tell whether anything is kept that `forget` may drop, or is undecided."""
        return bool(self._cases) or any(record.retracted or record.credits for record in self.decided.values())

    # -- the log and time ------------------------------------------------------------------------------------------

    def apply_vote(self, record: VoteRecord) -> None:
        """Take in an own vote from the log: what it credits stays refused (RB-7)."""
        case = self._cases.setdefault(record.proposal.id, Case(record.proposal))
        if not record.vote.follows(case.vote):
            # A base has told it.
            return
        case.found(record.findings)
        case.list_findings()
        case.became_durable(record.vote)
        case.latest = case.vote
        if record.proposal.id in self.decided:
            # It was being written when an abort was decided: it must not freeze anything again.
            return
        self._open[record.proposal.id] = case
        self._voting.recall(case, record.vote)
        self._freeze(case)
        self.refresh_held()

    def recovered(self) -> None:
        """Say again what was undecided when the last life ended."""
        for pid, case in list(self._open.items()):
            case.wait_us, case.due_us = self._core.limits.ask_us, self._core.now_us
            self._publish(pid)
            self._evaluate(pid)

    def work(self) -> None:
        """Ask again for votes that are missing; it is what bounds a quarantine (RB-6)."""
        for case in self._open.values():
            if case.due_us is None or case.due_us > self._core.now_us:
                continue
            case.wait_us = min(2 * case.wait_us, self._core.limits.ask_us_max)
            case.due_us = self._core.now_us + case.wait_us
            self._voting.disputing.ask(case)
            for elector, question in case.questions(self._core.agent):
                self._core.send(elector, question)

    def deadline_us(self) -> int | None:
        """Return when to ask again."""
        if not self._open:
            return None
        return min((case.due_us for case in self._open.values() if case.due_us is not None), default=None)

    def undecided(self) -> list[ProposalId]:
        """Return the proposals that this elector has not decided."""
        return list(self._open)

    def waits_for(self) -> list[tuple[ProposalId, tuple[AgentId, ...]]]:
        """Return those, each with the electors whose vote, or a part of it, has not come here."""
        books = [(pid, case.books) for pid, case in self._open.items()]
        return [(pid, tuple(agent for agent in found.electors() if found.owes(agent))) for pid, found in books]

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base: decisions, and this elector's votes on what is open or not forgotten.

        Also those in the writing: they stand in the log before whatever is written next, so what is written next may
        stand for them (CP-6).
        """
        cases = self._cases.values()
        votes = tuple(
            VoteRecord(case.books.proposal, case.latest, case.findings) for case in cases if case.latest is not None
        )
        return {"votes": votes, "decisions": tuple(self.decided.values())}

    def load(self, base: BaseRecord) -> None:
        """Take in this part's slice of a base."""
        for record in base.decisions:
            self.decided[record.proposal.id] = record
        for vote in base.votes:
            self.apply_vote(vote)

    def check(self) -> None:
        """Assert that a part, grown bit by bit, is what it would be if it were worked out anew."""
        for case in self._open.values():
            assert self._core.cone.part(case.part.steps, case.part.credits) == tuple(sorted(case.part.steps))

    def votes(self) -> list[tuple[Proposal, Vote]]:
        """Return this elector's own votes."""
        return [(case.books.proposal, case.vote) for case in self._cases.values() if case.vote is not None]
