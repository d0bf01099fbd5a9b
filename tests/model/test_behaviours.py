"""Behaviours of the checked model Rollback.tla, replayed on real peer machines. See docs/model/README.md."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from protocol.agent.books import Books
from protocol.agent.quarantine import Quarantine
from protocol.agent.rollback import Rollback
from tests.model.draw import FILE
from tests.model.replay import CutShort, Mismatch, Replay

BEHAVIOURS: list[dict[str, Any]] = json.loads(gzip.decompress(FILE.read_bytes()))


def replay(behaviour: dict[str, Any]) -> tuple[Replay, str]:
    """Replay one behaviour to its end; return why it was cut short, if it was."""
    run = Replay()
    try:
        for action in behaviour["actions"]:
            run.act(action)
    except CutShort as reason:
        return run, str(reason)
    run.finish()
    return run, ""


def replay_all() -> None:
    """Replay every behaviour."""
    for behaviour in BEHAVIOURS:
        replay(behaviour)


def test_the_machines_do_what_the_model_does() -> None:
    done: Counter[str] = Counter()
    for number, behaviour in enumerate(BEHAVIOURS):
        try:
            run, reason = replay(behaviour)
        except Mismatch as problem:
            pytest.fail(f"behaviour {number} of {behaviour['config']}: {problem}")
        done.update({"compared": run.compared, "loose": len(run.loose), "cut short": bool(reason)})
        done.update(action[0] for action in behaviour["actions"])
    assert done["cut short"] <= len(BEHAVIOURS) // 20
    assert done["loose"] <= len(BEHAVIOURS) // 10
    # They are worth replaying: each action of the model is there many times.
    for action in ("run", "propose", "vote", "learn", "commit", "abort", "forget"):
        assert done[action] >= len(BEHAVIOURS) // 2, action
    assert done["compared"] > 100 * len(BEHAVIOURS)


def _no_quarantine(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Quarantine, "freezes", lambda self, writer: False)


def _no_deferral(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Quarantine, "defers", lambda self, message: False)
    # The producers of credited messages are frozen with them, for their shared entries' sake.
    patch.setattr(Quarantine, "freezes", lambda self, writer: any(writer in own for own, _ in self._parts.values()))


def _no_balance(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Books, "owes", lambda self, agent: agent not in self.votes)


def _no_final_reject(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Books, "is_refused", lambda self: False)


def _no_votes_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rollback, "apply_vote", lambda self, record: None)


def _no_second_vote(patch: pytest.MonkeyPatch) -> None:
    real = Rollback._review

    def review(self: Rollback, pid: str) -> None:
        if self._cases[pid].vote is None:
            real(self, pid)

    patch.setattr(Rollback, "_review", review)


@pytest.mark.parametrize(
    "mutate", [_no_quarantine, _no_deferral, _no_balance, _no_final_reject, _no_votes_kept, _no_second_vote]
)
def test_a_machine_without_one_of_the_rules_does_not(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    # What machines assert of themselves would notice some of it first.
    monkeypatch.setattr(Rollback, "check", lambda self: None)
    with pytest.raises(Mismatch):
        replay_all()
