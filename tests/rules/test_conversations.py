"""Rules RB-3, RB-4, RB-8 where two agents answer each other for long: few votes, each told and written once."""

from protocol.agent.ahead import Ahead
from protocol.agent.books import Books
from protocol.ids import AgentId, StepId
from protocol.message import Ballot, Data, Propose
from protocol.proposal import ConeStep, Debit, Proposal, Suspect, Vote
from protocol.records import DecisionRecord, VoteRecord
from tests.rules.bench import Bench, of


def converse(bench: Bench, turns: int, *names: AgentId) -> list[StepId]:
    """Let the first begin, and each answer the one before; deliver everything."""
    steps: list[StepId] = []
    bench.submit(names[0], b"x")
    for turn in range(turns):
        following = names[(turn + 1) % len(names)]
        steps.append(bench.ran(names[turn % len(names)], sends=((following, b"m"),) if turn < turns - 1 else ()))
        bench.deliver()
    return steps


def votes(bench: Bench, name: AgentId) -> list[Vote]:
    """Return an agent's votes, as they stand in its log."""
    return [record.vote for record in bench.disks[name] if isinstance(record, VoteRecord)]


def ballots(bench: Bench) -> list[Ballot]:
    """Return all ballots that were ever sent."""
    return [mail[2] for mail in bench.sent if isinstance(mail[2], Ballot)]


def test_rb3_a_conversation_of_many_turns_takes_a_few_votes_and_each_step_is_told_and_written_once() -> None:
    for turns, most in ((10, 4), (400, 4), (3000, 5)):
        bench = Bench("p", "q", "z")
        steps = converse(bench, turns, "p", "q")
        bench.propose("z", steps[0])
        bench.deliver()
        assert all(bench.undone(step) for step in steps)
        for name in "pq":
            assert len(votes(bench, name)) <= most
            assert sum(len(vote.cone) for vote in votes(bench, name)) == turns / 2
        told = sum(len(vote.cone) for ballot in ballots(bench) for vote in ballot.votes)
        assert told == turns
        assert sum(len(ballot.suspects) for ballot in ballots(bench)) <= turns


def test_rb3_where_two_others_converse_the_keeper_tells_both_what_it_has_found() -> None:
    bench = Bench("a", "p", "q", "z")
    first = bench.step("a", sends=(("p", b"m"),))
    bench.deliver()
    turns = [bench.ran("p", sends=(("q", b"m"),))]
    for turn in range(300):
        bench.deliver()
        turns.append(bench.ran("qp"[turn % 2], sends=(("pq"[turn % 2], b"m"),)))
    bench.deliver(of(Data))
    bench.propose("z", first)
    bench.deliver()
    assert all(bench.undone(step) for step in turns)
    assert len(votes(bench, "p")) + len(votes(bench, "q")) <= 14
    assert any(ballot.found for ballot in ballots(bench))


def test_rb3_a_ring_takes_a_few_votes_of_each() -> None:
    bench = Bench("a", "b", "c", "d", "z")
    steps = converse(bench, 400, "a", "b", "c", "d")
    bench.propose("z", steps[0])
    bench.deliver()
    assert all(bench.undone(step) for step in steps)
    assert all(len(votes(bench, name)) <= 8 for name in "abcd")


def test_rb3_what_is_only_suspected_stays() -> None:
    bench = Bench("p", "q", "z")
    early = converse(bench, 30, "p", "q")
    # Its clock covers the root: its sender had the root before. But it depends on none of it.
    beside = converse(bench, 30, "q", "p")
    bench.propose("z", early[0])
    bench.deliver()
    assert all(bench.undone(step) for step in early)
    assert not any(bench.undone(step) for step in beside)


def test_rb3_suspects_leave_with_a_durable_vote() -> None:
    bench = Bench("p", "q", "z")
    steps = converse(bench, 40, "p", "q")
    bench.propose("z", steps[0])
    bench.deliver(lambda mail: mail[0] != "p" or len(votes(bench, "q")) < 1)
    bench.slow.add("q")
    bench.deliver()
    assert not any(ballot.suspects for ballot in ballots(bench))
    bench.sync("q")
    bench.slow.clear()
    bench.deliver()
    assert any(ballot.suspects for ballot in ballots(bench))
    assert all(bench.undone(step) for step in steps)


def test_rb3_without_suspects_the_votes_alone_come_to_the_same() -> None:
    bench = Bench("p", "q", "z")
    steps = converse(bench, 20, "p", "q")
    bench.propose("z", steps[0])
    while bench.mail:
        sender, receiver, message = bench.mail[0]
        if isinstance(message, Ballot) and message.suspects:
            bench.mail[0] = (sender, receiver, Ballot(message.proposal, message.votes))
        first = bench.mail[0]
        bench.deliver(lambda mail, first=first: mail is first)
    assert all(bench.undone(step) for step in steps)
    assert len(votes(bench, "q")) == 10


def test_rb3_what_a_difference_lists_counts_also_where_the_vote_before_never_came() -> None:
    bench = Bench("p", "q", "z")
    steps = converse(bench, 12, "p", "q")
    bench.propose("z", steps[0])
    bench.deliver(of(Propose))
    bench.deliver(lambda mail: mail[1] == "q")
    bench.deliver(lambda mail: mail[1] == "p")
    bench.crash("q")
    bench.deliver(lambda mail: mail[1] == "q")
    # q has forgotten p's first vote: it credits what the difference lists, and asks for the rest.
    assert len(votes(bench, "q")[-1].credits) > 0
    for _ in range(4):
        bench.elapse()
        bench.deliver()
    assert all(bench.undone(step) for step in steps)


def test_rb3_votes_that_were_written_whole_are_read() -> None:
    bench = Bench("p", "q", "z")
    steps = converse(bench, 12, "p", "q")
    bench.propose("z", steps[0])
    bench.deliver(lambda mail: not (mail[1] == "p" and isinstance(mail[2], Ballot) and mail[2].votes[0].version > 1))
    whole = None
    for at, record in enumerate(bench.disks["q"]):
        if isinstance(record, VoteRecord):
            whole = record.vote.after(whole)
            bench.disks["q"][at] = VoteRecord(record.proposal, whole)
    assert len(votes(bench, "q")) > 1
    bench.crash("q")
    bench.deliver()
    for _ in range(3):
        bench.elapse()
        bench.deliver()
    assert all(bench.undone(step) for step in steps)
    assert all(any(isinstance(r, DecisionRecord) for r in bench.disks[name]) for name in "pq")


def test_rb3_a_suspect_is_confirmed_by_what_it_depends_on_whatever_is_known_first() -> None:
    first, second, third = StepId("a", 1, 1), StepId("b", 1, 1), StepId("a", 1, 2)
    chain = (
        Suspect(third, (Debit(0, "c", 1),), 0, (second,)),
        Suspect(second, (Debit(0, "a", 1),), 0, (first,)),
    )
    for early in (True, False):
        ahead = Ahead("k")
        if early:
            ahead.know((first,))
        ahead.suspect(chain)
        assert bool(ahead.debits_to("c")) == early
        ahead.know((first,))
        assert [credit.producer for credit in ahead.debits_to("c")] == [third]
        books = Books(Proposal("k/1/p1", "z", (StepId("k", 1, 1),), "discard"))
        assert dict(ahead.due(books, ())) == {
            "a": (ConeStep(second, (Debit(0, "a", 1),), 0),), "c": (ConeStep(third, (Debit(0, "c", 1),), 0),),
        }  # fmt: skip
        assert ahead.due(books, ()) == []
        # One that speaks and does not credit it has not heard it.
        assert [receiver for receiver, _ in ahead.due(books, ("c",))] == ["c"]


def test_rb4_a_difference_to_an_older_version_is_joined() -> None:
    steps = [ConeStep(StepId("a", 1, n), (), 0) for n in (1, 2, 3)]
    one = Vote("a", 1, True, "", (steps[0],), ())
    two = Vote("a", 2, True, "", (steps[1],), (), since=1)
    both = Vote("a", 3, False, "no", (steps[1], steps[2]), (), since=1)
    books = Books(Proposal("a/1/p1", "z", (steps[0].step,), "discard"))
    assert not books.take(two)
    assert books.take(one)
    assert books.take(two)
    assert not books.take(two)
    assert books.take(both)
    assert [listed.step.seq for listed in books.votes["a"].cone] == [1, 2, 3]
    assert books.is_refused()
