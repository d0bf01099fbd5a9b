"""What a host's announcement may say (TR-2)."""

from peer.keys import HostKeys
from peer.trust.badge import Badge
from protocol.fact import HostFact


def test_a_host_says_for_its_own_agents_alone_in_which_spaces_they_take_part() -> None:
    authority, keys, others = HostKeys.generate(), HostKeys.generate(), HostKeys.generate()
    badge = Badge.issued(authority, keys, ("host:m",))
    here = Badge.issued(authority, others)
    good = HostFact(keys.host_id, 1, "there", ("m",), (("m", "board"),))
    assert here.believes(badge.prove(good))
    assert not here.believes(badge.prove(HostFact(keys.host_id, 2, "there", ("m",), (("a", "board"),))))
