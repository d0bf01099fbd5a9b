"""People of a history, and what they say: late, twice, otherwise, or nothing at all.

They look at requests that wait, and say a word of them (RQ-3), or release them (RQ-2); some agents have an overseer,
who is asked about each part that is voted on (RB-13). All has chance of its own: histories without people stay as
they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Protocol

from protocol.action import Consult, Reply
from protocol.agent.intents import PERSON
from protocol.event import Consulted, ReleaseAsked
from protocol.ids import AgentId, ProposalId
from protocol.proposal import Finding
from sims.checkers.view import Said, Word
from sims.histories.ground import Ground
from sims.histories.node import Node
from sims.histories.plan import MS

OVERSEER = "overseer"
NAMES = ("ann", "bob")
FIRST_WORD = 1_000_000
"""Words are requests of machines from this number on; those before are others'."""


@dataclass(frozen=True)
class Saying:
    """What somebody is about to say of a request."""

    word: Word
    order: ReleaseAsked


class Stage(Ground, Protocol):
    """The history that people look at."""

    nodes: dict[AgentId, Node]
    opinions: dict[tuple[AgentId, ProposalId], bool]


class People:
    """Everybody outside who says yes or no in one history."""

    def __init__(self, world: Stage) -> None:
        self._world = world
        plan = world.plan
        self._rng = Random(f"{plan.seed}/people")
        self.said = Said()
        for agent in world.nodes:
            if plan.overseen and self._rng.random() < plan.overseen:
                self.said.overseen[agent] = self._rng.choice((1, 1, 2))
        self._words: dict[int, Word] = {}
        """By the numbers under which machines have them."""
        self._asked: dict[tuple[AgentId, ProposalId], int] = {}
        """Of how many steps the part is that an overseer is asked about."""

    # -- words on requests -----------------------------------------------------------------------------------------

    def look(self) -> None:
        """Somebody looks at what waits, and will say something of it: now or later, once, again, or otherwise."""
        rng, world = self._rng, self._world
        nodes = [node for node in world.nodes.values() if node.up and node.machine.requesting.waiting()]
        if not nodes:
            return
        node = rng.choice(nodes)
        seen = rng.choice(node.machine.requesting.waiting())
        at_us = world.now_us
        words = [self._word(seen.kind) for _ in range(rng.choice((1, 1, 2, 3)))]
        if len(words) > 1 and rng.random() < 0.5:
            words[1] = words[0]
        for verb, by in words:
            at_us += rng.choice((0, 2 * MS, 30 * MS, 150 * MS))
            number = FIRST_WORD + len(self._words)
            word = self._words[number] = Word(node.agent, seen.step, seen.name, verb, by)
            world.at(at_us, node, -1, Saying(word, ReleaseAsked(number, seen.name, "seed", by, verb, b"said")))

    def _word(self, kind: str) -> tuple[str, str]:
        rng = self._rng
        if rng.random() < 0.1:
            verb = rng.choice(("release", "approve", "reject", "answer"))
        elif kind == PERSON:
            verb = rng.choice(("answer", "answer", "reject"))
        else:
            verb = rng.choice(("approve", "approve", "approve", "reject", "release"))
        return verb, rng.choice(NAMES)

    def say(self, node: Node, saying: Saying) -> None:
        """Somebody says it, if the request is still that step's: hosts refuse what is said of one that was undone."""
        word = saying.word
        seen = [request.step for request in node.machine.requesting.waiting() if request.name == word.request]
        if all(step == word.step for step in seen):
            node.feed(saying.order)

    def replied(self, action: Reply) -> None:
        """Somebody is told what has become of a word."""
        if action.request in self._words and not action.error:
            self.said.words.append(self._words[action.request])

    # -- overseers -------------------------------------------------------------------------------------------------

    def oversee(self, node: Node, order: Consult, own: Consulted) -> tuple[int, Consulted]:
        """Return what an agent says to a rollback that it agrees to itself, and how much later its overseer says so."""
        least = self.said.overseen.get(node.agent)
        if least is None:
            return 0, own
        rng, name = self._rng, (node.agent, order.proposal.id)
        count = sum(step not in node.machine.core.retraction for step in order.part)
        self._asked.pop(name, None)
        if not own.accepts or count < least:
            return 0, Consulted(own.proposal, own.accepts, own.why, overseen=True)
        self._asked[name] = count
        agrees = rng.random() < 0.85
        said = f"{'approved' if agrees else 'rejected'} by eve"
        finding = Finding(OVERSEER, agrees, said, self._world.now_us)
        spoken = Consulted(own.proposal, agrees, "" if agrees else said, (finding,), overseen=True)
        return rng.choice((0, MS, 20 * MS, 120 * MS)), spoken

    def heard(self, agent: AgentId, event: Consulted) -> None:
        """An agent's machine is told what its overseer says."""
        count = self._asked.pop((agent, event.proposal), None)
        if count is not None and event.accepts:
            self.said.agree(agent, event.proposal, count)
