"""Questions and answers of one turn of the loop go to a host in one frame."""

import asyncio

from peer.host.mail import Mail
from peer.host.portions import PORTION_BYTES
from protocol.limits import ENVELOPES_MAX
from protocol.wire import Answer, Ask, Frame


def mail() -> tuple[Mail, list[tuple[str, Frame]]]:
    sent: list[tuple[str, Frame]] = []
    return Mail(lambda host, frame: sent.append((host, frame))), sent


def ask(number: int, size: int = 0) -> Ask:
    return Ask(number, "a", "status", b"x" * size)


async def test_what_is_asked_of_a_host_in_one_turn_goes_in_one_frame() -> None:
    box, sent = mail()
    for number in range(1000):
        box.ask("h1", ask(number))
    box.ask("h2", ask(1000))
    box.answer("h1", Answer(7, b"yes", ""))
    assert sent == []
    await asyncio.sleep(0)
    assert [(host, len(frame.asks), len(frame.answers)) for host, frame in sent] == [
        ("h1", 1000, 0), ("h2", 1, 0), ("h1", 0, 1),
    ]  # fmt: skip
    assert [each.number for each in sent[0][1].asks] == list(range(1000))
    box.ask("h2", ask(1001))
    await asyncio.sleep(0)
    assert len(sent) == 4


async def test_what_is_too_much_for_one_frame_goes_in_several() -> None:
    box, sent = mail()
    for number in range(5):
        box.ask("h1", ask(number, PORTION_BYTES // 2))
    box.ask("h1", ask(5, 3 * PORTION_BYTES))
    await asyncio.sleep(0)
    assert [len(frame.asks) for _, frame in sent] == [2, 2, 1, 1]
    sent.clear()
    for number in range(ENVELOPES_MAX + 1):
        box.answer("h1", Answer(number, b"", ""))
    box.flush_answers()
    assert [len(frame.answers) for _, frame in sent] == [ENVELOPES_MAX, 1]


async def test_an_orderly_end_sends_what_waits_and_a_kill_does_not() -> None:
    for is_orderly in (True, False):
        box, sent = mail()
        box.ask("h1", ask(1))
        box.close(is_orderly)
        box.ask("h1", ask(2))
        await asyncio.sleep(0)
        assert [[each.number for each in frame.asks] for _, frame in sent] == ([[1]] if is_orderly else [])
