"""What can be asked of a host's checkpoints without anything happening in them."""

from typing import NamedTuple

from protocol.checkpoints.machine import CheckpointMachine
from protocol.ids import HostId
from protocol.proposal import Restore


class EpochsSeen(NamedTuple):
    """What a host knows of checkpoints and restores."""

    epoch: int
    """The colour: how many cuts it has made."""
    committed: int
    horizon: int
    view: tuple[HostId, ...]
    restores: tuple[Restore, ...]
    cost_us: int
    """How long the last cut of this host took to be durable."""
    under_way: tuple[str, ...]


def epochs(machine: CheckpointMachine) -> EpochsSeen:
    """Return what a host knows of checkpoints and restores."""
    commit = machine.epochs.commit
    return EpochsSeen(
        epoch=machine.epochs.colour,
        committed=machine.epochs.committed,
        horizon=machine.core.horizon,
        view=() if commit is None else commit.view,
        restores=tuple(machine.restores.agreed),
        cost_us=machine.checkpointing.cost_us,
        under_way=tuple(machine.under_way()),
    )


def voted_on(machine: CheckpointMachine) -> tuple[str, ...]:
    """Name the restores that are being voted on: agents wait meanwhile."""
    return tuple(machine.restores.open)
