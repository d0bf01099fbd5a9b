"""Asks the agents of a cluster, through any host of it: it decides nothing, and any peer can ask the same."""

import asyncio
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from peer import errors
from peer.agents.agent import Agent
from peer.agents.past import as_step
from peer.agents.proposing import rollback_draft
from peer.cluster import letters
from peer.cluster.effects import Effect, shown
from peer.cluster.inquirer import Inquirer
from peer.cluster.letters import DeadLetter
from peer.cluster.outcome import Compensation, Outcome, Plan
from peer.cluster.preview import preview
from peer.cluster.replanning import RollbackRequest, Strategy, checked_strategies, replanned
from peer.cluster.steps import Steps, asked_for
from peer.host import questions
from peer.host.questions import (
    Ballots,
    Costs,
    CutsAnswer,
    EffectAnswer,
    HeldAnswer,
    LetterAnswer,
    LetterAsk,
    Notice,
    PartAnswer,
    Profile,
    Propose,
    StepsAnswer,
    StepsAsk,
)
from peer.threads import HOUSE, in_thread
from peer.values import payload
from peer.values.codec import look
from peer.values.key_text import decode_key
from peer.values.personal import using
from peer.values.shared_view import SharedView
from protocol.ids import AgentId, Lineage, ProposalId, StepId
from protocol.proposal import Amendment
from protocol.records import OutcomeRecord
from protocol.step import Entry, RollbackDraft


class Asker(Inquirer):
    """What anybody can ask of a cluster's agents.

    Args:
        keeping: where bulky values and keys are kept.
    """

    def encoded(self, messages: Sequence[Any]) -> tuple[bytes, ...]:
        """Return what messages are on the wire and in logs, personal data in them encrypted.

        Raises: PayloadUnsupported, PayloadTooLarge, VaultFailed.
        """
        with using(self._keeping.vault):
            return tuple(payload.encode_message(message) for message in messages)

    # -- rollback -------------------------------------------------------------------------------------------------

    async def preview(self, *steps: StepId | str) -> Plan:
        """Return what a rollback of these steps would undo, and at which agents. It changes nothing.

        Raises: StepUnknown, AgentUnknown, AskTimeout.
        """
        roots = tuple(sorted({as_step(step) for step in steps}))
        return await preview(roots, lambda agent, part: self._ask(agent, "part", PartAnswer, questions.encode(part)))

    async def rollback(
        self,
        *steps: StepId | str,
        inputs: str = "retry",
        reason: str = "",
        evidence: Any = None,
        amend: Mapping[StepId | str, Any] | None = None,
        deadline_s: float | None = None,
        timeout_s: float = 60.0,
        if_rejected: Strategy | Sequence[Strategy] = (),
    ) -> Outcome:
        """Undo steps and all that followed from them, at every agent, and wait for the outcome.

        Args:
            steps: the wrong steps (the roots), as `StepId`s or texts such as `risk-2/1/88`.
            inputs: what becomes of their inputs: `retry` (handled again), `discard` (dead letters), or `amend`.
            reason: for people; it stands in the log.
            evidence: any value; a retried handler finds it in `ctx.evidence`.
            amend: corrected messages by root, for `amend`.
            deadline_s: participants that have not voted by then reject.
            timeout_s: how long to wait here for each proposal; the rollback itself goes on.
            if_rejected: what to try, one after the other, where agents do not agree: `narrower`, `amend_with(...)`,
                `ask_person(...)`, `forward`, or a function from a `Refused` to the next `RollbackRequest`, or to None.
                Each makes a proposal of its own, named in its reason. `attempts` of the outcome tells of all.

        A correction follows its input to the step that holds it now, if the root was undone before.

        Raises: StepRanAgain, naming the step that holds the input now, if a root was undone before and that is not
            asked to be amended, or if its input will not run again; CallerError, AgentUnknown, RollbackTimeout.
        """

        async def propose(wanted: RollbackRequest) -> Outcome:
            return await self._proposed(wanted, deadline_s, timeout_s)

        strategies = checked_strategies(if_rejected)
        return await replanned(RollbackRequest(steps, inputs, reason, evidence, amend), strategies, propose, self)

    async def _proposed(self, wanted: RollbackRequest, deadline_s: float | None, timeout_s: float) -> Outcome:
        with using(self._keeping.vault):
            amend = {} if wanted.amend is None else wanted.amend
            draft = rollback_draft(tuple(wanted.steps), wanted.inputs, wanted.reason, wanted.evidence, amend)
        deadline_us = 0 if deadline_s is None else self.host.clock.now_us() + int(deadline_s * 1e6)
        until = asyncio.get_running_loop().time() + timeout_s
        while True:
            draft = await self._followed(draft)
            outcome = await self.propose(draft, deadline_us, timeout_s)
            if not outcome.committed or await self._is_heeded(draft, outcome):
                return await self._pending(outcome)
            if asyncio.get_running_loop().time() > until:
                raise errors.RollbackTimeout(
                    f"the inputs of {', '.join(map(str, draft.roots))} ran again each time before they were corrected,"
                    f" for {timeout_s:g} s. What was undone is undone; correct them again."
                )

    async def propose(self, draft: RollbackDraft, deadline_us: int, timeout_s: float) -> Outcome:
        """Have a rollback proposed as it is, as an agent would: no input is followed to where it is now.

        Raises: as `rollback`, less what that raises before it proposes.
        """
        ask = Propose(draft.roots, draft.inputs, draft.reason, draft.evidence, draft.amendments, deadline_us)
        owner = draft.roots[0].agent
        pid = (await self.host.ask(owner, "propose", questions.encode(ask), timeout_s=timeout_s)).decode()
        return await self.outcome(pid, timeout_s=timeout_s)

    async def _held(self, steps: Sequence[StepId]) -> dict[StepId, HeldAnswer]:
        """Return what has become of the inputs of steps; each owner is asked once."""
        owned: dict[AgentId, list[StepId]] = {}
        for step in steps:
            owned.setdefault(step.agent, []).append(step)
        asked = (self._ask(agent, "held", list[HeldAnswer], questions.encode(own)) for agent, own in owned.items())
        found = zip(owned.values(), await asyncio.gather(*asked), strict=True)
        return {step: held for own, answers in found for step, held in zip(own, answers, strict=True)}

    async def _followed(self, draft: RollbackDraft) -> RollbackDraft:
        """Return a draft whose roots hold the inputs that are meant.

        Raises: StepRanAgain.
        """
        now: dict[StepId, StepId] = {}
        for root, held in (await self._held(draft.roots)).items():
            if held.where == "again" and held.step is not None:
                if draft.inputs != "amend":
                    raise errors.StepRanAgain(
                        f"{root} was undone before, and its input ran again as {held.step}. Nothing changed."
                        " Name that step if it is wrong, too."
                    )
                now[root] = held.step
            elif held.where == "dead" and draft.inputs == "amend":
                raise errors.StepRanAgain(
                    f"{root} was undone before, and its input will not run again: {held.why or 'it was dropped'}."
                    " Nothing changed. Submit what is right as a new input."
                )
        roots = tuple(dict.fromkeys(now.get(root, root) for root in draft.roots))
        amendments = tuple(Amendment(now.get(each.root, each.root), each.payload) for each in draft.amendments)
        return msgspec.structs.replace(draft, roots=roots, amendments=amendments)

    async def _is_heeded(self, draft: RollbackDraft, outcome: Outcome) -> bool:
        """Tell whether every correction has reached its input: that of a root undone before may have run meanwhile."""
        left = {each.root: each.payload for each in draft.amendments if each.root not in outcome.undone}
        found = await self._held(tuple(left))
        return not any(held.where == "again" and held.payload != left[root] for root, held in found.items())

    async def outcome(self, proposal: ProposalId, timeout_s: float = 60.0) -> Outcome:
        """Wait until every participant of a rollback has decided.

        Raises: RollbackTimeout, naming the proposal; it may still be decided.
        """
        proposer = proposal.split("/", 1)[0]
        try:
            body = await self.host.ask(proposer, "outcome", questions.encode(proposal), timeout_s=timeout_s)
        except errors.AskTimeout as error:
            raise errors.RollbackTimeout(
                f"{proposal} was not decided within {timeout_s:g} s. It goes on; ask for its outcome again."
            ) from error
        record: OutcomeRecord = questions.decode(body, OutcomeRecord)
        return Outcome(
            proposal=record.proposal,
            committed=record.decision == "commit",
            undone=record.undone,
            agents=record.electors,
            rejects=record.rejects,
            notes=record.notes,
            seconds=(record.decided_us - record.began_us) / 1e6,
        )

    async def rollback_to(
        self, agent: AgentId, step: StepId | str, *, inputs: str = "discard", reason: str = "", timeout_s: float = 60.0
    ) -> Outcome | None:
        """Take one agent back to where it was after a step. Its later steps are undone, and what followed from them.

        Args:
            agent: whose steps.
            step: the last one to stand.
            inputs: what becomes of the inputs of the agent's later steps: `discard` or `retry`.
            reason: for people; it stands in the log.
            timeout_s: how long to wait here.

        Returns: what became of it; None if nothing came after the step.

        Raises: StepUnknown, AgentUnknown, RollbackTimeout.
        """
        later = await self._ask(agent, "suffix", tuple[StepId, ...], questions.encode(as_step(step)))
        if not later:
            return None
        return await self.rollback(*later, inputs=inputs, reason=reason or f"back to {step}", timeout_s=timeout_s)

    # -- effects --------------------------------------------------------------------------------------------------

    async def effects_of(self, agent: AgentId, *, settled: bool = False) -> list[Effect]:
        """Return an agent's effects that are to be undone or in doubt; with `settled`, all that it remembers."""
        return await self._effects((agent,), settled)

    async def _effects(self, agents: Iterable[AgentId], settled: bool) -> list[Effect]:
        found = await self.all_of(agents, "effects", list[EffectAnswer], questions.encode(settled))
        with using(self._keeping.vault):
            return [shown(each, self.host.clock.now_us()) for effects in found.values() for each in effects]

    @abstractmethod
    async def compensate(
        self, *steps: StepId | str, reason: str, by: str | None = None, timeout_s: float = 60.0
    ) -> Compensation:
        """Counter what steps have done to the world; see `peer.cluster.member.Member`."""

    async def _pending(self, outcome: Outcome) -> Outcome:
        """Return an outcome with the effects of its undone steps that are not undone yet."""
        undone = frozenset(outcome.undone)
        agents = dict.fromkeys(step.agent for step in outcome.undone)
        found = await self._effects(agents, settled=False)
        pending = tuple(each.intent for each in found if each.pending and undone.intersection(each.steps))
        return replace(outcome, effects_pending=pending)

    async def _inputs(self, agent: AgentId, names: Sequence[Lineage]) -> list[HeldAnswer]:
        """Return what has become of an agent's inputs, by their names; a receipt asks this.

        Raises: AgentUnknown, AskTimeout.
        """
        return await self._ask(agent, "inputs", list[HeldAnswer], questions.encode(list(names)))

    # -- looking --------------------------------------------------------------------------------------------------

    async def profile(self, agent: AgentId) -> Profile:
        """Return an agent's class, and which messages it handles, by name."""
        return await self._ask(agent, "profile", Profile)

    async def profiles(self, agents: Iterable[AgentId]) -> dict[AgentId, Profile]:
        """Return many agents' classes, and which messages they handle; each host is asked once for all of its own."""
        return await self.all_of(agents, "profile", Profile)

    async def state(self, agent: AgentId, at: StepId | str | None = None) -> dict[Any, Any]:
        """Return an agent's state, without what was undone.

        Args:
            agent: whose.
            at: a step of the agent: the state as it stood right after it, without what is undone by now.

        Raises: AgentUnknown, AskTimeout; StepUnknown, if `at` is unknown, another agent's, or compacted.
        """
        body = b"" if at is None else questions.encode(as_step(at))
        found = await self._ask(agent, "state", dict[str, bytes], body)
        return (await self._shown({agent: found}))[agent]

    async def states(self, agents: Iterable[AgentId], epoch: int | None = None) -> dict[AgentId, dict[Any, Any]]:
        """Return many agents' states; each host is asked once for all of its own.

        Args:
            agents: whose.
            epoch: a checkpoint: the states as they stood at its cut, without what is undone by now. None: as they
                stand.

        Raises: AgentUnknown, AskTimeout, of the first of whom there is none; CallerError, for a compacted checkpoint.
        """
        what, body = ("state", b"") if epoch is None else ("state at cut", questions.encode(epoch))
        return await self._shown(await self.all_of(agents, what, dict[str, bytes], body))

    async def _shown(self, states: Mapping[AgentId, Mapping[str, bytes]]) -> dict[AgentId, dict[Any, Any]]:
        blobs = self._keeping.blobs

        def shown() -> dict[AgentId, dict[Any, Any]]:
            return {
                agent: {decode_key(key): look(data, blobs) for key, data in found.items()}
                for agent, found in states.items()
            }

        with using(self._keeping.vault):
            return await in_thread(HOUSE, shown)

    async def shared(self, agent: AgentId) -> SharedView:
        """Return what an agent sees of the shared spaces it takes part in."""
        return SharedView(await self._ask(agent, "entries", list[Entry]), self._keeping.vault)

    async def dead_letters_of(self, agent: AgentId) -> list[DeadLetter]:
        """Return the inputs that an agent will not handle, and its messages to names that nobody has."""
        return await self._letters((agent,))

    async def _letters(self, agents: Iterable[AgentId]) -> list[DeadLetter]:
        found = await self.all_of(agents, "dead", list[LetterAnswer])
        with using(self._keeping.vault):
            return [
                letters.shown(each, agent, self._kind_of(agent), self._letter)
                for agent, some in found.items()
                for each in some
            ]

    async def _letter(self, letter: DeadLetter, verb: str) -> str:
        ask = LetterAsk(letter.name, verb)
        return (await self.host.ask(letter.agent, "letter", questions.encode(ask))).decode()

    def _kind_of(self, agent: AgentId) -> type[Agent] | None:
        """Return an agent's class, where it is known here."""
        return None

    async def notices(self, agent: AgentId) -> list[Notice]:
        """Return the audit lines of an agent and of its host, oldest first."""
        return await self._ask(agent, "notices", list[Notice])

    def steps(
        self, agent: AgentId, *, handled: type | str | None = None, undone: bool | None = None,
        confidence_below: float | None = None,
    ) -> Steps:  # fmt: skip
        """Return an agent's steps, to be gone through by `async for`, oldest first: pages come as they are wanted.

        The agent's host looks which are wanted. Those before the oldest checkpoint are compacted, and not among them.
        Awaited, it is the list of all pages, as they stand in the log.

        Args:
            agent: whose.
            handled: only those that handled a message of this class, given itself or by its name.
            undone: True: only undone ones; False: only those that stand.
            confidence_below: only those that reported less than this; who reported none is left out.

        Raises: CallerError, for what is no such filter; AgentUnknown, AskTimeout, once it is gone through.
        """
        wanted = asked_for(handled, undone, confidence_below)

        async def page(ask: StepsAsk) -> StepsAnswer:
            return await self._ask(agent, "steps", StepsAnswer, questions.encode(ask))

        kinds = self._kind_of(agent)
        types = {} if kinds is None else kinds.message_types
        if isinstance(handled, type):
            types = types | {handled.__name__: handled}
        return Steps(page, wanted, types, self._keeping.vault)

    async def ballots(self, agent: AgentId) -> Ballots:
        """Return what an agent knows of rollbacks."""
        return await self._ask(agent, "ballots", Ballots)

    async def costs(self, agent: AgentId) -> Costs:
        """Return what an agent's host has sent in this life."""
        return await self._ask(agent, "costs", Costs)

    async def cuts(self, agent: AgentId) -> CutsAnswer:
        """Return the places in an agent's log that checkpoints have marked, and the restores it has carried out."""
        return await self._ask(agent, "cuts", CutsAnswer)
