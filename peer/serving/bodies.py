"""What people send over HTTP, checked while it is decoded; what of it is signed, and what the cluster is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct

from peer import errors
from peer.agents.past import as_step
from peer.agents.suspecting import suspicion
from peer.cluster.inlet import KEY_CHARS_MAX
from peer.people.person import Act
from peer.serving.door import Refused
from peer.values import payload
from peer.values.texts import NAME_CHARS_MAX, REASON_CHARS_MAX, check_text

NOTHING = "Nothing was done."
ROOTS_MAX = 1_000
"""Steps that one rollback names."""
WAIT_S_MAX = 600.0
"""How long a rollback may be waited for."""

B = TypeVar("B")


class SayBody(Struct, forbid_unknown_fields=True):
    """`approve`, `reject`, `release` or `answer`."""

    agent: str
    request: str
    step: str
    """The run that has asked, as `/inbox` and `/requests` have it: a word on it is none on another."""
    note: str = ""
    value: Any = UNSET


class PauseBody(Struct, forbid_unknown_fields=True):
    """`pause` or `resume`."""

    agent: str
    note: str = ""


class TierBody(Struct, forbid_unknown_fields=True):
    """`tier`."""

    agent: str
    tier: str
    note: str


class RollbackBody(Struct, forbid_unknown_fields=True):
    """`preview` or `rollback`: what `ebbtide rollback` takes."""

    steps: list[str]
    inputs: str = "retry"
    reason: str = ""
    amend: Any = UNSET
    """The corrected message of the one step, as JSON."""
    kind: str | None = msgspec.field(default=None, name="as")
    """Its class."""
    timeout: float = 60.0


class SuspectBody(Struct, forbid_unknown_fields=True):
    """`suspect`: what `ebbtide suspect` takes."""

    steps: list[str]
    to: str
    """The watcher."""
    score: float = 1.0
    why: str = ""
    key: str | None = None
    """The sender's own name for what is said, under which it counts once."""


class OverturnBody(Struct, forbid_unknown_fields=True):
    """`overturn`: what `ebbtide overturn` takes."""

    step: str
    why: str
    to: str | None = None
    """The watcher that is to learn from it."""
    timeout: float = 60.0


def read(data: bytes, kind: type[B]) -> B:
    """Return a body. Raises: Refused, saying what is wrong with it."""
    try:
        # Python's own reader takes integers of any size, as values of agents may be.
        return msgspec.convert(json.loads(data), type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused(400, f"That is no body for this: {error}. {NOTHING}", "CallerError") from error


@contextmanager
def given() -> Iterator[None]:
    """Tell of what is given, and can't be meant, as of a body that is none. Raises: Refused."""
    try:
        yield
    except errors.CallerError as error:
        raise Refused(400, str(error), type(error).__name__) from error


def named(what: str, value: str) -> str:
    """Return a name. Raises: Refused."""
    with given():
        return check_text(what, value, NAME_CHARS_MAX, NOTHING)


def noted(value: str, least: int = 0) -> str:
    """Return why. Raises: Refused."""
    with given():
        return check_text("note", value, REASON_CHARS_MAX, NOTHING, least)


def say_act(verb: str, body: SayBody) -> Act:
    """Return what is signed of a word on a request. Raises: Refused, for what is left out; PayloadUnsupported."""
    if (verb == "answer") != (body.value is not UNSET):
        raise Refused(400, f"'value' is the answer: it goes with 'answer', and with nothing else. {NOTHING}")
    value = payload.encode(body.value) if verb == "answer" else b""
    note = noted(body.note, 1 if verb == "release" else 0)
    return Act(verb, named("agent", body.agent), named("request", body.request), named("step", body.step), note, value,
               0)  # fmt: skip


def rollback_act(verb: str, body: RollbackBody, data: bytes) -> Act:
    """Return what is signed of a rollback: the body as it was sent. Raises: Refused."""
    if not 1 <= len(body.steps) <= ROOTS_MAX:
        raise Refused(400, f"'steps' names {len(body.steps):,} steps, not 1 to {ROOTS_MAX:,}. {NOTHING}")
    if (body.inputs == "amend") != (body.amend is not UNSET) or (body.amend is not UNSET and len(body.steps) != 1):
        raise Refused(400, f"'inputs': 'amend' takes one step, and 'amend', its corrected message. {NOTHING}")
    _check_wait(body.timeout)
    with given():
        roots = [as_step(step) for step in body.steps]
        check_text("reason", body.reason, REASON_CHARS_MAX, NOTHING, 0)
    return Act(verb, roots[0].agent, " ".join(map(str, roots)), "", body.reason, data, 0)


def suspect_act(verb: str, body: SuspectBody, data: bytes) -> Act:
    """Return what is signed of a suspicion: the body as it was sent. Raises: Refused."""
    named("to", body.to)
    with given():
        found = suspicion(body.steps, body.score, check_text("why", body.why, REASON_CHARS_MAX, NOTHING, 0), "")
    return Act(verb, found.steps[0].agent, " ".join(map(str, found.steps)), "", body.why, data, 0)


def overturn_act(verb: str, body: OverturnBody, data: bytes) -> Act:
    """Return what is signed by whoever says that an alarm was false: the body as it was sent. Raises: Refused."""
    if body.to is not None:
        named("to", body.to)
    _check_wait(body.timeout)
    with given():
        step = as_step(body.step)
        check_text("why", body.why, REASON_CHARS_MAX, NOTHING)
    return Act(verb, step.agent, str(step), "", body.why, data, 0)


def key_of(name: str, key: str | None) -> str | None:
    """Return a person's name for what they say, so that no other's can be the same. Raises: Refused."""
    if key is None:
        return None
    with given():
        check_text("key", key, KEY_CHARS_MAX - len(name) - 1, NOTHING)
    return f"{name}/{key}"


def _check_wait(seconds: float) -> None:
    if not 0 < seconds <= WAIT_S_MAX:
        raise Refused(400, f"'timeout' is {seconds:g}, not more than 0 and up to {WAIT_S_MAX:g} s. {NOTHING}")


def status_of(error: errors.EbbtideError) -> int:
    """Return the status by which HTTP tells an error."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    return 503


_STATUS: tuple[tuple[type[errors.EbbtideError], int], ...] = (
    (errors.NotEntitled, 403),
    (errors.AgentUnknown, 404),
    (errors.StepUnknown, 404),
    (errors.PayloadUnsupported, 400),
    (errors.PayloadTooLarge, 413),
    (errors.PayloadInvalid, 400),
    (errors.AskTimeout, 504),
    (errors.RollbackTimeout, 504),
    (errors.CallerError, 409),
)
