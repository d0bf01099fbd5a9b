"""What real hosts say to each other and write, for inputs to begin with."""

import logging
from functools import cache

from protocol.ids import HostId
from sims.virtual.loop import VirtualLoop
from sims.virtual.network import Network
from tests.fuzz.badges import HOST_ID, MEMBER_ID
from tests.fuzz.house import House, close
from tests.fuzz.shapes import write


class Overheard:
    """What the member has sent the host, and what it has written."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.logs: dict[str, list[bytes]] = {}

    def frame(self, what: str, sender: HostId, receiver: HostId | None, body: bytes, at_us: int) -> None:
        """Look at a frame on its way."""
        if what == "arrived" and sender == MEMBER_ID and receiver == HOST_ID:
            self.bodies.append(body)


@cache
def overheard(keeps: bool) -> Overheard:
    """Return what a member says to the host, in a cluster of the two in which agents of both do all that they can."""
    logging.getLogger("ebbtide").setLevel(logging.CRITICAL + 1)
    loop, ear = VirtualLoop(), Overheard()
    network = Network(0, watcher=ear)
    here = House(loop, network, "h", ("a", "b"), keeps=keeps, founder=True)
    there = House(loop, network, "m", ("m", "n"), keeps=keeps, founder=False, seeds=(f"virtual://{HOST_ID}",))
    here.open()
    there.open()
    loop.run_to(500_000)
    here.submit("a", 1, "b>m>a>n>b", 5)
    there.submit("m", 1, "a>n>b>a", 7, "a>x")
    loop.run_to(2_000_000)
    there.ask("m", "propose", write([[["m", 1, 1]], "retry", "why", b"", [], 0]))
    there.ask("a", "steps", write([]))
    there.ask("a", "status", b"")
    loop.run_to(4_000_000)
    ear.logs = {name: list(log) for name, log in there.box.disk.logs.items()}
    close(loop, here, there)
    return ear
