"""Worlds in which some hosts lie (TR, RB-15): what the others do stands, and each protection is needed for that."""

from collections.abc import Callable
from typing import Any

import pytest

from peer.host.asking import Asking
from peer.host.entitlement import Entitlement
from peer.host.host import Host
from peer.host.orders import Orders
from peer.host.vouching import Vouching
from peer.trust.badge import Badge
from peer.trust.trust import Trust
from protocol.agent.case import Case
from protocol.agent.disputing import Disputing
from sims.engine.false_votes import NamesOthers
from sims.engine.habits import HABITS
from sims.runs.fleet import play_quietly
from sims.runs.liars import LiarsWorld
from sims.runs.scenario import preset, world_of

FOUND = (6, 10, 24, 30, 235, 1344)
"""Seeds that find a mistake again, if its fix is taken back."""
Patch = Callable[[Any, str, Any], None]


@pytest.mark.parametrize("seed", sorted({*range(20), *FOUND}))
def test_what_honest_hosts_do_stands_among_liars(seed: int) -> None:
    assert play_quietly(preset("liars", seed)).failure == "", f"ebbtide sim --world liars --seed {seed}"


def test_every_way_to_lie_is_among_the_worlds() -> None:
    seen: set[str] = set()
    for seed in range(20):
        with world_of(preset("liars", seed)) as world:
            assert isinstance(world, LiarsWorld)
            assert len(world.hosts) >= 3 * len(world.liars.names) + 1
            seen.update(type(habit).__name__ for liar in world.liars.liars.values() for habit in liar.habits)
    assert len(seen) == len(HABITS) + 1
    assert NamesOthers.__name__ in seen


def test_who_names_others_falsely_is_found_out_by_those_and_nobody_else_is() -> None:
    found = 0
    for seed in (39, 45, 49, 54, 123):
        with world_of(preset("liars", seed)) as world:
            assert isinstance(world, LiarsWorld)
            world.run(until=1.0)
            world.settle()
            accused = {notice.subject for _, notice in world.view().notices if notice.notice == "vote-false"}
            assert accused <= world.liars.agents
            hosts = [world.engine.box(name).host for name in world.hosts if name not in world.liars.names]
            liars = {world.liars.gossip.homes[agent] for agent in accused}
            charged = {host for each in hosts if each is not None for host in each.orders.charges}
            assert liars <= charged
            found += bool(accused)
    assert found == 5


def test_who_equivocates_is_out_at_every_honest_host() -> None:
    out, by_votes = 0, 0
    for seed in range(20):
        with world_of(preset("liars", seed)) as world:
            assert isinstance(world, LiarsWorld)
            world.run(until=1.0)
            world.settle()
            world.check()
            hosts = [world.engine.box(name).host for name in world.hosts if name not in world.liars.names]
            for liar in world.liars.gossip.liars:
                whys = {host.badge.trust.why_out(liar) for host in hosts if host is not None}
                assert len({bool(why) for why in whys}) == 1
                why = whys.pop()
                out += bool(why)
                by_votes += "two votes" in why
    assert out >= 3
    assert by_votes


# -- switched off ------------------------------------------------------------------------------------------------------


def _no_look_at_proposals(patch: Patch) -> None:
    patch(Vouching, "why_not", lambda self, sender, message: "")


def _no_look_at_rights(patch: Patch) -> None:
    patch(Entitlement, "check", lambda self, sender, question: None)


def _anybody_speaks_of_agents(patch: Patch) -> None:
    patch(Badge, "may_say", lambda self, fact: True)


def _anybody_hosts_anybody(patch: Patch) -> None:
    patch(Trust, "may_host", lambda self, host, agents: True)


def _anybody_orders(patch: Patch) -> None:
    patch(Trust, "holds", lambda self, order: True)


def _no_word_of_lies(patch: Patch) -> None:
    patch(Orders, "lied", lambda self, host, proof, why: None)


def _any_word_of_the_end_counts(patch: Patch) -> None:
    patch(Case, "may_end", lambda self, sender, message: True)


def _anybody_answers(patch: Patch) -> None:
    real = Asking.received

    def received(self: Asking, sender: str, frame: Any) -> None:
        real(self, sender, frame)
        for given in frame.answers:
            self.give(self._post.host_id, given)

    patch(Asking, "received", received)


def _all_that_is_said_of_it_is_believed(patch: Patch) -> None:
    patch(Disputing, "why_false", lambda self, case, debit, by_itself=False: "")


def _anybody_speaks_for_an_agent(patch: Patch) -> None:
    def deliver(self: Host, sender: str, envelopes: Any) -> None:
        for envelope in envelopes:
            driver = self.drivers.get(envelope.receiver)
            if driver is not None and not self.vouching.why_not(envelope.sender, envelope.message):
                driver.received(envelope.sender, envelope.message)

    patch(Host, "deliver", deliver)


MUTATIONS: dict[Callable[[Patch], None], tuple[int, ...]] = {
    _no_look_at_proposals: (0, 2), _no_look_at_rights: (0, 3), _anybody_speaks_of_agents: (0, 2),
    _anybody_hosts_anybody: (17,), _anybody_orders: (2, 4), _no_word_of_lies: (9, 11),
    _any_word_of_the_end_counts: (30,), _all_that_is_said_of_it_is_believed: (39, 49),
    _anybody_answers: (6, 10), _anybody_speaks_for_an_agent: (4, 6),
}  # fmt: skip
"""By protection, seeds of which one at least notices that it is gone."""


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__[1:])
def test_a_protection_switched_off_is_noticed(mutate: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sims.runs.liars.LIMIT_S", 4.0)
    mutate(monkeypatch.setattr)
    assert any(play_quietly(preset("liars", seed)).failure for seed in MUTATIONS[mutate]), "the worlds did not notice"
