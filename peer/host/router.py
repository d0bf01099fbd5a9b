"""Carries messages between agents: in this process, or in frames to other hosts, one for each turn of the loop."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from peer.host.portions import portions, size_of_envelope
from peer.host.residents import Residents
from peer.host.vouching import Vouching
from protocol.ids import AgentId, HostId, ProposalId
from protocol.message import ROLLBACK, Message
from protocol.wire import Envelope, Frame, encode_message


class Wire(Protocol):
    """The host, as far as messages need it."""

    @property
    def homes(self) -> Mapping[AgentId, HostId]:
        """By agent, the host where it lives, as far as is known."""
        ...

    def send_frame(self, host: HostId, frame: Frame) -> None:
        """Send a frame, best effort."""
        ...


class Router:
    """What the agents of one host say, on its way."""

    def __init__(self, wire: Wire, residents: Residents, vouching: Vouching) -> None:
        self._wire = wire
        self._vouching = vouching
        self._residents = residents
        self._inner: deque[tuple[AgentId, AgentId, Message]] = deque()
        self._out: dict[HostId, list[Envelope]] = {}
        self._out_first: dict[HostId, list[Envelope]] = {}
        self._flushing = False
        self._closed = False
        self.rollbacks: dict[ProposalId, tuple[int, int]] = {}
        """By proposal, how many messages it has taken from here, and bytes."""
        self.messages: dict[str, int] = {}
        """By kind, how many messages have left an agent here."""

    def close(self) -> None:
        """Carry nothing any more."""
        self._closed = True

    def route(self, sender: AgentId, receiver: AgentId, message: Message) -> None:
        """Carry a message towards an agent; one whose home is not known yet is dropped, and sent again later."""
        # Before it is delivered, here too: whoever takes part keeps the proposal with its proof, and passes it on.
        message = self._vouching.vouch(message, self._residents.is_up)
        kind = type(message).__name__
        self.messages[kind] = self.messages.get(kind, 0) + 1
        urgent = isinstance(message, ROLLBACK)
        if urgent:
            pid = message.proposal if isinstance(message.proposal, str) else message.proposal.id
            count, size = self.rollbacks.get(pid, (0, 0))
            self.rollbacks[pid] = (count + 1, size + len(encode_message(message)))
        if receiver in self._residents.drivers:
            if urgent:
                self._inner.appendleft((sender, receiver, message))
            else:
                self._inner.append((sender, receiver, message))
        else:
            home = self._wire.homes.get(receiver)
            if home is None:
                return
            # RB-6: votes overtake data.
            queues = self._out_first if urgent else self._out
            queues.setdefault(home, []).append(Envelope(sender, receiver, message))
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send what one turn of the loop has made: one frame, one signature for each host."""
        self._flushing = False
        if self._closed:
            return
        for host in list({**self._out_first, **self._out}):
            envelopes = [*self._out_first.pop(host, ()), *self._out.pop(host, ())]
            for some in portions(envelopes, size_of_envelope):
                self._wire.send_frame(host, Frame(envelopes=some))
        for _ in range(len(self._inner)):
            sender, receiver, message = self._inner.popleft()
            driver = self._residents.drivers.get(receiver)
            if driver is not None:
                driver.received(sender, message)
