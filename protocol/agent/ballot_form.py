"""What every ballot of an honest agent is like, so that anybody sees by itself of another that it is not (RB-15)."""

from collections.abc import Iterable

from protocol.ids import AgentId, StepId
from protocol.limits import NUMBER_MAX
from protocol.message import Ballot
from protocol.proposal import Credit, Debit, Vote
from protocol.step import STEP_INDEX_ENTRIES


def malformed(sender: AgentId, ballot: Ballot) -> str:
    """Return what no honest agent can have said; empty: it may have. Whatever it passes on it has looked at."""
    for vote in ballot.votes:
        if why := _why_vote(vote):
            return why
    for found in ballot.found:
        if why := _why_step(found.step) or _why_sends(found.step, found.sends, set()):
            return why
    sent: set[tuple[AgentId, int, int]] = set()
    for suspect in ballot.suspects:
        if suspect.step.agent != sender:
            return f"{sender} tells {suspect.step}, which is not its own, as a suspect"
        if why := _why_step(suspect.step) or _why_sends(suspect.step, suspect.sends, sent):
            return why
    return ""


def _why_vote(vote: Vote) -> str:
    if not 0 <= vote.since < vote.version <= NUMBER_MAX:
        return f"version {vote.version} of a vote of {vote.voter} follows version {vote.since}"
    listed: set[StepId] = set()
    sent: set[tuple[AgentId, int, int]] = set()
    for step, sends, _ in vote.cone:
        if step.agent != vote.voter:
            return f"a vote of {vote.voter} lists {step}, which is not its own"
        if step in listed:
            return f"a vote of {vote.voter} lists {step} twice"
        listed.add(step)
        if why := _why_step(step) or _why_sends(step, sends, sent):
            return why
    return _why_credits(vote, (*vote.credits, *vote.refutes))


def _why_credits(vote: Vote, credits: Iterable[Credit]) -> str:
    taken: set[tuple[StepId, int]] = set()
    for producer, at, number in credits:
        if (producer, at) in taken or at < 0 or number < 0:
            return f"a vote of {vote.voter} credits {producer}#{at} twice, or as number {number}"
        taken.add((producer, at))
    return ""


def _why_step(step: StepId) -> str:
    return "" if step.incarnation >= 1 and step.seq >= 1 else f"{step} is no step"


def _why_sends(step: StepId, sends: Iterable[Debit], sent: set[tuple[AgentId, int, int]]) -> str:
    """Return what can't be about a step's debits, given what earlier ones of its agent have sent."""
    last, served = -1, set[AgentId]()
    for at, receiver, number in sends:
        is_entry = at == STEP_INDEX_ENTRIES
        in_order = (receiver not in served) if is_entry else last < at < STEP_INDEX_ENTRIES
        # TI-1: of messages only timers, which are an agent's own, have no number.
        has_number = number == 0 if is_entry else number > 0 or (number == 0 and receiver == step.agent)
        name = (receiver, step.incarnation, number)
        if not in_order or not has_number or (number and name in sent) or (is_entry and receiver == step.agent):
            return f"{step} has sent output {at} to {receiver} as number {number}, which can't be"
        last = at
        sent.add(name)
        if is_entry:
            served.add(receiver)
    return ""
