"""What people and systems outside say of steps: that one seems wrong, and that an alarm was false."""

from abc import ABC
from collections.abc import Sequence
from typing import NamedTuple

from peer import errors
from peer.agents.past import as_step
from peer.agents.suspecting import suspicion
from peer.cluster.effects import somebody
from peer.cluster.inlet import Receipt
from peer.cluster.member import Member
from peer.detectors.suspicion import Suspicion, Verdict
from peer.values.fields import TEXT_CHARS_MAX, text
from protocol.ids import AgentId, StepId


class Overturned(NamedTuple):
    """What has become of a step that was undone by a false alarm."""

    step: StepId
    reinstated: str
    """`stands`: it was not undone; `run again`, with the evidence that it was right; `redriven`: its input was a dead
    letter; `waits`: its input is to be handled again anyway; `gone`: it is compacted, so nothing brings it back."""
    proposal: str = ""
    """By which rollback it was run again."""


class Doubting(Member, ABC):
    """A member by which people speak of steps to those that watch them."""

    async def suspect(
        self, step: StepId | str | Sequence[StepId | str], score: float = 1.0, why: str = "", *, to: AgentId,
        by: str | None = None, key: str | None = None,
    ) -> Receipt:  # fmt: skip
        """Tell a watcher that a step seems wrong, or several; what comes of it, its policy decides.

        Args:
            step: any agent's; or up to 64, of any agents, that are decided together.
            score: how wrong, as detectors say it: from 1 on it is called wrong.
            why: for people.
            to: the watcher.
            by: who says so: `person/NAME`, or what a system outside calls itself; the user of this process if left out.
            key: names what is said, so that it counts once however often it is handed in: a webhook may come twice.

        Raises: CallerError, for what is no step, number or text; HandlerMissing, if that agent is no watcher;
            AgentUnknown, AskTimeout.
        """
        who = f"person/{somebody() or 'somebody'}" if by is None else text("by", by, is_empty_ok=False)
        said = suspicion(step, score, why, who)
        await self._check_watches(to)
        return await self.submit(to, said, key=key)

    async def overturn(
        self, step: StepId | str, why: str, *, to: AgentId | None = None, by: str | None = None, timeout_s: float = 60.0
    ) -> Overturned:
        """Say that an alarm was false: the step was right. It is reinstated where that can be, and the watcher learns.

        A step that was undone and whose input is a dead letter is handled after all; one whose input has run again is
        run once more, and finds in `ctx.evidence` that it was right the first time.

        Args:
            step: the one that was called wrong.
            why: for the log, and for the agent.
            to: the watcher that is to learn from it; None: none is told.
            by: who says so; the user of this process if left out.
            timeout_s: for how long to wait for a rollback that runs it again.

        Raises: CallerError, AgentUnknown, AskTimeout, RollbackTimeout.
        """
        meant, said = as_step(step), text("why", why, TEXT_CHARS_MAX)
        who = (somebody() or "somebody") if by is None else text("by", by, is_empty_ok=False)
        if to is not None:
            await self._check_watches(to)
            await self.submit(to, Verdict(meant, False, who, said), key=f"verdict/{meant}/{who}")
        held = (await self._held((meant,)))[meant]
        if held.where == "unknown":
            raise errors.StepUnknown(f"no step {meant} in the log of {meant.agent}. Nothing was reinstated.")
        if held.where == "here":
            return Overturned(meant, "stands")
        if held.where == "waits":
            return Overturned(meant, "waits")
        if held.where == "again" and held.step is not None:
            evidence = {"right": str(meant), "why": said, "by": who}
            reason = f"{meant} was right, says {who}: {said}"
            outcome = await self.rollback(held.step, reason=reason, evidence=evidence, timeout_s=timeout_s)
            if not outcome.committed:
                told = "; ".join(f"{agent}: {each}" for agent, each in outcome.rejects)
                raise errors.CallerError(f"{held.step} stands: not all agree to run it again ({told}).")
            return Overturned(meant, "run again", outcome.proposal)
        for letter in await self.dead_letters_of(meant.agent):
            if letter.name == held.lineage:
                await letter.redrive()
                return Overturned(meant, "redriven")
        return Overturned(meant, "gone")

    async def _check_watches(self, agent: AgentId) -> None:
        """Check that an agent is a watcher. Raises: HandlerMissing."""
        profile = await self.profile(agent)
        missing = {Suspicion.__name__, Verdict.__name__} - set(profile.messages)
        if missing:
            raise errors.HandlerMissing(
                f"{agent} is no watcher: its class {profile.kind} has no handler for {' and '.join(sorted(missing))}."
                " Nothing was said. Name an agent whose class is a Watcher."
            )
