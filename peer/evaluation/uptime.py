"""How long agents could work, as far as logs tell.

An agent is frozen from the moment at which a rollback that takes steps of its is proposed until its own decision; that
is a little too long, since it hears of the proposal later. It is paused from a person's word to the next. When a host
goes down is in no log: the time between an agent's last step in one life and its first in the next holds that, and all
time in which there was nothing to do.
"""

from statistics import mean
from typing import NamedTuple

from peer.audit.trail import Trail
from peer.evaluation.spans import Span, covered_us
from protocol.ids import AgentId


class Uptime(NamedTuple):
    """Shares of the run; None, where it took no time or had no agents."""

    mean: float | None
    worst: float | None
    least: float | None
    """The mean, gaps between lives taken for time in which the host was down."""
    down_us: int


def window_of(trail: Trail) -> Span:
    """Return the run's time: from the first thing to the last that is dated."""
    times = [step.record.time_us for step in trail.steps.values()]
    times += [step.undone.time_us for step in trail.steps.values() if step.undone and step.undone.time_us]
    times += [word.time_us for word in trail.words]
    times += [at for told in trail.restores.values() for at in told.times.values()]
    for rollback in trail.rollbacks.values():
        times += [rollback.proposal.began_us, *(each.decided_us for each in rollback.decisions.values())]
    known = [at for at in times if at]
    return Span(min(known), max(known)) if known else Span(0, 0)


def uptime(trail: Trail, window: Span) -> Uptime:
    """Return how long the agents of a trail could work."""
    agents = [log.agent for log in trail.logs]
    length = window.last_us - window.first_us
    if not agents or not length:
        return Uptime(None, None, None, 0)
    away, gaps = _frozen(trail, window), _gaps(trail)
    for agent, spans in _paused(trail, window).items():
        away.setdefault(agent, []).extend(spans)
    down = [covered_us(away.get(agent, ()), window) for agent in agents]
    most = [covered_us([*away.get(agent, ()), *gaps.get(agent, ())], window) for agent in agents]
    shares = [1 - each / length for each in down]
    return Uptime(mean(shares), min(shares), mean(1 - each / length for each in most), sum(down))


def _frozen(trail: Trail, window: Span) -> dict[AgentId, list[Span]]:
    found: dict[AgentId, list[Span]] = {}
    for rollback in trail.rollbacks.values():
        for agent, vote in rollback.votes.items():
            if vote.cone:
                decision = rollback.decisions.get(agent)
                last = window.last_us if decision is None else decision.decided_us
                found.setdefault(agent, []).append(Span(rollback.proposal.began_us, last))
    return found


def _paused(trail: Trail, window: Span) -> dict[AgentId, list[Span]]:
    found: dict[AgentId, list[Span]] = {}
    since: dict[AgentId, int] = {}
    for word in sorted(trail.words, key=lambda each: each.time_us):
        if word.what == "paused":
            since.setdefault(word.agent, word.time_us)
        elif word.what == "resumed" and word.agent in since:
            found.setdefault(word.agent, []).append(Span(since.pop(word.agent), word.time_us))
    for agent, first in since.items():
        found.setdefault(agent, []).append(Span(first, window.last_us))
    return found


def _gaps(trail: Trail) -> dict[AgentId, list[Span]]:
    found: dict[AgentId, list[Span]] = {}
    last: dict[AgentId, tuple[int, int]] = {}
    for step in sorted(trail.steps.values(), key=lambda each: each.id):
        life, before = last.get(step.id.agent, (step.id.incarnation, 0))
        if step.id.incarnation != life:
            found.setdefault(step.id.agent, []).append(Span(before, step.record.time_us))
        last[step.id.agent] = step.id.incarnation, step.record.time_us
    return found
