"""Names of things: agents, steps, messages, proposals. Plain tuples, so they hash, sort and encode fast.

An agent is known by its name; a host by the first 8 bytes of BLAKE2b of its public key, in hex.
"""

from typing import Annotated, NamedTuple

from msgspec import Meta

AgentId = str
HostId = str
ProposalId = str
Lineage = str

NUMBER_END = 1 << 62
Number = Annotated[int, Meta(ge=-NUMBER_END, le=NUMBER_END)]
"""A count, a place or a time as it is sent and logged: what follows it can be written down, too."""

HOST: AgentId = "host:"
"""Stands for a host itself where an agent's name does: no agent can have it."""


class StepId(NamedTuple):
    """One step of one agent: `ledger-1/1/517` in text."""

    agent: AgentId
    incarnation: Number
    seq: Number

    def __str__(self) -> str:
        return f"{self.agent}/{self.incarnation}/{self.seq}"

    @classmethod
    def parse(cls, text: str) -> "StepId":
        """Read `agent/incarnation/seq`.

        Raises: ValueError, naming the text, if it is not of that form.
        """
        parts = text.rsplit("/", 2)
        if len(parts) != 3 or not parts[0] or not parts[1].isdigit() or not parts[2].isdigit():
            raise ValueError(f"not a step: {text!r} (wanted agent/incarnation/seq, as in ledger-1/1/517)")
        return cls(parts[0], int(parts[1]), int(parts[2]))


class MessageId(NamedTuple):
    """An output of a step, by its place among the step's outputs: `risk-2/1/88#0` in text."""

    producer: StepId
    at: Number

    def __str__(self) -> str:
        return f"{self.producer}#{self.at}"
