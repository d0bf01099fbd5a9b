"""Makes the faults of a schedule happen to a world, and counts how often each did: one that never bites is no test."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from peer.host.checkpoints import LOG as HOST_LOG
from peer.replication.incoming import PREFIX
from protocol.agent.intents import DONE
from protocol.checkpoints.messages import HandedRecord, MovedRecord, SucceededRecord, TakenRecord
from protocol.ids import AgentId
from protocol.records import ApprovedRecord, CutRecord, DecisionRecord, EffectRecord, IntentRecord, VoteRecord
from protocol.step import StepRecord
from protocol.wire import decode_host_record, decode_record
from sims.engine.box import Box
from sims.engine.ground import Ground
from sims.engine.trace import is_agents
from sims.faults import (
    ClockSkew,
    Crash,
    Death,
    Delay,
    Duplicate,
    FailedUndos,
    FailedWrite,
    Fault,
    KillAtStep,
    KillAtWrite,
    KillDuringMove,
    KillDuringRollback,
    KillDuringSuccession,
    Loss,
    Partition,
    Reorder,
    SlowPeer,
    TornWrite,
)
from sims.virtual.network import Conditions

_RECORDS = {"vote": VoteRecord, "decision": DecisionRecord}
_MOVES = {MovedRecord: "moved", TakenRecord: "arrived", HandedRecord: "handed"}
_WRITES = {**_RECORDS, "step": StepRecord, "cut": CutRecord}


def _is(kind: str, record: object) -> bool:
    """Tell whether a record is of a kind that `KillAtWrite` names."""
    match record:
        case IntentRecord():
            return kind == ("word" if record.by else "intent")
        case EffectRecord():
            return kind == ("word" if record.by else "result" if record.state == DONE else record.state)
        case ApprovedRecord():
            return kind == "word"
        case _:
            return isinstance(record, _WRITES.get(kind, ()))


class Weather:
    """The faults of one world."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.faults: list[Fault] = []
        self.bites: list[int] = []
        """By fault, how often it has happened (for network faults: how often it began)."""
        self.pending = 0
        """Beginnings and ends that are still to come."""
        self._steps: dict[AgentId, list[tuple[int, KillAtStep]]] = {}
        self._writes: dict[AgentId, list[tuple[int, KillAtWrite]]] = {}
        self._rollbacks: list[tuple[int, KillDuringRollback]] = []
        self._successions: list[tuple[int, KillDuringSuccession | KillDuringMove]] = []
        self._counted: dict[tuple[str, str], int] = {}
        self._torn: dict[str, list[tuple[int, TornWrite]]] = {}
        self._active: dict[int, list[Conditions]] = {}

    def add(self, fault: Fault) -> None:
        """Take a fault into the schedule; its times are absolute."""
        number = len(self.faults)
        self.faults.append(fault)
        self.bites.append(0)
        match fault:
            case Loss() | Duplicate() | Reorder() | Delay() | SlowPeer():
                self._at(fault.at, lambda: self._begin(number, fault))
                self._at(fault.until, lambda: self._end(number))
            case Partition():
                self._at(fault.at, lambda: self._begin(number, fault))
                if fault.heal is not None:
                    self._at(fault.heal, lambda: self._end(number))
            case Crash():
                self._at(fault.at, lambda: self._crash(number, fault))
            case Death():
                self._at(fault.at, lambda: self._die(number, fault))
            case FailedWrite():
                self._at(fault.at, lambda: self._fail_write(number, fault))
            case TornWrite():
                self._at(fault.at, lambda: self._torn.setdefault(fault.host, []).append((number, fault)))
            case KillAtStep():
                self._steps.setdefault(fault.agent, []).append((number, fault))
            case KillAtWrite():
                self._writes.setdefault(fault.agent, []).append((number, fault))
            case KillDuringRollback():
                self._rollbacks.append((number, fault))
            case KillDuringSuccession() | KillDuringMove():
                self._successions.append((number, fault))
            case ClockSkew():
                box = self._ground.boxes.get(fault.host)
                if box is not None:
                    box.skew_us += int(fault.skew_ms * 1000)
                    box.drift_ppm += fault.drift_ppm
                    self.bites[number] += 1
            case FailedUndos():
                self._at(fault.at, lambda: self._fail_undos(number, fault))

    def calm(self) -> None:
        """Let no further step or rollback set off a fault, so that the world can end; successions come late."""
        self._steps.clear()
        self._writes.clear()
        self._rollbacks.clear()
        self._torn.clear()
        for box in self._ground.boxes.values():
            if box.store is not None:
                box.store.fails = False

    def _at(self, at_s: float, call: Callable[[], None]) -> None:
        if at_s <= self._ground.loop.time():
            call()
            return
        self.pending += 1

        def due() -> None:
            self.pending -= 1
            call()

        self._ground.loop.call_at(at_s, due)

    # -- the network -----------------------------------------------------------------------------------------------

    def _links(self, fault: Fault) -> list[Conditions]:
        boxes = self._ground.boxes
        match fault:
            case Loss() | Duplicate() | Reorder() | Delay():
                sources = [fault.source] if fault.source is not None else list(boxes)
                targets = [fault.target] if fault.target is not None else list(boxes)
                pairs = [(one, other) for one in sources for other in targets]
            case SlowPeer():
                pairs = [pair for other in boxes for pair in ((fault.host, other), (other, fault.host))]
            case Partition():
                others = fault.others or tuple(name for name in boxes if name not in fault.group)
                pairs = [(one, other) for one in fault.group for other in others]
                if not fault.one_way:
                    pairs += [(other, one) for one, other in pairs]
            case _:
                pairs = []
        pairs = [(one, other) for one, other in dict.fromkeys(pairs) if one != other and {one, other} <= boxes.keys()]
        hosts = {name: box.keys.host_id for name, box in boxes.items()}
        return [self._ground.network.conditions(hosts[one], hosts[other]) for one, other in pairs]

    def _begin(self, number: int, fault: Fault) -> None:
        self.bites[number] += 1
        self._ground.note("", "begins", str(fault))
        links = self._active[number] = self._links(fault)
        self._change(fault, links, begins=True)

    def _end(self, number: int) -> None:
        links = self._active.pop(number, None)
        if links is not None:
            self._ground.note("", "ends", str(self.faults[number]))
            self._change(self.faults[number], links, begins=False)

    def heal(self) -> None:
        """End every partition now."""
        for number in [number for number in self._active if isinstance(self.faults[number], Partition)]:
            self._end(number)

    def _change(self, fault: Fault, links: list[Conditions], begins: bool) -> None:
        sign = 1 if begins else -1
        for link in links:
            match fault:
                case Loss():
                    link.loss = max(0.0, link.loss + sign * fault.share)
                case Duplicate():
                    link.double = max(0.0, link.double + sign * fault.share)
                case Reorder():
                    link.reorder = max(0.0, link.reorder + sign * fault.share)
                case Delay() if begins:
                    link.extra.append(fault.extra)
                case Delay():
                    link.extra.remove(fault.extra)
                case SlowPeer() if begins:
                    link.slow.append(fault.times)
                case SlowPeer():
                    link.slow.remove(fault.times)
                case Partition():
                    link.cut += sign
                case _:
                    pass
        if isinstance(fault, SlowPeer) and fault.host in self._ground.boxes:
            box = self._ground.box(fault.host)
            box.slower = max(box.slower * fault.times**sign, 1.0)
            if box.store is not None:
                box.store.slower = box.slower

    # -- hosts -----------------------------------------------------------------------------------------------------

    def _crash(self, number: int, fault: Crash) -> None:
        box = self._ground.boxes.get(fault.host)
        if box is None or box.host is None:
            return
        self.bites[number] += 1
        self._ground.crash(fault.host, fault.restart_after, fault.disk, fault.keep)

    def _die(self, number: int, fault: Death) -> None:
        """End a host for good, if it can be succeeded: with those that have died before, it must not be too many.

        Who has just come into the views may have no copy anywhere yet: with it, its log is gone (CP-8). Who has been
        succeeded, and has left the views, counts no more.
        """
        boxes, homes = self._ground.boxes, self._ground.homes
        box = boxes.get(fault.host)
        if box is None or not box.is_up():
            return
        # Of those that are left: what the dying one alone has heard of counts for nobody.
        others = [other for other in boxes.values() if other is not box and not other.is_dead]
        machines = [other.host.checkpoints.machine for other in others if other.host is not None and other.is_up()]
        if not machines:
            return
        machine = max(machines, key=lambda known: known.epochs.committed)
        commits = machine.epochs.commits
        views = [commits[epoch].next_view() for epoch in sorted(commits)[-2:]]
        name = box.keys.host_id
        gone = [
            other.keys.host_id for other in boxes.values()
            if other.is_dead and (other.name in homes.values() or any(other.keys.host_id in view for view in views))
        ]  # fmt: skip
        copy = f"{PREFIX}{name}/{HOST_LOG}"
        backups = machine.succession.backups(name)
        has_copy = any(copy in other.disk.logs for other in others if other.keys.host_id in backups)
        left = all(2 * (len(view) - sum(other in view for other in gone) - 1) > len(view) for view in views)
        if has_copy and left and len(gone) < machine.core.limits.replicas and all(name in view for view in views):
            self.bites[number] += 1
            self._ground.bury(fault.host)

    def _fail_write(self, number: int, fault: FailedWrite) -> None:
        box = self._ground.boxes.get(fault.host)
        if box is None or box.store is None or box.host is None:
            return
        box.store.fails = True
        box.on_failure = (number, fault.restart_after)

    def failed_write(self, box: Box) -> None:
        """A host's disk has failed, so its agents have stopped."""
        number, after = box.on_failure or (None, 0.1)
        box.on_failure = None
        if number is not None:
            self.bites[number] += 1
        self._ground.note(box.name, "failed-write")
        self._ground.crash(box.name, after)

    def _fail_undos(self, number: int, fault: FailedUndos) -> None:
        self.bites[number] += 1
        self._ground.outside.undo_failures += fault.count

    # -- writes ----------------------------------------------------------------------------------------------------

    def asked(self, box: Box, agent: AgentId, records: Sequence[bytes]) -> None:
        """An append is about to be written."""
        if self._torn.get(box.name):
            number, torn = self._torn[box.name].pop(0)
            self.bites[number] += 1
            self._soon(box, torn.restart_after, disk="torn")
        self.succeeds(box, agent, records, "asked")
        if self.sees_writes() and is_agents(agent):
            self._wrote(box, agent, [decode_record(data) for data in records], "asked")

    def sees_writes(self) -> bool:
        """Tell whether something is to happen at the border of a step, a vote or another write."""
        return bool(self._steps or self._writes or self._rollbacks)

    def wrote(self, box: Box, agent: AgentId, records: Sequence[object]) -> None:
        """An append is durable, and nobody has been told."""
        self._wrote(box, agent, records, "durable")

    def _wrote(self, box: Box, agent: AgentId, records: Sequence[object], point: str) -> None:
        for record in records:
            if isinstance(record, StepRecord):
                count = self._count(agent, point)
                for number, kill in list(self._steps.get(agent, ())):
                    if kill.point == point and kill.nth == count:
                        self._steps[agent].remove((number, kill))
                        self._kill(number, box, kill.restart_after, point)
            for number, kill in list(self._writes.get(agent, ())):
                if kill.point == point and _is(kill.record, record) and self._count(f"#{number}", point) == kill.nth:
                    self._writes[agent].remove((number, kill))
                    self._kill(number, box, kill.restart_after, point)
            for number, kill in list(self._rollbacks):
                if kill.point == point and isinstance(record, _RECORDS[kill.record]):
                    count = self._count(f"#{number}", point)
                    if count == kill.nth:
                        self._rollbacks.remove((number, kill))
                        self._kill(number, box, kill.restart_after, point)

    def succeeds(self, box: Box, agent: AgentId, records: Sequence[bytes], point: str = "durable") -> None:
        """Something is written, by a successor perhaps, or of an agent that moves."""
        if not self._successions:
            return
        kind = "taken" if is_agents(agent) and agent not in box.specs else ""
        if agent == HOST_LOG:
            said = [decode_host_record(data) for data in records]
            is_successor = any(isinstance(each, SucceededRecord) and each.by == box.keys.host_id for each in said)
            moves = [_MOVES[type(each)] for each in said if type(each) in _MOVES]
            kind = "decided" if is_successor else moves[-1] if moves else ""
        for number, kill in list(self._successions) if kind else ():
            if (kill.record, kill.point) == (kind, point) and self._count(f"#{number}", point) == kill.nth:
                self._successions.remove((number, kill))
                if kill.restart_after is None:
                    self._ground.loop.call_soon(self._die, number, Death(box.name))
                else:
                    self._kill(number, box, kill.restart_after, point)

    def _count(self, what: str, point: str) -> int:
        count = self._counted[what, point] = self._counted.get((what, point), 0) + 1
        return count

    def _kill(self, number: int, box: Box, restart_after: float, point: str) -> None:
        self.bites[number] += 1
        if point == "durable":
            self._ground.crash(box.name, restart_after)
        else:
            self._soon(box, restart_after)

    def _soon(self, box: Box, restart_after: float, disk: str = "kept") -> None:
        """Crash a host once the turn that writes is over, but before anything of it can be durable."""
        life = box.lives

        def due() -> None:
            if box.lives == life and box.host is not None:
                self._ground.crash(box.name, restart_after, disk=disk)

        self.pending += 1

        def pending() -> None:
            self.pending -= 1
            due()

        self._ground.loop.call_soon(pending)
