"""A workflow from classes of agents: what their source says is there, and what it does not say is noted."""

from dataclasses import dataclass

import post_office as office
import pytest

from ebbtide import Agent, AgentSpec, Context, handles
from peer.detectors.seen import Seen
from peer.detectors.suspicion import Suspicion
from peer.errors import CallerError
from peer.workflows import Activity, Graph, Rule, check, workflow_of_classes


def sent(workflow, name):
    (way,) = workflow.ways(workflow.named(name)[0])
    return {f"{agent}.{kind}" for agent, kind in way.sends}


def test_who_sends_what_to_whom_is_read_from_the_source() -> None:
    workflow = workflow_of_classes(office.agents)
    assert [*map(str, workflow.activities)] == [
        "buyer.Answer", "buyer.Order", "buyer.Paid", "cashier.Pay", "clerk.result of send_letter", "clerk.str",
        "store.Quote", "store.every count",
    ]  # fmt: skip
    # A loop over names, a message chosen by one, a method that is called, a question, and that none answers it in time.
    assert sent(workflow, "buyer.Order") == {"cashier.Pay", "clerk.str", "store.Quote", "buyer.Answer"}
    assert sent(workflow, "store.Quote") == {"buyer.Answer"}
    # Whoever has sent it gets a subclass of what it handles.
    assert sent(workflow, "cashier.Pay") == {"buyer.Paid"}
    assert workflow.attempts == {"cashier": 3}
    assert workflow.tools == {
        "charge": "compensable", "send_letter": "irreversible", "take_from_stock": "idempotent",
    }  # fmt: skip
    outside = {str(each.activity) for each in workflow.handlings if each.outside}
    assert outside == {"buyer.Order", "store.every count"}


def test_keys_are_read_from_the_source_and_observing_is_no_reading() -> None:
    workflow = workflow_of_classes(office.agents)
    (pay,) = workflow.ways(Activity("cashier", "Pay"))
    (paid,) = workflow.ways(Activity("buyer", "Paid"))
    (count,) = workflow.ways(Activity("store", "every count"))
    (quote,) = workflow.ways(Activity("store", "Quote"))
    assert (pay.reads, pay.writes) == ((), ("space:sold/all",))
    assert paid.reads == ("space:sold/all",)
    assert (count.reads, count.writes) == ((), ("counted",))
    assert quote.reads == quote.writes == ("space:!outside:stock/*",)
    assert workflow.ways(Activity("buyer", "Order"))[0].writes == ("!ask", "bought")
    assert workflow.ways(Activity("clerk", "result of send_letter"))[0].reads == ("sent",)


def test_who_proposes_rollbacks_may_undo_whoever_it_hears_of() -> None:
    workflow = workflow_of_classes(office.agents)
    assert {by for by, _ in workflow.undoes} == {"buyer"}
    assert ("buyer", "cashier") in workflow.undoes


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (office.Clerk, None),
        (office.Careful, Rule("clerk", "send_letter", ("boss",), True)),
        (office.Hasty, Rule("clerk", "send_letter", ("boss",), False)),
    ],
)
def test_rules_that_are_there_are_seen(kind: type[Agent], rule: Rule | None) -> None:
    workflow = workflow_of_classes({**office.agents, "clerk": kind})
    assert workflow.rule_for("clerk", "send_letter") == rule
    names = {finding.name for finding in check(workflow).findings}
    assert ("no approval" in names, "some approvals" in names) == (rule is None, rule is not None and not rule.always)


@dataclass
class Task:
    worker: str


class Boss(Agent):
    def __init__(self, second: str) -> None:
        self.second = second

    @handles(Task)
    async def give(self, message: Task, ctx: Context) -> None:
        ctx.send(message.worker, Task("nobody"))

    @handles(int)
    async def spread(self, message: int, ctx: Context) -> None:
        ctx.send(f"worker-{message}", message)
        ctx.send(self.second, "done")

    @handles(list)
    async def anything(self, message: list, ctx: Context) -> None:
        for who, what in message:
            ctx.send(who, what)


class Worker(Agent):
    @handles(int, str)
    async def work(self, message: int | str, ctx: Context) -> None:
        self.state[str(message)] = 1

    @handles(Task)
    async def do(self, message: Task, ctx: Context) -> None:
        self.state["tasks"] = len(self.state)


def test_what_is_computed_is_taken_for_as_much_as_it_may_be() -> None:
    agents = {"boss": (Boss, {"second": "worker-2"}), "worker-1": Worker, "worker-2": Worker, "aide": Worker}
    workflow = workflow_of_classes(agents)
    assert sent(workflow, "boss.Task") == {"aide.Task", "boss.Task", "worker-1.Task", "worker-2.Task"}
    assert sent(workflow, "boss.int") == {"worker-1.int", "worker-2.int", "worker-2.str"}
    assert any("boss.Task sends Task to whom" in note for note in workflow.notes)
    assert any("Boss.anything" in note and "neither whom it sends to nor what" in note for note in workflow.notes)
    # A key that is computed may be any, so what counts them all hangs on it.
    reach = Graph(workflow).reach("aide.int")
    assert Activity("aide", "Task") in reach.falls


def test_what_names_no_class_is_refused_with_the_remedy() -> None:
    with pytest.raises(CallerError, match=r"no agent\. Name classes"):
        workflow_of_classes({"buyer": int})  # type: ignore[dict-item]
    with pytest.raises(CallerError, match="name at least one class"):
        workflow_of_classes({})
    assert workflow_of_classes([AgentSpec("clerk", office.Clerk)]).agents == ["clerk"]


def test_a_class_without_source_is_noted() -> None:
    names: dict[str, type[Agent]] = {}
    code = "class Made(Agent):\n    @handles(int)\n    async def take(self, message, ctx): ...\n"
    exec(code, {"Agent": Agent, "handles": handles, "__name__": "made"}, names)
    workflow = workflow_of_classes({"made": names["Made"]})
    assert [*map(str, workflow.activities)] == ["made.int"]
    assert any("Made.take: its source is not here" in note for note in workflow.notes)


def tell(ctx: Context, who: str) -> None:
    ctx.send("aide", who)


class Deputy(Boss):
    spaces = ("board", "desk")

    @handles(float)
    async def odd(self, message: float, ctx: Context) -> None:
        tell(ctx, "x")
        board = ctx.space("board")
        notes = board.map("notes")
        notes["x"] = message
        self.pile(ctx.space("desk"))

    def pile(self, desk) -> None: ...

    @handles(int)
    async def spread(self, message: int, ctx: Context) -> None:
        await super().spread(message, ctx)
        tool = office.charge if message else office.take_from_stock
        await ctx.call(tool, message)
        state = self.state
        state["x"] = 1

    @handles(bytes)
    async def lost(self, message: bytes, ctx: Context) -> None:
        self.finish = print
        (lambda it: it)(ctx)
        if len(self.state) > 3:
            self.state.pop("x")


def test_what_is_handed_on_is_followed_or_taken_for_all_that_may_be_done_with_it() -> None:
    agents = {"deputy": (Deputy, {"second": "worker-1"}), "worker-1": Worker, "aide": Worker}
    workflow = workflow_of_classes(agents)
    (odd,) = workflow.ways(Activity("deputy", "float"))
    # A function that is given the context, a space by a name, and one that is handed on.
    assert odd.sends == (("aide", "str"),)
    assert set(odd.writes) == {"space:board/notes", "space:desk/*"}
    assert odd.reads == ("space:desk/*",)
    (spread,) = workflow.ways(Activity("deputy", "int"))
    assert set(spread.sends) == {("worker-1", "int"), ("worker-1", "str")}
    assert spread.uses == ("charge", "take_from_stock")
    assert "*" in spread.writes
    (lost,) = workflow.ways(Activity("deputy", "bytes"))
    assert (lost.reads, lost.writes) == (("*", "x"), ("x",))
    assert any(
        "Deputy.lost" in note and "what its context is given to can't be told" in note for note in workflow.notes
    )


class Agency(Agent):
    @handles(Task)
    async def plan(self, message: Task, ctx: Context) -> None:
        async with ctx.saga(message.worker, failed=self.called_off):
            ctx.send(ctx.spawn("helper", Worker), message)

    async def called_off(self, failed, ctx: Context) -> None:
        self.state["failed"] = True


def test_of_sagas_and_of_agents_that_are_made_it_is_told_what_is_missing() -> None:
    workflow = workflow_of_classes({"agency": Agency})
    assert [*map(str, workflow.activities)] == ["agency.SagaFailed", "agency.Task"]
    assert Graph(workflow).reach("agency.Task").keeps == ()
    assert any("that a saga has failed is not here" in note for note in workflow.notes)
    assert any("the agent that it makes is not here" in note for note in workflow.notes)


class Watching(Agent):
    @handles(Seen)
    async def look(self, message: Seen, ctx: Context) -> None:
        ctx.rollback(message.step, then=self.ended)

    @handles(Suspicion)
    async def doubt(self, message: Suspicion, ctx: Context) -> None: ...

    async def ended(self, message, ctx: Context) -> None:
        ctx.send("worker", 1)


class WatchedWorker(Worker):
    watched_by = "guard"

    @handles(float)
    async def odd(self, message: float, ctx: Context) -> None:
        ctx.suspect(ctx.step, why="it is odd")


def test_what_watchers_are_told_is_sent_to_them_and_how_a_rollback_ends_comes_from_outside() -> None:
    workflow = workflow_of_classes({"worker": WatchedWorker, "guard": Watching})
    assert sent(workflow, "worker.Task") == {"guard.Seen"}
    assert sent(workflow, "worker.float") == {"guard.Seen", "guard.Suspicion"}
    assert sent(workflow, "guard.rolled-back") == {"worker.int"}
    assert workflow.ways(Activity("guard", "rolled-back"))[0].outside
    assert workflow.undoes == {("guard", "worker")}
