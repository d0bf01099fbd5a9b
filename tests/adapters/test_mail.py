"""Mail, to a real server: sent once it is let go, known by its Message-ID, refused or in doubt."""

import asyncio
import socket
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope

from peer import Agent, Call, CallerError, Cluster, Context, Happened, NotHappened, Result, handles
from peer.adapters import mail
from peer.adapters.mail import Smtp

SENDER = "Shop <shop@example.org>"
PLACE: dict[str, int] = {}


class Post:
    """Takes mail, or does not."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.loses = False

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:
        if address.startswith("nobody"):
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        found = message_from_bytes(envelope.content)
        if found["Subject"] == "spam":
            return "554 no spam"
        self.mails.append(found)
        if self.loses:
            assert server.transport is not None
            server.transport.abort()
        return "250 OK"


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    post = Post()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(post, enable_SMTPUTF8=True, loop=asyncio.get_running_loop()), "127.0.0.1", 0
    )
    PLACE["port"] = server.sockets[0].getsockname()[1]
    yield post
    server.close()


def open_server() -> Smtp:
    return Smtp("127.0.0.1", PLACE["port"])


LOOKED: list[str] = []


def was_sent(call: Call) -> object:
    LOOKED.append(mail.message_id(call.intent, SENDER))
    return Happened({"message_id": LOOKED[-1], "refused": {}})


send = mail.send("send", open_server, SENDER)
checked = mail.send("checked", open_server, SENDER, check=was_sent)


async def sent(tool: Any, *args: Any, intent: str = "a/1/0") -> Any:
    return await asyncio.to_thread(tool.function, *args, intent=intent, server=open_server())


async def test_a_mail_arrives_and_is_known_by_its_intent(post: Post) -> None:
    answers = [await sent(send, "ann@example.org", "Tea ☕", "It is ready.\n", intent=f"a/{n}/0") for n in (1, 1, 2)]
    names = [answer["message_id"] for answer in answers]
    assert names == [found["Message-ID"] for found in post.mails]
    assert names[0] == names[1] == mail.message_id("a/1/0", SENDER) != names[2]
    assert names[0].endswith("@example.org>")
    assert mail.message_id("a/1/0", SENDER, scope="two") != names[0]
    assert (post.mails[0]["To"], post.mails[0]["From"]) == ("ann@example.org", SENDER)
    assert post.mails[0].get_payload(decode=True) == b"It is ready.\r\n"


async def test_what_the_server_refuses_has_not_happened_and_who_is_refused_is_named(post: Post) -> None:
    for to, subject, why in [
        ("nobody@x", "Tea", "550"),
        ("ann@x", "spam", "554"),
        ("a\nb@x", "Tea", "no mail"),
        ("ann@x", "Tea\nBcc: all@x", "no mail"),
        (7, "Tea", "no mail"),
    ]:
        with pytest.raises(NotHappened, match=why):
            await sent(send, to, subject, "")
    assert post.mails == []
    answer = await sent(send, ["ann@x", "nobody@x"], "Tea", "")
    assert answer["refused"] == {"nobody@x": "550 no such person"}


async def test_no_connection_has_not_happened(post: Post) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        PLACE["port"] = taken.getsockname()[1]
        with pytest.raises(NotHappened, match=r"no connection to 127\.0\.0\.1"):
            await sent(send, "ann@x", "Tea", "")


class Clerk(Agent):
    @handles(str)
    async def write(self, message: str, ctx: Context) -> None:
        tool = checked if message == "checked" else send
        if message == "now":
            try:
                await ctx.call(send, "ann@x", "Tea", "")
            except CallerError as error:
                self.state["now"] = str(error)
            return
        ctx.request(tool, "ann@x", message, "", then=self.sent)

    async def sent(self, result: Result, ctx: Context) -> None:
        self.state[result.args[1]] = ("doubt", "sent")[result.happened] if result.value or result.in_doubt else "no"


async def test_a_mail_goes_out_when_its_step_is_settled_and_not_before(post: Post) -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.submit("clerk", "tea", "jam", "now")
        await cluster.quiet()
        assert post.mails == []
        await cluster.rollback("clerk/1/2", inputs="discard")
        await cluster.checkpoint()
        while "tea" not in (state := await cluster.state("clerk")):
            await cluster.quiet()
        assert [found["Subject"] for found in post.mails] == ["tea"]
        assert state["tea"] == "sent"
        assert "can't be undone" in state["now"]


async def test_a_connection_that_breaks_at_the_end_leaves_it_in_doubt_unless_a_check_knows(post: Post) -> None:
    post.loses = True
    async with Cluster("local") as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.submit("clerk", "tea", "checked")
        await cluster.quiet()
        await cluster.checkpoint()
        while len(state := await cluster.state("clerk")) < 2:
            await cluster.quiet()
        assert (state["tea"], state["checked"]) == ("doubt", "sent")
    assert sorted(LOOKED) == [found["Message-ID"] for found in post.mails if found["Subject"] == "checked"]
