"""Whose log an heir brings an agent up from, where one heir died after another."""

from types import SimpleNamespace

from peer.heir import Heir
from peer.kept import Kept

LOGS = {
    "copy:first/a": [b"1", b"2", b"3", b"4"],
    "copy:heir/a": [b"1", b"2"],
    "copy:first/b": [b"1", b"2", b"3"],
    "copy:heir/b": [b"1", b"2", b"anew"],
    "copy:first/c": [b"1"],
    "copy:heir/d": [b"1"],
}


class Store:
    """Copies in memory."""

    def agents(self):
        return sorted(LOGS)

    def length(self, name):
        return len(LOGS.get(name, ()))

    def read(self, name, first=0):
        return iter(LOGS[name][max(0, first - 1) :])


def heir_of_an_heir():
    succession = SimpleNamespace(heirs={"first": "heir", "heir": "me"})
    machine = SimpleNamespace(succession=succession, keeps=lambda _: None)
    host = SimpleNamespace(host_id="me", store=Store(), checkpoints=SimpleNamespace(machine=machine))
    kept = Kept(host, lambda: None)
    kept.open()
    return Heir(host, kept, "host:")


def test_an_agent_that_an_heir_had_not_wholly_copied_comes_from_its_first_owners_copy():
    heir = heir_of_an_heir()
    assert heir._source("heir", "a") == "first"
    # What the heir has begun anew is in no other's log.
    assert heir._source("heir", "b") == "heir"
    assert heir._source("heir", "d") == "heir"
    assert heir._source("first", "c") == "first"


def test_those_that_succeeded_a_dead_host_before_are_known():
    heir = heir_of_an_heir()
    assert heir._heirs("first") == ["heir"]
    assert heir._heirs("heir") == []
