"""The point of no return: which markings can be compensated, what ends that, who is asked; and what is warned of."""

import json

import post_office as office
import pytest

from peer.errors import CallerError
from peer.workflows import (
    Handling,
    Rule,
    Workflow,
    check,
    covered,
    net_of,
    place_invariants,
    reached,
    workflow_of_classes,
)
from peer.workflows.checking import is_compensable
from peer.workflows.netting import GONE, HELD, place_of
from peer.workflows.telling import check_lines

TOOLS = {"charge": "compensable", "send_letter": "irreversible", "ship": "idempotent"}
WAYS = (
    Handling("buyer", "Order", sends=(("cashier", "Pay"), ("clerk", "Note")), outside=True),
    Handling("cashier", "Pay", uses=("charge",)),
    Handling("clerk", "Note", requests=("send_letter",)),
    Handling("clerk", "result of send_letter"),
)


def letters(*rules: Rule) -> Workflow:
    return Workflow(WAYS, TOOLS, rules)


def test_a_workflow_is_a_net_and_its_tools_are_transitions_of_their_own() -> None:
    net = net_of(letters(Rule("clerk", "send_letter", ("boss",))))
    assert [each.name for each in net.transitions] == [
        "buyer.Order", "cashier.Pay", "clerk.Note", "clerk.result of send_letter", "call send_letter for clerk",
        "approve send_letter for clerk", "reject send_letter for clerk",
    ]  # fmt: skip
    assert {each.effect for each in net.transitions} == {"", "compensable", "irreversible"}
    held = place_of(HELD, "clerk", "send_letter")
    assert net.shown(net.fire(net.fire(net.initial, "buyer.Order"), "clerk.Note")) == {"cashier.Pay": 1, held: 1}
    assert all(place_of(GONE, "clerk", "send_letter") not in each for each in place_invariants(net))


def test_the_markings_that_can_be_compensated_are_those_before_the_letter() -> None:
    result = check(letters())
    (case,) = result.cases
    net = net_of(result.workflow, {"buyer.Order": 1})
    whole = reached(net)
    gone = net.places.index(place_of(GONE, "clerk", "send_letter"))
    assert case.markings == len(whole.ways)
    assert case.compensable == sum(marking[gone] == 0 for marking in whole.ways)
    assert [is_compensable(net, marking) for marking in whole.ways].count(True) == case.compensable
    assert case.firsts == (("buyer.Order", "clerk.Note", "call send_letter for clerk"),)
    late = {frozenset(marked.tokens) for marked in case.marked if not marked.is_compensable}
    assert all(place_of(GONE, "clerk", "send_letter") in tokens for tokens in late)
    assert len(case.marked) == case.markings
    lines = [*check_lines(result, each_marking=True)]
    assert "  can be compensated  buyer.Order" in lines
    assert "  too late            gone send_letter of clerk" in lines


def test_nobody_is_asked_before_a_letter_and_the_rule_to_add_is_named() -> None:
    result = check(letters())
    (point,) = result.points
    assert (point.transition, [*map(str, point.binds)]) == ("call send_letter for clerk", ["buyer.Order", "clerk.Note"])
    assert point.question == (
        "May clerk call send_letter? Nobody can undo it, and from then on steps of buyer, clerk that led to it can't be"
        " undone either."
    )
    (problem,) = result.problems
    assert 'approvals = (Approval(to="...", tool=send_letter, question=' in problem.remedy
    said = "\n".join(check_lines(result))
    assert "ends with: buyer.Order -> clerk.Note -> call send_letter for clerk" in said
    assert json.loads(json.dumps(result.told()))["is_ok"] is False


def test_a_rule_that_is_there_is_seen() -> None:
    result = check(letters(Rule("clerk", "send_letter", ("boss",))))
    assert (result.problems, result.warnings) == ([], [])
    assert "asked before: boss" in "\n".join(check_lines(result))
    assert result.points[0].remedy == ""
    assert result.cases[0].firsts == (
        ("buyer.Order", "clerk.Note", "approve send_letter for clerk", "call send_letter for clerk"),
    )


def test_a_rule_that_holds_in_some_cases_is_a_warning() -> None:
    result = check(letters(Rule("clerk", "send_letter", ("boss",), False)))
    assert [finding.name for finding in result.findings] == ["some approvals"]
    assert result.problems == []


def test_what_can_all_be_undone_has_no_point_of_no_return() -> None:
    result = check(Workflow(WAYS[:2], TOOLS))
    assert result.points == ()
    (case,) = result.cases
    assert case.markings == case.compensable
    assert "no point of no return" in "\n".join(check_lines(result))


def test_what_is_sent_to_nobody_is_a_problem_where_it_is_declared() -> None:
    (finding,) = check(Workflow((Handling("a", "K", sends=(("b", "Odd"),)),))).findings
    assert (finding.name, finding.is_problem) == ("unhandled", True)
    (finding,) = check(Workflow((Handling("a", "K", sends=(("b", "Odd"),), count=3),))).findings
    assert not finding.is_problem


def ring(**given) -> Workflow:
    ways = (
        Handling("a", "Ping", sends=(("b", "Pong"),), outside=True),
        Handling("b", "Pong", sends=(("a", "Ping"),)),
    )
    return Workflow(ways, **given)


def test_a_loop_in_which_nobody_says_how_often_is_warned_of() -> None:
    (finding,) = check(ring()).findings
    assert (finding.name, finding.is_problem) == ("loop", False)
    assert "a.Ping -> b.Pong -> a.Ping goes round" in finding.text
    assert "attempts = N in the class of a" in finding.remedy
    assert check(ring(attempts={"b": 3})).findings == ()


def test_a_loop_that_leaves_more_each_time_is_unbounded() -> None:
    ways = (*ring().handlings[:1], Handling("b", "Pong", sends=(("a", "Ping"), ("c", "Log"))), Handling("c", "Log"))
    findings = check(Workflow(ways, attempts={"a": 3})).findings
    assert [(finding.name, "c.Log" in finding.text) for finding in findings] == [("unbounded", True)]
    assert covered(net_of(Workflow(ways))).unbounded == ["c.Log"]


def test_a_tick_is_an_input_from_outside_and_no_loop() -> None:
    workflow = Workflow(
        (Handling("a", "every look", sends=(("a", "every look"), ("b", "K")), outside=True), Handling("b", "K"))
    )
    assert check(workflow).findings == ()
    assert check(workflow).cases[0].markings == 3


def test_agents_that_undo_each_other_are_warned_of_unless_people_are_asked() -> None:
    both = frozenset({("a", "b"), ("b", "a")})
    (finding,) = check(ring(undoes=both, attempts={"a": 3})).findings
    assert finding.name == "undoing"
    assert "when=Repeated(4)" in finding.remedy
    assert check(ring(undoes=both, attempts={"a": 3}, overseen=frozenset({"a", "b"}))).findings == ()
    assert check(ring(undoes=frozenset({("a", "b")}), attempts={"a": 3})).findings == ()


def test_upstream_that_a_shared_key_drags_along_is_warned_of() -> None:
    ways = (
        Handling("a", "K", sends=(("b", "L"),), reads=("space:s/n",), outside=True),
        Handling("b", "L", writes=("space:s/n",)),
    )
    findings = check(Workflow(ways, attempts={"a": 2})).findings
    assert [finding.name for finding in findings] == ["shared key"]
    assert "observe() or value_within()" in findings[0].remedy


def test_a_check_that_stops_at_its_bound_says_so() -> None:
    wide = Workflow(
        (
            Handling("a", "K", sends=tuple((f"b{n}", "L") for n in range(12)), outside=True),
            *(Handling(f"b{n}", "L") for n in range(12)),
        )
    )
    (case,) = check(wide, 100).cases
    assert (case.markings, case.is_whole) == (100, False)
    assert "and there are more" in "\n".join(check_lines(check(wide, 100)))
    with pytest.raises(CallerError, match="markings_max=0: at least 1"):
        check(wide, 0)


def test_inputs_can_be_counted_and_a_wrong_one_is_refused() -> None:
    net = net_of(letters(), {"buyer.Order": 3})
    assert net.shown(net.initial) == {"buyer.Order": 3}
    with pytest.raises(CallerError, match=r"'buyer\.Odd' is no input of workflow"):
        net_of(letters(), {"buyer.Odd": 1})


def test_the_check_of_classes_sees_what_their_rules_say() -> None:
    assert [finding.name for finding in check(workflow_of_classes(office.agents)).problems] == ["no approval"]
    assert check(workflow_of_classes({**office.agents, "clerk": office.Careful})).problems == []


def test_a_net_without_what_can_not_happen_reaches_the_same_markings() -> None:
    workflow = Workflow((*WAYS, Handling("late", "K", sends=(("cashier", "Pay"),), outside=True)), TOOLS)
    whole, less = net_of(workflow, {"buyer.Order": 1}), net_of(workflow, {"buyer.Order": 1}, whole=False)
    assert len(less.transitions) < len(whole.transitions)
    assert [less.shown(each) for each in reached(less).ways] == [whole.shown(each) for each in reached(whole).ways]
