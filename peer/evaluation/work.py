"""What rollbacks have left of the work, beside what going back to a checkpoint would have left."""

from bisect import bisect_right
from typing import NamedTuple

from peer.audit.trail import Rollback, Step, Trail
from peer.evaluation.ends import Runs
from protocol.agent.colours import places
from protocol.ids import AgentId, StepId


class Kept(NamedTuple):
    """Steps, of all rollbacks that were committed together: each is looked at at the moment of its decision."""

    stood: int
    """That stood then, those that it undid included."""
    rollbacks: int
    """That it has left."""
    restores: int
    """That a restore of the last committed checkpoint before its roots would have left."""


class _Order(NamedTuple):
    """An agent's steps in their order: how many there were up to a step, or up to a moment, is looked up."""

    ids: list[tuple[int, int]]
    times: list[int]

    def until(self, time_us: int) -> int:
        return bisect_right(self.times, time_us)

    def inside(self, cut: tuple[int, int], time_us: int) -> int:
        return min(bisect_right(self.ids, cut), self.until(time_us))


def kept(trail: Trail) -> Kept:
    """Return what the rollbacks of a trail have left, and what restores would have."""
    placed, orders = _places(trail), _orders(trail)
    gone = [(step, step.undone) for step in trail.steps.values() if step.undone is not None]
    stood = left = restored = 0
    for pid, rollback in trail.rollbacks.items():
        if rollback.decision != "commit":
            continue
        decided = rollback.decided_us or 0
        before = [
            step.id
            for step, undone in gone
            if undone.by != pid and undone.time_us <= decided and step.record.time_us <= decided
        ]
        alive = sum(order.until(decided) for order in orders.values()) - len(before)
        cuts = _checkpoint(rollback, placed, trail.committed)
        stood += alive
        left += alive - sum(undone.by == pid for _, undone in gone)
        restored += sum(orders[agent].inside(cut, decided) for agent, cut in cuts.items() if agent in orders)
        restored -= sum(_is_inside(step, cuts.get(step.agent)) for step in before)
    return Kept(stood, left, restored)


def _orders(trail: Trail) -> dict[AgentId, _Order]:
    found: dict[AgentId, _Order] = {}
    for step in sorted(trail.steps.values(), key=lambda each: each.id):
        order = found.setdefault(step.id.agent, _Order([], []))
        order.ids.append(step.id[1:])
        # A clock that was set back between two lives must not put the order out.
        order.times.append(max(step.record.time_us, order.times[-1] if order.times else 0))
    return found


def _places(trail: Trail) -> dict[AgentId, dict[int, tuple[int, int]]]:
    """Return by agent and epoch the life and number of the last step inside; of an epoch that was cut twice, the last
    cut, since a restore has taken the one before out of all logs.
    """
    found: dict[AgentId, dict[int, tuple[int, int]]] = {}
    for log in trail.logs:
        made = trail.cuts.get(log.agent, [])
        all_ = places(made, made[0].epoch if made else 1, trail.committed, trail.ends[log.agent])
        found[log.agent] = {cut.epoch: (cut.incarnation, cut.seq) for cut in sorted(all_, key=lambda each: each.era)}
    return found


def _checkpoint(
    rollback: Rollback, placed: dict[AgentId, dict[int, tuple[int, int]]], committed: int
) -> dict[AgentId, tuple[int, int]]:
    """Return the cut of the newest committed epoch before a rollback's roots; empty: there is none."""
    roots = rollback.proposal.roots
    for epoch in range(committed, 0, -1):
        inside = {agent: cuts[epoch] for agent, cuts in placed.items() if epoch in cuts}
        if inside and not any(_is_inside(root, inside.get(root.agent)) for root in roots):
            return inside
    return {}


def _is_inside(step: StepId, cut: tuple[int, int] | None) -> bool:
    return cut is not None and (step.incarnation, step.seq) <= cut


def unhandled(trail: Trail, runs: Runs) -> int:
    """Return how many inputs nobody has handled in the end, since what had handled them was undone.

    An input whose sender's step was undone, too, is not among them: it is not meant any more.
    """
    return sum(
        all(step.undone is not None for step in steps) and any(_is_meant(trail, step) for step in steps)
        for steps in runs.values()
    )


def _is_meant(trail: Trail, step: Step) -> bool:
    sender = None if step.producer is None else trail.steps.get(step.producer)
    return sender is None or sender.undone is None
