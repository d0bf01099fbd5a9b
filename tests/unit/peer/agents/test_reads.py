"""How handlers read: with a dependency, or without one."""

import math
from decimal import Decimal
from typing import Any

import pytest

from peer import errors
from peer.agents.spaces import Spaces
from peer.agents.state import State, Tracked
from peer.store.outside.keeping import Keeping
from peer.values import payload
from peer.values.codec import Values
from peer.values.declared import Schema
from peer.values.key_text import encode_key
from protocol.agent.folds import Op, encode_op
from protocol.agent.versions import Versions
from protocol.ids import StepId
from protocol.retraction import Retraction
from protocol.step import Entry, Tolerated, Write, space_key

WRITER, OTHER = StepId("b", 1, 1), StepId("b", 1, 2)


def run_with(*ops: tuple[str, StepId, Op]) -> tuple[Tracked, Spaces]:
    """Return a run over a replica with these entries: name in the space, writer, operation."""
    versions = Versions(Retraction())
    versions.write(WRITER, (Write(encode_key("k"), payload.encode(7)),), 0)
    for at, (name, writer, op) in enumerate(ops):
        versions.merge(Entry(space_key("s", name), writer, at, encode_op(op), {"b": (1, writer.seq)}, at))
    run = Tracked(versions)
    return run, Spaces(run, ("s",))


def test_observed_state_is_noted_by_key_alone() -> None:
    run, _ = run_with()
    state = State(Values(Schema(), Keeping.in_memory(b"secret"), lambda: 0), lambda step: None)
    state.bind(run)
    assert (state.observe("k"), state.observe("none", 3)) == (7, 3)
    state["k"] = 8
    assert state.observe("k") == 8
    assert (list(run.observed), run.reads) == ([encode_key("k"), encode_key("none")], {})


def test_shared_objects_are_observed_without_their_writers() -> None:
    counter, register, members = encode_key("n"), f"{encode_key('m')}/{encode_key('x')}", encode_key("z")
    run, spaces = run_with(
        (counter, WRITER, Op("add", payload.encode(4))),
        (register, OTHER, Op("put", payload.encode("v"))),
        (members, OTHER, Op("sadd", payload.encode(1))),
    )
    space = spaces.open("s")
    space.counter("n").add(2)
    assert space.counter("n").observe() == 6
    assert (space.map("m").observe("x"), space.map("m").observe("y", 0)) == ("v", 0)
    assert space.set("z").observe() == {1}
    assert run.reads == {}
    assert len(run.observed) == 4
    assert space.counter("n").value == 6
    assert [writer for _, writer in run.reads] == [WRITER]


def test_a_tolerant_read_notes_what_each_writer_has_added() -> None:
    key = encode_key("n")
    run, spaces = run_with(
        (key, WRITER, Op("add", payload.encode(4))),
        (key, WRITER, Op("add", payload.encode(-1))),
        (key, OTHER, Op("add", payload.encode(Decimal("0.25")))),
    )
    counter = spaces.open("s").counter("n")
    counter.add(1)
    assert counter.value_within(Decimal("5")) == Decimal("4.25")
    parts = ((WRITER, 5_000_000), (OTHER, 250_000))
    assert list(run.tolerated) == [Tolerated(space_key("s", key), 5_000_000, parts)]
    assert run.reads == {}


@pytest.mark.parametrize("tolerance", [-1, math.nan, math.inf, "5", None])
def test_a_tolerance_is_a_number_from_0_on(tolerance: Any) -> None:
    run, spaces = run_with()
    with pytest.raises(errors.CallerError, match="a tolerance is a number"):
        spaces.open("s").counter("n").value_within(tolerance)
    assert run.tolerated == {}


def test_amounts_are_rounded_up_and_what_is_no_number_is_never_tolerated() -> None:
    key = encode_key("n")
    run, spaces = run_with(
        (key, WRITER, Op("add", payload.encode(1e-9))), (key, OTHER, Op("add", payload.encode(math.nan)))
    )
    spaces.open("s").counter("n").value_within(10**30)
    (sums,) = run.tolerated
    assert dict(sums.parts)[WRITER] == 1
    assert sums.is_exceeded(lambda writer: writer == OTHER)
