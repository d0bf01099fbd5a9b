"""How one fact spreads among any number of hosts: the rumours of MB-1 as arrays, a million hosts in seconds.

Every host that hears of the fact passes it on at once to `fan_out` others, and again every `gossip_us`, until it has
sent it log2 N times; who misses it so finds it in a comparison, at most some `repair_us` later (MB-3). Time goes in
slices as long as the fastest frame: nothing that is sent in a slice arrives in it, so taking all of a slice at once
changes nothing.

Left out, since it hardly matters to one fact: hosts that fail, and what else waits to be passed on. All of that is in
`sims.spread.dissemination`, with the hosts' own machines; `ebbtide sim scale` prints both side by side where both fit.

Source: Demers et al. 1987, section 1.4 (blind rumours with a counter, push); Pittel 1987 (log2 N + ln N rounds).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.limits import HostLimits

COMPARE_HOPS = 4
"""Frames until a comparison has brought a missing fact: its sum, one or two levels of sums, a list, the fact."""


@dataclass(frozen=True)
class Spread:
    """How one fact spread."""

    hosts: int
    seconds: float
    """From its publication until every host had it."""
    seconds_half: float
    """Until half of them had."""
    hops: int
    """The longest way that it took: frames one after the other from its origin to a host's first copy."""
    hops_median: int
    copies: float
    """How often a host sent it, on average."""
    missed: int
    """Hosts that no rumour reached, and a comparison did."""


class Epidemic:
    """Hosts that all know each other.

    Args:
        hosts: how many; memory is some 40 bytes each.
        delay_us: least and most time of a frame, all between alike.
        loss: share of frames that are lost.
        limits: waits and counts of the hosts.
    """

    def __init__(
        self, hosts: int, delay_us: tuple[int, int] = (500, 5_000), loss: float = 0.0, limits: HostLimits | None = None
    ) -> None:
        self.hosts = hosts
        self._delay_us = delay_us
        self._loss = loss
        self._limits = limits or HostLimits()

    def spread(self, rng: np.random.Generator) -> Spread:
        """Let one fact spread until all have it."""
        return _Spreading(self.hosts, self._delay_us, self._loss, self._limits, rng).run()


class _Spreading:
    """One fact under way."""

    def __init__(
        self, hosts: int, delay_us: tuple[int, int], loss: float, limits: HostLimits, rng: np.random.Generator
    ) -> None:
        self._hosts, self._delay_us, self._loss, self._limits, self._rng = hosts, delay_us, loss, limits, rng
        self._slice_us = max(1, delay_us[0])
        self._heard_us = np.full(hosts, -1, dtype=np.int64)
        self._hops = np.zeros(hosts, dtype=np.int16)
        self._left = np.full(hosts, limits.rumour_factor * max(1, hosts.bit_length()), dtype=np.int16)
        self._arrivals: dict[int, list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int16]]]] = {}
        """By slice: when, at whom, after how many hops."""
        self._pushes: dict[int, list[tuple[NDArray[np.int64], NDArray[np.int64]]]] = {}
        """By slice: when, by whom."""
        self._sent = 0

    def run(self) -> Spread:
        origin = np.zeros(1, dtype=np.int64)
        self._arrivals[0] = [(origin, origin, np.zeros(1, dtype=np.int16))]
        while self._arrivals or self._pushes:
            now = min((*self._arrivals, *self._pushes))
            self._arrive(now)
            self._push(now)
        missed = np.flatnonzero(self._heard_us < 0)
        self._repair(missed)
        order = np.sort(self._heard_us)
        return Spread(
            self._hosts, order[-1] / 1e6, order[(self._hosts - 1) // 2] / 1e6, int(self._hops.max()),
            int(np.median(self._hops)), self._sent / self._hosts, len(missed),
        )  # fmt: skip

    def _arrive(self, now: int) -> None:
        """Take in what comes in a slice: of several copies at one host the first counts, and it pushes at once."""
        parts = self._arrivals.pop(now, None)
        if parts is None:
            return
        at_us, hosts, hops = (np.concatenate(column) for column in zip(*parts, strict=True))
        fresh = self._heard_us[hosts] < 0
        at_us, hosts, hops = at_us[fresh], hosts[fresh], hops[fresh]
        order = np.lexsort((at_us, hosts))
        at_us, hosts, hops = at_us[order], hosts[order], hops[order]
        first = np.ones(len(hosts), dtype=bool)
        first[1:] = hosts[1:] != hosts[:-1]
        at_us, hosts, hops = at_us[first], hosts[first], hops[first]
        self._heard_us[hosts], self._hops[hosts] = at_us, hops
        if len(hosts):
            self._pushes.setdefault(now, []).append((at_us, hosts))

    def _push(self, now: int) -> None:
        parts = self._pushes.pop(now, None)
        if parts is None:
            return
        at_us, senders = (np.concatenate(column) for column in zip(*parts, strict=True))
        count = min(self._limits.fan_out, self._hosts - 1)
        for _ in range(count):
            self._send(at_us, senders)
        self._left[senders] -= count
        wait_us = self._limits.gossip_us
        # A host sends a probe and an answer in each period, and news goes along.
        speaks = (self._left[senders] > 0) & (self._rng.random(len(senders)) < 2 * wait_us / self._limits.probe_us)
        self._send(at_us[speaks] + self._rng.integers(0, wait_us, int(speaks.sum())), senders[speaks])
        self._left[senders[speaks]] -= 1
        goes_on = self._left[senders] > 0
        self._later(self._pushes, (at_us[goes_on] + wait_us, senders[goes_on]))

    def _send(self, at_us: NDArray[np.int64], senders: NDArray[np.int64]) -> None:
        """Send a copy from each to another host."""
        self._sent += len(senders)
        targets = self._rng.integers(0, self._hosts - 1, len(senders))
        targets += targets >= senders
        hops = self._hops[senders] + np.int16(1)
        useful = self._heard_us[targets] < 0
        if self._loss:
            useful &= self._rng.random(len(senders)) >= self._loss
        arrive_us = at_us + self._delays(len(senders))
        self._later(self._arrivals, (arrive_us[useful], targets[useful], hops[useful]))

    def _later(self, queue: dict[int, list], columns: tuple[NDArray, ...]) -> None:  # type: ignore[type-arg]
        """Queue what happens in later slices, by slice."""
        if not len(columns[0]):
            return
        slices = columns[0] // self._slice_us
        order = np.argsort(slices, kind="stable")
        slices = slices[order]
        begins = np.flatnonzero(np.concatenate(([True], slices[1:] != slices[:-1])))
        for begin, end in zip(begins, [*begins[1:], len(slices)], strict=True):
            queue.setdefault(int(slices[begin]), []).append(tuple(column[order[begin:end]] for column in columns))

    def _repair(self, missed: NDArray[np.int64]) -> None:
        """Whom no rumour has reached compares with somebody, or somebody with it, twice a period on average."""
        if not len(missed):
            return
        period_us = self._limits.repair_us
        known = 1 - len(missed) / self._hosts
        for host in missed:
            at_us, hops = 0, 0
            while True:
                at_us += int(self._rng.exponential(period_us / 2))
                hops += COMPARE_HOPS
                if self._rng.random() < known * (1 - self._loss) ** COMPARE_HOPS:
                    break
            self._heard_us[host] = at_us + int(self._delays(COMPARE_HOPS).sum())
            self._hops[host] = hops

    def _delays(self, count: int) -> NDArray[np.int64]:
        least, most = self._delay_us
        return self._rng.integers(least, most + 1, count)
