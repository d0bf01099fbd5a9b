"""Two ends of a transport, for the tests of transports."""

import asyncio
from contextlib import asynccontextmanager

from peer.keys import HostKeys
from peer.transport.zmq import ZmqTransport
from peer.trust.badge import Badge

AUTHORITY = HostKeys.from_seed(b"authority")


def over_zmq(keys, bind="tcp://127.0.0.1:*", authority=AUTHORITY):
    return ZmqTransport(keys, Badge.issued(authority, keys), bind)


class Host:
    """A transport and what has come out of it."""

    def __init__(self, make, keys=None):
        self.keys = keys or HostKeys.generate()
        self.id = self.keys.host_id
        self.transport = make(self.keys)
        self.inbox = asyncio.Queue(100_000)

    async def open(self):
        await self.transport.open(lambda sender, body: self.inbox.put_nowait((sender, body)))
        return self

    async def next(self):
        return await asyncio.wait_for(self.inbox.get(), 20)

    async def close(self):
        await self.transport.close()


@asynccontextmanager
async def opened(*hosts):
    for host in hosts:
        await host.open()
    try:
        yield
    finally:
        for host in hosts:
            await host.close()


def meet(*hosts):
    for one in hosts:
        for other in hosts:
            one.transport.connect(other.id, other.transport.address)
