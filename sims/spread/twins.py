"""Hosts that know each other already, made from one of them: worlds of thousands begin so, and no host ever does."""

from bisect import bisect_left, insort

from protocol.chance import Chance
from protocol.fact import HostFact, State, rank
from protocol.hosts.gossip import Gossip
from protocol.hosts.homes import Homes
from protocol.hosts.machine import HostMachine
from protocol.hosts.membership import Membership
from protocol.ids import HostId


def twin_of(machine: HostMachine, mine: HostFact, chance: Chance) -> HostMachine:
    """Return another host that has long known what this one knows, and that says `mine` of itself.

    Much cheaper than to let it hear all of it. It reaches into the machine, for nobody else has to. Nobody must be
    doubted here.
    """
    twin = HostMachine(mine.host, chance, machine._seeds, machine.limits)
    twin.gossip = _gossip(machine.gossip)
    twin.membership = _membership(machine.membership, mine.host, chance)
    twin._homes = _homes(machine._homes)
    twin.homes = twin._homes.by_agent
    twin.subscribers = {space: agents.copy() for space, agents in machine.subscribers.items()}
    twin._others = machine._others.copy()
    del twin._others[mine.host]
    if machine._mine is not None:
        twin._others[machine.host] = machine._mine
    twin._mine, twin._listed = mine, dict.fromkeys(mine.agents)
    return twin


def _gossip(gossip: Gossip) -> Gossip:
    """Return another host's gossip that holds the same facts, and has no news of its own yet."""
    twin = Gossip(gossip._limits)
    twin._facts, twin._prints, twin._places = gossip._facts.copy(), gossip._prints.copy(), gossip._places.copy()
    twin._sum = gossip._sum
    return twin


def _membership(first: Membership, host: HostId, chance: Chance) -> Membership:
    """Return the view of another living host, to which all stand as they do to this one, and neither doubts any."""
    twin = Membership(host, chance, first._limits)
    twin._ranks, twin._living, twin._failed = first._ranks.copy(), first._living.copy(), first._failed.copy()
    twin._early, twin._since = first._early.copy(), first._since.copy()
    twin.incarnation = twin._ranks.pop(host) // len(State)
    twin._ranks[first._host] = rank(first.incarnation, State.ALIVE)
    del twin._living[bisect_left(twin._living, host)]
    insort(twin._living, first._host)
    return twin


def _homes(homes: Homes) -> Homes:
    twin = Homes()
    twin.by_agent, twin._listers, twin._claims = homes.by_agent.copy(), homes._listers.copy(), homes._claims.copy()
    return twin
