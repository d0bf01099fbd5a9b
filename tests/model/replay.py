"""Real peer machines that do what a behaviour of the model does, compared after every action.

A model step is a handler that returns with the same input, reads and receivers; a model vote is the answer to a
`Consult`; `Learn` hands over the voter's ballot, as it stands in the voter's log, when its receiver next acts on that
proposal; `Forget` is a crash. See docs/model/README.md for what is compared and what is not.
"""

from collections.abc import Callable
from typing import Any

from protocol.action import Action, Consult, RunStep
from protocol.event import Consulted, Elapsed, Event, Received, StepRan
from protocol.ids import MessageId, ProposalId, StepId
from protocol.limits import Limits
from protocol.message import Ballot, Data, Message, Propose, Void
from protocol.proposal import Proposal, Vote
from protocol.records import VoteRecord
from protocol.step import Input, Read, StepRecord
from tests.rules.bench import Bench, make_draft

AGENTS = ("a", "b", "c")
OBSERVER = "z"
"""Proposes, and is concerned by nothing."""
FOREVER = 10**6


class Mismatch(AssertionError):
    """The machines did not do what the model does."""


class CutShort(Exception):
    """The machines wait where the model need not; why is in the text."""


class Table(Bench):
    """A bench on which every message stays until it is handed over, and may be handed over again."""

    def __init__(self) -> None:
        self.asked: dict[tuple[str, ProposalId], Consult] = {}
        self.channels: dict[tuple[str, str], dict[int, Message]] = {}
        self.proposals: list[Proposal] = []
        self.told_votes: set[tuple[str, str, ProposalId, int]] = set()
        self.letters: list[tuple[str, str, Message]] = []
        limits = Limits(failures_max=FOREVER, failure_wait_us=1, attempts_max=FOREVER)
        super().__init__(*AGENTS, OBSERVER, limits=limits)

    def _take(self, name: str, action: Action) -> None:
        if isinstance(action, Consult):
            self.asked[name, action.proposal.id] = action
        else:
            super()._take(name, action)

    def feed(self, name: str, event: Event) -> None:
        """Feed one event; what is sent is put aside."""
        super().feed(name, event)
        for sender, receiver, message in self.mail:
            match message:
                case Data():
                    self.channels.setdefault((sender, receiver), {})[message.input.number] = message
                case Void():
                    self.channels.setdefault((sender, receiver), {}).setdefault(message.number, message)
                case Propose() if message.proposal not in self.proposals:
                    self.proposals.append(message.proposal)
                case Ballot():
                    told = {(sender, receiver, message.proposal.id, vote.version) for vote in message.votes}
                    self.told_votes |= told
                case _:
                    pass
            self.letters.append((sender, receiver, message))
        self.mail.clear()

    def crash(self, name: str) -> None:
        """Lose all but the disk, and begin again."""
        self.asked = {key: order for key, order in self.asked.items() if key[0] != name}
        super().crash(name)

    def votes_of(self, name: str, pid: ProposalId) -> dict[int, Vote]:
        """Return an agent's durable votes on a proposal, by version: each whole, where its log has the differences."""
        found: dict[int, Vote] = {}
        whole: Vote | None = None
        for record in self.disks[name]:
            if isinstance(record, VoteRecord) and record.proposal.id == pid:
                whole = record.vote.after(whole)
                found[whole.version] = whole
        return found

    def decision(self, name: str, pid: ProposalId) -> str:
        """Return what an agent has decided, as the model writes it."""
        record = self.machines[name].rollback.decided.get(pid)
        return "no" if record is None else record.decision

    def run_of(self, name: str, is_wanted: Callable[[Input], bool]) -> RunStep | None:
        """Let every handler fail but the wanted input's, until that one runs; None if it is not in line."""
        machine = self.machines[name]
        for _ in range(10_000):
            run = self.runs.get(name)
            if run is not None and is_wanted(run.input):
                return run
            if run is not None:
                del self.runs[name]
                self.feed(name, StepRan(run.run, make_draft(error="not its turn")))
                continue
            deferred = machine.core.line.deferred
            if not any(is_wanted(item) and item not in deferred for item in machine.stepping.waiting()):
                return None
            due_us = machine.stepping.deadline_us()
            if due_us is None:
                return None
            self.now_us = max(self.now_us, due_us)
            self.feed(name, Elapsed())
        raise AssertionError(f"{name} never came to an input that is in line")


class Replay:
    """One behaviour, on machines."""

    def __init__(self) -> None:
        self.table = Table()
        self.pids: dict[str, ProposalId] = {}
        self.roots: dict[str, tuple[str, int]] = {}
        self.ran: dict[str, int] = dict.fromkeys(AGENTS, 0)
        self.lessons: dict[tuple[str, str], list[tuple[str, int]]] = {}
        """By learner and proposal, what it has learned in the model and is not handed over yet."""
        self.due: dict[tuple[str, str], str] = {}
        """By elector and proposal, the decision that has been due."""
        self.cones: dict[tuple[str, str], list[int]] = {}
        self.credits: dict[tuple[str, str], list[list[Any]]] = {}
        self.loose: set[str] = set()
        """Proposals that the machines have aborted at an elector that votes once more in the model."""
        self.compared = 0

    def act(self, action: list[Any]) -> None:
        """Do one action, and compare.

        Raises: Mismatch; CutShort.
        """
        kind, *arguments, due = action
        getattr(self, f"_{kind}")(*arguments)
        agent = arguments[0]
        if agent in AGENTS:
            for prop in self.pids:
                self._compare(agent, prop, due[prop])
            self._compare_retracted(agent)

    def _same(self, found: object, wanted: object, what: str) -> None:
        self.compared += 1
        if found != wanted:
            raise Mismatch(f"{what}: {found}; in the model {wanted}")

    def _compare(self, agent: str, prop: str, due: str) -> None:
        """Compare an elector's decision with what is due in the model."""
        if prop not in self.loose and not self.lessons.get((agent, prop)):
            if due != "no":
                self.due[agent, prop] = due
            found = self.table.decision(agent, self.pids[prop])
            self._same(found, self.due.get((agent, prop), "no"), f"{agent} on {prop} has decided")

    def _compare_retracted(self, agent: str) -> None:
        retraction = self.table.machines[agent].core.retraction
        found = [n for n in range(1, self.ran[agent] + 1) if StepId(agent, 1, n) in retraction]
        wanted = {n for (a, p), d in self.due.items() if a == agent and d == "commit" for n in self.cones[a, p]}
        self._same(found, sorted(wanted), f"{agent} has retracted")

    # -- the model's actions ---------------------------------------------------------------------------------------

    def _run(self, agent: str, source: list[Any], reads: list[int], to: list[str]) -> None:
        table = self.table
        self.ran[agent] += 1
        if source[0] == "ext":
            payload = b"%s%d" % (agent.encode(), self.ran[agent])
            table.submit(agent, payload)
            run = table.run_of(agent, lambda item: item.payload == payload and item.producer is None)
        else:
            run = self._run_of_message(source[0], source[1], agent)
        if run is None:
            self._waits(agent, f"the input {source} of {agent}'s step {self.ran[agent]} is not in line")
            return
        del table.runs[agent]
        draft = make_draft(
            reads=tuple(Read(f"k{n}", StepId(agent, 1, n)) for n in reads),
            writes={f"k{self.ran[agent]}": b"1"},
            sends=tuple((receiver, b"m") for receiver in to),
        )
        table.feed(agent, StepRan(run.run, draft))
        last = [record.step for record in table.disks[agent] if isinstance(record, StepRecord)][-1:]
        if last != [StepId(agent, 1, self.ran[agent])]:
            self._waits(agent, f"{agent}'s step {self.ran[agent]} with reads {reads} never was")

    def _waits(self, agent: str, what: str) -> None:
        """Tell why the machine does not run what the model runs: one reason is known and wanted (RB-9)."""
        core, stepping = self.table.machines[agent].core, self.table.machines[agent].stepping
        for item in core.line.deferred:
            if item.lineage in stepping.held or core.live_run(item.lineage) is not None:
                raise CutShort("the input's older run still stands here")
        if self.loose:
            raise CutShort("a proposal was aborted earlier than in the model")
        raise Mismatch(what)

    def _run_of_message(self, sender: str, step: int, receiver: str) -> RunStep | None:
        """Hand over a message and those before it, once more if need be, and have its handler run."""
        message, number = self._message(sender, step, receiver)
        for at, letter in sorted(self.table.channels[sender, receiver].items()):
            if at <= number:
                self.table.feed(receiver, Received(sender, letter))
        return self.table.run_of(receiver, lambda item: item.message == message)

    def _message(self, sender: str, step: int, receiver: str) -> tuple[MessageId, int]:
        name = StepId(sender, 1, step)
        outputs = self.table.machines[sender].core.cone.record(name).outputs
        index = next(index for index, output in enumerate(outputs) if output.receiver == receiver)
        return MessageId(name, index), outputs[index].number

    def _propose(self, prop: str, root: list[Any]) -> None:
        self.table.propose(OBSERVER, StepId(root[0], 1, root[1]), inputs="retry")
        self.pids[prop] = self.table.proposals[-1].id
        self.roots[prop] = (root[0], root[1])

    def _proposal(self, prop: str) -> Proposal:
        return next(proposal for proposal in self.table.proposals if proposal.id == self.pids[prop])

    def _hand_over(self, agent: str, prop: str) -> None:
        """Hand an elector the proposal, if it owns the root, and the ballots that it has learned of."""
        proposal = self._proposal(prop)
        if self.roots[prop][0] == agent:
            self.table.feed(agent, Received(OBSERVER, Propose(proposal)))
        for voter, version in self.lessons.pop((agent, prop), []):
            votes = self.table.votes_of(voter, proposal.id)
            if prop not in self.loose and version not in votes:
                raise Mismatch(f"{voter} has no vote {version} on {prop}")
            if version in votes:
                self.table.feed(agent, Received(voter, Ballot(proposal, (votes[version],))))

    def _vote(self, agent: str, prop: str, cone: list[int], credits: list[list[Any]], accepts: bool) -> None:
        table, pid = self.table, self.pids[prop]
        self._hand_over(agent, prop)
        if table.decision(agent, pid) != "no":
            # The model's electors may go on to vote although they know of a reject; ours have aborted by then.
            self._same(table.decision(agent, pid), "abort", f"{agent} on {prop}, which votes in the model, has decided")
            self.loose.add(prop)
        asked = table.asked.pop((agent, pid), None)
        if asked is None:
            if prop not in self.loose:
                raise Mismatch(f"{agent} does not vote on {prop}")
            return
        table.feed(agent, Consulted(pid, accepts, "" if accepts else "no"))
        if prop in self.loose:
            return
        vote = max(table.votes_of(agent, pid).items())[1]
        self._same(sorted(step.step.seq for step in vote.cone), cone, f"{agent}'s part of {prop}")
        found = sorted([credit.producer.agent, credit.producer.seq] for credit in vote.credits)
        self._same(found, credits, f"{agent}'s credits on {prop}")
        self._same(vote.accepts, accepts, f"{agent} accepts {prop}")
        self.cones[agent, prop], self.credits[agent, prop] = cone, credits
        self._refuses(agent, prop)
        last = next(r.vote for r in reversed(table.disks[agent]) if isinstance(r, VoteRecord) and r.proposal.id == pid)
        for debit in (debit for step in last.cone for debit in step.sends):
            # The model's `Names`: whom a vote debits may learn of it, so it is sent to whom it debits anew.
            told = (agent, debit.receiver, pid, vote.version) in table.told_votes
            self._same(told, True, f"{agent} sends its vote {vote.version} on {prop} to {debit.receiver}")

    def _refuses(self, agent: str, prop: str) -> None:
        """Until an abort, an elector neither handles what its vote credits nor reads what that freezes."""
        table = self.table
        if table.decision(agent, self.pids[prop]) == "abort":
            return
        steps = self._count_steps(agent)
        for sender, step in self.credits[agent, prop]:
            # Its handler may have begun before: then its step never becomes one (ST-6).
            self._returns(agent, self._run_of_message(sender, step, agent), ())
        self._same(self._count_steps(agent), steps, f"{agent} has handled what its vote on {prop} credits: its steps")
        for frozen in self.cones[agent, prop][:1]:
            payload = b"reads %d of %s in %d" % (frozen, prop.encode(), len(table.disks[agent]))
            table.submit(agent, payload)
            run = table.run_of(agent, lambda item, payload=payload: item.payload == payload)
            self._returns(agent, run, (Read(f"k{frozen}", StepId(agent, 1, frozen)),))
        self._same(self._count_steps(agent), steps, f"{agent} has read what {prop} freezes: its steps")

    def _returns(self, agent: str, run: RunStep | None, reads: tuple[Read, ...]) -> None:
        if run is not None:
            del self.table.runs[agent]
            self.table.feed(agent, StepRan(run.run, make_draft(reads=reads)))

    def _count_steps(self, agent: str) -> int:
        return sum(isinstance(record, StepRecord) for record in self.table.disks[agent])

    def _learn(self, agent: str, prop: str, voter: str, version: int) -> None:
        self.lessons.setdefault((agent, prop), []).append((voter, version))

    def _commit(self, agent: str, prop: str) -> None:
        self._hand_over(agent, prop)
        if prop in self.loose:
            raise Mismatch(f"{agent} commits {prop}, which another elector has aborted")

    def _abort(self, agent: str, prop: str) -> None:
        self._hand_over(agent, prop)

    def _forget(self, agent: str) -> None:
        for key in [key for key in self.lessons if key[0] == agent]:
            del self.lessons[key]
        self.table.crash(agent)
        for voter, prop in list(self.cones):
            if voter == agent and prop not in self.loose:
                self._refuses(agent, prop)

    # -- the end ---------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Let the network be whole from now on: everybody decides, and alike, what anybody has decided.

        Raises: Mismatch.
        """
        table = self.table
        for prop, pid in self.pids.items():
            table.feed(self.roots[prop][0], Received(OBSERVER, Propose(self._proposal(prop))))
            assert pid
        for _ in range(60):
            table.letters.clear()
            for key in list(table.asked):
                del table.asked[key]
                table.feed(key[0], Consulted(key[1], True, ""))
            table.now_us += 10_000_000
            for name in (*AGENTS, OBSERVER):
                table.feed(name, Elapsed())
            while table.letters:
                sender, receiver, message = table.letters.pop(0)
                table.feed(receiver, Received(sender, message))
        for prop, pid in self.pids.items():
            undecided = [name for name in AGENTS if pid in table.machines[name].rollback.undecided()]
            self._same(undecided, [], f"undecided on {prop} when all is delivered")
            decisions = {table.decision(name, pid) for name in AGENTS} - {"no"}
            expected = {d for (_, p), d in self.due.items() if p == prop} if prop not in self.loose else {"abort"}
            self._same(len(decisions), 1, f"decisions on {prop}, {sorted(decisions)}")
            self._same(expected <= decisions, True, f"{prop}: decided {sorted(decisions)}, due was {sorted(expected)}")
        for name in AGENTS:
            self._stands(name)

    def _stands(self, name: str) -> None:
        """No surviving step hangs on a retracted one."""
        core = self.table.machines[name].core
        for record in core.cone.records():
            if record.step in core.retraction:
                continue
            causes = [read.writer for read in record.reads if read.writer is not None]
            causes += [record.input.producer] if record.input.producer is not None else []
            orphaned = [cause for cause in causes if self.table.undone(cause)]
            self._same(orphaned, [], f"{record.step} stands on undone steps")
