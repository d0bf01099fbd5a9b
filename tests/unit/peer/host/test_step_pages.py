"""Pages of an agent's steps: bounded in steps, in bytes and in what is looked at, and complete all the same."""

import pytest

from peer.agents import envelope
from peer.agents.envelope import handled_by_name
from peer.host import step_pages
from peer.host.questions import StepsAsk
from peer.host.step_pages import page_of
from peer.values import payload
from protocol.agent.looking import Looking
from protocol.ids import StepId
from tests.rules.bench import Bench


def ran(count: int, data: bytes = payload.encode_message(1)) -> tuple[Looking, list[StepId]]:
    bench = Bench("a")
    steps: list[StepId] = []
    for _ in range(count):
        bench.submit("a", data)
        steps.append(bench.ran("a"))
    return bench.machines["a"].looking, steps


def pages_of(looking: Looking, **wanted: object) -> list[list[StepId]]:
    pages: list[list[StepId]] = []
    after = None
    while True:
        page = page_of(looking, StepsAsk(after, **wanted), lambda name: name)  # type: ignore[arg-type]
        pages.append([record.step for record in page.records])
        after = page.next
        if after is None:
            return pages


def test_pages_are_bounded_in_steps_and_together_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_pages, "STEPS_MAX", 3)
    looking, steps = ran(7)
    assert pages_of(looking) == [steps[:3], steps[3:6], steps[6:]]


def test_pages_are_bounded_in_bytes_but_for_one_step_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_pages, "BYTES_MAX", 6_000)
    looking, steps = ran(5, payload.encode_message("x" * 2_000))
    assert pages_of(looking) == [steps[:2], steps[2:4], steps[4:]]
    large, alone = ran(2, payload.encode_message("x" * 9_000))
    assert pages_of(large) == [alone[:1], alone[1:]]


def test_no_page_looks_at_more_than_so_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_pages, "LOOKED_MAX", 4)
    looking, _ = ran(10)
    assert pages_of(looking, handled="Order") == [[], [], []]


def test_whoever_goes_on_after_a_step_that_is_compacted_misses_none_that_is_left() -> None:
    looking, steps = ran(4)
    core = looking._core
    core.cone.drop(steps[0])
    core.cone.drop(steps[1])
    page = page_of(looking, StepsAsk(steps[0]), lambda name: name)
    assert [record.step for record in page.records] == steps[2:]


def test_a_message_is_known_by_the_class_that_its_handler_names() -> None:
    asked = payload.encode_message(["x"])
    for data, name in (
        (payload.encode_message(True), "bool"), (payload.encode_message("x"), "str"), (asked, "list"),
        (envelope.sealed(envelope.ASK, ["n", asked]), "list"), (envelope.sealed(envelope.TIME_OUT, "n"), "Answer"),
        (envelope.sealed(envelope.EVERY, ["tick", True]), "!every"), (b"\xc1", ""),
    ):  # fmt: skip
        assert handled_by_name(data) == name
