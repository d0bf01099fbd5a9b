"""Three machines with one Ray, and on it one cluster a row: brought up, put under load, struck, and judged."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.cluster.lan import PATH, Lan, Machine
from tests.cluster.reliability.measure import Strike, back_at, measured, served
from tests.cluster.reliability.oracle import Handed, cone_of, handed_in, judge, posted
from tests.cluster.reliability.table import Played
from tests.cluster.reliability.teller_app import agents, late

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
ENVIRONMENT = {
    "PATH": f"{BIN}:{PATH}", "RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "60",
    "RAY_agent_register_timeout_ms": "200000",
}  # fmt: skip
"""Three machines share these processors, with whatever else runs here: who starts slowly has not failed."""
LOOK = (
    "import ray; ray.init('auto', logging_level='ERROR');"
    " print(*[node['NodeManagerAddress'] for node in ray.nodes() if node['Alive']])"
)
RAY_S = 70
TRIES = 3
UP_S = 150.0
WARM_S = 60.0
BEFORE_S, AFTER_S = 8.0, 6.0
RECOVER_S = 120.0
ASK_S = 280.0
SHOWN = 3
"""Of what is amiss, in the table."""


class Seen(NamedTuple):
    """A host, as `ebbtide ps` shows it."""

    name: str
    machine: Machine
    agents: frozenset[str]


class Failed(Exception):
    """What was to happen did not; the text says what."""


class Field:
    """The machines, and the Ray on them, which is started by hand: what starts slowly is started again."""

    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self.head = lan.machines[0]

    def up(self) -> None:
        """Start Ray on all machines, the head's first. Raises: Failed."""
        for machine in self.lan.machines:
            self.start_ray(machine)
        self.await_machines(len(self.lan.machines))

    def start_ray(self, machine: Machine, **more: str) -> None:
        """Start Ray on a machine; `more` is added to the environment. Raises: Failed."""
        where = ["--head", "--port=6379", "--include-dashboard=false"] if machine is self.head else [self._address()]
        command = [BIN / "ray", "start", "--num-cpus=1", f"--node-ip-address={machine.address}", *where]
        for _ in range(TRIES):
            done = machine.exec("timeout", RAY_S, *command, code=None, **(ENVIRONMENT | more))
            if done.returncode == 0:
                return
            self.stop_ray(machine)
        raise Failed(f"Ray does not start on {machine.name}: {done.stderr.strip()[-200:]}")

    def stop_ray(self, machine: Machine) -> None:
        """End Ray on a machine, with all that it has started."""
        machine.exec("timeout", 40, BIN / "ray", "stop", "--force", code=None, **ENVIRONMENT)

    def _address(self) -> str:
        return f"--address={self.head.address}:6379"

    def joined(self) -> set[str]:
        """Return the addresses of the machines that Ray has."""
        return set(self.head.exec("timeout", 60, BIN / "python", "-c", LOOK, code=None, **ENVIRONMENT).stdout.split())

    def mend(self) -> None:
        """Start Ray again where it has ended. Raises: Failed."""
        there = self.joined()
        for machine in self.lan.machines:
            if machine.address not in there:
                if machine.first:
                    self.stop_ray(machine)
                else:
                    self.lan.boot(machine)
                self.start_ray(machine)
        self.await_machines(len(self.lan.machines))

    def await_machines(self, count: int, timeout_s: float = 200.0) -> None:
        """Wait until Ray has so many machines. Raises: Failed."""
        end = time.monotonic() + timeout_s
        while (found := len(self.joined())) != count:
            if time.monotonic() > end:
                raise Failed(f"Ray has {found} machines, and not {count}, after {timeout_s:.0f} s")
            time.sleep(1.0)

    def ebbtide(self, *words: object, code: int | None = 0, timeout_s: float = 100.0) -> str:
        """Run a command on the head; return what it prints."""
        return self.head.exec(BIN / "ebbtide", *words, code=code, timeout_s=timeout_s, **ENVIRONMENT).stdout


class Run:
    """One row: a cluster with a folder of its own.

    Args:
        field: where.
        name: of the row.
        shared: the disk that all machines see, as it is known outside; they know it as /mnt.
        folder: of the cluster, if one is up.
    """

    def __init__(self, field: Field, name: str, shared: Path, folder: str = "") -> None:
        self.field = field
        self.lan = field.lan
        self.name = name
        self.folder = folder or f"run-{name}"
        self.is_up = bool(folder)
        self.app = "teller_app.py"
        self.is_ending = False
        """The cluster is of no use to other rows."""
        self.place = shared / name
        self.world = f"/mnt/{name}/world"
        (self.place / "world").mkdir(parents=True)
        self.strikes: list[Strike] = []
        self.amiss: list[str] = []
        self.undone: list[str] = []
        self.note = ""
        self.names = frozenset(agents)
        self._load: subprocess.Popen[str] | None = None
        self.begin = self.over = self.end = 0.0

    # -- the cluster -----------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Bring the agents up, and have backups chosen."""
        self.field.ebbtide("up", HERE / self.app, "--address", "auto", "--folder", self.folder, timeout_s=UP_S)

    def launch(self) -> None:
        """Have the agents brought up by somebody who stays, to launch one more later. Raises: Failed."""
        launcher = self.start("join", self.world)
        end = time.monotonic() + UP_S
        while not (self.place / "up").exists():
            if launcher.poll() is not None or time.monotonic() > end:
                raise Failed(f"the cluster did not come up: {self._last_said()}")
            time.sleep(0.5)

    def drive(self, what: str, *more: object, timeout_s: float = ASK_S) -> Any:
        """Have the driver ask something; return what it tells. Raises: Failed."""
        program = self.start(what, *more)
        try:
            out, _ = program.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            program.kill()
            raise Failed(f"{what} took longer than {timeout_s:.0f} s") from None
        if program.returncode != 0:
            raise Failed(f"{what} failed: {self._last_said()}")
        return json.loads(out.splitlines()[-1])

    def start(self, what: str, *more: object) -> "subprocess.Popen[str]":
        """Start the driver on the head."""
        line = 'exec "$0" "$@" 2>> ' + f"/mnt/{self.name}/said"
        words = (BIN / "python", HERE / "driver.py", what, self.folder, *more)
        return self.field.head.start("bash", "-c", line, *words, **ENVIRONMENT)

    def _last_said(self) -> str:
        said = (self.place / "said").read_text(errors="replace").strip().splitlines()
        return said[-1][:300] if said else "it said nothing"

    def hosts(self) -> list[Seen]:
        """Return the hosts with agents, and where they are."""
        lines = self.field.ebbtide("ps", "--json", "--folder", self.folder, code=None).splitlines()
        told = [json.loads(line) for line in lines]
        machines = {machine.address: machine for machine in self.lan.machines}
        return [
            Seen(row["host"], machines[str(urlsplit(row["address"]).hostname)], frozenset(row["agents"]))
            for row in told
            if row["agents"] and urlsplit(row["address"]).hostname in machines
        ]

    def host_of(self, agent: str) -> Seen:
        """Return where an agent lives."""
        return next(host for host in self.hosts() if agent in host.agents)

    def crowded(self) -> Machine:
        """Return the machine with the most agents, of those that nobody works from."""
        return max(self.lan.machines[1:], key=lambda machine: len(self.on(machine)))

    def on(self, machine: Machine) -> frozenset[str]:
        """Return who lives on a machine."""
        return frozenset(agent for host in self.hosts() if host.machine is machine for agent in host.agents)

    def signal(self, host: Seen, number: str) -> None:
        """Send a host's process a signal."""
        pid = host.machine.exec("cat", f"{self.folder}/{host.name}/lock").stdout.strip()
        host.machine.exec("kill", f"-{number}", pid)

    # -- the load --------------------------------------------------------------------------------------------------

    def begin_load(self) -> None:
        """Begin to hand in transfers, and wait until all agents serve."""
        if not self.is_up:
            self.drive("settle")
        self._load = self.start("load", self.world, self.name, *(n for n in (*agents, *late) if "teller" in n))
        self._until(lambda: self.names <= set(self._served()), WARM_S, lambda: "not all agents serve before any fault")
        time.sleep(2.0)
        self.begin = time.time()
        time.sleep(BEFORE_S)

    def strike(self, who: frozenset[str]) -> None:
        """Note that a fault begins now, and whom it hits."""
        self.strikes.append(Strike(time.time(), who))

    def await_served(self, strike: Strike, timeout_s: float = RECOVER_S) -> None:
        """Wait until all whom a strike has hit have served again. Raises: Failed, naming who has not."""

        def waiting() -> str:
            times = self._served()
            late = [a for a in sorted(strike.agents) if back_at(Strike(strike.at, frozenset({a})), times) is None]
            return f"{', '.join(late)} did not serve again within {timeout_s:.0f} s"

        self._until(lambda: back_at(strike, self._served()) is not None, timeout_s, waiting)

    def _served(self) -> dict[str, list[float]]:
        return served(handed_in(self.place), posted(self.place / "world"))

    def _until(self, is_so: Callable[[], bool], timeout_s: float, why: Callable[[], str]) -> None:
        end = time.monotonic() + timeout_s
        while not is_so():
            if self._load is not None and self._load.poll() is not None:
                raise Failed(f"the load ended: {self._last_said()}")
            if time.monotonic() > end:
                raise Failed(why())
            time.sleep(0.25)

    def end_load(self) -> None:
        """Hand in nothing more, and wait until what was handed in has come to an end."""
        (self.place / "stop").touch()
        self.end = time.time()
        if self._load is not None:
            try:
                self._load.wait(timeout=200.0)
            except subprocess.TimeoutExpired:
                self._load.kill()
                self.amiss.append("what was handed in was neither acknowledged nor refused within 200 s")

    # -- what must hold --------------------------------------------------------------------------------------------

    def undo(self) -> None:
        """Roll one transfer back that was handed in since the first strike: by who was hit, if that can be."""
        one = self._one_to_undo()
        told = self.drive("undo", self.world, one.teller, one.key, one.amount)
        self.undone.append(one.key)
        wrong = cone_of(one.teller, told["undone"])
        if not told["committed"]:
            self.amiss.append(f"the rollback was not agreed to: {told['rejects']}")
        elif wrong or told["undone"] != told["planned"]:
            self.amiss.append(wrong or f"undone was {told['undone']}, planned {told['planned']}")

    def _one_to_undo(self) -> Handed:
        first = min((strike.at for strike in self.strikes), default=self.begin)
        hit = frozenset(agent for strike in self.strikes for agent in strike.agents)
        since = [each for each in handed_in(self.place) if each.acked and each.began >= first - 1.0]
        if not since:
            raise Failed("nothing was acknowledged since the fault")
        return next((each for each in since if each.teller in hit and each.key not in self.undone), since[-1])

    def judged(self) -> None:
        """Note what does not hold."""
        told = self.drive("states")
        mine = {name: [row for row in rows if row[1].startswith(f"{self.name}.")] for name, rows in told.items()}
        self.amiss += judge(handed_in(self.place), posted(self.place / "world"), mine, frozenset(self.undone))

    def played(self) -> Played:
        """Return what came of the row."""
        end = self.end or time.time()
        seen = measured(handed_in(self.place), posted(self.place / "world"), self.strikes, self.begin, self.over, end)
        more = len(self.amiss) - SHOWN
        shown = (*self.amiss[:SHOWN], *([f"and {more} more"] if more > 0 else []))
        return Played(shown, seen if self.strikes else None, self.note)

    def tidy(self) -> None:
        """Undo what was done to the machines, and end the load, whatever stands."""
        if self._load is not None and self._load.poll() is None:
            self._load.kill()
        self.lan.wire.heal()
        for machine in self.lan.machines:
            machine.resume()

    def close(self) -> None:
        """End the cluster."""
        self.field.ebbtide("down", self.folder, code=None, timeout_s=90.0)
