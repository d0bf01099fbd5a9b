"""The judge of a history: compares what the machines did with what graph search says they should have done."""

from itertools import islice

from protocol.agent.intents import UNDONE
from protocol.clock import covers
from protocol.ids import StepId
from protocol.proposal import Proposal
from protocol.records import CutRecord, DeadRecord, DecisionRecord, EffectRecord, IntentRecord, RestoredRecord
from protocol.step import StepRecord
from sims.checkers import overseers, requests
from sims.histories import timers
from sims.histories.history import History
from sims.histories.node import Node
from sims.histories.outside import WorldEffect
from sims.histories.requests import TOOLS
from sims.oracle import LoggedStep, cone, dependents, orphans


def judge(history: History) -> None:
    """Check every invariant at the end of a history.

    Raises: AssertionError, naming the seed, the invariant and the steps, if one does not hold.
    """
    _Judge(history).all()


class _Judge:
    def __init__(self, history: History) -> None:
        self.history = history
        self.records = history.steps()
        gone = [record for _, record in history.lost]
        self.logged = [_logged(record) for record in (*self.records, *gone)]
        self.after = dependents(self.logged)
        # Whoever tolerates may be undone with what it read, or not: its cone has a least and a most (RB-11).
        self.most_logged = [_logged(record, tolerates=True) for record in (*self.records, *gone)]
        self.after_at_most = dependents(self.most_logged)
        self.retracted = {str(step) for step in history.retracted()}
        self.lost = {str(record.step) for record in gone}
        self.proposals: dict[str, list[tuple[str, DecisionRecord]]] = {}
        for node in history.nodes.values():
            for record in node.machine.rollback.decided.values():
                self.proposals.setdefault(record.proposal.id, []).append((node.agent, record))

    def all(self) -> None:
        """Check every invariant."""
        self.decisions_agree()
        self.proposers_know()
        self.nobody_is_disputed()
        self.exactly_the_cones()
        self.cuts_are_consistent()
        self.state_is_the_fold()
        self.no_orphans()
        self.tolerances_hold()
        self.every_message_once()
        self.every_external_input_once()
        self.called_off_is_dead()
        self.timers_keep_time()
        self.people_are_heeded()
        self.outsiders_hear_nothing()
        self.effects_match()
        self.no_effect_waits_in_vain()
        self.clocks_are_sound()
        self.replicas_converge()

    def need(self, holds: bool, text: str) -> None:
        """Assert, naming the seed."""
        assert holds, f"seed {self.history.plan.seed}: {text}"

    def reached_by(self, proposal: Proposal) -> tuple[set[str], set[str]]:
        """Return the true electors, at least and at most: a space may have got subscribers after the decision."""
        # What hangs on the roots through lost steps alone is undone by force: nobody is left who could tell of it.
        kept = dependents(step for step in self.logged if step.step not in self.lost)
        roots = [str(root) for root in proposal.roots]
        truth = cone(roots, kept)
        truth_at_most = cone(roots, dependents(step for step in self.most_logged if step.step not in self.lost))
        least = {root.agent for root in proposal.roots}
        most: set[str] = set()
        for record in self.records:
            if str(record.step) in truth:
                # CL-7: what waited for its receiver may have left before the vote, or not.
                least.update(out.receiver for out in record.outputs if out.receiver not in record.unplaced)
            if str(record.step) in truth_at_most:
                most.update(out.receiver for out in record.outputs if out.receiver in self.history.nodes)
                if record.entries:
                    most.update(self.history.nodes[record.step.agent].machine.core.subscribers.get("s", ()))
        return least, least | most

    def decisions_agree(self) -> None:
        """All decide alike, and the electors are those whom the cone has reached."""
        for name, decided in self.proposals.items():
            decisions = {record.decision for _, record in decided}
            self.need(len(decisions) == 1, f"{name} was decided both ways")
            if decisions == {"commit"}:
                least, most = self.reached_by(decided[0][1].proposal)
                electors = {agent for agent, _ in decided}
                self.need(least <= electors <= most, f"{name}: participants {electors} are not whom its cone reached")

    def proposers_know(self) -> None:
        """What proposers are told at the end names all electors, or who rejects."""
        for name, finish in self.history.outcomes.items():
            outcome, decided = finish.outcome, self.proposals.get(name, [])
            self.need(outcome.decision == decided[0][1].decision, f"{name}: its proposer was told {outcome.decision}")
            if outcome.decision == "commit":
                electors = {agent for agent, _ in decided}
                self.need({*outcome.electors} == electors, f"{name}: participants {electors}, told {outcome.electors}")
            else:
                self.need(bool(outcome.rejects), f"{name} is aborted, and nobody is said to reject")

    def nobody_is_disputed(self) -> None:
        """All are honest here, so nobody refutes what is said of it (RB-15)."""
        for node in self.history.nodes.values():
            for proposal, vote in node.machine.rollback.votes():
                self.need(not vote.refutes, f"{node.agent} refutes {vote.refutes} of {proposal.id}")

    def exactly_the_cones(self) -> None:
        """Undone is what hangs on a committed root or on a lost step, and nothing else."""
        roots = set(self.lost)
        for decided in self.proposals.values():
            if decided[0][1].decision == "commit":
                roots.update(str(root) for root in decided[0][1].proposal.roots)
        # Of lost steps nothing is left that could be looked at.
        truth = (cone(roots, self.after) | self.restored()) - self.lost
        most = (cone(roots, self.after_at_most) | self.restored()) - self.lost
        extra, kept = self.retracted - most, truth - self.retracted
        self.need(not extra and not kept, f"undone {sorted(extra)}, kept {sorted(kept)}")

    def restored(self) -> set[str]:
        """Return what restores have undone: in each log, what stands between the cut and the restore."""
        gone: set[str] = set()
        for node in self.history.nodes.values():
            for at, restore in enumerate(node.disk):
                if isinstance(restore, RestoredRecord):
                    before = node.disk[:at]
                    epoch = restore.restore.epoch
                    cuts = [n for n, r in enumerate(before) if isinstance(r, CutRecord) and r.epoch >= epoch]
                    after = before[cuts[0] :] if cuts else []
                    gone.update(str(r.step) for r in after if isinstance(r, StepRecord))
        return gone

    def cuts_are_consistent(self) -> None:
        """No step inside a committed cut depends on one outside it, or on somebody outside the view (CP-1, CP-3)."""
        hanging = cone(self.lost, self.after_at_most)
        for epoch, commit in self.history.commits.items():
            if epoch == 0:
                # Where a cluster begins: nothing is inside.
                continue
            inside: set[str] = set()
            # An agent whose host has died is on another now.
            members = [n for n in self.history.nodes.values() if {n.home, n.host.name} & {*commit.view}]
            for node in members:
                cuts = [n for n, r in enumerate(node.disk) if isinstance(r, CutRecord) and r.epoch >= epoch]
                # CP-13: who sleeps has no record of the cut; its place is where its log ends.
                sleeps = node.host.sleeps(node)
                self.need(bool(cuts) or sleeps, f"{node.agent} has no cut of epoch {epoch}, which is committed")
                end = cuts[0] if cuts else len(node.disk)
                inside.update(str(r.step) for r in node.disk[:end] if isinstance(r, StepRecord))
            for step in self.logged:
                if step.step in inside and step.step not in hanging:
                    outside = [c for c in (step.producer, *step.writers) if c is not None and c not in inside]
                    self.need(
                        not outside, f"{step.step} is inside the cut of epoch {epoch}, its cause {outside} is not"
                    )

    def state_is_the_fold(self) -> None:
        """What a machine reads is the fold of the surviving versions in its whole log, forgotten ones included."""
        for node in self.history.nodes.values():
            values: dict[str, bytes | None] = {}
            for record in _steps_of(node):
                if str(record.step) not in self.retracted:
                    values.update((write.key, write.value) for write in record.writes)
            wanted = {key: value for key, value in values.items() if value is not None}
            seen = {key: value for key, value, _ in node.machine.core.versions.read_all() if value is not None}
            self.need(seen == wanted, f"{node.agent} reads {seen}, its log says {wanted}")

    def no_orphans(self) -> None:
        """No surviving step depends on a retracted or lost one."""
        kept = [step for step in self.logged if step.step not in self.lost]
        left = orphans(kept, self.retracted | self.lost)
        self.need(not left, f"orphans: {left}")

    def tolerances_hold(self) -> None:
        """Of what a surviving step read with a tolerance, no more than that is undone (RB-11)."""
        gone = self.retracted | self.lost
        for record in self.records:
            for sums in record.tolerated if str(record.step) not in gone else ():
                undone = sum(amount for writer, amount in sums.parts if str(writer) in gone)
                self.need(undone <= sums.limit, f"{record.step} tolerates {sums.limit}, {undone} is undone: {sums}")

    def every_message_once(self) -> None:
        """Every message of a surviving step is handled by exactly one surviving step, or is dead or cancelled."""
        handled: dict[object, int] = {}
        dead: set[object] = set()
        waiting: set[object] = set()
        for node in self.history.nodes.values():
            for record in _steps_of(node):
                if str(record.step) not in self.retracted and record.input.message is not None:
                    handled[record.input.message] = handled.get(record.input.message, 0) + 1
            dead.update(item.message for item, _, _ in node.machine.core.dead)
            waiting.update(item.message for item, _ in node.machine.core.timers.requested())
        dead |= timers.cancelled(self.records, self.survives)
        for record in self.records:
            if not self.survives(record.step):
                continue
            for at, output in enumerate(record.outputs):
                count = handled.get((record.step, at), 0)
                wanted = 0 if (record.step, at) in dead or output.receiver not in self.history.nodes else 1
                wanted = 0 if (record.step, at) in waiting else wanted
                self.need(count == wanted, f"{record.step}#{at} was handled by {count} surviving steps, not {wanted}")

    def survives(self, step: StepId) -> bool:
        """Tell whether a step is not undone."""
        return str(step) not in self.retracted

    def timers_keep_time(self) -> None:
        """No timer is handled before it is due; under a key there is one at a time (TI-1, TI-2)."""
        early = timers.early(self.records)
        self.need(not early, f"timers were handled early: {early}")
        for node in self.history.nodes.values():
            left = timers.not_replaced(node.disk, self.survives)
            self.need(not left, f"{node.agent} has timers of one key side by side: {left}")

    def every_external_input_once(self) -> None:
        """Every input from outside is handled by exactly one surviving step, or is a dead letter."""
        for node in self.history.nodes.values():
            core = node.machine.core
            accepted = core.inbox.next_number("ext:world") - 1
            handled: dict[int, int] = {}
            for record in _steps_of(node):
                if record.input.producer is None and str(record.step) not in self.retracted:
                    handled[record.input.number] = handled.get(record.input.number, 0) + 1
            dead = {item.number for item, _, _ in core.dead if item.producer is None}
            for number in range(1, accepted + 1):
                count, wanted = handled.get(number, 0), int(number not in dead)
                self.need(count == wanted, f"{node.agent}: input {number} was handled {count} times, not {wanted}")

    def called_off_is_dead(self) -> None:
        """Whatever somebody was told to be called off is so in its agent's log (ST-12)."""
        if self.history.plan.losses or self.history.plan.deaths:
            return
        for agent, lineage in self.history.mishaps.called_off:
            dead = (record for record in self.history.nodes[agent].disk if isinstance(record, DeadRecord))
            kept = any(record.input.lineage == lineage for record in dead)
            self.need(kept, f"{agent}: {lineage} was said to be called off, and no record of that is kept")

    def people_are_heeded(self) -> None:
        """What somebody was told to count stands in the log; what was let go stands; overseers were asked."""
        nodes, plan = self.history.nodes, self.history.plan
        logs = {name: node.disk for name, node in nodes.items()}
        machines = {name: node.machine for name, node in nodes.items()}
        requests.check_logs(logs, machines, self.history.people.said, bool(plan.losses or plan.deaths))
        overseers.check_logs(logs, machines, self.history.people.said)

    def outsiders_hear_nothing(self) -> None:
        """No message of a rollback reaches anyone but its electors and its proposer (RB-8)."""
        for name, heard in self.history.rollback_messages.items():
            decided = self.proposals.get(name, [])
            self.need(bool(decided), f"{name} was never decided")
            _, electors = self.reached_by(decided[0][1].proposal)
            proposer = name.split("/")[0]
            self.need(heard <= electors | {proposer}, f"{name}: {heard - electors} heard of it")
            self.need(name in self.history.outcomes or not decided, f"{name}: its proposer was never told")

    def effects_match(self) -> None:
        """The world holds exactly the effects that surviving steps stand behind, each once."""
        claimed: dict[str, int] = {}
        # What people answer is no effect in the world; names of what is forgotten are used again.
        intents = (each for node in self.history.nodes.values() for each in node.disk if isinstance(each, IntentRecord))
        tools = {record.intent: record.tool for record in intents}
        for record in self.records:
            if str(record.step) not in self.retracted:
                for call in record.calls:
                    claimed[call] = claimed.get(call, 0) + (tools.get(call) != "person")
        failed = {notice.subject for _, notice in self.history.notices if notice.notice in _LEFT}
        for effect in self.history.effects.values():
            wanted = claimed.get(effect.intent, 0)
            if effect.intent not in failed and not self._is_told(effect):
                self.need(int(effect.active) == wanted, f"effect {effect.intent}: {effect}, claimed by {wanted} steps")

    def _is_told(self, effect: WorldEffect) -> bool:
        """Tell whether a requested call did not happen, or was called off: whoever handles the answer is told that."""
        if effect.tool not in TOOLS or effect.active:
            return False
        records = reversed(self.history.nodes[effect.intent.split("/")[0]].disk)
        ended = (each for each in records if isinstance(each, EffectRecord) and each.intent == effect.intent)
        return any(each.state == UNDONE for each in islice(ended, 1))

    def no_effect_waits_in_vain(self) -> None:
        """An effect waits for a run that may come, unless a disk was lost that knew whether it does (EF-5)."""
        plan = self.history.plan
        if not plan.losses and not plan.deaths:
            # Of a request the answer comes when somebody has said a word, if ever.
            requested = {record.outputs[at].lineage for record in self.records for at, _ in record.requests}
            told = (tell.subject for _, tell in self.history.notices if tell.notice == "effect-unclaimed")
            late = [name for name in told if name.partition("/")[2].rpartition("/")[0] not in requested]
            self.need(not late, f"{late} waited until they gave up")

    def clocks_are_sound(self) -> None:
        """A step's clock covers everything that it depends on (CL-1)."""
        epochs = {record.step: record.epoch for record in self.records}
        for record in self.records:
            for cause in (record.input.producer, *(read.writer for read in record.reads)):
                if cause is not None and not covers(record.clock, cause):
                    # Only of settled steps may a clock say nothing (CP-5).
                    epoch = epochs.get(cause, -1)
                    self.need(epoch < record.floor, f"{record.step}'s clock misses {cause} of epoch {epoch}")

    def replicas_converge(self) -> None:
        """All replicas read the same (SH-2)."""
        if not self.history.plan.shared:
            return
        seen = {
            tuple(
                (key, tuple((entry.writer, entry.index) for entry in node.machine.core.versions.entries(key)))
                for key in node.machine.core.versions.shared_keys()
                if node.machine.core.versions.entries(key)
            )
            for node in self.history.nodes.values()
        }
        self.need(len(seen) == 1, "replicas read differently")


_LEFT = ("undo-failed", "in-doubt", "not-undone")
"""What people are told of effects that nobody stands behind, and that stay."""


def _steps_of(node: Node) -> list[StepRecord]:
    """Return all steps in a node's log: its machine forgets those behind the horizon."""
    return [record for record in node.disk if isinstance(record, StepRecord)]


def _logged(record: StepRecord, tolerates: bool = False) -> LoggedStep:
    writers = [read.writer for read in record.reads if read.writer is not None]
    if tolerates:
        writers.extend(writer for sums in record.tolerated for writer, _ in sums.parts)
    return LoggedStep(
        step=str(record.step),
        producer=None if record.input.producer is None else str(record.input.producer),
        writers=tuple(str(writer) for writer in writers),
    )
