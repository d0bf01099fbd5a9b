"""Graphs of agents: who falls with whom, what is kept, what goes round, what a shared key drags along."""

import json

import pytest
from rich.console import Console

from peer.errors import CallerError
from peer.workflows import Activity, Graph, Handling, Link, Rule, Workflow, folded, mermaid
from peer.workflows.drawing import EDGES_MAX, lines, shown, told

TOOLS = {"charge": "compensable", "send_letter": "irreversible"}


def shop(*more: Handling, **given) -> Workflow:
    return Workflow(
        (
            Handling("buyer", "Order", sends=(("cashier", "Pay"),), outside=True),
            Handling("cashier", "Pay", sends=(("clerk", "Sold"),), uses=("charge",), writes=("space:sold/all",)),
            Handling("clerk", "Sold", requests=("send_letter",)),
            *more,
        ),
        TOOLS,
        **given,
    )


def names(activities) -> list[str]:
    return [*map(str, activities)]


def test_what_is_downstream_falls_and_what_is_upstream_is_kept() -> None:
    reach = Graph(shop()).reach("cashier")
    assert (names(reach.falls), names(reach.keeps)) == (["cashier.Pay", "clerk.Sold"], ["buyer.Order"])
    assert (reach.agents_that_fall, reach.agents_that_keep_all) == (["cashier", "clerk"], ["buyer"])


def test_kinds_of_one_agent_fall_apart_unless_a_key_joins_them() -> None:
    apart = shop(Handling("cashier", "Close", reads=("till",)))
    assert names(Graph(apart).reach("cashier.Close").falls) == ["cashier.Close"]
    joined = shop(
        Handling("cashier", "Close", reads=("till",)), Handling("cashier", "Count", writes=("till",)),
        Handling("clerk", "Count", writes=("till",)),
    )  # fmt: skip
    # The clerk's till is another.
    assert names(Graph(joined).reach("cashier.Count").falls) == ["cashier.Close", "cashier.Count"]
    assert names(Graph(joined).reach("clerk.Count").falls) == ["clerk.Count"]


def test_agents_that_write_to_each_other_fall_together_and_the_loop_has_a_name() -> None:
    graph = Graph(
        shop(
            Handling("clerk", "Ask", sends=(("buyer", "Order"),)), Handling("clerk", "Sold", sends=(("clerk", "Ask"),))
        )
    )
    assert names(graph.components[0]) == ["buyer.Order", "cashier.Pay", "clerk.Ask", "clerk.Sold"]
    (loop,) = graph.loops
    assert str(loop) == "buyer.Order -> cashier.Pay -> clerk.Sold -> clerk.Ask -> buyer.Order"
    assert loop.messages


def test_a_shared_key_drags_upstream_along_and_closes_a_loop() -> None:
    graph = Graph(shop(Handling("buyer", "Order", reads=("space:sold/all",))))
    (drag,) = graph.drags
    assert (str(drag.wrong), str(drag.dragged), drag.key) == ("cashier.Pay", "buyer.Order", "space:sold/all")
    (loop,) = graph.loops
    assert (str(loop), loop.messages) == ("buyer.Order -> cashier.Pay -> buyer.Order", False)
    assert names(graph.reach("cashier").falls) == ["buyer.Order", "cashier.Pay", "clerk.Sold"]
    assert Graph(shop(Handling("buyer", "Order", reads=("space:sold/other",)))).drags == []


def test_a_key_that_is_not_known_may_be_any_of_its_scope() -> None:
    any_sold = Graph(shop(Handling("auditor", "Look", reads=("space:sold/*",))))
    assert Activity("auditor", "Look") in any_sold.reach("cashier").falls
    elsewhere = Graph(shop(Handling("auditor", "Look", reads=("space:stock/*",))))
    assert Activity("auditor", "Look") in elsewhere.reach("cashier").keeps


def test_the_result_of_a_request_hangs_on_the_step_that_has_asked() -> None:
    graph = Graph(shop(Handling("clerk", "result of send_letter")))
    assert (
        Link(Activity("clerk", "Sold"), Activity("clerk", "result of send_letter"), "result", "send_letter")
        in graph.links
    )


def test_what_is_asked_for_by_a_wrong_name_gets_a_remedy() -> None:
    with pytest.raises(CallerError, match=r"no agent or kind 'cashir'. Did you mean 'cashier'\?"):
        Graph(shop()).reach("cashir")
    with pytest.raises(CallerError, match="Name one of buyer, cashier, clerk"):
        Graph(shop()).reach("zzz")


def test_it_is_shown_as_a_table_a_chart_and_plain_values() -> None:
    graph = Graph(shop(Handling("buyer", "Order", reads=("space:sold/all",)), Handling("a<b", 'so "quoted" #1')))
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  # the console writes there
    shown(graph, console, "shop")
    table = console.export_text()
    assert "charge (compensable)" in table
    assert "writes sold/all" in table
    assert "dragged in by space:sold/all" in table
    assert any("fall together: buyer.Order, cashier.Pay" in line for line in lines(graph))
    chart = mermaid(graph)
    assert chart.startswith('flowchart LR\n  subgraph g0["a#60;b"]\n    a0["so #34;quoted#34; #35;1"]\n  end\n')
    assert '-. "space:sold/all" .->' in chart
    assert "class a1,a2 together" in chart
    plain = json.loads(json.dumps(told(graph)))
    assert plain["reach"]["clerk.Sold"]["falls"] == ["clerk.Sold"]
    assert plain["drags"] == [{"wrong": "cashier.Pay", "dragged": "buyer.Order", "key": "space:sold/all"}]
    # What is printed can be read again.
    assert Workflow.of_told(plain) == graph.workflow


def test_a_chart_says_what_it_leaves_out() -> None:
    many = tuple(Handling("hub", f"K{n}", sends=tuple((f"w{n}", f"J{m}") for m in range(30))) for n in range(20))
    others = tuple(Handling(f"w{n}", f"J{m}") for n in range(20) for m in range(30))
    assert f"%% {600 - EDGES_MAX} edges are left out" in mermaid(Graph(Workflow((*many, *others))))


def test_numbered_agents_are_folded_into_one_and_the_stricter_claim_stays() -> None:
    ways = (
        Handling("risk-1", "Pay", sends=(("ledger-1", "Post"),), count=2),
        Handling("risk-2", "Pay", sends=(("ledger-2", "Post"),), count=3),
        Handling("ledger-1", "Post", requests=("send_letter",)),
        Handling("ledger-2", "Post", requests=("send_letter",)),
        Handling("room-7", "Pay"),
    )  # fmt: skip
    rules = (Rule("ledger-1", "send_letter", ("boss",)), Rule("ledger-2", "send_letter", ("boss",), False))
    less = folded(Workflow(ways, TOOLS, rules))
    assert less.agents == ["ledger-*", "risk-*", "room-7"]
    assert [way.count for way in less.ways(Activity("risk-*", "Pay"))] == [5]
    rule = less.rule_for("ledger-*", "send_letter")
    assert rule is not None
    assert not rule.always


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Workflow(()), "a workflow without handlings"),
        (lambda: Workflow((Handling("a", "K", uses=("x",)),)), "a.K uses 'x', of which no kind is given"),
        (lambda: Workflow((Handling("a", "K"),), {"x": "odd"}), "tool 'x' is 'odd', which is none of pure"),
        (lambda: shop(Handling("a", "K", uses=("send_letter",))), "Move it to `requests`"),
        (lambda: shop(Handling("a", "K", sends=("b",))), "a.K sends 'b': whom and which kind"),  # type: ignore[arg-type]
        (lambda: shop(rules=(Rule("zoe", "charge"),)), "a rule is of 'zoe', and no such agent"),
        (lambda: shop(rules=(Rule("buyer", "odd"),)), "a rule is about tool 'odd'"),
        (lambda: Workflow.of_told([]), "no workflow: wanted an object"),
        (lambda: Workflow.of_told({"handlings": [{"agent": "a"}]}), "no workflow: .*kind"),
    ],
)
def test_what_can_be_no_workflow_is_refused_by_name(make, said) -> None:
    with pytest.raises(CallerError, match=said):
        make()
