"""Members of a group on a bench: what they request in it, and what becomes of that (RQ-4)."""

from msgspec import msgpack

from protocol.event import CutWanted, ReleaseAsked, Settled, StepRan, ToolWanted
from protocol.ids import StepId
from protocol.limits import NEVER_US
from protocol.step import Grouped, Hold, OutputDraft, Request, StepDraft
from tests.rules.bench import Bench

MEMBERS = ("a", "b", "c")
GROUP = Grouped("z/1/1/settle", MEMBERS)
TIMED = Grouped("z/1/1/settle", MEMBERS, 5_000_000)
HOLD = Hold("may it go?")


def output(group: Grouped | None, args: bytes, hold: Hold | None = None, wait_us: int = NEVER_US) -> OutputDraft:
    return OutputDraft(
        "me", b"answer", args.decode(), wait_us, Request("post", "irreversible", args, True, None, hold, group)
    )


def request(
    bench: Bench, name: str, group: Grouped | None = GROUP, hold: Hold | None = None, wait_us: int = NEVER_US,
    args: bytes = b"",
) -> StepId:  # fmt: skip
    """Have an agent take a step that requests a tool in a group."""
    bench.submit(name, b"x")
    return rerun(bench, name, group, hold, wait_us, args)


def rerun(
    bench: Bench, name: str, group: Grouped | None = GROUP, hold: Hold | None = None, wait_us: int = NEVER_US,
    args: bytes = b"",
) -> StepId:  # fmt: skip
    order = bench.runs.pop(name)
    out = output(group, args or b"of " + name.encode(), hold, wait_us)._replace(receiver=name)
    bench.feed(name, StepRan(order.run, StepDraft(outputs=(out,))))
    return order.step


def settle(bench: Bench, *names: str, epoch: int = 1) -> None:
    """Cut and commit an epoch at some."""
    for name in names or tuple(bench.machines):
        bench.feed(name, CutWanted(epoch))
        bench.feed(name, Settled(epoch, (), 0))


def calls(bench: Bench) -> dict[str, int]:
    """Count, by agent, the calls that were begun."""
    found: dict[str, int] = {}
    for name, use in bench.tools:
        if use.verb == "call":
            found[name] = found.get(name, 0) + 1
    return found


def answer_of(bench: Bench, name: str) -> tuple[str, bytes]:
    """Return what the handler of an answer is told."""
    run = bench.runs[name]
    assert run.input.payload == b"answer"
    bench.feed(name, ToolWanted(run.run, "post", "", b"", None, False, was_requested=True))
    return bench.resumed[-1][1].answer, bench.resumed[-1][1].result


def say(bench: Bench, name: str, verb: str) -> None:
    (seen,) = bench.machines[name].requesting.waiting()
    bench.feed(name, ReleaseAsked(7, seen.name, "", "ann", verb, msgpack.encode("ann says no")))


ALL = {"a": 1, "b": 1, "c": 1}
