"""Rollbacks among a few machines when mail comes in any order or not at all, and some agents are cut off for long.

Smaller and crueller than the random histories: no time passes unless the script says so, so a vote may overtake or be
overtaken by anything, an agent may take for ever to agree, and whoever keeps the books may say nothing at all.
"""

from random import Random

from protocol.action import Action, Append, Consult, Finish, Publish
from protocol.agent.books import Books, keeper_of
from protocol.agent.machine import PeerMachine
from protocol.event import Appended, Consulted, Learned, Recovered
from protocol.fact import Began
from protocol.ids import AgentId, ProposalId
from protocol.proposal import Proposal
from protocol.records import BirthRecord, DecisionRecord, ProposedRecord
from protocol.step import Read, StepRecord
from sims.oracle import LoggedStep, cone, dependents, orphans
from tests.rules.bench import Bench

STEPS_MAX = 30


class Silence(Bench):
    """One world under one seed; `play` plays it to its end, and judges it."""

    def __init__(self, seed: int, loses: bool = False) -> None:
        self.rng = rng = Random(seed)
        self.seed = seed
        self.loses = loses
        """A crash may take the end of a disk: what came after the last fact (CP-8)."""
        self.placed: dict[AgentId, int] = {}
        self.lost: set[AgentId] = set()
        """Who has lost the end of its disk, and not begun anew durably."""
        self.gone: list[StepRecord] = []
        self.began: list[Began] = []
        self.news: list[tuple[AgentId, Began]] = []
        self.asked: dict[tuple[AgentId, ProposalId], Consult] = {}
        self.opinions: dict[tuple[AgentId, ProposalId], bool] = {}
        self.cut_off: set[AgentId] = set()
        self.ends: list[Finish] = []
        self.rejects = rng.choice((0.0, 0.0, 0.1, 0.4))
        self.loss = rng.choice((0.0, 0.1, 0.5))
        self.steps = 0
        self.names = [f"a{number}" for number in range(rng.randint(2, 7))]
        super().__init__(*self.names, "z")

    # -- the bench, by chance

    def _take(self, name: str, action: Action) -> None:
        match action:
            case Consult():
                self.asked[name, action.proposal.id] = action
            case Finish():
                self.ends.append(action)
            case Append():
                self.pending[name].append(action)
            case Publish() if isinstance(action.fact, Began):
                self.began.append(action.fact)
                self.news += [(other, action.fact) for other in self.machines if other != name]
            case _:
                super()._take(name, action)

    def crash(self, name: AgentId) -> None:
        """Lose all but the disk, perhaps its end too; mail that is under way may still come."""
        self.asked = {key: order for key, order in self.asked.items() if key[0] != name}
        disk = self.disks[name]
        if self.loses and disk and self.rng.random() < 0.4:
            keep = max(1, self.placed.get(name, 0), len(disk) - self.rng.randint(1, 8))
            self.gone += [record for record in disk[keep:] if isinstance(record, StepRecord)]
            del disk[keep:]
            self.lost.add(name)
        known = max((began.incarnation for began in self.began if began.agent == name), default=1)
        self.machines[name] = PeerMachine(name, self.limits)
        self.pending[name] = []
        self.runs.pop(name, None)
        self.feed(name, Recovered(tuple(disk), name in self.lost, known))
        self.news += [(name, began) for began in self.began if began.agent != name]

    def write(self, name: AgentId) -> None:
        """Make one append durable."""
        if self.pending[name]:
            order = self.pending[name].pop(0)
            self.disks[name].extend(order.records)
            if order.is_fact:
                self.placed[name] = len(self.disks[name])
            if any(isinstance(record, BirthRecord) for record in order.records):
                self.lost.discard(name)
            self.feed(name, Appended(order.ticket))

    def hear(self) -> None:
        """Let one hear of a beginning: gossip brings it to everybody some time."""
        name, began = self.news.pop(self.rng.randrange(len(self.news)))
        self.feed(name, Learned(began))

    def opine(self, name: AgentId, pid: ProposalId) -> None:
        """Let an elector agree, or not."""
        accepts = self.opinions.setdefault((name, pid), self.rng.random() >= self.rejects)
        del self.asked[name, pid]
        self.feed(name, Consulted(pid, accepts, "" if accepts else "no"))

    def act(self, name: AgentId) -> None:
        """Let the running handler return: it reads, writes and sends as chance has it."""
        rng = self.rng
        versions = self.machines[name].core.versions
        read = [Read("k", versions.read("k")[1])] if rng.random() < 0.4 else []
        others = [other for other in self.names if rng.random() < 1.6 / len(self.names)]
        others = others if self.steps < STEPS_MAX else []
        self.steps += 1
        writes: dict[str, bytes | None] = {"k": b"v"} if rng.random() < 0.5 else {}
        self.ran(name, reads=tuple(read), writes=writes, sends=tuple((other, b"m") for other in others))

    def carry(self) -> None:
        """Carry one message, any of those under way, or lose it."""
        mail = self.mail.pop(self.rng.randrange(len(self.mail)))
        if self.cut_off & {*mail[:2]} or self.rng.random() < self.loss:
            return
        if self.rng.random() < 0.1:
            self.mail.append(mail)
        self.mail.append(mail)
        at = len(self.mail) - 1
        self.deliver(lambda some: some is self.mail[at] if at < len(self.mail) else False)

    # -- the script

    def play(self) -> None:
        """Play to the end, and judge.

        Raises: AssertionError, naming the seed and what does not hold.
        """
        rng = self.rng
        for _ in range(rng.randint(1, 4)):
            self.submit(rng.choice(self.names), b"x")
        loss, self.loss = self.loss, 0.0
        for _ in range(rng.randint(20, 200)):
            self.chance(proposes=False)
        self.loss = loss
        for _ in range(rng.choice((1, 1, 1, 2))):
            self.ask_for_one()
            for _ in range(rng.randint(0, 60)):
                self.chance()
        self.cut_off = {name for name in self.names if rng.random() < 0.25}
        if self.proposals() and rng.random() < 0.5:
            self.cut_off = {keeper_of(rng.choice(self.proposals()))}
        self.loss = rng.choice((0.0, loss))
        for _ in range(rng.randint(0, 150)):
            self.chance()
        self.loss = 0.0
        self.calm()
        self.nobody_waits_for_the_silent()
        self.cut_off = set()
        self.calm()
        self.judge()

    def chance(self, proposes: bool = True) -> None:
        """Let one thing happen."""
        rng, kind = self.rng, self.rng.random()
        if self.news and rng.random() < 0.2:
            self.hear()
        name = rng.choice([*self.names, "z"])
        if kind < 0.5:
            if self.mail:
                self.carry()
        elif kind < 0.75:
            self.write(name)
        elif kind < 0.85:
            if name in self.runs:
                self.act(name)
        elif kind < 0.94:
            if self.asked:
                self.opine(*rng.choice(list(self.asked)))
        elif kind < 0.97:
            self.elapse(rng.choice((10_000, 200_000, 3_000_000)))
        elif proposes and rng.random() < 0.5:
            self.crash(name)
        elif rng.random() < 0.2:
            self.submit(rng.choice(self.names), b"x")

    def ask_for_one(self) -> None:
        """Have somebody propose to undo a step or two."""
        steps = [record.step for disk in self.disks.values() for record in disk if isinstance(record, StepRecord)]
        if steps:
            roots = self.rng.sample(steps, min(len(steps), self.rng.choice((1, 1, 2, 3))))
            self.propose(self.rng.choice([*self.names, "z"]), *roots, inputs=self.rng.choice(("discard", "retry")))

    def calm(self) -> None:
        """Let all happen that is under way, with time enough for everybody to ask again."""
        for _ in range(14):
            while self.news or self.mail or self.asked or self.runs or any(self.pending.values()):
                while self.news:
                    self.hear()
                for name in self.machines:
                    while self.pending[name]:
                        self.write(name)
                    if name in self.runs:
                        self.act(name)
                for key in list(self.asked):
                    self.opine(*key)
                while self.mail:
                    self.carry()
            self.elapse(3_000_000)

    # -- the judge

    def proposals(self) -> list[Proposal]:
        """Return every proposal that is durable."""
        records = [record for disk in self.disks.values() for record in disk if isinstance(record, ProposedRecord)]
        return [record.proposal for record in records]

    def nobody_waits_for_the_silent(self) -> None:
        """Whoever has voted and is not cut off has decided, if those who are not cut off know enough together.

        Where the keeper and the proposer are both silent, a crash or a decision may leave somebody nobody to ask who
        knows of the others: it waits for one of the two, or for its successor.
        """
        there = [self.machines[name].rollback for name in self.names if name not in self.cut_off]
        for proposal in self.proposals():
            if proposal.proposer in self.cut_off:
                continue
            books = Books(proposal)
            cases = [case for rollback in there if (case := rollback._cases.get(proposal.id)) is not None]
            for case in cases:
                for vote in case.books.votes.values():
                    books.take(vote)
            if any(proposal.id in rollback.decided for rollback in there) or books.is_balanced() or books.is_refused():
                waiting = [name for name in self.names if proposal.id in self.machines[name].rollback.undecided()]
                self.need(not set(waiting) - self.cut_off, f"{waiting} wait; cut off are {sorted(self.cut_off)}")

    def need(self, holds: bool, text: str) -> None:
        """Assert, naming the seed."""
        assert holds, f"seed {self.seed}: {text}"

    def judge(self) -> None:
        """All have decided, alike; undone is exactly what hangs on committed roots; the proposers know it all."""
        logged = [_logged(record) for record in self.step_records()]
        gone = {str(record.step) for record in self.gone}
        after = dependents([*logged, *(_logged(record) for record in self.gone)])
        undone = {str(record.step) for record in self.step_records() if self.undone(record.step)}
        roots = {*gone}
        for proposal in self.proposals():
            decided = {
                name: record
                for name in self.names
                if (record := self.machines[name].rollback.decided.get(proposal.id)) is not None
            }
            self.need(bool(decided), f"nobody has decided {proposal.id}")
            self.need(len({record.decision for record in decided.values()}) == 1, f"{proposal.id} both ways")
            own = {str(root) for root in proposal.roots}
            if not self.gone:
                self.outcome(proposal, decided, cone(own, after))
            if next(iter(decided.values())).decision == "commit":
                roots |= own
        for name, machine in self.machines.items():
            self.need(not machine.rollback.undecided(), f"{name} is undecided")
            self.need(not machine.proposer.open(), f"{name} waits for the end of its proposal")
            self.need(not len(machine.core.quarantine), f"something stays frozen at {name}")
            records = [record for record in self.disks[name] if isinstance(record, DecisionRecord)]
            names = [record.proposal.id for record in records]
            self.need(len(names) == len({*names}), f"{name} decided twice: {names}")
        truth = cone(roots, after) - gone
        self.need(undone == truth, f"undone {sorted(undone - truth)}, kept {sorted(truth - undone)}")
        self.need(not orphans(logged, undone | gone), "a step stands on an undone one")

    def outcome(self, proposal: Proposal, decided: dict[AgentId, DecisionRecord], mine: set[str]) -> None:
        """What the proposer was told is complete."""
        outcome = self.machines[proposal.proposer].proposer.outcomes.get(proposal.id)
        self.need(outcome is not None, f"{proposal.id} has no outcome")
        assert outcome is not None
        decision = next(iter(decided.values())).decision
        self.need(outcome.decision == decision, f"the outcome of {proposal.id} is not what was decided")
        if decision == "commit":
            electors = {str(root.agent) for root in proposal.roots}
            for record in self.step_records():
                if str(record.step) in mine:
                    electors.update(output.receiver for output in record.outputs)
            self.need({*decided} == electors, f"decided have {sorted(decided)}, electors are {sorted(electors)}")
            self.need({*outcome.electors} == electors, f"electors in the outcome: {outcome.electors}, {electors}")
            told = [str(step) for step in outcome.undone]
            retracted = [str(step) for record in decided.values() for step in record.retracted]
            self.need(sorted(told) == sorted(retracted), f"undone in the outcome: {told}, {retracted}")
        else:
            self.need(bool(outcome.rejects), f"nobody is named who rejects {proposal.id}")
            naysayers = {name for name, why in outcome.rejects}
            wrong = naysayers - {name for (name, pid), yes in self.opinions.items() if pid == proposal.id and not yes}
            self.need(not wrong, f"{wrong} are said to reject {proposal.id}")

    def step_records(self) -> list[StepRecord]:
        """Return all steps."""
        return [record for disk in self.disks.values() for record in disk if isinstance(record, StepRecord)]


def _logged(record: StepRecord) -> LoggedStep:
    writers = tuple(str(read.writer) for read in record.reads if read.writer is not None)
    return LoggedStep(str(record.step), str(record.input.producer) if record.input.producer else None, writers)
