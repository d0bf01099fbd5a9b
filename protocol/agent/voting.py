"""What an elector votes: its part, as far as it is known, each time the difference to the vote before (RB-2, RB-3).

With a vote that has grown *suspects* go to the keeper: own steps after those that are new which may be in the cone. So
the keeper finds the rest of a long conversation, where each side would hear of one turn with each vote of the other.
"""

from protocol.agent.case import Case
from protocol.agent.core import Core
from protocol.agent.disputing import Disputing
from protocol.clock import covers
from protocol.event import Consulted
from protocol.ids import MessageId, StepId
from protocol.proposal import ConeStep, Credit, Suspect, Vote
from protocol.step import StepRecord

SUSPECTS_MIN = 64
"""Suspects that go with a vote, whatever it lists: a conversation's next turns."""

SUSPECTS_TIMES = 8
"""How many more go with each step that is new in a vote: so a conversation of N turns takes log N votes, and telling
what turns out to be no part of the cone costs no more than some times what is."""

SUSPECTS_MAX = 8192
"""In one message: some 400 kB."""

LOOKED_AT = 4
"""How many steps are looked at, for each suspect that may go with a vote."""


class Voting:
    """The parts and the votes of one elector."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.disputing = Disputing(core)

    def grow(self, case: Case) -> None:
        """Work out what has joined the part since (RB-2)."""
        part, me = case.part, self._core.agent
        roots = [root for root in case.books.proposal.roots if root.agent == me]
        while True:
            debits = [*case.books.debits_to(me)[part.seen_debits :], *case.ahead.debits_to(me)[part.seen_ahead :]]
            debits += part.doubted.values()
            part.seen_debits, part.seen_ahead = len(case.books.debits_to(me)), len(case.ahead.debits_to(me))
            credited = [
                message
                for credit in debits
                if self._believes(case, credit)
                and part.credit(message := MessageId(credit.producer, credit.at), credit.number)
            ]
            # RB-11: tolerant readers join a first vote, or one that grows by debits; others may have decided by one
            # that stands.
            joins = case.latest is None or bool(part.new_credits)
            self._join(case, roots, credited, joins)
            roots = []
            if case.keeper != me:
                return
            case.ahead.know([listed.step for listed in case.books.steps[part.seen_steps :]])
            part.seen_steps = len(case.books.steps)
            if part.seen_ahead == len(case.ahead.debits_to(me)):
                return

    def _believes(self, case: Case, debit: Credit) -> bool:
        """Tell whether what is said of a message to this agent may be; what may not be is refuted (RB-15).

        Only what a vote says: what others have found says nothing against a vote that says otherwise later, and nobody
        waits for a word on it.
        """
        message = MessageId(debit.producer, debit.at)
        if message in case.part.credits or debit.producer.agent == self._core.agent:
            return message in case.part.credits
        if message in case.part.refuted:
            return False
        doubted = case.part.doubted.pop(message, None)
        why = self.disputing.why_false(case, debit)
        if why and case.books.says(self._core.agent, debit):
            case.part.refute(debit)
        elif why is None and case.verdict is None:
            # Once it is decided without this agent's word on it, nothing hangs on that any more.
            case.part.doubted[message] = debit
            if doubted is None:
                self.disputing.ask(case)
        return why == ""

    def recall(self, case: Case, vote: Vote) -> None:
        """Take in what an own vote from the log lists (RB-7)."""
        credited = [MessageId(credit.producer, credit.at) for credit in vote.credits]
        for message, credit in zip(credited, vote.credits, strict=True):
            case.part.credit(message, credit.number)
        for debit in vote.refutes:
            case.part.refute(debit)
        self._join(case, [listed.step for listed in vote.cone], credited, False)
        case.part.listed()

    def _join(self, case: Case, roots: list[StepId], credited: list[MessageId], joins: bool) -> None:
        core, part = self._core, case.part
        is_gone = core.counts_as_gone if joins else None
        steps = core.cone.grow(part.steps, part.producers, roots, credited, is_gone)
        part.joined(steps)
        for step in steps:
            part.least_epoch = min(part.least_epoch, core.cone.record(step).epoch)
            for debit in self._debited(step).sends:
                if debit.receiver == core.agent:
                    part.credit(MessageId(step, debit.at), debit.number)
        if case.keeper == core.agent:
            case.ahead.know(steps)

    def least_epoch(self, case: Case) -> int:
        """Return the oldest epoch in which a step ran that is known to be in the cone."""
        return min(case.books.least_epoch, case.part.least_epoch)

    def vote(self, case: Case, event: Consulted) -> tuple[Vote, tuple[Suspect, ...]]:
        """Return what to vote, as the difference to the vote before, and what goes to the keeper with it."""
        core, part, before = self._core, case.part, case.latest
        accepts, why = self._verdict(case, event)
        steps = sorted(part.new_steps)
        credits = sorted(Credit(message.producer, message.at, part.credits[message]) for message in part.new_credits)
        vote = Vote(
            voter=core.agent,
            version=1 if before is None else before.version + 1,
            accepts=accepts,
            why="" if accepts else why,
            cone=tuple(self._debited(step) for step in steps),
            credits=tuple(credits),
            effects=tuple(
                call for step in steps for call in core.cone.record(step).calls if step not in core.retraction
            ),
            since=0 if before is None else before.version,
            refutes=tuple(sorted(part.new_refuted)),
            incarnation=core.incarnation,
        ).sealed(before)
        part.listed()
        suspects = () if before is None or case.keeper == core.agent else self._suspects(case, steps, vote.version)
        return vote, suspects

    def _verdict(self, case: Case, event: Consulted) -> tuple[bool, str]:
        core, proposal = self._core, case.books.proposal
        if case.latest is not None and not case.latest.accepts:
            # RB-4: a reject is final.
            return False, case.latest.why
        unknown = [root for root in proposal.roots if root.agent == core.agent and root not in core.cone]
        if unknown:
            why = f"no step {unknown[0]} in the log of {core.agent}"
            if core.colours.horizon:
                why += f", which begins with checkpoint {core.colours.horizon}: older steps are final"
            return False, why
        if self.least_epoch(case) < core.colours.horizon:
            # RB-10: what hangs on those steps here may be forgotten, so its part can't be told any more.
            cone = "its cone (what would be undone)"
            return False, f"{cone} reaches behind checkpoint {core.colours.horizon}: older steps are final"
        for step in case.part.steps:
            if what := core.holds(step):
                return False, f"{step} {what}"
        if case.latest is None and proposal.deadline_us and core.now_us > proposal.deadline_us:
            return False, "the deadline has passed"
        return event.accepts, event.why

    def _debited(self, step: StepId) -> ConeStep:
        return self._core.sends(step)

    def _suspects(self, case: Case, new: list[StepId], version: int) -> tuple[Suspect, ...]:
        """Return the own steps after the oldest new one that may be in the cone: their records are being written.

        They are as durable as the vote, with which they leave (ST-2): a step that a crash has taken back would be
        credited in vain, and another in its place refused. One that was told is told again when there are twice as many
        votes, for the keeper may have forgotten it.
        """
        if not new:
            return ()
        room = min(SUSPECTS_MIN + SUSPECTS_TIMES * len(new), SUSPECTS_MAX)
        found: dict[StepId, Suspect] = {}
        for looked_at, record in enumerate(self._core.cone.after(new[0])):
            if len(found) == room or looked_at == LOOKED_AT * room:
                break
            step = record.step
            if step in case.part.steps or version < 2 * case.suspected.get(step, 0):
                continue
            if not self._may_depend(case, record):
                continue
            causes = [cause for cause in _causes(record) if self._may_join(case, cause, found)]
            if causes:
                _, sends, epoch = self._debited(step)
                found[step] = Suspect(step, sends, epoch, tuple(causes))
                case.suspected[step] = version
        return tuple(found.values())

    def _may_join(self, case: Case, cause: StepId, found: dict[StepId, Suspect]) -> bool:
        is_own = cause.agent == self._core.agent
        return not is_own or cause in case.part.steps or cause in found or cause in case.suspected

    def _may_depend(self, case: Case, record: StepRecord) -> bool:
        """Tell whether a step may be in the cone, by its clock (CL-1); of settled steps that says nothing (CP-5)."""
        if record.floor > case.books.least_epoch:
            return True
        return any(covers(record.clock, root) for root in case.books.proposal.roots)


def _causes(record: StepRecord) -> list[StepId]:
    """Return what a step depends on; what it tolerates is not among it (RB-11)."""
    causes: dict[StepId, None] = {}
    for cause in (record.input.producer, *(read.writer for read in record.reads)):
        if cause is not None and cause != record.step:
            causes[cause] = None
    return list(causes)
