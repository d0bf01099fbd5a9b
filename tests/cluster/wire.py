"""The wire between machines, and what can be done to it: a bridge at the desk, whose own frames no rule is for.

Frames are dropped by the bridge, as a wire would: who sends them is told nothing.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

BRIDGE = "lan"
SLOW = Path(__file__).with_name("slow.py")
PART = 1000
"""Loss is given as a share, and drawn in so many parts."""


class Plugged(Protocol):
    """A machine, as the wire sees it."""

    name: str
    address: str
    first: int
    """Its first process, by which its network is found."""


class Wire:
    """Joins machines, and is cut, slow or lossy by direction.

    Args:
        desk: who holds the bridge.
        machines: who can be plugged in.
    """

    def __init__(self, desk: Plugged, machines: Sequence[Plugged]) -> None:
        self._desk = desk
        self._machines = machines
        self._lost: dict[tuple[str, str], float] = {}
        """By who sends and who receives, the share of frames that are lost."""
        self._slow: dict[str, subprocess.Popen[bytes]] = {}
        """By machine, who carries its frames."""

    def lay(self) -> None:
        """Lay the wire: the desk is at it."""
        self._do(f"ip link add {BRIDGE} type bridge", f"ip addr add {self._desk.address}/24 dev {BRIDGE}",
                 f"ip link set {BRIDGE} up")  # fmt: skip

    def plug(self, machine: Plugged) -> None:
        """Plug a machine in."""
        port = _port(machine)
        self._do(
            f"ip link del {port} 2>/dev/null || true",
            # Its own address, as a card's: whoever has met it before its power was cut meets it again.
            f"ip link add {port} type veth peer name eth0 address {_card(machine)} netns {machine.first}",
            f"ip link set {port} master {BRIDGE} up",
        )
        _within(machine, f"ip addr add {machine.address}/24 dev eth0", "ip link set eth0 up")

    # -- what is done to it ----------------------------------------------------------------------------------------

    def lose(self, share: float, source: Plugged | None = None, target: Plugged | None = None) -> None:
        """Lose a share of the frames from one machine to another; None: from or to any of them."""
        for one in self._machines if source is None else [source]:
            for other in self._machines if target is None else [target]:
                if one is not other:
                    self._lost[one.name, other.name] = share
        self._write()

    def cut(self, source: Plugged | None = None, target: Plugged | None = None) -> None:
        """Lose all frames from one machine to another: one direction. None: from or to any of them."""
        self.lose(1.0, source, target)

    def isolate(self, machine: Plugged) -> None:
        """Cut a machine off from the others, in both directions."""
        self.cut(machine, None)
        self.cut(None, machine)

    def delay(self, machine: Plugged, milliseconds: float, jitter: float = 0.0) -> None:
        """Have all frames from and to a machine take longer, those of the desk too; the order is kept."""
        self._hasten(machine)
        for each in self._machines:
            _within(each, f"{sys.executable} {SLOW} plain eth0")
        port, near, far = _port(machine), _slow(machine), f"t-{machine.name}"
        self._do(
            f"{sys.executable} {SLOW} plain {BRIDGE}",
            f"ip link add {near} type veth peer name {far}",
            f"ip link set {far} up",
            f"ip link set {port} nomaster",
            f"ip link set {near} master {BRIDGE} up",
        )
        command = f"exec {sys.executable} {SLOW} carry {port} {far} {milliseconds} {jitter}"
        carrier = subprocess.Popen(
            ["nsenter", "--target", str(self._desk.first), "--net", "setpriv", "--pdeathsig", "KILL", "sh", "-c",
             command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._slow[machine.name] = carrier
        assert carrier.stdout is not None
        assert carrier.stdout.readline(), "nobody carries frames"

    def _hasten(self, machine: Plugged) -> None:
        carrier = self._slow.pop(machine.name, None)
        if carrier is not None:
            carrier.kill()
            carrier.communicate()
            self._do(f"ip link del {_slow(machine)}", f"ip link set {_port(machine)} master {BRIDGE}")

    def heal(self) -> None:
        """Undo all of that."""
        self._lost.clear()
        self._write()
        for machine in self._machines:
            self._hasten(machine)

    def _write(self) -> None:
        """Replace all rules at once."""
        rules = [
            f'iifname {{ "m-{one}", "s-{one}" }} oifname {{ "m-{other}", "s-{other}" }} '
            + (f"numgen random mod {PART} < {round(share * PART)} drop" if share < 1 else "drop")
            for (one, other), share in self._lost.items()
            if share > 0
        ]
        body = "\n".join(["type filter hook forward priority 0", *rules])
        table = (
            f"table bridge faults\ndelete table bridge faults\ntable bridge faults {{\nchain wire {{\n{body}\n}}\n}}"
        )
        self._do(f"nft -f - <<'END'\n{table}\nEND")

    def _do(self, *lines: str) -> None:
        _within(self._desk, *lines)


def _port(machine: Plugged) -> str:
    return f"m-{machine.name}"


def _slow(machine: Plugged) -> str:
    return f"s-{machine.name}"


def _card(machine: Plugged) -> str:
    return f"02:00:00:00:00:{int(machine.address.rpartition('.')[2]):02x}"


def _within(machine: Plugged, *lines: str) -> None:
    """Run lines of shell in a machine's network. Raises: CalledProcessError, with what was said."""
    try:
        subprocess.run(
            ["nsenter", "--target", str(machine.first), "--net", "sh", "-ec", "\n".join(lines)],
            check=True, capture_output=True, text=True, timeout=20,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        error.add_note(error.stderr)
        raise
