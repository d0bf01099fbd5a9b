"""Tells the agents of one host what concerns all of them, and lets those sleep to whom it is nothing (CP-13)."""

from peer.host.residents import Residents
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import CarryOut, CheckpointAction, ForAgent, MakeCut, Pause, Settle
from protocol.event import Event
from protocol.fact import Began
from protocol.ids import AgentId


class Roll:
    """The agents of one host, as its checkpoint machine speaks to them."""

    def __init__(self, residents: Residents, machine: CheckpointMachine) -> None:
        self._residents = residents
        self._machine = machine

    def tell(self, action: MakeCut | Settle | Pause | CarryOut, now_us: int) -> list[list[CheckpointAction]]:
        """Tell agents; returns what is to be done then, turn by turn.

        Cuts and commits cost as many as are awake. Restores are told to all, and wake them.
        """
        drivers, agents = self._residents.drivers, self._machine.core.agents
        concerned = agents.awake() if isinstance(action, MakeCut | Settle) else list(drivers)
        asleep: dict[AgentId, tuple[Began, ...]] = {}
        for name in concerned:
            driver = drivers.get(name)
            if driver is None:
                continue
            driver.feed(action.event)
            if isinstance(action, Settle) and driver.machine.is_dormant():
                asleep[name] = driver.machine.core.lives.own()
        return self._machine.slept(asleep, now_us)

    def before(self, agent: AgentId, event: Event) -> list[ForAgent]:
        """Return what an agent is to be told before an event: one that sleeps is woken."""
        driver = self._residents.drivers.get(agent)
        return [] if driver is None else self._machine.core.before(agent, event, driver.machine.core.epoch)
