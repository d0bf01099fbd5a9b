"""The hosts of a cluster that runs: whether they are reached, know each other, agree on the time, and run the same."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from peer import errors
from peer.backends.admission import addresses_in
from peer.cluster.attached import Attached, listens
from peer.cluster.operating import LOOK_S
from peer.cluster.standing import DOWN, hosts, names_of
from peer.doctor.files import room
from peer.doctor.finding import Finding, fail, ok, warn
from peer.host import questions
from peer.host.condition import About
from peer.host.condition import about as about_here
from peer.host.health import ABOUT, Health
from peer.host.questions import Notice
from peer.host.versions import UNSPOKEN
from peer.values.texts import natural
from protocol.ids import HostId

OFF_S_WARN, OFF_S_FAIL = 1.0, 60.0
"""How far clocks may differ: checkpoints and signatures tell time by them."""
UPGRADE = "docs/guide/operating.md#upgrade-host-by-host"


class Seen(NamedTuple):
    """What a host has said, or why it has not."""

    host: HostId
    name: str
    about: About | errors.EbbtideError
    health: Health | errors.EbbtideError
    off_s: float
    """How far its machine's clock is ahead of this one's."""
    sure_s: float
    """By how much that may be wrong: half of the time that the question took."""


async def seen_of(cluster: Attached) -> list[Seen]:
    """Ask all hosts, each on its own, so that it is known how long that took."""
    names, healths = names_of(cluster), await cluster.health()

    async def ask(host: HostId) -> Seen:
        began, about = time.time(), None
        try:
            body = await cluster.host.asking.ask_host(host, ABOUT, b"", timeout_s=LOOK_S)
            took_s = time.time() - began
            about = questions.decode(body, About)
        except errors.EbbtideError as error:
            return Seen(host, names.get(host, host), error, healths[host], 0.0, 0.0)
        return Seen(
            host, names.get(host, host), about, healths[host], about.now_us / 1e6 - began - took_s / 2, took_s / 2
        )  # fmt: skip

    return sorted(await asyncio.gather(*map(ask, healths)), key=lambda each: natural(each.name))


async def check_reached(cluster: Attached, seen: Sequence[Seen]) -> list[Finding]:
    """Look whether each host is up, its address answers, and it hears all others."""
    found = [
        fail("reached", f"{row['host']} is down: the folder lists it, and nobody has heard of it", "ebbtide up APP")
        for row in hosts(cluster)
        if row["state"] == DOWN
    ]
    for name, address in addresses_in(cluster.folder).items():
        if not await listens(address.address):
            remedy = "See that it is up, and that no firewall is between: ebbtide ps."
            found.append(fail("reached", f"{name} does not answer at {address.address}", remedy))
    names = {each.host: each.name for each in seen}
    for each in seen:
        if isinstance(each.health, errors.EbbtideError):
            found.append(fail("reached", f"{each.name} does not say how it is: {each.health}", "ebbtide ps"))
            continue
        unheard = [names[other] for other in names if other != each.host and other not in each.health.knows]
        lost = [names.get(other, other) for other in each.health.failed]
        if unheard or lost:
            text = f"{each.name} does not hear {', '.join(dict.fromkeys((*unheard, *lost)))}"
            found.append(fail("reached", text, "See that hosts reach each other's addresses: ebbtide ps."))
        whys = [why for why in each.health.whys() if "does not answer it" not in why]
        found += [warn("ready", f"{each.name}: {why}", "ebbtide health") for why in whys]
    return found or [ok("reached", f"{len(seen)} hosts answer, hear each other, and are ready")]


def check_clocks(seen: Sequence[Seen]) -> Iterator[Finding]:
    """Look how far the clocks of hosts' machines are from this one's."""
    answered = [each for each in seen if isinstance(each.about, About)]
    wrong = [each for each in answered if abs(each.off_s) - each.sure_s > OFF_S_WARN]
    for each in wrong:
        how = fail if abs(each.off_s) - each.sure_s > OFF_S_FAIL else warn
        text = f"{each.name} is {abs(each.off_s):.1f} s {'ahead of' if each.off_s > 0 else 'behind'} this machine"
        yield how("clocks", text, "Set the clocks by NTP (chrony), then start its host anew.")
    if answered and not wrong:
        most = max(abs(each.off_s) + each.sure_s for each in answered)
        yield ok("clocks", f"none of {len(answered)} hosts is more than {most:.2f} s off this machine")


def check_versions(seen: Sequence[Seen]) -> Iterator[Finding]:
    """Look whether all hosts run the same, and can encrypt."""
    told: list[tuple[str, About]] = [("here", about_here(None))]
    told += [(each.name, each.about) for each in seen if isinstance(each.about, About)]
    differ = False
    for name in told[0][1].versions:
        by: dict[str, list[str]] = {}
        for who, about in told:
            by.setdefault(about.versions.get(name, "unknown"), []).append(who)
        if len(by) > 1:
            differ = True
            text = "; ".join(f"{version} at {', '.join(who)}" for version, who in by.items())
            yield warn("versions", f"{name} is {text}", "Install the same everywhere: uv.lock pins all of it.")
    for who, about in told[1:]:
        if not about.has_curve:
            yield fail("libzmq", f"{who} has a libzmq without CURVE: it can't encrypt", "pip install pyzmq, there")
    if not differ:
        yield ok("versions", f"the same at {len(told) - 1} hosts and here")


def check_wire(seen: Sequence[Seen], notices: Iterable[Notice] = ()) -> Iterator[Finding]:
    """Look whether all hosts speak the same wire version, so that what came with the newest can be used (CL-8).

    Args:
        seen: the hosts.
        notices: of whoever asks, who may have heard from hosts that it does not understand.
    """
    told = [("here", about_here(None).wire)]
    told += [(each.name, each.about.wire) for each in seen if isinstance(each.about, About)]
    newest = max(wire for _, wire in told)
    older = {wire: [who for who, its in told if its == wire] for _, wire in told if wire < newest}
    for wire, who in older.items():
        yield warn(
            "wire", f"the wire version is {wire} at {', '.join(who)}, and {newest} elsewhere: the upgrade is not"
            f" finished, and what came with version {newest} waits",
            f"Install the newer release there, and start anew what runs: {UPGRADE}.",
        )  # fmt: skip
    unread = [notice for notice in notices if notice.notice == UNSPOKEN]
    for notice in unread:
        yield fail("wire", notice.detail, f"One release after the other: {UPGRADE}.")
    if not older and not unread:
        yield ok("wire", f"{len(told) - 1} hosts and this release speak wire version {newest}")


def check_disks(seen: Sequence[Seen]) -> Iterator[Finding]:
    """Look at the disks of hosts, as they say."""
    for each in seen:
        if not isinstance(each.about, About) or not each.about.folder:
            continue
        if not each.about.is_writable:
            yield fail("disk", f"{each.name} can't write {each.about.folder}", "Mend its disk, or the folder's owner.")
        if each.about.total_bytes:
            yield room(f"the disk of {each.name}", each.about.free_bytes, each.about.total_bytes)
