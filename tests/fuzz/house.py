"""Hosts in virtual time that are told anything, by a member of their cluster or by a stranger.

A host may refuse what it is told or take it in. It may not raise, stop an agent, end, spin, or write what its next life
can't read.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from peer.agents.spec import AgentSpec
from peer.errors import EbbtideError
from peer.host.questions import Submit, encode
from peer.ports import Unobserved
from peer.values.payload import encode_message
from protocol.errors import WireInvalid
from protocol.fact import HostFact
from protocol.ids import HostId
from protocol.limits import CheckpointLimits
from protocol.wire import Frame, decode_frame, encode_frame
from sims.engine.box import Box
from sims.virtual.loop import VirtualLoop
from sims.virtual.network import Network
from tests.fuzz.badges import AUTHORITY, MEMBER_ID, STRANGER_ID, proven, sealed
from tests.fuzz.teller import Teller

BETWEEN_US = 20_000
AFTER_US = 800_000
"""Virtual time between two frames, and after the last: probes, resends and cuts come in it."""
AGAIN_US = 200_000
ENDED = "the host has ended"
IS_OLDER = "an older state of it"
"""What ends a host for good reasons: a backup says that it has more of a log than is here (CP-8)."""
ONLY_VIRTUAL = "The virtual log can't begin at record"
"""Virtual disks have no archive: copies that begin later are for real ones."""

MEMBER, STRANGER, SEALING = 0, 1, 2
"""Who speaks: a member; somebody whom nobody knows; a member, and what it tells is signed by whoever it is of."""


class Fallen(AssertionError):
    """What no frame may bring about has come about."""


class House:
    """One host with two agents, `a` and `b`, and what is known of a member with `m` and `n`.

    Args:
        name: of the host: its keys follow from it.
        agents: who lives there.
        keeps: it keeps copies of others' logs, and has its own kept.
        founder: it begins the first epoch.
    """

    def __init__(
        self, loop: VirtualLoop, network: Network, name: str, agents: Iterable[str], *, keeps: bool, founder: bool,
        seeds: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        limits = CheckpointLimits(interval_us=400_000, replicas=int(keeps))
        self.box = Box(name, 0, loop, network, AUTHORITY, None, seeds, None, limits, founder)
        self.box.specs = {agent: AgentSpec(agent, Teller) for agent in agents}
        self._loop = loop
        self._asking: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin a life."""
        self.box.start(lambda box: None, lambda *_: None, lambda *_: None, lambda: None, Unobserved())

    def submit(self, agent: str, number: int, *messages: object) -> None:
        """Hand in messages from outside, without waiting."""
        self.ask(agent, "submit", encode(Submit("desk", number, tuple(map(encode_message, messages)))))

    def ask(self, agent: str, what: str, body: bytes) -> None:
        """Ask something, without waiting: an answer is of no account."""

        async def asked() -> None:
            assert self.box.host is not None
            with suppress(EbbtideError):
                await self.box.host.ask(agent, what, body, timeout_s=5)

        self._asking.append(self._loop.create_task(asked()))

    def fallen(self) -> Iterator[str]:
        """Yield what should not have come about here."""
        host = self.box.host
        if host is None or not host._open:
            yield ENDED
            return
        for notice in host.notices:
            if notice.notice == "agent-stopped" and notice.agent in self.box.specs:
                yield f"{notice.agent} has stopped: {notice.detail}"
        for agent in self.box.specs:
            if agent in host.residents.broken:
                yield f"{agent} does not start: {host.residents.broken[agent]}"


SENDERS: tuple[HostId, ...] = (MEMBER_ID, STRANGER_ID, MEMBER_ID)


def introduction() -> bytes:
    """Return the frame by which the member makes itself known."""
    fact = HostFact(MEMBER_ID, 1, f"virtual://{MEMBER_ID}", ("m", "n"), (("m", "board"),))
    return encode_frame(Frame(facts=(proven(fact),)))


def _sealed(body: bytes) -> bytes:
    """Return a frame in which all is signed by whoever it is of, others too: more than a member can do."""
    try:
        return encode_frame(sealed(decode_frame(body)))
    except WireInvalid:
        return body


def told(keeps: bool, frames: Sequence[tuple[int, bytes]]) -> None:
    """Tell a host frames, let time pass, and let it begin another life from what it has written.

    Args:
        keeps: see `House`.
        frames: who says it, and the body.

    Raises: Fallen; whatever the host raises.
    """
    heard = _Heard()
    loop = VirtualLoop()
    house = House(loop, Network(0), "h", ("a", "b"), keeps=keeps, founder=True)
    try:
        house.open()
        loop.run_to(loop.now_us + 50_000)
        _tell(house, loop, MEMBER, introduction())
        house.submit("a", 1, "b>x", 5, "m>y")
        loop.run_to(loop.now_us + 100_000)
        for sender, body in frames:
            _tell(house, loop, sender, body)
            loop.run_to(loop.now_us + BETWEEN_US)
        loop.run_to(loop.now_us + AFTER_US)
        _check(house, loop, heard)
        house.box.crash()
        house.open()
        loop.run_to(loop.now_us + AGAIN_US)
        _check(house, loop, heard)
    finally:
        heard.close()
        close(loop, house)


def _tell(house: House, loop: VirtualLoop, sender: int, body: bytes) -> None:
    # A turn of the loop is what frames come in: only there are tasks and futures made.
    host = house.box.host
    if host is None:
        raise Fallen("the host has ended")
    whole = _sealed(body) if sender == SEALING else body
    loop.call_soon(host.transport.hand_over, SENDERS[sender], None, whole)  # type: ignore[attr-defined]


class _Heard(logging.Handler):
    """What a host says before it ends, or stops an agent; nothing of it goes anywhere else."""

    def __init__(self) -> None:
        super().__init__(logging.CRITICAL)
        self.lines: list[str] = []
        self._logger = logging.getLogger("ebbtide")
        self._before = self._logger.propagate, self._logger.level
        self._logger.propagate = False
        self._logger.setLevel(logging.CRITICAL)
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage())

    def close(self) -> None:
        """Let the others hear again."""
        self._logger.removeHandler(self)
        self._logger.propagate, level = self._before
        self._logger.setLevel(level)
        super().close()


def _check(house: House, loop: VirtualLoop, heard: _Heard) -> None:
    for error in loop.failures:
        if not str(error).startswith(ONLY_VIRTUAL):
            raise error
    for what in house.fallen():
        if what == ENDED and any(IS_OLDER in line for line in heard.lines):
            return
        raise Fallen("\n".join((what, *heard.lines)))


def close(loop: VirtualLoop, *houses: House) -> None:
    """End hosts, and their loop."""
    for house in houses:
        house.box.crash()
    left = [task for task in asyncio.all_tasks(loop) if not task.done()]
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()
