"""Shares that one host keeps, over damage to its log."""

from types import SimpleNamespace
from typing import Any

import msgspec

from peer.replication.trustee import PREFIX, Trustee
from protocol.checkpoints.copy import Deposit, Deposited, Part
from protocol.wire import Frame

PART = Part(2, 2, bytes(66), b"c")


def test_shares_whose_log_has_begun_anew_count_as_not_kept_until_they_are_written_again() -> None:
    logs: dict[str, list[bytes]] = {f"{PREFIX}owner": [msgspec.msgpack.encode((PART,))]}
    answers: list[Frame] = []
    store = SimpleNamespace(
        agents=lambda: list(logs), read=lambda name: iter(logs[name]),
        append=lambda name, records, done, anchor: (logs[name].extend(records), done()),
    )  # fmt: skip
    site: Any = SimpleNamespace(store=store, send_frame=lambda to, frame: answers.append(frame))
    succession: Any = SimpleNamespace(is_refused=lambda host: False)
    trustee = Trustee(site, succession)
    trustee.load()
    assert trustee.of("owner") == (PART,)
    logs[f"{PREFIX}owner"].clear()  # its damage was mended so
    trustee.load()
    assert trustee.of("owner") == ()
    trustee.deposit("owner", Deposit((PART,)))
    assert logs[f"{PREFIX}owner"], "it is written before it is said to be kept"
    (answer,) = answers
    assert isinstance(answer.copies[0], Deposited)
