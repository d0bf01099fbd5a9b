"""A tool that sends a mail by SMTP. Nobody can take a mail back, so only `ctx.request` calls it.

Each mail has a Message-ID that is made from the call's intent. So a mail that was sent twice, by hand after a doubt, is
one to its reader, and whoever looks into a mailbox can tell whether it was sent.
"""

import smtplib
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from hashlib import sha256
from typing import Any, Literal, Unpack

from peer.adapters.options import Options, keyed, told
from peer.agents.tool import IRREVERSIBLE, Check, NotHappened, Tool, tool


@dataclass(frozen=True)
class Smtp:
    """A server that takes mail: a resource, as `partial(Smtp, "mail.example.org", 587, security="starttls")`.

    Each mail has a connection of its own.
    """

    host: str
    port: int = 25
    user: str = ""
    """Whom the server is told; empty, if it wants no name."""
    password: str = field(default="", repr=False)
    security: Literal["", "starttls", "tls"] = ""
    """How the connection is protected: `starttls` after the greeting, `tls` from the start, or not at all."""
    wait_s: float = 30.0
    """Seconds for which an answer is waited for."""

    def __enter__(self) -> "Smtp":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open between mails."""

    @contextmanager
    def connection(self) -> Iterator[smtplib.SMTP]:
        """Connect, log in, and leave at the end. Raises: OSError, smtplib.SMTPException among them."""
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=self.wait_s, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=self.wait_s)
        try:
            if self.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if self.user:
                server.login(self.user, self.password)
            yield server
            # The mail is taken, whatever is said to the farewell.
            _quit(server)
        finally:
            server.close()


def message_id(intent: str, sender: str, *, scope: str = "") -> str:
    """Return the Message-ID of the mail that a call sends, in angle brackets.

    Args:
        intent: the call's.
        sender: the address that it is sent from; its domain is the ID's.
        scope: as of the tool.
    """
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    return f"<{sha256(keyed(scope, intent).encode()).hexdigest()[:40]}@{domain}>"


def send(
    name: str, server: Callable[[], Any], sender: str, *, check: Check | None = None, scope: str = "",
    **options: Unpack[Options],
) -> Tool[..., Any]:  # fmt: skip
    """Return a tool that sends a mail: `ctx.request(send, "ann@example.org", "Tea", "It is ready.", then=self.sent)`.

    It takes whom to (a str, or a list of them), a subject and a text, and returns a dict: `message_id`, and `refused`,
    by address what the server said of those that it does not take. If it takes none, or refuses the mail, nothing has
    happened. A connection that breaks after the mail was begun leaves it in doubt.

    Args:
        name: what logs call the tool.
        server: opens an `Smtp`, kept in a variable of its module.
        sender: the address that mails are from, with a name or without.
        check: tells after a crash, or a broken connection, whether the mail was sent, as of any tool: it may look for
            `message_id(call.intent, sender)` where sent mail is kept. It may take the server, by the name `server`.
        scope: set before the intent, from which the Message-ID is made: needed where several clusters send from one
            address.
        options: timeout (seconds), retry, concurrency: as of any tool.

    Raises: DeclarationRefused, as `tool` does.
    """

    def call(to: str | Sequence[str], subject: str, text: str, /, *, intent: str, server: Smtp) -> dict[str, Any]:
        mail = EmailMessage()
        try:
            receivers = [to] if isinstance(to, str) else list(to)
            mail["From"], mail["To"], mail["Subject"] = sender, ", ".join(receivers), subject
            mail["Message-ID"] = message_id(intent, sender, scope=scope)
            mail["Date"] = formatdate()
            mail.set_content(text)
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            raise NotHappened(f"no mail can be made of this: {told(error)}") from error
        return {"message_id": str(mail["Message-ID"]), "refused": _sent(server, mail)}

    return tool(kind=IRREVERSIBLE, check=check, name=name, resources={"server": server}, **options)(call)


_REFUSED = (
    smtplib.SMTPDataError, smtplib.SMTPHeloError, smtplib.SMTPNotSupportedError, smtplib.SMTPRecipientsRefused,
    smtplib.SMTPSenderRefused,
)  # fmt: skip
"""Answers of a server: what it refuses it does not send."""


def _sent(server: Smtp, mail: EmailMessage) -> dict[str, str]:
    is_begun = False
    try:
        with server.connection() as connection:
            is_begun = True
            refused = connection.send_message(mail)
    except _REFUSED as error:
        raise NotHappened(f"the server has refused the mail: {told(error)}") from error
    except OSError as error:
        if is_begun:
            raise
        raise NotHappened(f"no connection to {server.host}:{server.port}: {told(error)}") from error
    return {address: f"{code} {said.decode(errors='replace')}" for address, (code, said) in refused.items()}


def _quit(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except OSError:
        return
