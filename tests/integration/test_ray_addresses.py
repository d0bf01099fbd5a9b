"""Where Ray runs: an address that is none, or where nobody answers, is one line at once."""

import datetime
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from peer import BackendFailed, Cluster, ConfigInvalid
from peer.backends import ray_address

pytestmark = pytest.mark.timeout(40)  # Ray itself tries for minutes


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


async def why(address: str) -> str:
    with pytest.raises(BackendFailed) as caught:
        async with Cluster("ray", address=address):
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_where_nobody_listens_is_told_with_the_address_and_the_remedy() -> None:
    with listening() as closed:
        port = closed.getsockname()[1]
    said = await why(f"127.0.0.1:{port}")
    assert f"no Ray at '127.0.0.1:{port}': Connection refused. Nothing was started." in said
    assert f"ray start --head --port {port}" in said


async def test_a_machine_that_is_not_known_is_told() -> None:
    assert "no Ray at 'nobody.invalid:6379'" in await why("nobody.invalid:6379")


@pytest.mark.parametrize(("says", "told"), [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no Ray"), (b"", "is no Ray")])
async def test_another_server_is_not_taken_for_ray(says: bytes, told: str) -> None:
    with listening() as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(64)
                connection.sendall(says)

        other = threading.Thread(target=answer)
        other.start()
        assert told in await why(f"127.0.0.1:{server.getsockname()[1]}")
        other.join()


SETTINGS = b"\0\0\0\4\0\0\0\0\0"


def certified(folder: Path) -> tuple[Path, Path]:
    """Make a key, and a certificate that it has signed itself; return the certificate's file, and the key's."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "m0")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    files = folder / "node.crt", folder / "node.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return files


def test_a_ray_with_tls_is_looked_at_by_tls_where_the_environment_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = certified(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED  # as Ray has it
    heard: list[bytes] = []
    with listening() as server:

        def answer() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                try:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        heard.append(secured.recv(64))
                        secured.sendall(SETTINGS)
                except (ssl.SSLError, OSError):
                    heard.append(b"no TLS")

        other = threading.Thread(target=answer)
        other.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BackendFailed):
            ray_address.probe(address)
        monkeypatch.setenv("RAY_USE_TLS", "1")
        for name, file in (("CA_CERT", certificate), ("SERVER_CERT", certificate), ("SERVER_KEY", key)):
            monkeypatch.setenv(f"RAY_TLS_{name}", str(file))
        ray_address.probe(address)
        other.join()
    assert heard[0] == b"no TLS"
    assert heard[1].startswith(b"PRI * HTTP/2.0")


async def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with listening() as server:
        assert "no answer within" in await why(f"127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize(
    "address", ["", "nonsense", "host:", ":6379", "host:port", "http://host:80", "host:99999999", 6379]
)
def test_what_is_no_address_is_refused_by_name(address: object) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        Cluster("ray", address=address)
    assert f"address={address!r} is no address" in str(caught.value)
    assert "host:port" in str(caught.value)


def test_an_address_of_the_environment_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    with pytest.raises(ConfigInvalid, match="address='nonsense'"):
        Cluster("ray")
    Cluster("ray", address="auto")


async def test_a_ray_that_does_not_start_is_one_line_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def fails(**_: object) -> None:
        raise RuntimeError("The head\n  node  has no disk")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(BackendFailed, match="Ray did not start here: The head node has no disk") as caught:
        async with Cluster("ray"):
            pass
    assert isinstance(caught.value.__cause__, RuntimeError)
