"""A few machines on one wire, of this machine's kernel alone: what runs on them can't tell them from real ones.

Each machine is a process tree with namespaces of its own: network, processes, mounts and name. It has its own home,
/tmp, /srv and /dev/shm, shares nothing with the others but /mnt and what is only read, and is reached by ssh with a key
made for it. The desk is one more, without sshd: from there people work, and no test cuts it off.

All of it goes when the process that has built it does, however that ends: the kernel kills the first process of each
machine then, with it all others there, and with the last of them go mounts and wires. Nothing outside is changed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tests.cluster.wire import Wire

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
NETWORK = "192.0.2"
"""Kept for examples. It may be used outside all the same: the wire is a network of its own."""
SHARED = Path("/mnt")
"""One disk that all of them see, as a file server would have it: for what stands for the world outside."""
NEEDED = {
    "openssl": "openssl", "sshd": "openssh-server", "ssh": "openssh-client", "ip": "iproute2", "nft": "nftables",
    "rsync": "rsync", "unshare": "util-linux", "nsenter": "util-linux", "setpriv": "util-linux",
}  # fmt: skip
"""By program, the Debian package that has it."""
TRIAL = """
mount -t tmpfs tmpfs /run
ip link add lan type bridge
ip link add m-m0 type veth peer name eth0
echo 'table bridge faults { chain wire { type filter hook forward priority 0; iifname "m-m0" drop; }; }' | nft -f -
"""
"""What machines are built with, in a namespace that goes when this ends."""
ALONE = (
    "unshare", "--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec",
)  # fmt: skip
"""Begins a script as the first process of a machine."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
READY_S = 20.0
LOOK_S = 0.02
KEPT = "/run/kept"
_SSHD = """
ListenAddress 0.0.0.0
HostKey /etc/ssh/host_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
UseDNS no
MaxStartups 100
PidFile none
"""


class Unbuildable(Exception):
    """Machines can't be built here; the text says why, and what would help."""


def check_buildable() -> None:
    """Look whether machines can be built here. Raises: Unbuildable."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise Unbuildable("building machines out of namespaces needs Linux, and root")
    missing = sorted({package for name, package in NEEDED.items() if shutil.which(name, path=PATH) is None})
    if missing:
        raise Unbuildable(f"needs {', '.join(missing)}: apt-get install {' '.join(missing)}")
    # Root in a container may be told no all the same.
    tried = subprocess.run(
        [*ALONE, TRIAL], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=READY_S, check=False,
        env={"PATH": PATH},
    )  # fmt: skip
    if tried.returncode != 0:
        raise Unbuildable(
            f"the kernel, or what this runs in, does not let root make namespaces: {tried.stderr.strip()}"
        )


class Machine:
    """One machine, from `boot` on.

    Args:
        name: what it is called.
        address: on the wire.
        disk: a folder outside, which it keeps when it loses power.
        key: who may come by ssh; None: nobody, and no sshd runs.
    """

    def __init__(self, name: str, address: str, disk: Path, key: Path | None) -> None:
        self.name = name
        self.address = address
        self._disk = disk
        self._key = key
        self._program: subprocess.Popen[bytes] | None = None
        self.first = 0
        """Its first process, as it is known outside."""

    def boot(self) -> None:
        """Start it, with the disk as it was left; /tmp is emptied. It is on no wire yet."""
        shutil.rmtree(self._disk / "tmp", ignore_errors=True)
        for name in ("tmp", "home", "srv", "ssh"):
            (self._disk / name).mkdir(parents=True, exist_ok=True)
        (self._disk / "tmp").chmod(0o1777)
        if self._key is not None:
            self._admit(self._key)
        said = (self._disk / "said.txt").open("wb")
        with said:
            self._program = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *ALONE, self._script()],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
                env={"PATH": PATH, "HOME": str(Path.home()), "LANG": "C.UTF-8"},
            )  # fmt: skip
        children = Path(f"/proc/{self._program.pid}/task/{self._program.pid}/children")
        self.first = int(_until(lambda: children.read_text().split(), self._said)[0])

    def await_ssh(self) -> None:
        """Wait until it can be reached by ssh."""
        _until(lambda: "Server listening" in self._said(), self._said)

    def _admit(self, key: Path) -> None:
        place = self._disk / "ssh"
        (place / "sshd_config").write_text(_SSHD)
        (place / "authorized_keys").write_text(key.with_name(f"{key.name}.pub").read_text())
        if not (place / "host_key").exists():
            make_key(place / "host_key")

    def _script(self) -> str:
        """Return what makes the machine's own places, and ends as its first process, which buries the others."""
        own = {Path("/tmp"): "tmp", Path.home(): "home", Path("/srv"): "srv", Path("/etc/ssh"): "ssh"}
        read = [place for place in (ROOT, Path(sys.base_prefix)) if any(map(place.is_relative_to, (*own, SHARED)))]
        places = {place: self._disk / name for place, name in own.items()} | {SHARED: self._disk.parent / "shared"}
        places |= {place: place for place in read}
        lines = ["mount -t tmpfs tmpfs /run", "mkdir -p /run/sshd", "mount -t tmpfs tmpfs /dev/shm"]
        # All are held first: the later ones may lie where the earlier ones go.
        for number, source in enumerate(places.values()):
            lines += [f"mkdir -p {KEPT}/{number}", f"mount --bind {source} {KEPT}/{number}"]
        for number, place in enumerate(places):
            lines += [f"mkdir -p {place}", f"mount --move {KEPT}/{number} {place}"]
        lines += [f"mount -o remount,bind,ro {place}" for place in read]
        lines += [f"hostname {self.name}", "ip link set lo up"]
        lines.append("exec sleep infinity" if self._key is None else "exec /usr/sbin/sshd -D -e")
        return "\n".join(lines)

    def _said(self) -> str:
        return (self._disk / "said.txt").read_text(errors="replace")

    # -- what is done on it ----------------------------------------------------------------------------------------

    def start(self, *command: object, **more: str) -> "subprocess.Popen[str]":
        """Start a program in the machine's home, with its outputs as pipes; `more` is added to its environment."""
        home = str(Path.home())
        return subprocess.Popen(
            ["nsenter", "--target", str(self.first), "--net", "--uts", "--ipc", "--mount", "--pid", f"--wdns={home}",
             "setpriv", "--pdeathsig", "KILL", *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"PATH": PATH, "HOME": home, "LANG": "C.UTF-8", **more},
        )  # fmt: skip

    def exec(
        self, *command: object, timeout_s: float = 100.0, code: int | None = 0, **more: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program there to its end. With None any exit code will do."""
        with self.start(*command, **more) as program:
            try:
                out, err = program.communicate(timeout=timeout_s)
            except BaseException as error:
                program.kill()
                out, err = program.communicate()
                error.add_note(f"on {self.name}: {' '.join(map(str, command))}\n{out}{err}")
                raise
        done = subprocess.CompletedProcess(list(command), program.returncode, out, err)
        assert code in (None, done.returncode), f"on {self.name}: {done.args} {done.returncode}\n{out}{err}"
        return done

    def processes(self) -> list[int]:
        """Return all of its processes, as they are known outside: the first one first."""
        space = _space(self.first) if self.first else ""
        found = [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]
        return sorted((each for each in found if space and _space(each) == space), key=lambda each: each != self.first)

    def pause(self) -> None:
        """Stop all that runs there, as if the machine hung: its wires stay up, and nobody answers."""
        while still := [each for each in self.processes() if _state(each) not in "TZX"]:
            _signal(still, signal.SIGSTOP)

    def resume(self) -> None:
        """Have all of it go on."""
        _signal(self.processes(), signal.SIGCONT)

    def kill(self, *, with_disk: bool = False) -> None:
        """Cut its power: nothing ends in order. `boot` starts it again; without its disk it begins from nothing."""
        if self._program is not None:
            self._program.kill()  # and its first process, as unshare was told
            self._program.wait()
            _until(lambda: _state(self.first) in "ZX", self._said)
            self._program, self.first = None, 0
        if with_disk:
            shutil.rmtree(self._disk)


class Lan:
    """A desk and a few machines: use it as a context manager.

    Args:
        work: an empty folder for their disks.
        count: how many machines.
    """

    def __init__(self, work: Path, count: int = 3) -> None:
        check_buildable()
        (work / "shared").mkdir()
        self.key = work / "key"
        make_key(self.key)
        self.desk = Machine("desk", f"{NETWORK}.1", work / "desk", None)
        self.machines = [Machine(f"m{n}", f"{NETWORK}.{10 + n}", work / f"m{n}", self.key) for n in range(count)]
        self.wire = Wire(self.desk, self.machines)

    def __enter__(self) -> Self:
        try:
            self.desk.boot()
            self.wire.lay()
            for machine in self.machines:
                machine.boot()
                self.wire.plug(machine)
            for machine in self.machines:
                machine.await_ssh()
        except BaseException:
            self.close()
            raise
        # As the owner of the key has it.
        shutil.copy(self.key, Path(f"/proc/{self.desk.first}/root{Path.home()}/key"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all of it."""
        for machine in (*self.machines, self.desk):
            machine.kill()

    def boot(self, machine: Machine) -> None:
        """Start a machine again that was killed."""
        machine.boot()
        self.wire.plug(machine)
        machine.await_ssh()


def make_key(file: Path) -> None:
    """Make a pair of ssh keys: a file, and one beside it that ends in .pub."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True, stdin=subprocess.DEVNULL)


def _space(process: int) -> str:
    try:
        return os.readlink(f"/proc/{process}/ns/pid")
    except OSError:
        return ""  # it has ended meanwhile


def _state(process: int) -> str:
    """Return how a process stands: T is stopped, Z has ended and is not buried yet, X is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _signal(processes: Iterable[int], number: int) -> None:
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue


def _until(look: Callable[[], T], why: Callable[[], str]) -> T:
    """Wait until a look gives something, and return it."""
    end = time.monotonic() + READY_S
    while not (found := look()):
        assert time.monotonic() < end, f"a machine does not come up, or down: {why()}"
        time.sleep(LOOK_S)
    return found


__all__: Sequence[str] = ("Lan", "Machine", "Unbuildable", "check_buildable")
