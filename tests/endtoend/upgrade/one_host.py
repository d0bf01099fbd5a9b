"""One host of a cluster, in a process of its own: `python one_host.py FOLDER NAME AGENT`, until SIGTERM.

It is of the release that is first on PYTHONPATH, and is put together as `peer/backends/ray_host.py` does it. Whatever
it uses has to be in the last release, too. It prints the wire version that it speaks once it is up.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from station import Station

from peer.agents.attempts import Attempts
from peer.agents.spec import AgentSpec
from peer.backends import admission, others
from peer.backends.admission import Address
from peer.host.host import Host
from peer.store.opening import open_folder
from peer.store.outside.keeping import Keeping, Places
from peer.store.shelf import DiskShelves
from peer.system import SystemClock
from peer.transport.zmq import ZmqTransport
from peer.trust.badge import Badge
from peer.trust.rights import OF_HOSTS
from protocol import wire
from protocol.ids import HOST
from protocol.limits import CheckpointLimits


async def live(folder: Path, name: str, agent: str) -> None:
    """Bring the host up, and end it in order when the process is told to."""
    loop, place = asyncio.get_running_loop(), folder / name
    ends = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ends.set)
    places = Places.beside(folder, None, None)
    authority = admission.founded(folder, places)
    opened = open_folder(
        place, loop, on_failure=lambda error: host.failed(error), on_stall=lambda why: host.stalled(why)
    )
    badge = Badge.issued(authority, opened.keys, OF_HOSTS)
    transport = ZmqTransport(badge.keys, badge, others.endpoint(place, "127.0.0.1"))
    checkpoints = CheckpointLimits(
        replicas=1, is_replicated=True, successor_us=int(float(os.environ.get("SUCCESSOR_S", "60")) * 1e6)
    )
    host = Host(
        badge, transport, opened.store, SystemClock(loop), seeds=(), checkpoints=checkpoints, founder=name == "host-1",
        keeping=Keeping.at(places), attempts=Attempts(place / "attempts"),
        shelves=DiskShelves(place, lambda notice: host.noticed(HOST, notice)),
    )  # fmt: skip
    await host.open([AgentSpec(agent, Station)], is_lost=opened.is_lost)
    admission.came(place, Address(host.host_id, transport.address, os.getpid()))
    beside = admission.addresses_in(folder)
    host.neighbours.seek([each.address for each in beside.values() if each.host != host.host_id])
    print(wire.VERSION, flush=True)
    await ends.wait()
    await host.close()


if __name__ == "__main__":
    if newer := os.environ["NEWER"]:
        from protocol.since import SINCE, VERSION

        SINCE[newer] = VERSION
    asyncio.run(live(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
