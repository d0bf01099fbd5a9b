"""People whom an agent asks before it agrees to a rollback: its overseers (RB-13)."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from peer import errors
from peer.agents.approval import APPROVE, LATE, REJECT, check_rule, hold_by
from peer.agents.tool import encode_args
from peer.ports import Cancel, Clock
from peer.values import payload
from protocol.action import Tell
from protocol.agent.requesting import DEFAULT, RequestSeen
from protocol.ids import ProposalId, StepId
from protocol.proposal import Finding, Proposal
from protocol.step import Hold

ROLLBACK = "rollback"
"""What the inbox calls a rollback that somebody is to agree to."""
OVERSEER = "overseer"
SAID_MAX = 1_000
"""Of what people have said here, the last are known, for whoever says so again."""


@dataclass(frozen=True)
class Overseer:
    """A person is to agree before an agent votes for undoing its part of a rollback.

    A class has them as `overseers = (Overseer(...),)`: the first that concerns a part is asked. The part is frozen
    meanwhile, and nothing else waits. If the part grows before the vote, that person is asked again.

    Args:
        to: who may agree: persons' names or roles. Empty: anybody who may use the cluster.
        steps: only where at least so many of the agent's steps are to be undone.
        when: told the `Proposal` and how many of the agent's steps it undoes; says whether to ask. None: always.
        question: for people.
        deadline: seconds after which `default` counts. None: it waits on.
        default: `reject` or `approve`.
        escalate: by seconds, who is asked from then on, too.

    Raises: DeclarationRefused, naming what it can't be.
    """

    to: str | tuple[str, ...] = ()
    steps: int = 1
    when: Callable[[Proposal, int], bool] | None = None
    question: str = ""
    deadline: float | None = None
    default: str = REJECT
    escalate: Mapping[float, str | tuple[str, ...]] = field(default_factory=dict[float, "str | tuple[str, ...]"])

    def __post_init__(self) -> None:
        """Check what was given."""
        if type(self.steps) is not int or self.steps < 1:
            raise errors.DeclarationRefused(f"Overseer(steps={self.steps!r}): an int from 1 on.")
        check_rule(self, "the proposal and a count")

    def concerns(self, proposal: Proposal, count: int) -> bool:
        """Tell whether somebody is to be asked. Raises: whatever `when` raises."""
        return count >= self.steps and (self.when is None or bool(self.when(proposal, count)))

    def hold(self, question: str) -> Hold:
        """Return who is asked what. Raises: CallerError, naming the value."""
        return hold_by(self, self.question or question, b"")


class _Open:
    """A rollback that waits for a person."""

    def __init__(self, seen: RequestSeen, count: int, answer: "asyncio.Future[tuple[bool, str, str, bytes]]") -> None:
        self.seen = seen
        self.count = count
        self.answer = answer
        self.wakes: list[Cancel] = []


class Oversight:
    """The rollbacks that wait for people, at one agent.

    Args:
        agent: its name.
        rules: of its class.
        clock: tells when somebody else is asked, and when it is too late.
        tell: takes what people should know.
        is_open: tells whether a rollback is undecided here still.
    """

    def __init__(
        self, agent: str, rules: tuple[Overseer, ...], clock: Clock, tell: Callable[[Tell], None],
        is_open: Callable[[ProposalId], bool],
    ) -> None:  # fmt: skip
        self._agent = agent
        self._rules = rules
        self._clock = clock
        self._tell = tell
        self._is_open = is_open
        self._waiting: dict[str, _Open] = {}
        self._said: dict[str, str] = {}

    @property
    def has_rules(self) -> bool:
        """Whether people may have to be asked."""
        return bool(self._rules)

    async def found(self, proposal: Proposal, part: tuple[StepId, ...]) -> tuple[Finding, str] | None:
        """Ask whoever is to agree, and wait; return what was said, and why not. None: nobody need be asked.

        Raises: whatever a rule raises.
        """
        rule = next((each for each in self._rules if each.concerns(proposal, len(part))), None)
        if rule is None or not part:
            return None
        steps = f"{len(part)} step{'s' if len(part) > 1 else ''}"
        reason = f": {proposal.reason}" if proposal.reason else ""
        hold = rule.hold(f"may {proposal.proposer} undo {steps} of {self._agent}{reason}?")
        name, now_us = f"{ROLLBACK}:{proposal.id}", self._clock.now_us()
        roots = [str(root) for root in proposal.roots]
        about = {"proposer": proposal.proposer, "roots": roots, "inputs": proposal.inputs, "steps": len(part)}
        until_us = now_us + hold.default_us if hold.default else 0
        seen = RequestSeen(
            name, min(part), ROLLBACK, ROLLBACK, encode_args((proposal.id,), about), now_us, until_us, hold, None
        )
        self._said.pop(name, None)
        waits = self._waiting[name] = _Open(seen, len(part), asyncio.get_running_loop().create_future())
        self._arm(name, waits, hold)
        try:
            agrees, by, note, proof = await waits.answer
        finally:
            self._waiting.pop(name, None)
            for cancel in waits.wakes:
                cancel()
        said = f"{'approved' if agrees else 'rejected'} by {by}{note and f': {note}'}"
        self._said[name] = said.partition(":")[0]
        while len(self._said) > SAID_MAX:
            del self._said[next(iter(self._said))]
        return Finding(OVERSEER, agrees, said, self._clock.now_us(), proof), "" if agrees else said

    def _arm(self, name: str, waits: _Open, hold: Hold) -> None:
        def ask(who: str) -> None:
            self._tell(Tell("asked", name, f"{who or 'anybody'}: {hold.question}"))

        def late() -> None:
            self.say(name, hold.default, DEFAULT, LATE, b"")

        for who, after_us in hold.stages or (("", 0),):
            if after_us:
                waits.wakes.append(self._clock.wake(waits.seen.since_us + after_us, lambda who=who: ask(who)))
            else:
                ask(who)
        if hold.default:
            waits.wakes.append(self._clock.wake(waits.seen.until_us, late))

    def waiting(self) -> list[RequestSeen]:
        """Return what people are asked about rollbacks that are undecided still."""
        for name, waits in list(self._waiting.items()):
            if not self._is_open(name.partition(":")[2]):
                # Others have refused meanwhile: nobody need say anything.
                waits.answer.cancel()
                del self._waiting[name]
        return [waits.seen for waits in self._waiting.values()]

    def say(self, name: str, verb: str, by: str, note: str, proof: bytes, of: bytes = b"") -> str:
        """Take what a person says; return what has become of it.

        Args:
            name: the rollback's.
            verb: what is said of it.
            by: who says so.
            note: what they say besides.
            proof: what they have signed.
            of: how many steps they were told it undoes, encoded; empty: however many.

        Raises: CallerError, if nobody is asked that, of fewer steps than there are, or somebody has said otherwise.
        """
        if verb not in (APPROVE, REJECT):
            raise errors.CallerError(f"{name} at {self._agent} is to be approved or rejected. Nothing changed.")
        word = f"{'approved' if verb == APPROVE else 'rejected'} by {by}"
        waits = self._waiting.get(name)
        if waits is None or waits.answer.done():
            if self._said.get(name) == word:
                return word.partition(" ")[0]
            earlier = self._said.get(name)
            text_ = (
                f"is {earlier} already" if earlier else "does not wait for people: it is decided, or was never asked"
            )
            raise errors.CallerError(f"{name} at {self._agent} {text_}. Nothing changed.")
        if of and of != payload.encode(waits.count):
            # RB-13: the part has grown since they looked, and it is the grown one that is asked about.
            steps = f"{waits.count} step{'s' if waits.count > 1 else ''}"
            raise errors.CallerError(f"{name} undoes {steps} of {self._agent} by now. Nothing changed. Look again.")
        self._said[name] = word
        waits.answer.set_result((verb == APPROVE, by, note, proof))
        self._tell(Tell(word.partition(" ")[0], name, f"by {by}: {note}"))
        return word.partition(" ")[0]


def looks_like_rollback(name: Any) -> bool:
    """Tell whether a name in the inbox is that of a rollback."""
    return isinstance(name, str) and name.startswith(f"{ROLLBACK}:")
