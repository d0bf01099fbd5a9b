"""On a real Ray: actors, sockets, disks, and real SIGKILLs."""

import asyncio
from pathlib import Path

import pytest
import zmq
from ray_agents import Back, Front, Maker, Pay, Pill, Slow, effects
from zmq.utils import z85

from peer import AgentSpec, Cluster, RestoreRefused
from peer.keys import HostKeys
from peer.transport.curve import curve_private, curve_public
from peer.transport.place import Place

pytestmark = pytest.mark.ray


async def bank(cluster: Cluster, world: Path, marker: str = "") -> None:
    await cluster.spawn("front", Front)
    await cluster.spawn("back", Back, world=str(world), dies_as_elector=marker)


async def restored(cluster: Cluster, epoch: int) -> None:
    """Go back to a checkpoint, as soon as every host answers: on a busy machine one may count as failed meanwhile."""
    while True:
        try:
            await cluster.restore(epoch)
            return
        except RestoreRefused as error:
            if "does not answer" not in str(error):
                raise
        await asyncio.sleep(0.2)


async def test_a_wrong_step_is_undone_across_actors(tmp_path: Path) -> None:
    world = tmp_path / "world.db"
    async with Cluster("ray") as cluster:
        await bank(cluster, world)
        assert (await cluster.status("front")).host != (await cluster.status("back")).host
        await cluster.submit("front", Pay(1), Pay(2), Pay(3))
        await cluster.quiet()
        outcome = await cluster.rollback("front/1/2", inputs="discard", reason="wrong")
        assert outcome.committed
        # Each step read what the one before had written, so the third hangs on the second; its input came again.
        assert {str(step) for step in outcome.undone} == {"front/1/2", "front/1/3", "back/1/2", "back/1/3"}
        await cluster.quiet()
        assert effects(str(world)) == [1, 3]
        assert await cluster.state("front") == {"taken": 4}
        assert await cluster.state("back") == {"paid": 4}


async def test_packed_agents_share_an_actor_and_come_back_with_it(tmp_path: Path) -> None:
    world = tmp_path / "world.db"
    async with Cluster("ray", agents_per_actor=2) as cluster:
        await bank(cluster, world)
        assert (await cluster.status("front")).host == (await cluster.status("back")).host
        await cluster.submit("front", Pay(1))
        await cluster.kill("back")
        await cluster.submit("front", Pay(2))
        await cluster.quiet()
        assert await cluster.state("back") == {"paid": 3}
        assert effects(str(world)) == [1, 2]


async def test_killed_in_the_middle_of_work_nothing_is_lost_doubled_or_left_hanging(tmp_path: Path) -> None:
    world = tmp_path / "world.db"
    async with Cluster("ray") as cluster:
        await bank(cluster, world)
        for number in range(6):
            await cluster.submit("front", *[Pay(amount) for amount in range(50 * number, 50 * number + 50)])
            if number in (1, 3):
                await cluster.kill(("front", "back")[number // 2])
        await cluster.quiet()
        assert effects(str(world)) == list(range(300))
        assert await cluster.state("front") == {"taken": sum(range(300))}
        assert await cluster.state("back") == {"paid": sum(range(300))}
        assert await cluster.dead_letters("back") == []


@pytest.mark.parametrize("dies", ["before", "after"])
async def test_killed_between_a_calls_intent_and_its_result_the_world_is_asked(dies: str, tmp_path: Path) -> None:
    world = tmp_path / "world.db"
    async with Cluster("ray") as cluster:
        await bank(cluster, world)
        await cluster.submit("front", Pay(7, dies), Pay(8))
        await cluster.quiet()
        assert Path(f"{world}.{dies}").exists()
        assert effects(str(world)) == [7, 8]
        assert await cluster.state("back") == {"paid": 15}


async def test_an_elector_killed_in_the_middle_of_a_rollback_comes_back_and_votes(tmp_path: Path) -> None:
    world, marker = tmp_path / "world.db", tmp_path / "died"
    async with Cluster("ray") as cluster:
        await bank(cluster, world, str(marker))
        await cluster.submit("front", Pay(1), Pay(2))
        await cluster.quiet()
        outcome = await cluster.rollback("front/1/1", inputs="discard")
        assert marker.exists()
        assert outcome.committed
        await cluster.quiet()
        assert effects(str(world)) == [2]
        assert await cluster.state("back") == {"paid": 2}


def stranger(context: "zmq.Context[zmq.Socket[bytes]]", place: Place, to: str) -> "zmq.Socket[bytes]":
    """Return a socket to a host, with a key that nobody vouches for."""
    keys, found = HostKeys.generate(), context.socket(zmq.PUSH)
    found.set(zmq.CURVE_SERVERKEY, z85.encode(curve_public(place.key)))
    found.set(zmq.CURVE_SECRETKEY, z85.encode(curve_private(keys.private_bytes())))
    found.set(zmq.CURVE_PUBLICKEY, z85.encode(curve_public(keys.public_key)))
    found.connect(to)
    return found


async def test_what_strangers_send_is_refused_and_counted_while_work_goes_on(tmp_path: Path) -> None:
    world = tmp_path / "world.db"
    async with Cluster("ray") as cluster:
        await bank(cluster, world)
        place = Place.of(next(fact.address for fact in cluster.host.known_hosts() if "back" in fact.agents))
        with zmq.Context() as context:
            plain, unknown = context.socket(zmq.PUSH), stranger(context, place, place.members)
            plain.connect(place.members)
            at_door = stranger(context, place, place.door)
            intruders = (plain, unknown, at_door)
            for _ in range(20):
                for intruder in intruders:
                    intruder.send(b"\x01" + b"not a frame at all" * 20)
            await cluster.submit("front", *[Pay(amount) for amount in range(50)])
            await cluster.quiet()
            while (await cluster.costs("back")).refused < 20:
                await asyncio.sleep(0.05)
            assert (await cluster.costs("back")).refused == 20, "what came to the other socket is not even read"
            assert effects(str(world)) == list(range(50))
            for intruder in intruders:
                intruder.close(linger=0)


async def test_an_actor_that_is_dead_for_good_is_succeeded_on_another_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    world = tmp_path / "world.db"
    async with Cluster("ray", replicas=1, successor_s=1.0) as cluster:
        for name in ("front-1", "front-2", "front-3"):
            await cluster.spawn(name, Front)
        await cluster.spawn("back", Back, world=str(world))
        for number in range(3):
            await cluster.submit(f"front-{number + 1}", *[Pay(100 * number + amount) for amount in range(20)])
            await cluster.quiet()
            await cluster.checkpoint()
        home = (await cluster.status("back")).host
        await cluster.submit("front-1", Pay(1000), Pay(2000))
        await cluster.kill("back", for_good=True)
        await cluster.submit("front-2", Pay(4000))
        look = await cluster.status("back", timeout_s=60)
        await cluster.quiet()
        paid = [100 * number + amount for number in range(3) for amount in range(20)] + [1000, 2000, 4000]
        assert look.host in {(await cluster.status(f"front-{number}")).host for number in (1, 2, 3)}
        assert look.host != home
        assert look.incarnation == 2
        assert await cluster.state("back") == {"paid": sum(paid)}
        assert effects(str(world)) == paid
        epoch = await cluster.checkpoint()
        assert await cluster.checkpoint() == epoch + 1
        assert home not in (await cluster.epochs()).view
        assert len((await cluster.epochs()).view) == 3


async def test_a_checkpoint_and_a_restore_outlive_a_kill_of_every_actor(tmp_path: Path) -> None:
    world = tmp_path / "world.db"
    async with Cluster("ray") as cluster:
        await bank(cluster, world)
        await cluster.submit("front", Pay(1), Pay(2))
        await cluster.quiet()
        epoch = await cluster.checkpoint()
        await cluster.submit("front", Pay(4))
        await cluster.quiet()
        for agent in ("front", "back"):
            await cluster.kill(agent)
        assert (await cluster.epochs()).committed == epoch
        await restored(cluster, epoch)
        for agent in ("front", "back"):
            await cluster.kill(agent)
        await cluster.quiet()
        assert await cluster.state("front") == {"taken": 3}
        assert await cluster.state("back") == {"paid": 3}
        assert effects(str(world)) == [1, 2]
        await cluster.submit("front", Pay(8))
        await cluster.quiet()
        assert effects(str(world)) == [1, 2, 8]
        assert await cluster.checkpoint() == epoch + 1


async def test_an_input_that_ends_the_process_each_time_is_a_dead_letter_and_its_neighbour_goes_on(
    tmp_path: Path,
) -> None:
    book = tmp_path / "book"
    async with Cluster("ray", folder=tmp_path / "cluster", agents_per_actor=2) as cluster:
        await cluster.spawn_all([AgentSpec(name, Pill, {"book": str(book)}) for name in ("a", "b")])
        await cluster.submit("a", 1, "next", key="a")
        await cluster.submit("b", "next", key="b")
        await cluster.quiet()
        assert [await cluster.state(name) for name in "ab"] == [{"next": 1}, {"next": 1}]
        ((_, why),) = await cluster.dead_letters("a")
        assert "the process of its host has ended 3 times while this ran" in why
    assert book.read_text().count("begins") == 3


async def test_a_step_under_way_when_its_host_is_killed_or_the_cluster_ends_has_no_part_in_it(tmp_path: Path) -> None:
    book, wait = tmp_path / "book", tmp_path / "wait"
    wait.touch()

    async def begun(times: int) -> None:
        while not book.exists() or book.read_text().count("begins") < times:
            await asyncio.sleep(0.02)

    async with Cluster("ray", folder=tmp_path / "cluster") as cluster:
        await cluster.spawn("slow", Slow, book=str(book))
        await cluster.submit("slow", "done")
        await begun(1)
        await cluster.kill("slow")
        await begun(2)
    async with Cluster("ray", folder=tmp_path / "cluster") as cluster:
        await cluster.spawn("slow", Slow, book=str(book))
        await begun(3)
        wait.unlink()
        await cluster.quiet()
        assert await cluster.state("slow") == {"done": True}
        assert await cluster.dead_letters("slow") == []


async def test_agents_that_handlers_make_live_on_all_hosts_over_kills_and_starts(tmp_path: Path) -> None:
    names = [f"hand-{number}" for number in range(8)]
    async with Cluster("ray", folder=tmp_path / "run") as cluster:
        await cluster.spawn_all([AgentSpec("maker", Maker), AgentSpec("other", Maker)])
        await cluster.submit("maker", *names)
        await cluster.quiet()
        assert len({(await cluster.status(name)).host for name in names}) == 2, "each host has some"
        await cluster.kill("maker")
        await cluster.kill("other")
        await cluster.submit("hand-1", 2)
        await cluster.quiet()
        assert await cluster.state("hand-1") == {"sum": 30}
        outcome = await cluster.rollback("maker/1/1", inputs="retry")
        assert {step.agent for step in outcome.undone} == {"maker", "hand-0"}
        await cluster.quiet()
        assert await cluster.state("hand-0") == {"sum": 20}
    async with Cluster("ray", folder=tmp_path / "run") as cluster:
        await cluster.spawn_all([AgentSpec("other", Maker), AgentSpec("maker", Maker)])
        assert [await cluster.state(name) for name in names] == [{"sum": 20}, {"sum": 30}, *[{"sum": 10}] * 6]
