"""One more peer of a cluster that runs already: it finds the hosts by their folder, and asks what any peer can.

It shows that it belongs by the authority's key in the folder, or by what a person was granted; it has no agents and no
log, and takes no part in anything: hosts that it has met go on the same when it is gone.
"""

import asyncio
import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from peer import errors
from peer.backends.admission import Address, addresses_in, places_of
from peer.cluster.access import Access
from peer.cluster.branching import Branching
from peer.host.host import Host
from peer.keys import HostKeys, host_id_of
from peer.people.person import Person
from peer.store.memory import MemoryStore
from peer.store.outside.keeping import Keeping
from peer.system import SystemClock
from peer.transport.place import Place
from peer.transport.zmq import ZmqTransport
from peer.trust import authority
from peer.trust.badge import Badge
from peer.trust.grant import grant
from peer.trust.token import Token
from peer.trust.trust import Trust
from peer.values.texts import natural
from protocol.ids import AgentId

logger = logging.getLogger("ebbtide")

PROBE_S = 2.0
"""How long an address may take to be connected to."""
ANSWER_S = 5.0
"""How long hosts that listen may take to answer who may come in."""
LOOK_S = 0.02
AGAIN_S = 1.0
"""How often the folder is looked at while a host has failed: it may be up again, at another address."""
GOODBYE_MS = 200
"""How long a goodbye may take to leave: unsaid, it only has the others find out by themselves."""


class Attached(Branching):
    """A peer that has come later, and that leaves when it ends: the cluster goes on.

    Make one with `Cluster.attach(folder)`; use it as an async context manager, or by `start` and `stop`.
    """

    _again = "To go on, attach again: Cluster.attach(folder)."

    def __init__(self, folder: str | Path | None, as_: Person | None = None, token: str | None = None) -> None:
        if (folder is None) == (token is None) or (as_ is not None and token is not None):
            raise errors.CallerError("attach by a folder (as somebody, or not), or by a token. Nothing was started.")
        self._as = as_
        self._token = None if token is None else Token.of(token)
        self.folder = Path() if folder is None else Path(folder)
        if not self.folder.is_dir():
            what = "is a file, and no folder" if self.folder.exists() else "is not there"
            raise errors.ConfigInvalid(
                f"the folder {str(folder)!r} {what}. Nothing was started. Name the folder of a cluster that runs."
            )
        super().__init__(Keeping.at(places_of(self.folder)) if token is None else Keeping.in_memory(token.encode()))
        self._seeking: asyncio.Task[None] | None = None

    @property
    def access(self) -> Access:
        """Who belongs to the cluster, and who may do what."""
        return Access(self.host, self.folder)

    @property
    def agents(self) -> list[AgentId]:
        """All agents that have been heard of, in the order that people count in."""
        return sorted(self.host.homes, key=natural)

    async def detach(self) -> None:
        """Leave the cluster, which goes on: the same as `stop`."""
        await self.stop()

    def _badge(self) -> Badge:
        """Return by what this peer comes: the authority in the folder, or what a person was granted."""
        keys = HostKeys.generate()
        if self._token is not None:
            return Badge.joined(self._token, keys)
        if self._as is None:
            return Badge.issued(authority.load(self.folder), keys)
        mine = self._as.certificate
        chain = (*self._as.chain, grant(self._as.keys, mine.name, keys.public_key, mine.may, roles=mine.roles))
        return Badge(keys, chain, Trust((chain[0].by,)))

    def _noted(self) -> Mapping[str, Address]:
        if self._token is None:
            return addresses_in(self.folder)
        named = [(Place.of(address), address) for address in self._token.addresses]
        return {place.members: Address(host_id_of(place.key), address, 0) for place, address in named}

    async def _open(self) -> Host:
        badge = self._badge()
        listening = await _listening(self.folder, await asyncio.to_thread(self._noted))
        loop = asyncio.get_running_loop()
        first = next(iter(listening.values())).address
        transport = ZmqTransport(badge.keys, badge, f"tcp://{_here(first)}:*", goodbye_ms=GOODBYE_MS)
        seeds = [each.address for each in listening.values()]
        host = Host(
            badge, transport, MemoryStore(loop), SystemClock(loop), seeds=seeds, keeping=self._keeping
        )  # fmt: skip
        try:
            await host.open()
            await self._met(host, listening)
        except BaseException:
            await host.close()
            raise
        self._seeking = asyncio.create_task(self._seek(host))
        return host

    async def _met(self, host: Host, listening: Mapping[str, Address]) -> None:
        """Wait until the hosts of the folder are known, and so who lives there.

        Raises: BackendFailed, if none answers.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + ANSWER_S
        silent = dict(listening)
        while silent and loop.time() < until:
            known = {fact.host for fact in host.known_hosts()}
            silent = {name: each for name, each in silent.items() if each.host not in known}
            if silent:
                await asyncio.sleep(LOOK_S)
        if len(silent) == len(listening):
            raise errors.BackendFailed(
                f"what listens where the hosts of {str(self.folder)!r} were ({_told(silent)}) does not answer within"
                f" {ANSWER_S:g} s. Nothing was asked. Either it is no host any more, or it was started with another"
                " authority than the one in the folder now."
            )
        if silent:
            logger.warning("%s: no answer from %s; the others are asked", self.folder, _told(silent))

    async def _seek(self, host: Host) -> None:
        """Find hosts again that were all started anew: none of them knows where this peer is."""
        while True:
            await asyncio.sleep(AGAIN_S)
            if not host.neighbours.machine.membership.failed():
                continue
            try:
                noted = await asyncio.to_thread(self._noted)
            except (errors.ConfigInvalid, OSError) as error:
                logger.warning("%s can't be looked at: hosts that start anew are not found (%s)", self.folder, error)
                return
            known = {fact.host: fact.address for fact in host.known_hosts()}
            host.neighbours.knock(each.address for each in noted.values() if each.address != known.get(each.host))

    async def _close(self) -> None:
        if self._seeking is not None:
            self._seeking.cancel()
        if self._host is not None:
            self._host.leave()
            await self._host.close()


async def _listening(folder: Path, addresses: Mapping[str, Address]) -> dict[str, Address]:
    """Return those addresses of hosts at which somebody listens.

    Raises: BackendFailed, if there is none.
    """
    heard = await asyncio.gather(*(listens(each.address) for each in addresses.values()))
    found = {name: each for (name, each), is_there in zip(addresses.items(), heard, strict=True) if is_there}
    if not found:
        why = (
            "no host has noted there where it is (those of a local cluster do with listen=True, as 'ebbtide up' has it)"
            if not addresses
            else f"nobody listens where its hosts were ({_told(addresses)})"
        )
        raise errors.BackendFailed(
            f"no cluster runs in {str(folder)!r}: {why}. Nothing was asked. Start it, or name the folder of one that"
            " runs."
        )
    return found


async def listens(address: str) -> bool:
    """Tell whether somebody listens at a host's address."""
    try:
        parts = urlsplit(address)
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except (OSError, ValueError, TimeoutError):
        return False
    writer.close()
    return True


def _here(address: str) -> str:
    """Return the address of this machine by which another, of the same network, reaches it."""
    parts = urlsplit(address)
    with socket.socket(socket.AF_INET6 if parts.hostname and ":" in parts.hostname else socket.AF_INET,
                       socket.SOCK_DGRAM) as probe:  # fmt: skip
        probe.connect((parts.hostname, parts.port))  # nothing is sent
        return probe.getsockname()[0]


def _told(addresses: Mapping[str, Address]) -> str:
    return ", ".join(f"{name} at {each.address}" for name, each in addresses.items())
