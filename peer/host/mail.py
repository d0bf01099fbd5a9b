"""Questions and answers on their way to other hosts: those of one turn of the loop go in one frame, signed once."""

import asyncio
from collections.abc import Callable

from peer.host.portions import portions
from protocol.ids import HostId
from protocol.wire import Answer, Ask, Frame


class Mail:
    """What one host asks and answers.

    Args:
        send: sends a frame, best effort.
    """

    def __init__(self, send: Callable[[HostId, Frame], None]) -> None:
        self._send = send
        self._asks: dict[HostId, list[Ask]] = {}
        self._answers: dict[HostId, list[Answer]] = {}
        self._flushing = False
        self._closed = False

    def ask(self, host: HostId, question: Ask) -> None:
        """Ask a host something."""
        self._asks.setdefault(host, []).append(question)
        self._hurry()

    def answer(self, host: HostId, given: Answer) -> None:
        """Answer a host, with the next `flush_answers`."""
        self._answers.setdefault(host, []).append(given)

    def close(self, is_orderly: bool) -> None:
        """Send nothing any more after this; in an orderly end what waits goes first."""
        if is_orderly:
            self.flush()
        self._closed = True

    def _hurry(self) -> None:
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send what waits."""
        self._flushing = False
        asks, self._asks = self._asks, {}
        for host, questions in asks.items() if not self._closed else ():
            for some in portions(questions, lambda each: len(each.body)):
                self._send(host, Frame(asks=some))
        self.flush_answers()

    def flush_answers(self) -> None:
        """Send the answers that wait."""
        answers, self._answers = self._answers, {}
        if self._closed:
            return
        for host, given in answers.items():
            for some in portions(given, lambda each: len(each.body) + len(each.error)):
                self._send(host, Frame(answers=some))
