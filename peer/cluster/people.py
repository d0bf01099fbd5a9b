"""What people do in a cluster besides rollbacks: they are asked, agree, refuse, answer, pause and resume."""

from abc import abstractmethod
from typing import Any

from peer.cluster.asker import Asker
from peer.cluster.effects import agent_of, somebody
from peer.cluster.requests import PendingRequest, pause, pending, set_tier, unseen
from peer.host import questions
from peer.host.questions import EffectAsk, RequestAnswer, TiersAnswer
from peer.people.person import Person
from peer.trust.grant import Grant
from peer.values.personal import using
from peer.values.texts import NAME_CHARS_MAX, REASON_CHARS_MAX, check_text, natural
from protocol.ids import AgentId, Lineage


class People(Asker):
    """A peer that people act through."""

    @property
    @abstractmethod
    def agents(self) -> list[AgentId]:
        """Return the agents that it looks at."""

    def _all(self) -> list[AgentId]:
        """Return the agents that this peer looks at, and all others that it has heard of: handlers make some."""
        return list(dict.fromkeys((*self.agents, *sorted(self.host.homes, key=natural))))

    async def requests(self, agent: AgentId | None = None) -> list[PendingRequest]:
        """Return the tools that an agent has requested and that are not called yet, oldest first; of all if None."""
        self.check_running()
        agents = self._all() if agent is None else [agent]
        found = await self.all_of(agents, "requests", list[RequestAnswer])
        with using(self._keeping.vault):
            seen = [pending(each, one, self.host.ask) for each, some in found.items() for one in some]
        return sorted(seen, key=lambda each: (each.since_us, each.name))

    async def inbox(self, who: Person | Grant | str | None = None) -> list[PendingRequest]:
        """Return what waits for people, oldest first.

        Args:
            who: a person, or the name of one or of a role: what they are asked by now. None: all of it.
        """
        names = who if who is None else {who} if isinstance(who, str) else {who.name, *who.roles}
        now_us = self.host.clock.now_us()
        return [
            each
            for each in await self.requests()
            if each.waits_for_people
            and (
                names is None
                or not each.stages
                or any(name in names and each.since_us + after_us <= now_us for name, after_us in each.stages)
            )
        ]

    async def release(
        self, agent: AgentId, request: Lineage, note: str, by: str | None = None, *, as_: Person | None = None,
    ) -> None:  # fmt: skip
        """Let go now what an agent has requested and nobody can undo, though its step is not settled.

        From then on the agent rejects rollbacks that would undo that step. Durable when this returns.

        Args:
            agent: whose request.
            request: its name, as `requests` has it.
            note: why; it stands in the log.
            by: who says so; the user of this process if left out. It stands in the log.
            as_: who signs it; what asks certain people can be released by one of them alone.

        Raises: CallerError, if no such request waits; NotEntitled, AgentUnknown, AskTimeout.
        """
        await (await self._request(agent, request)).release(note, by=by, as_=as_)

    async def approve(
        self, agent: AgentId, request: Lineage, note: str = "", by: str | None = None, *, as_: Person | None = None,
    ) -> None:  # fmt: skip
        """Agree that a tool is called which an agent may not call without; the first word counts.

        One that is irreversible still waits for its step to be settled. Durable when this returns; said again it
        changes nothing. Args and errors as of `release`.
        """
        await (await self._request(agent, request)).approve(note, by=by, as_=as_)

    async def reject(
        self, agent: AgentId, request: Lineage, note: str = "", by: str | None = None, *, as_: Person | None = None,
    ) -> None:  # fmt: skip
        """Have a tool not called, or a question not answered: the agent gets a `Result` whose `error` says who and why.

        Durable when this returns; said again it changes nothing. Args and errors as of `release`.
        """
        await (await self._request(agent, request)).reject(note, by=by, as_=as_)

    async def answer(
        self, agent: AgentId, request: Lineage, value: Any, note: str = "", by: str | None = None, *,
        as_: Person | None = None,
    ) -> None:  # fmt: skip
        """Answer a question of `ctx.ask_person`; the first answer counts. Args and errors as of `release`."""
        await (await self._request(agent, request)).answer(value, note, by=by, as_=as_)

    async def retry(self, intent: str) -> str:
        """Have an undo tried now, or ask once more about an effect in doubt; return its state meanwhile.

        Raises: CallerError, if nothing of it is pending; AgentUnknown, AskTimeout.
        """
        ask = EffectAsk(intent, "retry")
        return (await self.host.ask(agent_of(intent), "effect", questions.encode(ask))).decode()

    async def settle(self, intent: str, *, happened: bool, note: str, by: str | None = None) -> str:
        """Say what has become of an effect that is to be undone, or in doubt: it is not tried any more.

        Args:
            intent: which.
            happened: whether it stands in the world. What is to be undone then stays as it is; what was in doubt has
                happened, and is undone if no step stands behind it.
            note: why; it stands in the log.
            by: who says so; the user of this process if left out. It stands in the log.

        Returns: its state now: `undone`, `kept`, or `done`.

        Raises: CallerError, if nothing of it is pending; AgentUnknown, AskTimeout.
        """
        check_text("note", note, REASON_CHARS_MAX, "Nothing was settled.")
        who = check_text("by", somebody() if by is None else by, NAME_CHARS_MAX, "Nothing was settled.", least=0)
        ask = EffectAsk(intent, "settle", bool(happened), note, who)
        return (await self.host.ask(agent_of(intent), "effect", questions.encode(ask))).decode()

    async def pause(
        self, agent: AgentId, note: str = "", by: str | None = None, *, as_: Person | None = None
    ) -> None:  # fmt: skip
        """Have an agent begin no step and let no request go until it is resumed, also over restarts.

        What it is at work on comes to its end; it goes on voting, being undone, and taking on inputs, which wait.
        Durable when this returns; whoever pauses it again changes the reason.

        Args:
            agent: which.
            note: why; it stands in the log.
            by: who says so; the user of this process if left out.
            as_: who signs it.

        Raises: NotEntitled, AgentUnknown, AskTimeout.
        """
        self.check_running()
        await pause(self.host.ask, agent, True, note, by, as_)

    async def resume(
        self, agent: AgentId, note: str = "", by: str | None = None, *, as_: Person | None = None
    ) -> None:  # fmt: skip
        """Let a paused agent go on; one that is not paused does anyhow. Args and errors as of `pause`."""
        self.check_running()
        await pause(self.host.ask, agent, False, note, by, as_)

    async def tiers(self, agent: AgentId) -> TiersAnswer:
        """Return the tiers that an agent's class declares, and which of them holds, by whom and why."""
        self.check_running()
        return await self._ask(agent, "tiers", TiersAnswer)

    async def set_tier(
        self, agent: AgentId, tier: str, note: str, by: str | None = None, *, as_: Person | None = None
    ) -> None:  # fmt: skip
        """Set how far an agent is trusted, from now on and over restarts; no rollback takes it back.

        What it has requested before keeps waiting for whom it waits; but what the tier refuses is not called any more.
        Durable when this returns; the tier that it has already changes nothing.

        Args:
            agent: which.
            tier: one that its class declares.
            note: why; it stands in the log.
            by: who says so; the user of this process if left out.
            as_: who signs it; needed where the class says by `tiers_by` who may.

        Raises: CallerError, if there is no such tier; NotEntitled, AgentUnknown, AskTimeout.
        """
        self.check_running()
        await set_tier(self.host.ask, agent, tier, note, by, as_)

    async def _request(self, agent: AgentId, name: Lineage) -> PendingRequest:
        """Return a request that waits, or one of that name alone, of which its agent says what has become."""
        self.check_running()
        for each in await self.requests(agent):
            if each.name == name:
                return each
        return unseen(agent, name, self.host.ask)
