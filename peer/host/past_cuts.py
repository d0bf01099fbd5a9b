"""What an agent tells of a checkpoint's cut: its state as it stood there, and its steps between two cuts."""

from msgspec import Struct

from peer import errors
from peer.agents.past import check_past
from peer.host.driver import Driver
from peer.host.questions import decode
from peer.values.key_text import decode_key, is_own
from protocol.ids import ProposalId, StepId

RAN_MAX = 1_000
"""Steps of one agent that are told of one look: the newest."""


class CutAsk(Struct, frozen=True, array_like=True):
    """Which of an agent's steps somebody wants: those between two cuts."""

    after: int
    until: int
    proposals: tuple[ProposalId, ...] = ()
    """Rollbacks of which is told whether it has carried one out."""


class CutSteps(Struct, frozen=True, array_like=True):
    """An agent's steps between two cuts, and what tells whether two agents are told of the same moment."""

    undone: int
    """How many of its steps are undone."""
    era: int
    """How many restores it has carried out."""
    undecided: tuple[ProposalId, ...]
    """Rollbacks that it has a vote in, and has not heard the end of."""
    is_paused: bool
    """A restore is being voted on."""
    has_undone: bool
    """It has carried one of the rollbacks out that were asked for."""
    ran: tuple[StepId, ...] = ()
    """Those that stand, oldest first."""


def values_of(driver: Driver, at: StepId | None) -> dict[str, bytes]:
    """Return what is told of an agent's state outside, after a step or now; derived keys are not stored."""
    values, found = driver.values, driver.machine.looking.state(at)
    keys = {text: (decode_key(text), data) for text, data in found.items() if not is_own(text)}
    return {text: values.shown(key, data) for text, (key, data) in keys.items() if values.derived(key) is None}


def state(driver: Driver, body: bytes) -> dict[str, bytes]:
    """Answer what an agent's state is, at a step or now."""
    at = decode(body, StepId) if body else None
    if at is not None:
        check_past(driver.machine.core, at)
    return values_of(driver, at)


def state_at_cut(driver: Driver, body: bytes) -> dict[str, bytes]:
    """Answer what an agent's state was at a checkpoint's cut, without what is undone by now.

    Raises: CallerError, if the checkpoint is compacted.
    """
    epoch = decode(body, int)
    core = driver.machine.core
    if epoch < core.horizon:
        raise errors.CallerError(
            f"checkpoint {epoch} is compacted at {core.agent}: the oldest one left is {core.horizon}. Nothing was read."
        )
    # A cut of an epoch is before the first step of that epoch or a later one (CP-1): also of an agent that slept.
    first = core.cone.since(epoch)
    return values_of(driver, None if first is None else first._replace(seq=first.seq - 1))


def steps_between(driver: Driver, body: bytes) -> CutSteps:
    """Answer which of an agent's steps are between two cuts."""
    ask = decode(body, CutAsk)
    core, looking = driver.machine.core, driver.machine.looking
    ran = [
        record.step
        for record in core.cone.records()
        if ask.after <= record.epoch < ask.until and record.step not in core.retraction
    ]
    return CutSteps(
        core.undone, core.era, looking.undecided(), looking.is_paused(), looking.has_undone(ask.proposals),
        tuple(ran[-RAN_MAX:]),
    )  # fmt: skip
