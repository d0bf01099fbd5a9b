"""Rule CP-13, switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.checkpoints.core import HostCore
from protocol.checkpoints.machine import CheckpointMachine

if TYPE_CHECKING:
    import pytest

    Patch = pytest.MonkeyPatch


def the_woken_are_not_told(patch: Patch) -> None:
    """Who slept goes on as if there had been no cut and no commit."""
    real = HostCore.before

    def before(self, agent, event, colour):
        real(self, agent, event, colour)
        return []

    patch.setattr(HostCore, "before", before)


def successors_do_not_catch_up(patch: Patch) -> None:
    """A successor does not make the cut of which the logs of a dead host tell."""
    patch.setattr(CheckpointMachine, "catches_up", lambda self, colour, now_us, commit=None: [])
