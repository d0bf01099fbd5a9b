"""What every ballot of an honest agent is like, so that anybody sees by itself of another that it is not (RB-15)."""

from collections.abc import Iterable

from protocol.agent.books import keeper_of
from protocol.ids import AgentId, StepId
from protocol.limits import NUMBER_MAX
from protocol.message import Ballot
from protocol.proposal import Debit, Vote
from protocol.step import STEP_INDEX_ENTRIES


def malformed(sender: AgentId, ballot: Ballot) -> str:
    """Return what no honest agent can have said; empty: it may have.

    Whatever it passes on it has looked at, too; but two votes that both may be can make a whole that can't, so what
    nothing in a vote may repeat is looked at only in the sender's own.
    """
    for vote in ballot.votes:
        if why := _why_vote(vote) or (_why_repeated(vote) if vote.voter == sender else ""):
            return why
    for found in ballot.found:
        if sender not in (found.step.agent, keeper_of(ballot.proposal)):
            return f"{sender} has found {found.step}, and is neither its agent nor the keeper"
        if why := _why_step(found.step, found.sends):
            return why
    for suspect in ballot.suspects:
        if suspect.step.agent != sender:
            return f"{sender} tells {suspect.step}, which is not its own, as a suspect"
        if why := _why_step(suspect.step, suspect.sends):
            return why
    return ""


def _why_vote(vote: Vote) -> str:
    if not 0 <= vote.since < vote.version <= NUMBER_MAX:
        return f"version {vote.version} of a vote of {vote.voter} follows version {vote.since}"
    for step, sends, _ in vote.cone:
        if step.agent != vote.voter:
            return f"a vote of {vote.voter} lists {step}, which is not its own"
        if why := _why_step(step, sends):
            return why
    for producer, at, number in (*vote.credits, *vote.refutes):
        if at < 0 or number < 0:
            return f"a vote of {vote.voter} credits {producer}#{at} as number {number}"
    return ""


def _why_repeated(vote: Vote) -> str:
    if len({listed.step for listed in vote.cone}) < len(vote.cone):
        return f"a vote of {vote.voter} lists a step twice"
    numbers = [(d.receiver, each.step.incarnation, d.number) for each in vote.cone for d in each.sends if d.number]
    if len({*numbers}) < len(numbers):
        return f"a vote of {vote.voter} lists two messages under one number"
    taken = [(producer, at) for producer, at, _ in (*vote.credits, *vote.refutes)]
    return f"a vote of {vote.voter} credits a message twice" if len({*taken}) < len(taken) else ""


def _why_step(step: StepId, sends: Iterable[Debit]) -> str:
    if step.incarnation < 1 or step.seq < 1:
        return f"{step} is no step"
    last, served = -1, set[AgentId]()
    for at, receiver, number in sends:
        if at == STEP_INDEX_ENTRIES:
            fits = number == 0 and receiver != step.agent and receiver not in served
            served.add(receiver)
        else:
            # TI-1: of messages only timers, which are an agent's own, have no number.
            fits = last < at < STEP_INDEX_ENTRIES and (number > 0 or (number == 0 and receiver == step.agent))
        if not fits:
            return f"{step} has sent output {at} to {receiver} as number {number}, which can't be"
        last = at
    return ""
