"""Agents that print, log, fail and die, each in processes of their own."""

import asyncio
import logging
import sys

from agents import Talker

from ebbtide import Cluster


async def main(backend: str, marker: str) -> None:
    async with Cluster(backend) as cluster:
        await cluster.spawn("talker", Talker)
        await cluster.submit("talker", 1)
        await cluster.quiet()
        await cluster.kill("talker")
        await cluster.submit("talker", 13)
        await cluster.quiet()
        await cluster.submit("talker", marker)
        await cluster.quiet()
        await cluster.submit("talker", 3)
        await cluster.quiet()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:]))
