"""The simulator: worlds, workloads, sweeps. What is named here is loaded when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sims.studies.sweeping import sweep
    from sims.workload import Workload
    from sims.world import World

__all__ = ["Workload", "World", "sweep"]

_PLACES = {"Workload": "sims.workload", "World": "sims.world", "sweep": "sims.studies.sweeping"}


def __getattr__(name: str) -> Any:
    # Not at once: a world brings networkx and the whole runtime along, and the protocol's own tools need neither.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
