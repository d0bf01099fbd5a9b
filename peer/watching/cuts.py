"""What invariants say of a cluster at a checkpoint, and which steps are suspected where one does not hold."""

import asyncio
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from peer import errors
from peer.cluster.doubting import Doubting
from peer.detectors.suspicion import STEPS_MAX
from peer.host import questions
from peer.host.past_cuts import CutAsk, CutSteps
from peer.watching.invariant import Invariant, Judged, States
from protocol.ids import AgentId, ProposalId, StepId

BACK_MAX = 16
"""How many checkpoints back the last one is looked for at which an invariant held."""
STILL_S = 10.0
"""How long rollbacks among the agents may go on, until their states are told."""
PAUSE_S = 0.02


class CutFinding(Struct, frozen=True):
    """An invariant that does not hold at a checkpoint."""

    invariant: str
    epoch: int
    """The checkpoint."""
    why: str
    held: int | None
    """The last checkpoint before, at which it held; None: none is known."""
    steps: tuple[StepId, ...]
    """The steps of the agents concerned between the two, or all that are kept; by agent, and 64 at most."""
    left_out: int = 0
    """How many there are besides."""
    is_error: bool = False
    """The check has raised, or hung: nobody knows whether it holds, and no step is suspected."""
    raised: bool = False
    """A watcher was told."""


async def check_cut(
    cluster: Doubting, invariants: Iterable[Invariant], epoch: int | None = None, *, raise_to: AgentId | None = None
) -> list[CutFinding]:
    """Evaluate invariants on the states of agents at a committed checkpoint's cut; return those that do not hold.

    Agents go on meanwhile. The states are told without what is undone by now, at all of them: while a rollback has come
    to one and not to another, that is waited for.

    Args:
        cluster: asks the agents.
        invariants: which.
        epoch: the checkpoint; None: the newest that is committed.
        raise_to: a watcher that is told of the steps suspected, once for each invariant and checkpoint.

    Raises: CallerError, if there is no such checkpoint, or it is compacted; HandlerMissing, if that is no watcher;
        AgentUnknown; AskTimeout, also if rollbacks do not end within 10 s.
    """
    known = await cluster.epochs()
    meant = known.committed if epoch is None else epoch
    oldest = max(1, known.horizon)
    if not oldest <= meant <= known.committed:
        has = f"those from {oldest} to {known.committed} can be" if known.committed else "none is committed yet"
        what = "no checkpoint" if epoch is None else f"checkpoint {epoch} can't be looked at"
        raise errors.CallerError(f"{what}: {has}. Nothing was checked. Make one by cluster.checkpoint().")
    found: list[CutFinding] = []
    for each in invariants:
        judged = await each.look(await _states(cluster, each.agents, meant))
        if judged.holds:
            continue
        finding = await _finding(cluster, each, judged, meant, known.horizon)
        if raise_to is not None and finding.steps:
            finding = replace(finding, raised=await _raise(cluster, each, finding, raise_to))
        found.append(finding)
    return found


async def _finding(cluster: Doubting, one: Invariant, judged: Judged, epoch: int, horizon: int) -> CutFinding:
    if judged.is_error:
        return CutFinding(one.name, epoch, judged.why, None, (), is_error=True)
    held: int | None = None
    for earlier in range(epoch - 1, max(1, horizon, epoch - BACK_MAX) - 1, -1):
        try:
            before = await one.look(await _states(cluster, one.agents, earlier))
        except errors.CallerError:
            break  # compacted meanwhile, or at another host sooner
        if before.is_error:
            break
        if before.holds:
            held = earlier
            break
    ran = await _steps(cluster, judged.agents or one.agents, horizon if held is None else held, epoch)
    steps = _newest([each.ran for each in ran.values()])
    return CutFinding(
        one.name, epoch, judged.why, held, steps, sum(len(each.ran) for each in ran.values()) - len(steps)
    )


def _newest(ran: Sequence[tuple[StepId, ...]]) -> tuple[StepId, ...]:
    """Return the newest steps of each agent, of all as many as one suspicion names: each as many, if it has them."""
    left, kept = STEPS_MAX, dict[int, int]()
    for after, (at, steps) in enumerate(sorted(enumerate(ran), key=lambda pair: len(pair[1]))):
        kept[at] = min(len(steps), left // (len(ran) - after))
        left -= kept[at]
    return tuple(step for at, steps in enumerate(ran) for step in steps[len(steps) - kept[at] :])


async def _raise(cluster: Doubting, one: Invariant, finding: CutFinding, to: AgentId) -> bool:
    since = "it was never seen to hold" if finding.held is None else f"it held at checkpoint {finding.held}"
    why = f"{finding.why} (at checkpoint {finding.epoch}; {since})"
    by, key = f"invariant/{one.name}", f"invariant/{one.name}/{finding.epoch}"
    try:
        receipt = await cluster.suspect(finding.steps, one.score, why, to=to, by=by, key=key)
    except errors.InputsDiffer:
        return False  # it was raised before, when other steps stood
    return not receipt.repeated


async def _states(cluster: Doubting, agents: Sequence[AgentId], epoch: int) -> States:
    """Return states as they stood at a cut, all without what was undone at one moment. Raises: AskTimeout."""
    clock = asyncio.get_running_loop().time
    until = clock() + STILL_S
    before = await _steps(cluster, agents, epoch, epoch)
    while True:
        open_ = tuple(dict.fromkeys(pid for each in before.values() for pid in each.undecided))
        states = await cluster.states(agents, epoch)
        after = await _steps(cluster, agents, epoch, epoch, open_)
        # If none has undone anything while they were read, there was a moment at which each stood as it was read. A
        # rollback that had come to one of them by then, and not to another, is one that the other has not decided.
        if before == after and not any(each.is_paused for each in after.values()):
            return states
        if clock() > until:
            raise errors.AskTimeout(
                f"rollbacks among {', '.join(agents)} have not ended within {STILL_S:g} s: their states at checkpoint"
                f" {epoch} can't be told of one moment. Nothing was changed. Check again."
            )
        await asyncio.sleep(PAUSE_S)
        before = await _steps(cluster, agents, epoch, epoch)


async def _steps(
    cluster: Doubting, agents: Sequence[AgentId], after: int, until: int, proposals: tuple[ProposalId, ...] = ()
) -> dict[AgentId, CutSteps]:
    """Return the steps of agents between two cuts."""
    body = questions.encode(CutAsk(after, until, proposals))
    return await cluster.all_of(agents, "steps between cuts", CutSteps, body)
