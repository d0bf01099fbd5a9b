"""One simulated machine: what a host is made of, and what is left of it after a crash."""

from asyncio import CancelledError, Task
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from peer.agents.resources import Opens, Resources
from peer.agents.spec import AgentSpec
from peer.host.driver import Driver
from peer.host.host import Host
from peer.keys import HostKeys
from peer.ports import Observer, Transport
from peer.trust.badge import Badge
from peer.trust.rights import OF_HOSTS
from protocol.ids import AgentId
from protocol.limits import CheckpointLimits, HostLimits, Limits
from protocol.records import BirthRecord
from protocol.since import VERSION
from sims.virtual.chance import AnySpread, SeededRandomness, stream
from sims.virtual.clock import VirtualClock
from sims.virtual.disk import Disk, VirtualStore
from sims.virtual.loop import VirtualLoop
from sims.virtual.network import Network, VirtualTransport

Wrote = Callable[[AgentId, Sequence[bytes]], None]


class Box:
    """A place for one host, up or down."""

    def __init__(
        self, name: str, seed: int, loop: VirtualLoop, network: Network, authority: HostKeys, limits: Limits | None,
        seeds: tuple[str, ...], sync: AnySpread | None, checkpoints: CheckpointLimits | None, founder: bool,
        host_limits: HostLimits | None = None, stand_ins: Mapping[Any, Opens] | None = None,
    ) -> None:  # fmt: skip
        self._stand_ins = stand_ins
        self._host_limits = host_limits
        self.name = name
        self.keys = HostKeys.from_seed(f"{seed}/{name}".encode())
        self.disk = Disk()
        self.specs: dict[AgentId, AgentSpec] = {}
        self.lost: dict[AgentId, None] = {}
        """Agents whose log has lost its end, and that have begun no new incarnation durably yet."""
        self.host: Host | None = None
        self.lives = 0
        self.skew_us = 0
        self.drift_ppm = 0
        self.slower = 1.0
        self.past: list[tuple[int, int, int, int]] = []
        """Counts of past lives: frames and bytes sent, dropped, refused."""
        self.store: VirtualStore | None = None
        self.on_failure: tuple[int, float] | None = None
        """Which fault makes its next write fail, and after how many seconds it starts again."""
        self.may: tuple[str, ...] = OF_HOSTS
        """What the authority grants its host."""
        self.through: Callable[[VirtualTransport], Transport] = lambda inner: inner
        """What its host sends through: liars through another one."""
        self.speaks = VERSION
        """The newest wire version of its next life: less stands for an older release (CL-8)."""
        self._seed = seed
        self._loop = loop
        self._network = network
        self._authority = authority
        self._limits = limits
        self._seeds = seeds
        self._sync = sync
        self._checkpoints = checkpoints
        self._founder = founder
        self._opening: Task[None] | None = None
        self.wants_up = True
        """It runs, or will start again."""
        self.is_dead = False
        """It never will."""

    @property
    def address(self) -> str:
        """Where it is reached while it is up."""
        return f"virtual://{self.keys.host_id}"

    def is_up(self) -> bool:
        """Tell whether its host runs and has read its logs."""
        return self.host is not None and self._opening is None

    def driver(self, agent: AgentId) -> Driver:
        """Return the driver of an agent that is up here."""
        assert self.host is not None
        return self.host.drivers[agent]

    def start(
        self,
        opened: Callable[["Box"], None],
        asked: Wrote,
        wrote: Wrote,
        failed: Callable[[], None],
        observer: Observer,
    ) -> None:
        """Begin a life from what is on the disk.

        Args:
            opened: told once the agents have read their logs.
            asked, wrote: see every write before and after it is durable.
            failed: told when the disk fails.
            observer: looks on at the host.
        """
        assert self.host is None, f"{self.name} is up already"
        self.lives += 1
        life = f"{self.name}/{self.lives}"
        transport = self.through(VirtualTransport(self._network, self.keys))

        def broke(error: Exception) -> None:
            host.failed(error)
            failed()

        self.store = VirtualStore(
            self._loop, self.disk, stream(self._seed, f"disk/{life}"), self._sync, failed=broke,
            asked=asked, wrote=wrote,
        )  # fmt: skip
        self.store.slower = self.slower
        clock = VirtualClock(self._loop, self.skew_us, self.drift_ppm)
        host = self.host = Host(
            Badge.issued(self._authority, self.keys, self.may), transport, self.store, clock,
            seeds=self._seeds, limits=self._limits,
            randomness=SeededRandomness(self._seed, f"host/{life}"), checkpoints=self._checkpoints,
            founder=self._founder, host_limits=self._host_limits, observer=observer,
            resources=Resources(self._stand_ins),
        )  # fmt: skip
        host.wire.versions.newest = self.speaks
        specs = [AgentSpec(s.name, s.kind, s.options, s.name in self.lost) for s in self.specs.values()]

        async def open_up() -> None:
            try:
                await host.open(specs)
            except CancelledError:
                raise
            except Exception as error:  # noqa: BLE001  # whatever it is, the world ends with it
                self._loop.failures.append(error)
                return
            self._opening = None
            opened(self)

        self._opening = self._loop.create_task(open_up())

    def crash(self, torn: bool = False) -> int:
        """End the process; return how many unfinished appends survive on the disk."""
        host, self.host = self.host, None
        if host is None or self.store is None:
            return 0
        kept = self.store.crash(torn)
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        host.crash()
        transport: Any = host.transport
        transport.cut_off()
        counts = host.transport.counts
        self.past.append((counts.frames_sent, counts.bytes_sent, counts.dropped, counts.refused))
        return kept

    def born(self, agent: AgentId, records: Sequence[object]) -> None:
        """Note that an agent which had lost steps has begun anew, durably: its next life is not lost again."""
        if agent in self.lost and any(isinstance(record, BirthRecord) for record in records):
            del self.lost[agent]

    def counts(self) -> tuple[int, int, int, int]:
        """Return frames and bytes sent, dropped, and refused in all lives."""
        lives = list(self.past)
        if self.host is not None:
            counts = self.host.transport.counts
            lives.append((counts.frames_sent, counts.bytes_sent, counts.dropped, counts.refused))
        frames, size, dropped, refused = (sum(column) for column in zip(*lives, strict=True)) if lives else (0,) * 4
        return frames, size, dropped, refused
