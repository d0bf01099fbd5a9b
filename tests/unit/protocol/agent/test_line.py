"""Inputs that wait: for their turn, for a decision, after a failure, and while a log is read again."""

from protocol.agent.inbox import Inbox
from protocol.agent.line import Line
from protocol.step import Input


def item(number, lineage=None):
    return Input("b", 1, number, b"", lineage or f"l{number}", place=number)


def test_what_was_deferred_is_in_line_again_once_something_is_decided():
    inbox = Inbox()
    line = Line(inbox)
    line.put(item(2))
    line.defer(item(1))
    assert line.count() == 2
    assert inbox.pop().number == 2
    line.undefer()
    assert inbox.pop().number == 1
    assert line.waiting() == []


def test_what_has_failed_is_tried_again_when_it_is_time():
    inbox = Inbox()
    line = Line(inbox)
    assert line.retry_us() is None
    line.try_again(item(1), 200)
    line.try_again(item(2), 100)
    assert line.retry_us() == 100
    line.look(100, False)
    assert inbox.pop().number == 2
    assert inbox.pop() is None
    line.look(200, False)
    assert inbox.pop().number == 1


def test_an_input_is_taken_back_wherever_it_waits():
    inbox = Inbox()
    line = Line(inbox)
    line.put(item(1))
    line.defer(item(2))
    line.try_again(item(3), 100)
    assert [line.take_back(f"l{number}").number for number in (1, 2, 3)] == [1, 2, 3]
    assert line.take_back("l1") is None
    assert line.count() == 0


def test_of_a_log_that_is_read_again_only_what_was_not_handled_waits():
    inbox = Inbox()
    line = Line(inbox)
    line.left("l9")  # not while a log is read: it is in no line
    line.replay()
    for number in (1, 2, 3):
        line.put(item(number))
    line.left("l2")
    assert line.take_back("l3").number == 3
    assert inbox.pop() is None
    line.replayed()
    assert [inbox.pop().number, inbox.pop()] == [1, None]
