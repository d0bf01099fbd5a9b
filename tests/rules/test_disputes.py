"""Rules RB-15, TR-9: what is said of an agent in a rollback counts only as far as it does not know better."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from peer.host.vouching import Vouching
from peer.trust.badge import Badge
from peer.trust.rights import OF_HOSTS
from protocol.action import Accuse
from protocol.agent.ballot_form import malformed
from protocol.agent.case import Case
from protocol.agent.disputing import Disputing
from protocol.event import CutWanted, Merged, Received, Settled, SubscriberSeen
from protocol.ids import StepId
from protocol.message import Ballot, Data, Done, Propose
from protocol.proposal import ConeStep, Credit, Debit, Proposal, Suspect, Vote
from protocol.records import DecisionRecord, VoteRecord
from protocol.step import STEP_INDEX_ENTRIES, Read, RollbackDraft
from tests.rules.bench import Bench, of
from tests.rules.test_tolerance import ADD, KEY
from tests.rules.test_trust import ONE, ROOT, THREE, TWO
from tests.rules.test_trust import proposal as signed_proposal

X = StepId("v", 1, 1)


def lied_to(false: tuple[Debit, ...], settled: int = 0, is_root_settled: bool = False) -> tuple[Bench, StepId, StepId]:
    """Let `v`, which is in the cone of `k`'s step, say that so is one that has told `r` something: it is in none."""
    bench = Bench("k", "r", "v", "z")
    if not is_root_settled:
        settle(bench, settled)
    root = bench.step("k", sends=(("v", b"wrong"),))
    bench.deliver()
    bench.ran("v")
    if is_root_settled:
        settle(bench, settled)
    other = bench.step("v", sends=(("r", b"right"),))
    bench.deliver()
    told = bench.ran("r", writes={"k": b"1"})
    bench.deliver()
    bench.propose("z", root)
    says(bench, ConeStep(other, false), "k", "r")
    return bench, root, told


def settle(bench: Bench, epoch: int) -> None:
    for name in bench.machines if epoch else ():
        bench.feed(name, CutWanted(epoch))
        bench.feed(name, Settled(epoch, (), 0))


def says(bench: Bench, false: ConeStep, *receivers: str) -> None:
    """Deliver everything; what `v` votes lists one more step, and others are told it, too."""
    while bench.mail:
        sender, receiver, message = bench.mail.pop(0)
        if sender == "v" and isinstance(message, Ballot) and message.votes:
            votes = tuple(replace(vote, cone=(*vote.cone, false), since=0).sealed(None) for vote in message.votes)
            for other in receivers:
                bench.feed(other, Received(sender, replace(message, votes=votes)))
        else:
            bench.feed(receiver, Received(sender, message))


def votes(bench: Bench, name: str) -> list[Vote]:
    return [record.vote for record in bench.disks[name] if isinstance(record, VoteRecord)]


def decisions(bench: Bench, name: str) -> list[str]:
    return [record.decision for record in bench.disks[name] if isinstance(record, DecisionRecord)]


def test_rb15_a_step_that_is_in_no_true_cone_undoes_nothing_and_its_agent_is_accused() -> None:
    bench, root, told = lied_to((Debit(0, "r", 1),))
    assert bench.undone(root)
    assert not bench.undone(told)
    assert bench.value("r", "k") == b"1"
    (vote,) = votes(bench, "r")
    assert (vote.accepts, vote.cone, vote.credits) == (True, (), ())
    assert vote.refutes == (Credit(StepId("v", 1, 2), 0, 1),)
    assert decisions(bench, "r") == decisions(bench, "k") == ["commit"], "nobody is left frozen"
    assert len(bench.machines["r"].core.quarantine) == 0
    ((accuser, accused),) = bench.accused
    assert (accuser, accused.agent) == ("r", "v")
    assert "v/1/2#0 came to r with a clock that covers none of the roots" in accused.what
    assert [(agent, tell.subject) for agent, tell in bench.told if tell.notice == "vote-false"] == [("r", "v")]


@pytest.mark.parametrize(("at", "number", "why"), [
    (0, 2, "came to r as number 1, not 2"), (1, 1, "number 1 to r was v/1/2#0, not v/1/2#1"),
])  # fmt: skip
def test_rb15_another_number_or_another_message_than_has_come_is_refuted(at: int, number: int, why: str) -> None:
    bench, _, told = lied_to((Debit(at, "r", number),))
    assert not bench.undone(told)
    assert why in bench.accused[0][1].what
    assert decisions(bench, "r") == ["commit"]


def test_rb15_what_has_not_come_may_be_on_its_way() -> None:
    bench, _, told = lied_to((Debit(1, "r", 7),))
    assert not bench.accused
    assert not bench.undone(told)
    assert [credit.number for vote in votes(bench, "r") for credit in vote.credits] == [7]


def test_rb15_of_what_is_undone_or_settled_nobody_can_tell() -> None:
    bench, _, told = lied_to((Debit(0, "r", 1),), settled=3, is_root_settled=True)
    assert not bench.accused, "its clock may have left out what was settled"
    assert bench.undone(told)
    bench = Bench("k", "r", "v", "z")
    disputing = Disputing(bench.machines["r"].core)
    bench.step("v", sends=(("r", b"m"),))
    bench.deliver()
    told = bench.ran("r")
    proposal = Proposal("z/1/p9", "z", (StepId("k", 1, 1),), "discard")
    debit = Credit(X, 0, 1)
    assert disputing.why_false(Case(proposal), debit)
    assert disputing.why_false(Case(proposal), debit._replace(number=2))
    bench.machines["r"].core.retraction.add_all((told,))
    assert not disputing.why_false(Case(proposal), debit)
    assert not disputing.why_false(Case(proposal), debit._replace(number=2))
    assert not disputing.why_false(Case(proposal), debit._replace(at=3))


def test_rb15_when_the_roots_ran_is_asked_of_their_owners_where_clocks_were_shortened() -> None:
    bench, root, told = lied_to((Debit(0, "r", 1),), settled=3)
    assert bench.undone(root)
    assert not bench.undone(told)
    assert not bench.accused, "who owns a root might have told its sender something else"
    assert [(len(vote.refutes), vote.credits) for vote in votes(bench, "r")] == [(1, ())]
    assert any(isinstance(mail[2], Ballot) and mail[2].dates and mail[:2] == ("r", "k") for mail in bench.sent)


def test_rb15_who_doubts_asks_again_and_goes_by_the_end_if_nobody_answers() -> None:
    for is_answered in (True, False):
        bench = Bench("k", "r", "v", "z")
        settle(bench, 3)
        root = bench.step("k")
        other = bench.step("v", sends=(("r", b"right"),))
        bench.deliver()
        told = bench.ran("r")
        bench.deliver()
        bench.propose("z", root)
        bench.drop()
        proposal = bench.machines["z"].proposer.prepare(RollbackDraft((root,), "discard")).proposal
        ballot = Ballot(proposal, (Vote("v", 1, True, "", (ConeStep(other, (Debit(0, "r", 1),)),), ()),))
        bench.feed("r", Received("v", ballot))
        assert len(bench.drop()) == 1
        bench.elapse()
        asks = [mail for mail in bench.mail if mail[0] == "r"]
        assert len(asks) == 1
        assert not votes(bench, "r"), "it has nothing to say before it knows"
        bench.drop()
        if is_answered:
            bench.feed("k", Received(*asks[0][::2]))
            bench.deliver()
        else:
            bench.feed("r", Received("k", Done(proposal.id, "commit", (), (), (), (), 1, proposal.shown())))
            assert decisions(bench, "r") == ["commit"]
        assert [len(vote.refutes) for vote in votes(bench, "r")] == [int(is_answered)]
        assert not bench.undone(told)


def test_rb15_who_passes_it_on_is_not_accused_and_it_is_refuted_all_the_same() -> None:
    bench = Bench("k", "r", "v", "z")
    other = bench.step("v", sends=(("r", b"right"),))
    bench.deliver()
    told = bench.ran("r")
    bench.deliver()
    root = bench.step("k")
    proposal = Proposal("z/1/p1", "z", (root,), "discard")
    forged = Vote("v", 1, True, "", (ConeStep(other, (Debit(0, "r", 1),)),), ())
    bench.feed("r", Received("k", Ballot(proposal, (forged,))))
    found = ConeStep(StepId("v", 1, 1), (Debit(0, "r", 1),))
    bench.feed("r", Received("k", Ballot(replace(proposal, id="z/1/p2"), (), found=(found,))))
    assert not bench.accused
    assert not bench.undone(told)
    assert [len(vote.refutes) for vote in votes(bench, "r")] == [1, 0], "of what is in no vote nobody waits for a word"
    assert not any(vote.cone or vote.credits for vote in votes(bench, "r"))


def test_rb15_what_was_refuted_stays_so_over_a_crash() -> None:
    bench = Bench("k", "r", "v", "z")
    other = bench.step("v", sends=(("r", b"right"),))
    bench.deliver()
    told = bench.ran("r")
    bench.deliver()
    proposal = Proposal("z/1/p1", "z", (StepId("k", 1, 1),), "discard")
    ballot = Ballot(proposal, (Vote("v", 1, True, "", (ConeStep(other, (Debit(0, "r", 1),)),), ()),))
    bench.feed("r", Received("v", ballot))
    assert [len(vote.refutes) for vote in votes(bench, "r")] == [1]
    bench.crash("r")
    bench.feed("r", Received("v", ballot))
    assert [len(vote.refutes) for vote in votes(bench, "r")] == [1], "it says nothing new"
    assert not bench.undone(told)
    assert bench.machines["r"].rollback.votes()[0][1].refutes


def test_rb15_entries_whose_reader_hangs_on_no_root_are_refuted() -> None:
    bench = Bench("k", "r", "v", "z")
    bench.feed("v", SubscriberSeen("s", "r"))
    writer = bench.step("v", entries=ADD)
    bench.feed("r", Merged(tuple(entry for _, action in bench.shared for entry in action.entries)))
    reader = bench.step("r", reads=(Read(KEY, writer),))
    root = bench.step("k", sends=(("v", b"m"),))
    bench.deliver()
    bench.ran("v")
    bench.deliver()
    bench.propose("z", root)
    says(bench, ConeStep(writer, (Debit(STEP_INDEX_ENTRIES, "r", 0),)), "k", "r")
    assert not bench.undone(reader)
    assert [accuser for accuser, _ in bench.accused] == ["r"]
    assert decisions(bench, "r") == decisions(bench, "k") == ["commit"]


def test_rb15_a_keeper_knows_what_its_own_steps_have_sent() -> None:
    bench = Bench("k", "v", "z")
    root = bench.step("k", sends=(("z", b"m"),))
    proposal = Proposal("z/1/p1", "z", (root,), "discard")
    suspect = Suspect(X, (Debit(0, "z", 1),), 0, (root,))
    bench.feed("k", Received("v", Ballot(proposal, (), suspects=(suspect,))))
    assert [(accused.agent, "hangs on no step of k" in accused.what) for _, accused in bench.accused] == [("v", True)]
    assert not Disputing(bench.machines["k"].core).denies(suspect._replace(causes=(StepId("k", 1, 9),))), (
        "it may be lost"
    )


def test_rb15_an_honest_agent_that_was_lied_to_is_accused_by_nobody() -> None:
    # `v` lies to `m`, which believes it as far as it can't tell, and passes on what follows.
    bench = Bench("k", "m", "r", "v", "z")
    root = bench.step("k", sends=(("v", b"wrong"),))
    bench.deliver()
    bench.ran("v")
    bench.deliver()
    settle(bench, 3)
    other = bench.step("v", sends=(("m", b"right"),))
    bench.deliver()
    middle = bench.ran("m", sends=(("r", b"right"),))
    bench.deliver()
    told = bench.ran("r")
    bench.deliver()
    bench.propose("z", root)
    says(bench, ConeStep(other, (Debit(0, "m", 1),)), "k", "m")
    assert not bench.accused
    assert bench.undone(middle)
    assert bench.undone(told)


def test_rb15_who_went_by_a_clock_that_a_liar_has_made_is_accused_by_nobody() -> None:
    # `v` makes up that its message hangs on a step of `e` that has not run yet; `m` can't know, and passes that on.
    bench = Bench("e", "m", "v", "z")
    lie = bench.step("v", sends=(("m", b"x"),))
    ((_, _, data),) = bench.drop(of(Data))
    assert isinstance(data, Data)
    forged = replace(data.input, clock={**data.input.clock, "e": (1, 2)})
    bench.feed("m", Received("v", replace(data, input=forged)))
    middle = bench.ran("m", sends=(("e", b"x"),))
    bench.deliver()
    told = bench.ran("e")
    root = bench.step("e", sends=(("v", b"wrong"),))
    bench.deliver()
    bench.ran("v")
    bench.deliver()
    bench.propose("z", root)
    says(bench, ConeStep(lie, (Debit(0, "m", 1),)), "e", "m")
    assert bench.undone(middle), "what hangs on a liar's step is the liar's"
    assert not bench.undone(told)
    assert [vote.refutes for vote in votes(bench, "e") if vote.refutes] == [(Credit(middle, 0, 1),)]
    assert decisions(bench, "e") == decisions(bench, "m") == ["commit"]
    assert not bench.accused


def test_rb15_what_others_have_found_refutes_nothing_that_a_vote_says_later() -> None:
    # `k`, a root's owner and the keeper, says that it has found the other root's message, and a false number of it.
    bench = Bench("k", "m", "r", "z")
    root = bench.step("m", sends=(("r", b"wrong"),))
    bench.deliver()
    told = bench.ran("r")
    bench.deliver()
    bench.propose("z", bench.step("k"), root)
    proposal = next(mail[2].proposal for mail in bench.mail if isinstance(mail[2], Propose))
    found = ConeStep(root, (Debit(0, "r", 2),))
    bench.feed("r", Received("k", Ballot(proposal, (), found=(found,))))
    bench.deliver()
    assert decisions(bench, "m") == decisions(bench, "r") == ["commit"]
    assert bench.undone(root)
    assert bench.undone(told)
    assert not any(vote.refutes for vote in votes(bench, "r"))


PROPOSAL = Proposal("z/1/p1", "z", (StepId("k", 1, 1),), "discard")
HONEST = Vote("v", 2, True, "", (ConeStep(X, (Debit(0, "r", 1), Debit(1, "v", 1), Debit(2, "v", 0),
    Debit(STEP_INDEX_ENTRIES, "r", 0), Debit(STEP_INDEX_ENTRIES, "k", 0))),), (Credit(StepId("k", 1, 1), 0, 1),),
    since=1)  # fmt: skip
Altered = Callable[[Vote], Any]


def sending(*sends: Debit) -> Altered:
    return lambda vote: replace(vote, cone=(ConeStep(X, sends),))


@pytest.mark.parametrize(("alter", "why"), [
    (lambda vote: replace(vote, cone=(ConeStep(StepId("r", 1, 1), ()),)), "not its own"),
    (lambda vote: replace(vote, cone=(*vote.cone, *vote.cone)), "twice"),
    (lambda vote: replace(vote, since=2), "follows version 2"),
    (lambda vote: replace(vote, version=0, since=0), "version 0"),
    (lambda vote: replace(vote, version=1 << 62, since=0), "follows"),
    (lambda vote: replace(vote, cone=(ConeStep(X._replace(seq=0), ()),)), "is no step"),
    (lambda vote: replace(vote, credits=2 * vote.credits), "credits a message twice"),
    (lambda vote: replace(vote, refutes=vote.credits), "credits a message twice"),
    (lambda vote: replace(vote, refutes=(Credit(X, 0, -1),)), "as number -1"),
    (sending(Debit(1, "r", 1), Debit(0, "k", 1)), "can't be"),
    (sending(Debit(0, "r", 1), Debit(1, "r", 1)), "under one number"),
    (sending(Debit(0, "r", 0)), "can't be"),
    (sending(Debit(STEP_INDEX_ENTRIES, "r", 1)), "can't be"),
    (sending(Debit(STEP_INDEX_ENTRIES, "v", 0)), "can't be"),
    (sending(Debit(STEP_INDEX_ENTRIES + 1, "r", 0)), "can't be"),
    (lambda vote: replace(vote, cone=(*vote.cone, ConeStep(StepId("v", 1, 2), (Debit(0, "r", 1),)))), "one number"),
])  # fmt: skip
def test_rb15_what_nobody_honest_can_say_anybody_sees(alter: Altered, why: str) -> None:
    assert malformed("v", Ballot(PROPOSAL, (HONEST,))) == ""
    ballot = Ballot(PROPOSAL, (HONEST, alter(HONEST)))
    assert why in malformed("v", ballot)
    # Who joins two votes of one that lies need not see by each of them that they don't fit.
    is_repeated = any(what in why for what in ("twice", "one number"))
    assert (malformed("k", ballot) == "") == is_repeated


def test_rb15_suspects_are_their_senders_own_and_what_is_found_is_looked_at() -> None:
    good = Suspect(X, (Debit(0, "r", 1),), 0, (StepId("k", 1, 1),))
    assert malformed("v", Ballot(PROPOSAL, (), suspects=(good,))) == ""
    assert "not its own" in malformed("r", Ballot(PROPOSAL, (), suspects=(good,)))
    assert "can't be" in malformed("k", Ballot(PROPOSAL, (), found=(ConeStep(X, (Debit(-1, "r", 1),)),)))
    found = Ballot(PROPOSAL, (), found=(ConeStep(X, (Debit(0, "r", 1),)),))
    assert malformed("k", found) == malformed("v", found) == ""
    assert "neither its agent nor the keeper" in malformed("r", found)


def test_tr9_who_says_in_a_ballot_what_cannot_be_is_refused_and_charged() -> None:
    homes = {"a": ONE.host_id, "b": TWO.host_id}
    badge = Badge.issued(ROOT, THREE)
    badge.trust.admit(Badge.issued(ROOT, ONE, OF_HOSTS).chain)
    charged: list[tuple[str, str]] = []
    uncharged: list[int] = []

    class Orders:
        def charge(self, host: str, what: str) -> None:
            charged.append((host, what))

        def refused(self) -> None:
            uncharged.append(1)

    vouching = Vouching(badge, Orders(), homes, lambda agent: 1)  # type: ignore[arg-type]
    good = signed_proposal(Badge.issued(ROOT, ONE, OF_HOSTS), "p")
    own, another = ConeStep(StepId("b", 1, 1), ()), ConeStep(StepId("a", 1, 1), ())
    assert vouching.why_not("b", Ballot(good, (Vote("b", 1, True, "", (own,), ()),))) == ""
    why = vouching.why_not("b", Ballot(good, (Vote("b", 1, True, "", (own, another), ()),)))
    assert why == "a ballot: a vote of b lists a/1/1, which is not its own"
    vouching.accused(Accuse("b", "p: b/1/1#0 came to a as number 1, not 2"))
    assert charged == [(TWO.host_id, "a vote of b: p: b/1/1#0 came to a as number 1, not 2")]
    vouching.refuse(TWO.host_id, Ballot(good, ()), why)
    assert charged[1:] == [(TWO.host_id, f"a rollback: {why}")]
    del charged[1:]
    strange = signed_proposal(Badge.issued(ROOT, TWO, OF_HOSTS), "q")
    vouching.refuse(TWO.host_id, Ballot(strange, ()), "host two, which has signed it, may not speak for a")
    vouching.accused(Accuse("nobody", ""))
    assert uncharged == [1]
    assert len(charged) == 1, "whose signer is not known here may be known to who passes it on"
