"""How the agents of a host that leaves come to rest."""

from collections.abc import Callable, Mapping
from functools import partial

from peer.host.driver import Driver
from peer.site import Site
from protocol.action import Tell
from protocol.ids import HOST, AgentId

REST_S = 30.0
"""How long steps and calls may go on; what has not ended by then is the next host's."""


def let_rest(site: Site, drivers: Mapping[AgentId, Driver], then: Callable[[], None]) -> None:
    """Have agents begin no step any more, and go on once what they do has ended, or its time has."""
    at_work: dict[AgentId, None] = dict.fromkeys(drivers)

    def rests(agent: AgentId) -> None:
        if agent in at_work:
            del at_work[agent]
            if not at_work:
                cancel()
                then()

    def late() -> None:
        names = ", ".join(at_work)
        at_work.clear()
        site.noticed(HOST, Tell("leaves-work", names, f"their steps have not ended within {REST_S:g} s"))
        then()

    cancel = site.clock.wake(site.clock.now_us() + int(REST_S * 1e6), late)
    if not at_work:
        cancel()
        then()
    for agent, driver in list(drivers.items()):
        driver.rest(partial(rests, agent))
