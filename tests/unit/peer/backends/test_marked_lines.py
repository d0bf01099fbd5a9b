"""Lines of many agents in one stream: each is whole, and says whose it is."""

import io
from contextvars import copy_context

import pytest

from peer.agents.whose import WHOSE, Whose
from peer.backends.output import CHARS_MAX, OPEN_MAX, MarkedLines


@pytest.fixture
def below() -> io.StringIO:
    return io.StringIO()


def by(whose: str, stream: MarkedLines, text: str) -> None:
    def write() -> None:
        WHOSE.set(Whose(whose.split("/")[0], whose))
        stream.write(text)

    copy_context().run(write)


def test_lines_that_come_in_pieces_by_turns_are_whole(below: io.StringIO) -> None:
    stream = MarkedLines(below, "host-1", "stdout")
    by("a/1/1", stream, "one ")
    by("b/1/1", stream, "two\nand ")
    by("a/1/1", stream, "line\n")
    stream.write("nobody's\n")
    assert below.getvalue() == "[b/1/1] two\n[a/1/1] one line\n[host-1] nobody's\n"
    stream.finish()
    assert below.getvalue().endswith("[b/1/1] and \n")


def test_a_progress_bar_is_told_as_it_ends(below: io.StringIO) -> None:
    stream = MarkedLines(below, "host-1", "stdout")
    for percent in range(0, 101, 10):
        stream.write(f"\r{percent} %")
    assert below.getvalue() == ""
    stream.write("\n")
    assert below.getvalue() == "[host-1] 100 %\n"


def test_what_is_begun_and_never_ended_takes_no_room_without_end(below: io.StringIO) -> None:
    stream = MarkedLines(below, "host-1", "stdout")
    stream.write("x" * (2 * CHARS_MAX + 1))
    assert [len(line) for line in below.getvalue().splitlines()] == [CHARS_MAX + len("[host-1] ")] * 2
    for number in range(OPEN_MAX + 5):
        by(f"a/1/{number}", stream, "begun")
    assert below.getvalue().splitlines()[2:] == ["[host-1] x", *(f"[a/1/{number}] begun" for number in range(5))]
