"""What one host asks of others' copies, several questions at a time."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from peer.replication import inquiry as inquiries
from peer.replication.inquiry import Inquiry
from protocol.checkpoints.copy import Held, Lacking
from protocol.wire import Frame


class Asker:
    """A host that asks, and others with so many records of each log."""

    def __init__(self, **others: int) -> None:
        self.asked: list[tuple[str, Lacking]] = []
        site: Any = SimpleNamespace(host_id="me", send_frame=self.send_frame, known_hosts=lambda: [])
        nothing: Any = None
        self.inquiry = Inquiry(site, nothing, nothing)
        self._others = others

    def send_frame(self, to: str, frame: Frame) -> None:
        """Have the other answer, a moment later, as long as it is there."""
        (message,) = frame.copies
        assert isinstance(message, Lacking)
        self.asked.append((to, message))
        if to in self._others:
            length = self._others[to]
            records = tuple(b"%d" % at for at in range(message.first, length + 1))
            held = Held(message.log, message.first, length, records, owner=message.owner)
            asyncio.get_running_loop().call_soon(self.inquiry.held, to, held)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inquiries, "WAIT_S", 0.2)
    monkeypatch.setattr(inquiries, "AGAIN_S", 0.01)


async def test_two_that_ask_for_one_log_at_a_time_are_both_answered_by_whom_they_have_asked() -> None:
    asker = Asker(one=3, two=5)
    ask = asker.inquiry.ask
    found = await asyncio.gather(ask("a", 2, "me", ["one"]), ask("a", 4, "me", ["two"]), ask("a", 1, "me", ["gone"]))
    ends = [{host: (copy.first, copy.end) for host, copy in each.items()} for each in found]
    assert ends == [{"one": (2, 3)}, {"two": (4, 5)}, {}]


async def test_a_question_that_was_given_up_is_forgotten() -> None:
    asker = Asker(one=3)
    task = asyncio.ensure_future(asker.inquiry.ask("a", 1, "me", ["gone"]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not asker.inquiry._open
    assert set(await asker.inquiry.ask("a", 1, "me", ["one"])) == {"one"}
