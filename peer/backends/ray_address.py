"""Where Ray runs, as users name it: looked at before Ray is told to connect, for Ray itself tries for minutes."""

import os
import socket
import ssl
from urllib.parse import urlsplit

from peer import errors

PROBE_S = 3.0
"""How long a Ray may take to answer; Ray's own patience is some two hundred seconds."""

_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""How HTTP/2 begins, which Ray speaks: a preface, and empty settings."""
_SETTINGS = 4
"""The type of the frame that answers it; it stands in the fourth byte."""


def wanted(address: object) -> str | None:
    """Return where to connect: what the caller says, or else the environment; None for a Ray of the cluster's own.

    Raises: ConfigInvalid, naming what is no address.
    """
    found = os.environ.get("RAY_ADDRESS") or None if address is None else address
    if found == "local":
        return None
    if found is not None and found != "auto":
        place(found)
    return found if isinstance(found, str) else None


def place(address: object) -> tuple[str, int]:
    """Return the host and port of an address.

    Raises: ConfigInvalid, naming what is none.
    """
    try:
        parts = urlsplit(address if "://" in address else f"//{address}") if isinstance(address, str) else None
        host, port = (parts.hostname, parts.port) if parts and parts.scheme in ("", "ray") else (None, None)
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise errors.ConfigInvalid(
            f"address={address!r} is no address of a Ray. Nothing was started. Give host:port, as in"
            " '192.0.2.1:6379'; 'auto', for the Ray that runs on this machine; or leave it out, and one is started."
        )
    return host, port


def machine(endpoint: str) -> str:
    """Return the address of the machine where a host receives."""
    return urlsplit(endpoint).hostname or ""


def probe(address: str, timeout_s: float = PROBE_S) -> None:
    """Return if what answers at an address may be a Ray.

    Raises: BackendFailed, naming the address, what is wrong there, and the remedy.
    """
    host, port = place(address)
    try:
        with socket.create_connection((host, port), timeout_s) as plain:
            plain.settimeout(timeout_s)
            with _secured(plain) as found:
                found.sendall(_HELLO)
                said = found.recv(64)
    except TimeoutError as error:
        raise errors.BackendFailed(_unanswered(address, f"no answer within {timeout_s:g} s", port)) from error
    except OSError as error:
        raise errors.BackendFailed(_unanswered(address, error.strerror or str(error), port)) from error
    if len(said) < 9 or said[3] != _SETTINGS:
        raise errors.BackendFailed(_unanswered(address, "what listens there is no Ray", port))


def _secured(connection: socket.socket) -> socket.socket:
    """Return the connection as Ray's processes would talk over it: by TLS, where the environment says so."""
    if os.environ.get("RAY_USE_TLS", "0").lower() not in ("1", "true"):
        return connection
    names = ("RAY_TLS_CA_CERT", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY")
    authority, certificate, key = (os.environ.get(name) for name in names)
    context = ssl.create_default_context(cafile=authority)
    # As Ray: it asks whether that authority has signed, and not for which name.
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    if certificate:
        context.load_cert_chain(certificate, key)
    return context.wrap_socket(connection)


def _unanswered(address: str, why: str, port: int) -> str:
    return (
        f"no Ray at {address!r}: {why}. Nothing was started. Start one there ('ray start --head --port {port}'), name"
        " the address of one that runs, or leave the address out: then a Ray is started here."
    )


def told(address: str | None, error: Exception) -> str:
    """Return in one line why Ray has not started, or not been reached."""
    why = " ".join(str(error).split())[:500] or type(error).__name__
    if address is None:
        return (
            f"Ray did not start here: {why}. Nothing was started. Ray's own logs tell more (the newest session of"
            f" {os.environ.get('RAY_TMPDIR', '/tmp')}/ray); backend='local' needs no Ray."
        )
    return (
        f"Ray at {address!r} could not be joined: {why}. Nothing was started. Look whether it is of this release, and"
        " whether it wants a token (RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or its file)."
    )
