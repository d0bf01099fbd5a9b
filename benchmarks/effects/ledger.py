"""The world outside: a payment provider in a process of its own, which no kill of a system reaches.

It takes payments and refunds, knows idempotency keys as providers do, and writes each entry to a file, with fsync,
before it answers. The oracle reads that file and nothing else. Standard library only: peers import this as well.

    python -m benchmarks.effects.ledger FILE      prints its port
"""

import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Books:
    """All entries, in order: what was paid, and what of it was given back."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._payments: dict[str, dict[str, Any]] = {}
        self._by_key: dict[str, str] = {}
        self._refunded: dict[str, None] = {}

    def handle(self, verb: str, told: dict[str, Any]) -> Any:
        """Do what was asked, one after the other."""
        with self._lock:
            if verb == "pay":
                return self._pay(**told)
            if verb == "refund":
                return self._refund(**told)
            if verb == "lookup":
                return self._lookup(**told)
            raise ValueError(f"{verb!r}: it is pay, refund or lookup")

    def _pay(self, order: str, amount: int, memo: str, idempotency_key: str | None) -> str:
        # As providers have it: a key that is known gets the payment that was made for it, whatever else is said.
        if idempotency_key is not None and idempotency_key in self._by_key:
            return self._by_key[idempotency_key]
        payment = f"payment-{len(self._payments) + 1}"
        self._payments[payment] = {"order": order, "amount": amount, "memo": memo}
        if idempotency_key is not None:
            self._by_key[idempotency_key] = payment
        self._write({"paid": payment, "order": order, "amount": amount, "memo": memo, "key": idempotency_key})
        return payment

    def _refund(self, payment: str | None, idempotency_key: str | None) -> bool:
        found = payment if payment is not None else self._by_key.get(idempotency_key or "")
        if found is None or found not in self._payments or found in self._refunded:
            return False
        self._refunded[found] = None
        self._write({"refunded": found, "order": self._payments[found]["order"]})
        return True

    def _lookup(self, idempotency_key: str) -> str | None:
        payment = self._by_key.get(idempotency_key)
        return None if payment is None or payment in self._refunded else payment

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


class Ledger:
    """A client; each call has a connection of its own, so any thread may use it."""

    def __init__(self, port: int) -> None:
        self._port = port

    def pay(self, order: str, amount: int, memo: str, idempotency_key: str | None = None) -> str:
        """Pay; return the payment's name. A key that was used before gets the payment of then."""
        told = {"order": order, "amount": amount, "memo": memo, "idempotency_key": idempotency_key}
        return self._ask("pay", told)

    def refund(self, payment: str | None = None, idempotency_key: str | None = None) -> bool:
        """Give a payment back, by its name or its key; False if there is nothing to give back."""
        return self._ask("refund", {"payment": payment, "idempotency_key": idempotency_key})

    def lookup(self, idempotency_key: str) -> str | None:
        """Return the standing payment of a key, if there is one."""
        return self._ask("lookup", {"idempotency_key": idempotency_key})

    def _ask(self, verb: str, told: dict[str, Any]) -> Any:
        with socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection:
            connection.sendall(json.dumps([verb, told]).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer = json.loads(answers.readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["value"]


class Provider:
    """The ledger's process, for as long as a cell of the benchmark takes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.effects.ledger", str(file)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def entries(self) -> list[dict[str, Any]]:
        """Return what is in the file."""
        return [json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines()]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 256


def serve(file: Path) -> None:
    """Serve until killed."""
    books = Books(file)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline()
            if not line:
                return
            verb, told = json.loads(line)
            try:
                answer = {"value": books.handle(verb, told)}
            except (TypeError, ValueError) as problem:
                answer = {"error": str(problem)}
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    with _Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
