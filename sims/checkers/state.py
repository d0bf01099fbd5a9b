"""An agent's state is the fold of its log: its surviving versions, and nothing else."""

from protocol.ids import StepId
from protocol.records import DecisionRecord, ForcedRecord, RestoredRecord
from protocol.step import StepRecord
from sims.checkers.view import View, need

INVARIANT = "state is the fold of the surviving versions"


def check(view: View) -> None:
    """Raises: Broken."""
    for agent, machine in view.machines.items():
        retracted: set[StepId] = set()
        for record in view.logs.get(agent, ()):
            if isinstance(record, DecisionRecord | ForcedRecord | RestoredRecord):
                retracted.update(record.retracted)
        state: dict[str, bytes | None] = {}
        for record in view.logs.get(agent, ()):
            if isinstance(record, StepRecord) and record.step not in retracted:
                state.update(record.writes)
        wanted = {key: value for key, value in state.items() if value is not None}
        held = {key: value for key, value, _ in machine.core.versions.read_all() if value is not None}
        different = {key for key in wanted.keys() | held.keys() if wanted.get(key) != held.get(key)}
        need(not different, INVARIANT, f"{agent} at {sorted(different)[:5]}")
