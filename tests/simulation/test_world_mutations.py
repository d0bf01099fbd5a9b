"""Rules switched off one by one: a swarm of worlds must notice each."""

from collections.abc import Callable

import pytest

from peer.agents.oversight import Oversight
from peer.host.host import Host
from protocol.agent.books import Books
from protocol.agent.core import Core
from protocol.agent.inbox import Inbox
from protocol.agent.lives import Lives
from protocol.agent.outbox import Outbox
from protocol.agent.quarantine import Quarantine
from protocol.agent.requesting import Requesting
from protocol.agent.rollback import Rollback
from protocol.agent.versions import Versions
from sims.runs.fleet import play_quietly
from sims.runs.scenario import Result, preset
from sims.virtual.disk import VirtualStore

SEEDS = 150


def _no_quarantine(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Quarantine, "freezes", lambda self, writer: False)
    patch.setattr(Outbox, "hold", lambda self, steps: None)
    patch.setattr(Outbox, "unhold", lambda self, steps: [])


def _no_deferral(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Quarantine, "defers", lambda self, message: False)
    patch.setattr(Quarantine, "freezes", lambda self, writer: False)


def _no_balance(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Books, "owes", lambda self, agent: agent not in self.votes)


def _no_final_reject(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Books, "is_refused", lambda self: False)


def _no_votes_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rollback, "apply_vote", lambda self, record: None)


def _no_deduplication(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Inbox, "is_settled", lambda self, sender, incarnation, number: False)
    patch.setattr(Inbox, "arrive", lambda self, sender, incarnation, number, item: [item])


def _leaves_before_durable(patch: pytest.MonkeyPatch) -> None:
    real = Core.append

    def append(self: Core, records, then=None) -> None:  # type: ignore[no-untyped-def]
        real(self, records)
        if then is not None:
            then()

    patch.setattr(Core, "append", append)


def _says_durable_before_it_is(patch: pytest.MonkeyPatch) -> None:
    def append(self: VirtualStore, agent, records, done) -> None:  # type: ignore[no-untyped-def]
        self._queue.append((agent, tuple(records), lambda: None))
        self._loop.call_soon(done)
        if not self._busy:
            self._begin()

    patch.setattr(VirtualStore, "append", append)


def _no_voids(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Core, "voids_for", lambda self, unclaimed, ordered: ())


def _no_beginnings(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("protocol.agent.loss.names_lost", lambda clock, agent, incarnation, first: False)
    patch.setattr(Lives, "is_orphan", lambda self, clock: False)


def _no_resending(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outbox, "deadline_us", lambda self: None)


def _no_hiding(patch: pytest.MonkeyPatch) -> None:
    def read(self: Versions, key: str, until: object = None):  # type: ignore[no-untyped-def]
        versions = self._own.get(key)
        return (versions[-1][1], versions[-1][0]) if versions else (None, None)

    patch.setattr(Versions, "read", read)


def _tells_everyone(patch: pytest.MonkeyPatch) -> None:
    real = Host.route

    def route(self: Host, sender, receiver, message) -> None:  # type: ignore[no-untyped-def]
        real(self, sender, receiver, message)
        if type(message).__name__ == "Ballot":
            for agent in self.drivers:
                if agent not in (sender, receiver):
                    real(self, sender, agent, message)

    patch.setattr(Host, "route", route)


def _overseers_are_not_asked(patch: pytest.MonkeyPatch) -> None:
    async def found(self: Oversight, proposal: object, part: object) -> None:
        return None

    patch.setattr(Oversight, "found", found)


def _no_of_an_overseer_is_a_yes(patch: pytest.MonkeyPatch) -> None:
    real = Oversight.say
    patch.setattr(Oversight, "say", lambda self, name, verb, *more: real(self, name, "approve", *more))


def _yes_of_a_smaller_part(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rollback, "_is_of_another_part", lambda self, case, event: False)


def _people_are_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Requesting, "_waits_for_people", lambda self, item, request: False)


def _unsettled_letters_go(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Requesting, "_may_go", lambda self, item, request: True)


MUTATIONS = {
    _no_quarantine: "partitions", _no_deferral: "partitions", _no_balance: "lossy", _no_final_reject: "calm",
    _no_votes_kept: "crashes", _no_deduplication: "lossy", _leaves_before_durable: "crashes",
    _says_durable_before_it_is: "crashes", _no_voids: "calm", _no_beginnings: "losses",
    _no_resending: "lossy", _no_hiding: "calm", _tells_everyone: "calm",
    **dict.fromkeys((_overseers_are_not_asked, _no_of_an_overseer_is_a_yes, _yes_of_a_smaller_part), "people"),
    **dict.fromkeys((_people_are_not_waited_for, _unsettled_letters_go), "people"),
}  # fmt: skip
"""By rule, the worlds in which it matters soonest."""


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__[1:])
def test_a_rule_switched_off_is_noticed(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What hangs is seen soon: before an effect that waits in vain is undone after all (20 s).
    monkeypatch.setattr("sims.runs.scenario.SETTLE_S", 15.0)
    monkeypatch.setattr("sims.virtual.loop.TURNS_MAX", 20_000)
    mutate(monkeypatch)
    found: Result | None = None
    for seed in range(SEEDS):
        result = play_quietly(preset(MUTATIONS[mutate], seed))
        if result.failure:
            found = result
            break
    assert found is not None, "the worlds did not notice"
