"""Rule ST-15: a tier is a name that people set, and nothing but people's next word changes it."""

from protocol.agent.machine import PeerMachine
from protocol.event import CutWanted, Recovered, RestoreDecided, Settled, TierAsked
from protocol.proposal import Restore
from protocol.words import TierRecord
from tests.rules.bench import Bench


def tier_of(bench: Bench, agent: str = "a") -> str:
    return bench.machines[agent].tiering.tier


def test_st15_the_last_word_counts_over_crashes_and_says_who_and_why() -> None:
    bench = Bench("a")
    bench.feed("a", TierAsked(1, "watched", "a week without a slip", "ann", b"signed"))
    bench.feed("a", TierAsked(2, "trusted", "another", "bob"))
    assert [reply.value for reply in bench.replies] == ["watched", "trusted"]
    bench.crash("a")
    assert tier_of(bench) == "trusted"
    found = [record for record in bench.disks["a"] if isinstance(record, TierRecord)]
    assert [(each.tier, each.note, each.by, each.proof) for each in found] == [
        ("watched", "a week without a slip", "ann", b"signed"),
        ("trusted", "another", "bob", b""),
    ]


def test_st15_it_is_confirmed_when_it_is_durable_and_with_the_backups() -> None:
    bench = Bench("a")
    bench.slow.add("a")
    bench.feed("a", TierAsked(1, "watched", "why", "ann"))
    (order,) = bench.pending["a"]
    assert (order.is_fact, bench.replies) == (True, [])
    bench.sync("a")
    assert bench.replies[-1].value == "watched"


def test_st15_what_it_is_already_is_not_written_again() -> None:
    bench = Bench("a")
    for number in (1, 2):
        bench.feed("a", TierAsked(number, "watched", "why", "ann"))
    assert len(bench.replies) == 2
    assert sum(isinstance(record, TierRecord) for record in bench.disks["a"]) == 1


def test_st15_neither_rollbacks_nor_restores_nor_bases_change_it() -> None:
    bench = Bench("a", "z")
    bench.feed("a", CutWanted(1))
    bench.feed("a", Settled(1, (), 0))
    step = bench.step("a", sends=())
    bench.feed("a", TierAsked(1, "watched", "why", "ann"))
    bench.propose("z", step)
    bench.deliver()
    assert bench.undone(step)
    bench.feed("a", RestoreDecided(Restore(1, 1, "r1", 1)))
    assert tier_of(bench) == "watched"
    again = PeerMachine("a")
    again.handle(Recovered((bench.machines["a"].bases.make(),)), bench.now_us)
    assert again.tiering.last == bench.machines["a"].tiering.last
