"""Rules RB-1, RB-4, RB-8 where the keeper of the books is silent, late, slow, or has forgotten what it heard."""

from protocol.action import Action, Consult
from protocol.ids import StepId
from protocol.message import ROLLBACK, Ballot, Data, Done, Propose
from protocol.proposal import Proposal
from protocol.records import DecisionRecord, VoteRecord
from tests.rules.bench import Bench, Mail, of


def line(bench: Bench, *names: str) -> list[StepId]:
    """Let a step of the first reach the second, and so on; deliver everything."""
    steps: list[StepId] = []
    bench.submit(names[0], b"x")
    for name, following in zip(names, (*names[1:], ""), strict=True):
        steps.append(bench.ran(name, sends=((following, b"m"),) if following else ()))
        bench.deliver()
    return steps


def star(bench: Bench, *leaves: str) -> list[StepId]:
    """Let a step of `a` reach every leaf; deliver everything."""
    first = bench.step("a", sends=tuple((leaf, b"m") for leaf in leaves))
    bench.deliver()
    steps = [first, *(bench.ran(leaf) for leaf in leaves)]
    bench.deliver()
    return steps


def decisions(bench: Bench, name: str) -> list[str]:
    """Return what an agent has decided, by its log."""
    return [record.decision for record in bench.disks[name] if isinstance(record, DecisionRecord)]


def pass_time(bench: Bench, cut_off: str, rounds: int = 12) -> None:
    """Let time pass and mail be carried, but for what is from and to one agent."""
    for _ in range(rounds):
        bench.elapse()
        while bench.mail:
            bench.drop(lambda mail: cut_off in mail[:2])
            bench.deliver(lambda mail: cut_off not in mail[:2])


def test_rb4_an_abort_that_is_told_and_seen_while_a_vote_is_written_is_decided_once() -> None:
    bench = Bench("a", "b", "c", "d", "z")
    first = bench.step("a", sends=(("b", b"m"), ("c", b"m"), ("d", b"m")))
    bench.deliver(of(Data))
    for name in ("c", "d"):
        bench.ran(name, sends=(("b", b"m"),))
    for _ in range(3):
        bench.ran("b")
        bench.deliver(of(Data))
    bench.deliver()
    bench.agrees = lambda agent: agent != "c"
    bench.propose("z", first)
    bench.deliver(of(Propose))
    bench.deliver(lambda mail: mail[:2] in (("a", "b"), ("b", "a")))
    bench.slow.add("b")
    bench.deliver(lambda mail: mail[:2] in (("a", "d"), ("d", "b")))  # b votes again, and that is being written
    bench.deliver(lambda mail: mail[:2] in (("a", "c"), ("c", "a")))  # c rejects, and a knows
    bench.deliver(lambda mail: mail[:2] == ("a", "b"))
    assert decisions(bench, "a") == ["abort"]
    bench.deliver(lambda mail: mail[:2] == ("c", "b"))
    bench.sync("b")
    bench.slow.clear()
    bench.deliver()
    assert decisions(bench, "b") == ["abort"]


def test_rb4_who_forgot_whom_it_heard_asks_its_creditors_and_the_proposer() -> None:
    bench = Bench("a", "b", "c", "z")
    bench.agrees = lambda agent: agent != "c"
    first, *_ = star(bench, "b", "c")
    bench.propose("z", first)
    bench.deliver(of(Propose))
    bench.deliver(lambda mail: mail[:2] in (("a", "b"), ("a", "c")))
    bench.crash("b")  # all that it knows now is its own vote, and that is told to nobody but `a`
    pass_time(bench, "a")
    assert decisions(bench, "c") == ["abort"]
    assert decisions(bench, "b") == ["abort"]
    assert decisions(bench, "a") == []


def test_rb1_an_outcome_names_all_electors_also_if_no_keeper_has_seen_the_books() -> None:
    bench = Bench("a", "b", "c", "d", "z")
    steps = line(bench, "a", "b", "c", "d")
    bench.propose("z", steps[0])
    bench.deliver(of(Propose))
    bench.deliver(lambda mail: mail[:2] in (("a", "b"), ("b", "c"), ("c", "d")))
    # d asks until it has all votes, and decides alone; the others have their end from it, and a from them.
    while not decisions(bench, "d"):
        bench.elapse()
        bench.deliver(lambda mail: mail[0] == "d" and mail[1] != "a")
        bench.deliver(lambda mail: mail[1] == "d" and mail[0] != "a")
        bench.drop()
    for told, by in (("c", "d"), ("b", "c"), ("a", "b")):
        while not decisions(bench, told):
            bench.elapse()
            bench.deliver(lambda mail, pair=(told, by): {*mail[:2]} == {*pair})
            bench.drop(lambda mail: not (isinstance(mail[2], Done) and mail[1] == "z" and mail[0] != "d"))
    bench.deliver(lambda mail: mail[1] == "z")
    pass_time(bench, "nobody", 2)
    (finish,) = bench.finished
    assert finish.outcome.electors == ("a", "b", "c", "d")
    assert sorted(finish.outcome.undone) == steps


def test_rb1_the_first_word_of_an_end_stands_whatever_its_elector_says_when_it_has_forgotten() -> None:
    bench = Bench("a", "b", "z")
    steps = line(bench, "a", "b")
    bench.propose("z", steps[0])
    bench.deliver(lambda mail: not (mail[0] == "b" and mail[1] == "z"))
    ends = [mail for mail in bench.sent if isinstance(mail[2], Done) and mail[:2] == ("a", "z")]
    bench.machines["a"].rollback.forget(9)
    proposal = next(mail[2].proposal for mail in bench.sent if isinstance(mail[2], Propose))
    bench.mail.append(("z", "a", Propose(proposal)))  # one that was under way for long
    assert ends
    bench.deliver()
    assert sorted(bench.finished[0].outcome.undone) == steps


def test_rb4_whoever_rejects_is_named_with_its_reason_also_if_the_keeper_tells_it_the_end() -> None:
    bench = Bench("a", "b", "c", "z")
    steps = line(bench, "a", "b", "c")
    bench.agrees = lambda agent: agent == "a"
    bench.propose("z", steps[0])
    bench.deliver(of(Propose))
    bench.deliver(lambda mail: mail[:2] in (("a", "b"), ("b", "c")))
    bench.deliver(lambda mail: mail[:2] in (("b", "a"), ("c", "a"), ("a", "c")))
    bench.elapse()
    bench.deliver()
    record = next(record for record in bench.disks["c"] if isinstance(record, DecisionRecord))
    assert ("c", "no") in record.rejects


class Deliberate(Bench):
    """Agents that agree at once, but for one, which takes its time."""

    slowest = ""

    def _take(self, name: str, action: Action) -> None:
        if isinstance(action, Consult) and name == self.slowest:
            self.consults[name] = action
        else:
            super()._take(name, action)


def rollback_mail(bench: Bench) -> list[Mail]:
    """Return the mail of rollbacks that was ever sent."""
    return [mail for mail in bench.sent if isinstance(mail[2], ROLLBACK)]


def test_rb8_while_one_agent_takes_its_time_the_others_ask_the_keeper_and_not_each_other() -> None:
    counts: dict[int, float] = {}
    for width in (10, 40):
        leaves = [f"l{number:02}" for number in range(width)]
        bench = Deliberate("a", *leaves, "z")
        bench.slowest = leaves[3]
        first, *_ = star(bench, *leaves)
        bench.propose("z", first)
        for _ in range(30):
            bench.deliver()
            bench.elapse(1_000_000)
        others = [mail for mail in rollback_mail(bench) if "a" not in mail[:2] and "z" not in mail[:2]]
        assert not others
        counts[width] = len(rollback_mail(bench)) / width
        bench.answer(bench.slowest)
        bench.deliver()
        assert all(decisions(bench, name) == ["commit"] for name in ("a", *leaves))
    assert counts[40] < counts[10]


def two_roots(bench: Bench, *leaves: str) -> tuple[StepId, StepId]:
    """Let a step of `b` reach every leaf, beside one of `a`, and have both proposed to be undone."""
    apart = bench.step("a")
    first = bench.step("b", sends=tuple((leaf, b"m") for leaf in leaves))
    bench.deliver()
    for leaf in leaves:
        bench.ran(leaf)
    bench.deliver()
    bench.propose("z", apart, first)
    return apart, first


def test_rb8_a_keeper_whose_own_agent_takes_its_time_says_that_it_has_heard() -> None:
    leaves = [f"l{number:02}" for number in range(10)]
    bench = Deliberate("a", "b", *leaves, "z")
    bench.slowest = "a"
    two_roots(bench, *leaves)
    for _ in range(30):
        bench.deliver()
        bench.elapse(1_000_000)
    assert not [mail for mail in rollback_mail(bench) if mail[0] in leaves and mail[1] in leaves]
    bench.answer("a")
    bench.deliver()
    assert all(decisions(bench, name) == ["commit"] for name in ("a", "b", *leaves))


def test_rb4_a_reject_ends_it_for_the_others_while_the_keepers_agent_takes_its_time() -> None:
    bench = Deliberate("a", "b", "c", "d", "z")
    bench.slowest = "a"
    bench.agrees = lambda agent: agent != "d"
    two_roots(bench, "c", "d")
    for _ in range(3):
        bench.deliver()
        bench.elapse(1_000_000)
    bench.deliver()
    assert [decisions(bench, name) for name in "abcd"] == [[], ["abort"], ["abort"], ["abort"]]
    bench.answer("a")
    bench.deliver()
    assert decisions(bench, "a") == ["abort"]


def test_rb8_votes_that_an_asker_has_heard_are_not_told_again() -> None:
    leaves = [f"l{number:02}" for number in range(10)]
    bench = Bench("a", "b", *leaves, "z")
    two_roots(bench, *leaves)
    pass_time(bench, "a", 8)  # `a` has never voted, so nobody can decide
    bench.sent.clear()
    pass_time(bench, "a", 3)
    answers = [mail[2] for mail in bench.sent if isinstance(mail[2], Ballot) and not mail[2].wants]
    assert answers
    assert all(len(answer.votes) == 1 for answer in answers)


def test_rb4_who_first_hears_of_a_proposal_by_an_answer_without_votes_votes_too() -> None:
    bench = Deliberate("a", "b", "z")
    bench.slowest = "a"
    two_roots(bench)
    asked = next(mail[2].proposal for mail in bench.sent if isinstance(mail[2], Propose))
    bench.drop()
    bench.mail.append(("a", "b", Ballot(asked, ())))
    bench.deliver(lambda mail: mail[1] == "b")
    assert any(isinstance(record, VoteRecord) for record in bench.disks["b"])
    pass_time(bench, "nobody", 2)
    bench.answer("a")
    bench.deliver()
    assert decisions(bench, "a") == decisions(bench, "b") == ["commit"]


def test_rb8_where_the_keeper_is_silent_the_others_are_asked_a_few_at_a_time() -> None:
    leaves = [f"l{number:02}" for number in range(60)]
    bench = Bench("a", *leaves, "z")
    steps = star(bench, *leaves)
    bench.propose("z", steps[0])
    bench.deliver(of(Propose))
    bench.deliver(lambda mail: mail[0] == "a")
    bench.sent.clear()
    pass_time(bench, "a")
    assert all(bench.undone(step) for step in steps[1:])
    asked = [mail for mail in bench.sent if isinstance(mail[2], Ballot) and mail[2].wants and mail[0] != "a"]
    assert len(asked) < 30 * len(leaves)  # not 59 and more for each


def test_rb1_the_proposer_answers_whoever_asks_what_became_of_it() -> None:
    bench = Bench("a", "z")
    (step,) = star(bench)
    bench.propose("z", step)
    bench.deliver()
    proposal: Proposal = next(mail[2].proposal for mail in bench.sent if isinstance(mail[2], Propose))
    bench.crash("z")
    bench.mail.append(("a", "z", Ballot(proposal, (), wants=True)))
    bench.deliver()
    assert (bench.sent[-1][1], bench.sent[-1][2].decision) == ("a", "commit")  # type: ignore[union-attr]
