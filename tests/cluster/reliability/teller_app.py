"""Tellers hand each transfer to two ledgers, each of which writes its side of it into the world outside.

The world is a folder that all machines see, a file a posting. It takes each intent once, as a bank does that is given
an idempotency key; it remembers what was undone. Who looks at it needs nothing of the runtime.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from ebbtide import Agent, Call, Context, Happened, NotHappened, handles, tool

LANES = 3
UNDONE = ".undone"


@dataclass
class Transfer:
    key: str
    amount: int
    world: str


@dataclass
class Entry:
    key: str
    side: str
    amount: int
    world: str


def ledgers_of(teller: str) -> tuple[str, str]:
    """Return which ledger is debited, and which credited: the next one's."""
    lane = int(teller.rpartition("-")[2])
    return f"ledger-{lane % LANES}", f"ledger-{(lane + 1) % LANES}"


def _file(world: str, intent: str) -> Path:
    return Path(world) / intent.replace("/", "+")


def unpost(call: Call) -> None:
    _file(call.args[0], f"{call.intent}{UNDONE}").touch()


def was_posted(call: Call) -> Happened | NotHappened:
    stands = _file(call.args[0], call.intent).exists() and not _file(call.args[0], f"{call.intent}{UNDONE}").exists()
    return Happened() if stands else NotHappened()


@tool(undo=unpost, check=was_posted)
def post(world: str, ledger: str, key: str, side: str, amount: int, *, intent: str) -> None:
    file = _file(world, intent)
    draft = Path(world) / f".draft-{secrets.token_hex(8)}"
    draft.write_text(f"{ledger} {key} {side} {amount}\n")
    try:
        os.link(draft, file)
    except FileExistsError:
        pass  # it has this intent already
    finally:
        draft.unlink()


class Teller(Agent):
    @handles(Transfer)
    async def transfer(self, message: Transfer, ctx: Context) -> None:
        self.state["sent", message.key] = message.amount
        debited, credited = ledgers_of(ctx.agent)
        ctx.send(debited, Entry(message.key, "debit", message.amount, message.world))
        ctx.send(credited, Entry(message.key, "credit", message.amount, message.world))


class Ledger(Agent):
    @handles(Entry)
    async def enter(self, message: Entry, ctx: Context) -> None:
        self.state[message.side, message.key] = message.amount
        await ctx.call(post, message.world, ctx.agent, message.key, message.side, message.amount)


agents = {f"teller-{n}": Teller for n in range(LANES)} | {f"ledger-{n}": Ledger for n in range(LANES)}
late = {f"teller-{LANES}": Teller}
"""Who joins under load: it posts to the ledgers of the first lane."""
options = {"durability": "replicated(1)", "successor_s": 12.0, "checkpoint_every_s": 10.0, "checkpoints_kept": 20}
