"""All members of a space read the same: replicas with the same entries and retractions."""

from protocol.step import OUTSIDE, entries_of, space_of
from sims.checkers.view import View, need

INVARIANT = "replicas read the same"


def check(view: View) -> None:
    """Raises: Broken."""
    wanted: dict[str, set[tuple[str, int]]] = {}
    for record in view.steps:
        if view.survives(record):
            for entry in entries_of(record):
                wanted.setdefault(entry.key, set()).add((str(entry.writer), entry.index))
    orders: dict[str, tuple[str, list[tuple[str, int]]]] = {}
    for agent, spaces in view.spaces.items():
        versions = view.machines[agent].core.versions
        keys = {*wanted, *versions.shared_keys()}
        # What tools have written outside is forgotten behind the horizon, and nobody reads it in an order (SH-5).
        shared = {space for space in spaces if not space.startswith(OUTSIDE)}
        for key in sorted(key for key in keys if space_of(key) in shared):
            held = [(str(entry.writer), entry.index) for entry in versions.entries(key)]
            need(set(held) == wanted.get(key, set()), INVARIANT, f"{agent} at {key}: not what its writers wrote")
            first, order = orders.setdefault(key, (agent, held))
            need(held == order, INVARIANT, f"{key}: {agent} and {first} read it in another order")
