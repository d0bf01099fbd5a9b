"""Branches: a copy of a cluster's agents in a world of its own, in which nothing leaves, to try another decision.

A branch begins at a committed checkpoint, whose cuts no message crosses backwards: each agent's log up to its cut is
copied, and brought up by a host of its own in this process. There the agents' past can be rolled back, amended and run
on; tools answer from the log, or by stand-ins. What has proved better is taken over by the same rollback there.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from peer import errors
from peer.agents.kinds import kind_at
from peer.agents.past import as_step
from peer.agents.rehearsal import Rehearsal, Rehearsed, StandIn
from peer.agents.spec import AgentSpec
from peer.agents.tool import Tool
from peer.backends.admission import places_of
from peer.backends.local import LocalBackend
from peer.cluster.doubting import Doubting
from peer.cluster.member import Member
from peer.cluster.outcome import Outcome
from peer.config import checkpoint_limits
from peer.host.host import Host
from peer.host.questions import Profile, Status
from peer.store.opening import open_folder
from peer.store.outside.keeping import Keeping, Places
from peer.store.reading import Logs, open_logs
from peer.values import payload
from protocol.agent.intents import DONE
from protocol.checkpoints.estates import reached_by
from protocol.ids import HOST, AgentId, StepId
from protocol.records import BaseRecord, CutRecord, EffectRecord, IntentRecord
from protocol.wire import decode_host_record, decode_record

UP_S = 120.0
"""How long launched agents may take to answer, once their hosts are started."""
COMPARED = 500
"""Agents whose states are compared at once: no more of them are in memory."""
_MISSING = object()


class Difference(NamedTuple):
    """A key that an agent's state has in a branch otherwise than in the cluster."""

    agent: AgentId
    key: Any
    there: Any
    """Its value in the cluster; None if it has none."""
    here: Any
    """Its value in the branch; None if it has none."""


@dataclass(frozen=True)
class Wish:
    """A rollback that a branch begins with, and that the cluster may take over."""

    steps: tuple[StepId, ...]
    inputs: str
    amend: Mapping[StepId | str, Any] | None
    reason: str


class Branch(Member):
    """A branch of a cluster: made by `cluster.branch(...)`, used as an async context manager.

    It is asked, handed inputs, rolled back and restored as any cluster; whoever is asked before something is done
    is asked by its own `inbox`, and overseers are not asked.

    Args:
        source: the cluster.
        folder: that of the cluster.
        epoch: the checkpoint that it begins at; None: one that is made now.
        wish: what is rolled back first; None: nothing.
        tools: by tool, or by its name, what answers in its place.
        agents: who is copied; None: all.
    """

    _again = "Make another branch of the cluster."

    def __init__(
        self, source: Member, folder: Path, epoch: int | None, wish: Wish | None,
        tools: Mapping[Tool[..., Any] | str, StandIn] | None, agents: tuple[AgentId, ...] | None,
    ) -> None:  # fmt: skip
        self.source = source
        self._from = folder
        self._epoch = epoch
        self._wish = wish
        self._stand_ins = {of.name if isinstance(of, Tool) else str(of): own for of, own in (tools or {}).items()}
        self._wanted = agents
        self._specs: list[AgentSpec] = []
        self._rehearsal = Rehearsal({}, {})
        self.began: Outcome | None = None
        """What came of the rollback that it begins with."""
        self.folder = Path(tempfile.gettempdir()) / f"ebbtide-branch-{os.urandom(8).hex()}"
        self._places = Places.beside(self.folder, None, None)
        super().__init__(Keeping.at(self._places))
        self._backend: LocalBackend | None = None

    @property
    def agents(self) -> list[AgentId]:
        """The agents that were copied."""
        return [spec.name for spec in self._specs]

    @property
    def calls(self) -> list[Rehearsed]:
        """The calls of tools in the branch, and what has answered in their place."""
        return list(self._rehearsal.calls)

    async def start(self) -> Self:
        """Begin: copy the logs, bring the agents up, and roll back what the branch is about."""
        await super().start()
        assert self._backend is not None
        self.host.asking.expect(self.agents)
        await self._backend.launch(self._specs, max(1, len(self._specs)), lambda _: None)
        await self.all_of(self.agents, "status", Status, timeout_s=UP_S)
        if self._wish is not None:
            wish = self._wish
            self.began = await self.rollback(*wish.steps, inputs=wish.inputs, amend=wish.amend, reason=wish.reason)
        return self

    async def adopt(self, *, timeout_s: float = 60.0) -> Outcome:
        """Take over in the cluster what the branch began with: the same rollback, with the same corrected inputs.

        Raises: CallerError, if it began with none; as `Cluster.rollback`.
        """
        wish = self._wish
        if wish is None:
            raise errors.CallerError("this branch began with no rollback, so there is nothing to take over.")
        return await self.source.rollback(
            *wish.steps, inputs=wish.inputs, amend=wish.amend, reason=f"as tried in a branch: {wish.reason}",
            timeout_s=timeout_s,
        )  # fmt: skip

    async def compare(self, agents: tuple[AgentId, ...] | None = None) -> list[Difference]:
        """Return where agents' states differ from those in the cluster, as both stand now; of all agents if None."""
        found: list[Difference] = []
        names = self.agents if agents is None else list(agents)
        for some in (names[at : at + COMPARED] for at in range(0, len(names), COMPARED)):
            theirs, ours = await asyncio.gather(self.source.states(some), self.states(some))
            for name in some:
                found += _differences(name, theirs[name], ours[name])
        return found

    # -- its beginning ---------------------------------------------------------------------------------------------

    async def _open(self) -> Host:
        source = self.source
        epoch = await source.checkpoint() if self._epoch is None else self._epoch
        names = self._wanted or tuple(source.known_agents())
        profiles = await source.profiles(names)
        self._specs = [self._spec(name, profiles[name]) for name in names]
        limits = checkpoint_limits(0.0, 4, 0, 30.0)
        self.folder.mkdir(mode=0o700)
        try:
            loop = asyncio.get_running_loop()
            kept = await asyncio.to_thread(read_logs, self._from, names, epoch)
            self._rehearsal = Rehearsal(self._stand_ins, kept.answers)
            await asyncio.to_thread(_copy_places, places_of(self._from), self._places)
            await _write(self.folder / "host-1", loop, kept.bodies)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        options = {"rehearsal": self._rehearsal}
        self._backend = LocalBackend(self.folder, None, limits, self._places, options)
        return await self._backend.start()

    def _spec(self, name: AgentId, profile: Profile) -> AgentSpec:
        kind = kind_at(profile.kind)
        if kind is None:
            raise errors.CallerError(
                f"{profile.kind}, the class of {name}, is not found in this process. Nothing was begun. Import it here."
            )
        if not profile.options:
            raise errors.CallerError(
                f"the options of {name} are no plain values, so it can't be brought up here. Nothing was begun. Name"
                " the agents to copy: branch(agents=...)"
            )
        options: Any = payload.decode(profile.options)
        return AgentSpec(name, kind, options)

    async def _close(self) -> None:
        if self._backend is not None:
            await self._backend.stop()
        await asyncio.to_thread(shutil.rmtree, self.folder, True)


class Read(NamedTuple):
    """What a branch begins with."""

    bodies: dict[AgentId, list[bytes]]
    """Each agent's log, up to its cut."""
    answers: dict[tuple[str, bytes], bytes]
    """By tool and arguments, what calls have returned, also after the cut; the last counts."""


def read_logs(folder: Path, agents: tuple[AgentId, ...], epoch: int) -> Read:
    """Return agents' logs up to their cuts of an epoch.

    Raises: CallerError, naming an agent whose log has no such cut, or is not in this folder.
    """
    places = sorted(place for place in folder.iterdir() if place.is_dir() and any(place.glob("log*")))
    logs = [open_logs(place) for place in places]
    found = Read({}, {})
    for agent in agents:
        best: list[bytes] | None = None
        for each in logs:
            if agent in each.agents():
                upto = _up_to(each, agent, epoch, found.answers)
                best = upto if best is None or (upto is not None and len(upto) > len(best)) else best
        if best is None:
            raise errors.CallerError(
                f"no log in {folder} has checkpoint {epoch} of {agent}. Nothing was begun. Name a later checkpoint, or"
                " begin where the logs of all hosts are."
            )
        found.bodies[agent] = best
    return found


def _up_to(logs: Logs, agent: AgentId, epoch: int, answers: dict[tuple[str, bytes], bytes]) -> list[bytes] | None:
    """Return a log up to an agent's place in a cut: its first of that epoch or a later one, or the end (CP-13)."""
    bodies: list[bytes] = []
    upto: list[bytes] | None = None
    is_gone = False
    calls: dict[str, tuple[str, bytes]] = {}
    try:
        for stored in logs.read(agent, 1):
            record = decode_record(stored.body)
            if isinstance(record, IntentRecord):
                calls[record.intent] = record.tool, record.args
            elif isinstance(record, EffectRecord) and record.state == DONE and record.intent in calls:
                answers[calls[record.intent]] = record.result
            if upto is not None:
                continue
            # What stood before the cut may be dropped, and no later place is that of the cut.
            is_gone = is_gone or (isinstance(record, BaseRecord) and record.epoch >= epoch)
            if isinstance(record, BaseRecord) and record.is_full:
                bodies = []  # nothing before it is needed to come back
            bodies.append(stored.body)
            if isinstance(record, CutRecord) and record.epoch >= epoch and not is_gone:
                upto = bodies
    except errors.LogCorrupt:
        return upto  # what stands before the damage is as it was written
    return bodies if upto is None and not is_gone and _reached(logs) >= epoch else upto


def _reached(logs: Logs) -> int:
    """Return the newest epoch that a host has cut, as its own log tells."""
    return reached_by([decode_host_record(stored.body) for stored in logs.read(HOST, 1)])


def _differences(name: AgentId, there: Mapping[Any, Any], here: Mapping[Any, Any]) -> list[Difference]:
    return [
        Difference(name, key, there.get(key), here.get(key))
        for key in dict.fromkeys((*there, *here))
        if not _equal(there.get(key, _MISSING), here.get(key, _MISSING))
    ]


async def _write(place: Path, loop: asyncio.AbstractEventLoop, bodies: Mapping[AgentId, list[bytes]]) -> None:
    """Write logs into a host's folder that is new."""
    opened = open_folder(place, loop)
    try:
        for agent, records in bodies.items():
            written: asyncio.Future[None] = loop.create_future()
            opened.store.append(agent, records, _done(written))
            await written
    finally:
        opened.store.close()


def _done(written: "asyncio.Future[None]") -> Callable[[], None]:
    return lambda: written.set_result(None)


def _copy_places(there: Places, here: Places) -> None:
    """Copy what is kept outside the logs. Raises: CallerError, if that is not in folders."""
    for source, own in ((there.blobs, here.blobs), (there.vault, here.vault)):
        if "://" in source:
            raise errors.CallerError(
                f"what the cluster keeps at {source} is in no folder, so a branch can't have a copy. Nothing was begun."
            )
        if Path(source).is_dir():
            shutil.copytree(source, own)


def _equal(one: Any, other: Any) -> bool:
    if one is _MISSING or other is _MISSING:
        return one is other
    return payload.encode(one) == payload.encode(other)


class Branching(Doubting):
    """A peer of a cluster whose folder it knows, so that it can copy the logs there."""

    folder: Path

    def branch(
        self, at: int | StepId | str | None = None, *, inputs: str = "retry", amend: Any = None, reason: str = "",
        tools: Mapping[Tool[..., Any] | str, StandIn] | None = None, agents: Sequence[AgentId] | None = None,
    ) -> Branch:  # fmt: skip
        """Return a copy of the agents in a world of its own, in which nothing leaves, to try another decision.

        Use it as `async with cluster.branch(...) as branch:`. It is asked, handed inputs and rolled back like a
        cluster. `await branch.compare()` tells where states differ, `branch.calls` what tools would have done, and
        `await branch.adopt()` takes over here what it began with.

        Args:
            at: a committed checkpoint; or a step: the branch begins now, and rolls that back first; None: now.
            inputs: with a step, what becomes of its input: `retry`, `discard`; with `amend`, that.
            amend: with a step, the message that it is to handle instead.
            reason: why, for people.
            tools: by tool, or its name, a function that answers in its place. Others answer what they have answered to
                the same arguments before, and are refused where they have not; pure ones are called.
            agents: who is copied; None: all.

        Raises: CallerError, for what is neither a checkpoint nor a step. Its start raises CallerError, where the logs
            are not in the cluster's folder, or a class can't be found here.
        """
        named = None if agents is None else tuple(agents)
        if at is None or isinstance(at, int):
            if amend is not None:
                raise errors.CallerError("amend without a step: name the step whose input it corrects, at=step.")
            return Branch(self, self.folder, at, None, tools, named)
        step = as_step(at)
        how = "amend" if amend is not None else inputs
        wish = Wish((step,), how, None if amend is None else {step: amend}, reason)
        return Branch(self, self.folder, None, wish, tools, named)
