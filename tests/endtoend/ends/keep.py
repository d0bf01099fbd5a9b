"""Hands in numbers until it is ended, and prints each once it is acknowledged; or prints what has been kept."""

import asyncio
import sys

from agents import Keeper

from ebbtide import Cluster


async def main(backend: str, folder: str, what: str) -> None:
    async with Cluster(backend, folder=folder) as cluster:
        await cluster.spawn("keeper", Keeper)
        if what == "look":
            await cluster.quiet()
            print(*(await cluster.state("keeper")).get("seen", ()))
            return
        number = 0
        while True:
            await cluster.submit("keeper", number)
            print(number, flush=True)
            number += 1


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:4]))
    except KeyboardInterrupt:
        if sys.argv[4:] != ["catch"]:
            raise
        print("caught")
