"""What holds for honest agents among liars: judged on their own logs and machines, in any state of the world.

What liars' agents do, and what depends on it, is theirs. So is a rollback in which one of them takes part: whoever
votes in it, or was told of it, may have been lied to. All else is held to what it is held to without liars.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from protocol.clock import covers
from protocol.ids import AgentId, Lineage, MessageId, ProposalId, StepId
from protocol.proposal import Proposal
from protocol.records import (
    AcceptedRecord,
    DecisionRecord,
    ForcedRecord,
    OutcomeRecord,
    ProposedRecord,
    Record,
    RestoredRecord,
    VoteRecord,
)
from protocol.step import Output, StepRecord
from protocol.words import HeldRecord, PausedRecord, TierRecord
from sims.checkers import state
from sims.checkers.view import View, need, some
from sims.oracle import cone

SENT = "no honest agent handles what its honest sender has not sent"
ONCE = "each message between honest agents is handled by exactly one surviving step"
STATE = "an honest agent's state is what its surviving steps wrote"
ENDS = "rollbacks of honest agents alone end"
CONES = "of honest agents alone exactly the cones are retracted"
ORPHANS = "no surviving step of an honest agent depends on one that honest agents alone retracted"
EFFECTS = "no effect of an honest agent is done twice"
NAMED = "no honest step is undone whose clock shows that it hangs on no root"
ACCUSED = "no honest agent is found to lie"
NAMES = "nobody has steps undone in the name of an honest agent"
RIGHTS = "what is asked without the right changes nothing"


@dataclass(frozen=True)
class Honest:
    """A world, of which some agents are liars'."""

    view: View
    liars: frozenset[AgentId]
    may_cut: bool
    """Whether there are checkpoints."""
    may_propose: bool = False
    """Whether liars may have others' steps rolled back."""
    paused: frozenset[AgentId] = frozenset()
    """Those that begin no step, since a liar that is out was to vote on a restore, and nobody succeeds it."""
    is_stuck: bool = False
    """Whether facts wait for backups that are gone, and that nobody can succeed: nothing need go on."""

    # -- who was lied to -----------------------------------------------------------------------------------------------

    @cached_property
    def logs(self) -> dict[AgentId, list[Record]]:
        """The logs of honest agents."""
        return {agent: [*log] for agent, log in self.view.logs.items() if agent not in self.liars}

    @cached_property
    def steps(self) -> list[StepRecord]:
        """Their durable steps."""
        return [record for log in self.logs.values() for record in log if isinstance(record, StepRecord)]

    @cached_property
    def proposals(self) -> dict[ProposalId, Proposal]:
        """The rollbacks that any of them has heard of, and written down."""
        found: dict[ProposalId, Proposal] = {}
        for log in self.logs.values():
            for record in log:
                if isinstance(record, VoteRecord | DecisionRecord | ProposedRecord):
                    found.setdefault(record.proposal.id, record.proposal)
        return found

    @cached_property
    def tainted(self) -> set[ProposalId]:
        """Those in which a liar takes part: as the proposer, the owner of a root, or one whom the cone has reached."""
        return {name for name, proposal in self.proposals.items() if self._is_tainted(proposal)}

    def _is_tainted(self, proposal: Proposal) -> bool:
        _, most = self.view.reached_by(proposal)
        owners = {step.rsplit("/", 2)[0] for step in self.view.cone_of(proposal)}
        return not self.liars.isdisjoint({proposal.proposer, *most, *owners})

    @cached_property
    def touched(self) -> set[str]:
        """The steps of those rollbacks, and what depends on them: some may be undone, and others not."""
        found: set[str] = set()
        for name in self.tainted:
            found |= self.view.cone_of(self.proposals[name])
        for log in self.logs.values():
            for record in log:
                if isinstance(record, VoteRecord) and record.proposal.id in self.tainted:
                    found.update(str(each.step) for each in record.vote.cone)
                    found.update(str(each.producer) for each in record.vote.credits)
                elif isinstance(record, DecisionRecord) and record.proposal.id in self.tainted:
                    found.update(map(str, record.retracted))
        return cone(found, self.view.after)

    @cached_property
    def fed(self) -> set[str]:
        """The steps that hang on what a liar has said: whose later steps they hang on its clock tells, truly or not."""
        fed = {
            record.step for record in self.steps if record.input.producer and record.input.producer.agent in self.liars
        }
        return cone({str(step) for step in fed}, self.view.after)

    @cached_property
    def frozen(self) -> set[AgentId]:
        """Those that take part in such a rollback which is not decided: their parts stand still; and who is paused."""
        return {
            agent
            for agent, machine in self.view.machines.items()
            if agent not in self.liars and (self.is_stuck or not self.tainted.isdisjoint(machine.rollback.undecided()))
        } | self.paused

    @cached_property
    def parked(self) -> dict[AgentId, set[MessageId]]:
        """By agent, the messages that its votes in such rollbacks have taken for a part of the cone."""
        found: dict[AgentId, set[MessageId]] = {}
        for agent, log in self.logs.items():
            for record in log:
                if isinstance(record, VoteRecord) and record.proposal.id in self.tainted:
                    found.setdefault(agent, set()).update(
                        MessageId(credit.producer, credit.at) for credit in record.vote.credits
                    )
        return found

    # -- what holds ----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises: Broken."""
        for check in (
            self.sent, self.once, self.inputs, self.state, self.decisions, self.ends, self.cones, self.orphans,
            self.effects, self.rights, self.names, self.named, self.accused,
        ):  # fmt: skip
            check()

    @cached_property
    def _outputs(self) -> dict[StepId, tuple[Output, ...]]:
        return {record.step: record.outputs for record in self.steps}

    def sent(self) -> None:
        """Raises: Broken."""
        for record in self.steps:
            item = record.input
            if item.producer is None or item.producer.agent in self.liars:
                continue
            outputs = self._outputs.get(item.producer)
            need(outputs is not None, SENT, f"{record.step} handled a message of {item.producer}, which never was")
            assert outputs is not None
            fits = item.index < len(outputs) and outputs[item.index].receiver == record.step.agent
            need(fits, SENT, f"{record.step} handled {item}, which {item.producer} did not send to it")
            if item.attempt == 1:
                same = outputs[item.index].payload == item.payload
                need(same, SENT, f"{record.step} handled {item} with another content than was sent")

    def once(self) -> None:
        """Raises: Broken."""
        handled: dict[MessageId, list[StepRecord]] = {}
        for record in self.steps:
            if self.view.survives(record) and record.input.message is not None:
                handled.setdefault(record.input.message, []).append(record)
        machines = self.view.machines
        dead = {item.message for machine in machines.values() for item, _, _ in machine.core.dead}
        for record in self.steps:
            if not self.view.survives(record):
                continue
            for at, output in enumerate(record.outputs):
                message = MessageId(record.step, at)
                if output.receiver in self.liars or output.receiver not in machines or message in dead:
                    continue
                by = [str(each.step) for each in handled.get(message, ())]
                need(len(by) < 2, ONCE, f"{message} to {output.receiver} was handled by {by}")
                if self._is_spoilt(record, message, output.receiver):
                    continue
                need(len(by) == 1, ONCE, f"{message} to {output.receiver} was handled by nobody")

    def _is_spoilt(self, record: StepRecord, message: MessageId, receiver: AgentId) -> bool:
        return (
            str(record.step) in self.touched
            or receiver in self.frozen
            or record.step.agent in self.frozen
            or message in self.parked.get(receiver, ())
        )

    def inputs(self) -> None:
        """Each input from outside is handled once. Raises: Broken."""
        handled: dict[tuple[AgentId, str, int], int] = {}
        for record in self.steps:
            if record.input.producer is None and self.view.survives(record):
                name = (record.step.agent, record.input.sender, record.input.number)
                handled[name] = handled.get(name, 0) + 1
        for agent, log in self.logs.items():
            machine = self.view.machines.get(agent)
            if machine is None:
                continue
            dead = {(item.sender, item.number) for item, _, _ in machine.core.dead if item.producer is None}
            for record in log:
                for item in record.inputs if isinstance(record, AcceptedRecord) else ():
                    count = handled.get((agent, item.sender, item.number), 0)
                    wanted = int((item.sender, item.number) not in dead)
                    enough = count == wanted or (count < wanted and agent in self.frozen)
                    need(enough, ONCE, f"{agent}: {item} was handled {count} times, not {wanted}")

    def state(self) -> None:
        """Raises: Broken."""
        machines = {agent: machine for agent, machine in self.view.machines.items() if agent in self.logs}
        state.check(View(machines=machines, logs=self.logs))

    def decisions(self) -> None:
        """All decide alike. Raises: Broken."""
        for name, decided in self._decided().items():
            kinds = {record.decision for _, record in decided}
            need(len(kinds) == 1, CONES, f"{name} was decided both ways by {[agent for agent, _ in decided]}")

    def _decided(self) -> dict[ProposalId, list[tuple[AgentId, DecisionRecord]]]:
        found: dict[ProposalId, list[tuple[AgentId, DecisionRecord]]] = {}
        for agent, log in self.logs.items():
            for record in log:
                if isinstance(record, DecisionRecord) and record.proposal.id not in self.tainted:
                    found.setdefault(record.proposal.id, []).append((agent, record))
        return found

    def ends(self) -> None:
        """Raises: Broken."""
        if self.is_stuck:
            return
        outcomes = {r.proposal: r for log in self.logs.values() for r in log if isinstance(r, OutcomeRecord)}
        decided = self._decided()
        for agent, log in self.logs.items():
            for record in log:
                if isinstance(record, ProposedRecord) and record.proposal.id not in self.tainted:
                    name = record.proposal.id
                    need(name in outcomes, ENDS, f"{name} of {agent} has no outcome")
                    said = {found.decision for _, found in decided.get(name, ())}
                    need(
                        said <= {outcomes[name].decision}, ENDS, f"{agent} was told {outcomes[name].decision} of {name}"
                    )
        for agent, machine in self.view.machines.items():
            if agent not in self.liars:
                left = set(machine.rollback.undecided()) - self.tainted
                need(not left, ENDS, f"{agent} has not decided {some(left)}")

    def cones(self) -> None:
        """Raises: Broken."""
        for name, decided in self._decided().items():
            proposal, gone = self.proposals[name], {str(s) for _, record in decided for s in record.retracted}
            truth = self.view.cone_of(proposal)
            if decided[0][1].decision == "abort":
                need(not gone, CONES, f"{name} was aborted, and has undone {some(gone)}")
                continue
            need(gone <= truth, CONES, f"{name} has undone what is in no cone of it: {some(gone - truth)}")
        for agent, log in self.logs.items():
            for record in log:
                if isinstance(record, ForcedRecord):
                    wrong = {str(step) for step in record.retracted} - self.fed
                    need(not wrong, CONES, f"{agent} has undone {some(wrong)} without any rollback")
                if isinstance(record, RestoredRecord) and not self.may_cut:
                    need(not record.retracted, CONES, f"{agent} has undone something without any rollback")

    def names(self) -> None:
        """Raises: Broken."""
        said = {r.proposal.id: r.proposal for log in self.logs.values() for r in log if isinstance(r, ProposedRecord)}
        for name, proposal in self.proposals.items():
            if proposal.proposer not in self.liars:
                same = name in said and said[name].shown() == proposal.shown()
                need(same, NAMES, f"{proposal.proposer} has not proposed {proposal}")

    def named(self) -> None:
        """Whatever liars say is in a cone (RB-15), also of rollbacks in which they take part. Raises: Broken."""
        records = {record.step: record for record in self.steps}
        for agent, log in self.logs.items():
            for record in log:
                if isinstance(record, DecisionRecord):
                    roots = record.proposal.roots
                    may = {step for step in record.retracted if self._may_hang(records[step], roots, records)}
                    for step in record.retracted:  # in order: what an agent has read of itself is before
                        may.update({step} if may.intersection(_causes(records[step])) else ())
                        need(step in may, NAMED, f"{agent} has undone {step} for {some({str(root) for root in roots})}")

    @staticmethod
    def _may_hang(record: StepRecord, roots: Iterable[StepId], records: Mapping[StepId, StepRecord]) -> bool:
        """Tell whether the clock of a step, or that with which its input came, shows that it may hang on a root."""
        for clock, floor in ((record.clock, record.floor), (record.input.clock, record.input.floor)):
            if any(covers(clock, root) or (root in records and records[root].epoch < floor) for root in roots):
                return True
            if floor and any(root not in records for root in roots):
                return True  # when a liar's root ran it says itself
        return False

    def accused(self) -> None:
        """Raises: Broken."""
        for agent, notice in self.view.notices:
            is_wrong = notice.notice == "vote-false" and agent not in self.liars and notice.subject not in self.liars
            need(not is_wrong, ACCUSED, f"{agent} says that {notice.subject} lies: {notice.detail}")

    def orphans(self) -> None:
        """All of a cone is undone, and with it what depends on it. Raises: Broken."""
        for name, decided in self._decided().items():
            if decided[0][1].decision == "commit":
                left = self.view.cone_of(self.proposals[name]) - self.view.retracted - self.touched
                need(not left, ORPHANS, f"{name} has left {some(left)}")

    def effects(self) -> None:
        """Raises: Broken."""
        again = {f"{agent}/{lineage}" for agent, lineage in self._said_again()}
        doubled = {intent for intent in self.view.doubled if intent.split("/", 1)[0] not in self.liars}
        doubled -= {intent for intent in doubled if intent.rsplit("/", 1)[0] in again}
        need(not doubled, EFFECTS, some(doubled))

    def _said_again(self) -> set[tuple[AgentId, Lineage]]:
        """Return what was compacted and then said anew by a liar, under one lineage: nobody knows that it was done."""
        runs: dict[tuple[AgentId, Lineage], list[StepRecord]] = {}
        for record in self.steps:
            runs.setdefault((record.step.agent, record.input.lineage), []).append(record)
        found: set[tuple[AgentId, Lineage]] = set()
        for name, records in runs.items():
            machine, producers = self.view.machines.get(name[0]), {record.input.producer for record in records}
            is_final = machine is None or min(record.epoch for record in records) < machine.core.colours.horizon
            if is_final and len(producers) > 1 and any(one and one.agent in self.liars for one in producers):
                found.add(name)
        return found

    def rights(self) -> None:
        """Raises: Broken."""
        for agent, log in self.logs.items():
            for record in log:
                need(not self._is_unasked(record), RIGHTS, f"{agent} has written {record}")

    def _is_unasked(self, record: Record) -> bool:
        match record:
            case PausedRecord() | HeldRecord() | TierRecord():
                return True
            case AcceptedRecord():
                return any(not item.sender.startswith("ext:operator") for item in record.inputs)
            case ProposedRecord():
                return not self.may_propose and not record.proposal.reason.startswith("as the seed wants")
            case _:
                return type(record).__name__ == "CutRecord" and not self.may_cut


def _causes(record: StepRecord) -> list[StepId]:
    """Return the own steps on which a step hangs directly."""
    causes = [record.input.producer, *(read.writer for read in record.reads)]
    return [cause for cause in causes if cause is not None and cause.agent == record.step.agent]


def agents_of(homes: Iterable[tuple[AgentId, str]], hosts: Iterable[str]) -> frozenset[AgentId]:
    """Return the agents that live on some hosts."""
    there = {*hosts}
    return frozenset(agent for agent, host in homes if host in there)
