"""What people look at and say over HTTP, carried out by a peer of the cluster: the same calls as the API's."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from peer import errors
from peer.cluster.doubting import Doubting
from peer.extras import needed
from peer.host import questions
from peer.host.people import VERBS, pause_act, tier_act
from peer.host.questions import Pause, Say, SetTier
from peer.serving import bodies
from peer.serving.bodies import NOTHING, OverturnBody, PauseBody, RollbackBody, SayBody, SuspectBody, TierBody
from peer.serving.door import SCHEME, Door, Refused, look_act
from peer.serving.probes import Probes
from peer.serving.rows import Row, outcome_row, overturned_row, plan_row, request_row, suspected_row, tiers_row
from peer.trust.grant import Grant
from protocol.ids import AgentId

logger = logging.getLogger("ebbtide")

BODY_BYTES_MAX = 1 << 20
BODY_S = 30.0
"""How long a body may take to come."""
LOOK_S = 5.0
"""How long an agent may take to say how it is."""
DONE = {"release": "released", "approve": "approved", "reject": "rejected", "answer": "answered",
        "pause": "paused", "resume": "resumed"}  # fmt: skip
"""By what people say, what becomes of it."""

Corrected = Callable[[AgentId, str, str | None], Awaitable[Any]]
"""Makes the message of an agent out of JSON, and the name of its class."""


class Service:
    """The routes.

    Args:
        cluster: asks the agents.
        door: lets people in.
        corrected: reads corrected messages.
        probes: answers those who look whether all is well.
    """

    def __init__(self, cluster: Doubting, door: Door, corrected: Corrected, probes: Probes) -> None:
        self._cluster = cluster
        self._door = door
        self._probes = probes
        self._corrected = corrected
        self._gone: type[Exception] = ConnectionError
        """Raised where whoever asks is gone."""

    def app(self) -> Any:
        """Return them as an ASGI application. Raises: ConfigInvalid, where the library is missing."""
        applications = needed("starlette.applications", "People over HTTP", "serve")
        route = needed("starlette.routing", "People over HTTP", "serve").Route
        wrong = needed("starlette.exceptions", "People over HTTP", "serve").HTTPException
        self._gone = needed("starlette.requests", "People over HTTP", "serve").ClientDisconnect
        looks = {"inbox": self._inbox, "requests": self._requests, "agents": self._agents, "tier": self._tiers}
        acts = {**dict.fromkeys(VERBS, self._say), "pause": self._pause, "resume": self._pause, "tier": self._tier,
                "rollback": self._rollback, "preview": self._preview, "suspect": self._suspect,
                "overturn": self._overturn}  # fmt: skip
        routes = [route(f"/{name}", self._answering(name, work), methods=["GET"]) for name, work in looks.items()]
        routes += [route(f"/{name}", self._answering(name, work), methods=["POST"]) for name, work in acts.items()]
        routes += [route(f"/{name}", work, methods=["GET"]) for name, work in self._probes.routes().items()]
        # Two routes of one path: that of the other method is asked next.
        return applications.Starlette(routes=routes, exception_handlers={wrong: _no_such})

    def _answering(self, name: str, work: Callable[[str, Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        async def answer(request: Any) -> Any:
            try:
                return _json(200, await work(name, request))
            except Refused as error:
                return _refused(error.status, error.error, error.text)
            except errors.EbbtideError as error:
                return _refused(bodies.status_of(error), type(error).__name__, str(error))
            except OSError as error:
                return _refused(503, "EbbtideError", f"{error}. {NOTHING}")
            except self._gone:
                return _refused(400, "CallerError", "nobody is there any more")
            except Exception:
                logger.exception("%s over HTTP failed", name)
                return _refused(500, "EbbtideError", "This is our mistake, and stands in the log of the server.")

        return answer

    # -- looking ---------------------------------------------------------------------------------------------------

    def _looks(self, name: str, request: Any) -> Grant:
        return self._door.who(_signed(request), look_act(name, request.url.query))[0]

    async def _inbox(self, name: str, request: Any) -> list[Row]:
        signer = self._looks(name, request)
        wanted = request.query_params.get("for")
        who = signer if wanted is None else wanted or None
        return [request_row(each) for each in await self._cluster.inbox(who)]

    async def _requests(self, name: str, request: Any) -> list[Row]:
        self._looks(name, request)
        agent = request.query_params.get("agent")
        return [request_row(each) for each in await self._cluster.requests(agent or None)]

    async def _agents(self, name: str, request: Any) -> list[Row]:
        self._looks(name, request)
        agents = self._cluster.agents
        found = await self._cluster.statuses(agents, LOOK_S)
        return [_agent_row(agent, each) for agent, each in found.items()]

    async def _tiers(self, name: str, request: Any) -> Row:
        self._looks(name, request)
        agent = bodies.named("agent", request.query_params.get("agent", ""))
        return tiers_row(agent, await self._cluster.tiers(agent))

    # -- saying ----------------------------------------------------------------------------------------------------

    async def _say(self, verb: str, request: Any) -> Row:
        body = bodies.read(await _body(request), SayBody)
        act = bodies.say_act(verb, body)
        signer, proof = await self._door.once(_signed(request), act)
        said = Say(verb, act.subject, act.step, act.note, signer.name, act.value, proof)
        await self._cluster.host.ask(act.agent, "say", questions.encode(said))
        return {"agent": act.agent, "request": act.subject, "state": DONE[verb]}

    async def _pause(self, verb: str, request: Any) -> Row:
        body, is_on = bodies.read(await _body(request), PauseBody), verb == "pause"
        act = pause_act(bodies.named("agent", body.agent), is_on, bodies.noted(body.note))
        signer, proof = await self._door.once(_signed(request), act)
        await self._cluster.host.ask(
            act.agent, "pause", questions.encode(Pause(is_on, act.note, signer.name, proof))
        )  # fmt: skip
        return {"agent": act.agent, "state": DONE[verb]}

    async def _tier(self, verb: str, request: Any) -> Row:
        body = bodies.read(await _body(request), TierBody)
        act = tier_act(bodies.named("agent", body.agent), bodies.named("tier", body.tier), bodies.noted(body.note, 1))
        signer, proof = await self._door.once(_signed(request), act)
        said = SetTier(act.subject, act.note, signer.name, proof)
        await self._cluster.host.ask(act.agent, "tier", questions.encode(said))
        return tiers_row(act.agent, await self._cluster.tiers(act.agent))

    async def _preview(self, verb: str, request: Any) -> Row:
        data = await _body(request)
        body = bodies.read(data, RollbackBody)
        self._door.who(_signed(request), bodies.rollback_act(verb, body, data))
        return plan_row(await self._cluster.preview(*body.steps))

    async def _rollback(self, verb: str, request: Any) -> Row:
        data = await _body(request)
        body = bodies.read(data, RollbackBody)
        act = bodies.rollback_act(verb, body, data)
        signer, _ = await self._door.once(_signed(request), act)
        amend: dict[Any, Any] = {}
        if body.inputs == "amend":
            message = await self._corrected(act.agent, json.dumps(body.amend), body.kind)
            amend = {body.steps[0]: message}
        reason = f"{body.reason}, says {signer.name}" if body.reason else f"{signer.name} says so"
        found = await self._cluster.rollback(
            *body.steps, inputs=body.inputs, reason=reason, amend=amend, timeout_s=body.timeout
        )
        return outcome_row(found)

    async def _suspect(self, verb: str, request: Any) -> Row:
        data = await _body(request)
        body = bodies.read(data, SuspectBody)
        act = bodies.suspect_act(verb, body, data)
        signer, _ = await self._door.once(_signed(request), act)
        by, key = f"person/{signer.name}", bodies.key_of(signer.name, body.key)
        receipt = await self._cluster.suspect(body.steps, body.score, body.why, to=body.to, by=by, key=key)
        return suspected_row(act.subject.split(" "), body.score, receipt)

    async def _overturn(self, verb: str, request: Any) -> Row:
        data = await _body(request)
        body = bodies.read(data, OverturnBody)
        signer, _ = await self._door.once(_signed(request), bodies.overturn_act(verb, body, data))
        return overturned_row(
            await self._cluster.overturn(body.step, body.why, to=body.to, by=signer.name, timeout_s=body.timeout)
        )


def _agent_row(agent: AgentId, found: Any) -> Row:
    if isinstance(found, errors.EbbtideError):
        return {"agent": agent, "error": str(found)}
    if isinstance(found, BaseException):
        raise found
    return {
        "agent": agent, "steps": found.steps, "undone": found.undone, "dead_letters": found.dead_letters,
        "tier": found.tier, "paused": found.paused, "absence": found.absence, "under_way": list(found.under_way),
        "error": None,
    }  # fmt: skip


def _signed(request: Any) -> str:
    return request.headers.get("authorization", "")


async def _body(request: Any) -> bytes:
    """Return a request's body. Raises: Refused, if it is too large, or does not come."""
    found = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for piece in request.stream():
                found += piece
                if len(found) > BODY_BYTES_MAX:
                    raise Refused(413, f"The body has more than {BODY_BYTES_MAX:,} bytes. {NOTHING}", "PayloadTooLarge")
    except TimeoutError:
        raise Refused(408, f"The body has not come within {BODY_S:g} s. {NOTHING}") from None
    return bytes(found)


def _json(status: int, value: Any, headers: dict[str, str] | None = None) -> Any:
    response = needed("starlette.responses", "People over HTTP", "serve").Response
    return response(msgspec.json.encode(value), status, headers, "application/json")


def _refused(status: int, error: str, text: str) -> Any:
    headers = {"www-authenticate": SCHEME} if status == 401 else None
    return _json(status, {"error": error, "text": text}, headers)


async def _no_such(request: Any, error: Any) -> Any:
    if error.status_code == 405:
        return _json(405, {"error": "CallerError", "text": f"/{request.url.path.strip('/')} is not asked like this."},
                     error.headers)  # fmt: skip
    known = "GET /inbox, /requests, /agents, /tier, /metrics, /healthz, /readyz; POST /approve, /reject, /answer,"
    known += " /release, /pause, /resume, /tier, /preview, /rollback, /suspect, /overturn."
    return _refused(error.status_code, "CallerError", f"There is none such. There are: {known}")
