"""A cluster's people, over HTTP: the same methods as a peer's, for whoever has a key and not the cluster's folder."""

import json
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import msgspec

from peer import errors
from peer.agents.past import as_step
from peer.cluster import requests
from peer.cluster.doubting import Overturned
from peer.cluster.inlet import Receipt
from peer.cluster.requests import PendingRequest
from peer.extras import needed
from peer.host import questions
from peer.host.questions import Pause, Say, SetTier, TiersAnswer
from peer.people.person import Act, Person
from peer.serving.door import header_of, look_act
from peer.serving.rows import request_of
from peer.values import payload
from protocol.ids import AgentId, Lineage, StepId

ANSWER_S = 90.0
"""How long an answer may take: the server itself waits for agents."""
_NOTHING = "Nothing changed."


class Remote:
    """People of a cluster that is served at an address.

    Args:
        url: what `ebbtide people serve` has said.
        person: who looks, and signs what they say; the key stays here.

    Raises: ConfigInvalid, for what is no address; CallerError, where nobody signs.
    """

    def __init__(self, url: str, person: Person | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.ConfigInvalid(f"--url {url!r} is no http:// or https:// address. {_NOTHING}")
        if person is None:
            raise errors.CallerError(f"over HTTP everything is signed: add --as KEY. {_NOTHING}")
        self._url = url.rstrip("/")
        self._person = person
        self._httpx: Any = needed("httpx", "--url", "serve")
        self._client: Any = None

    async def __aenter__(self) -> Self:
        self._client = self._httpx.AsyncClient(timeout=ANSWER_S)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    # -- looking ---------------------------------------------------------------------------------------------------

    async def inbox(self, who: Person | str | None = None) -> list[PendingRequest]:
        """Return what waits for people; see `Cluster.inbox`. A person is the one that signs."""
        query = {} if isinstance(who, Person) else {"for": who or ""}
        return self._requests_in(await self._look("inbox", query))

    async def requests(self, agent: AgentId | None = None) -> list[PendingRequest]:
        """Return what is requested and waits; see `Cluster.requests`."""
        return self._requests_in(await self._look("requests", {} if agent is None else {"agent": agent}))

    async def tiers(self, agent: AgentId) -> TiersAnswer:
        """Return an agent's tiers; see `Cluster.tiers`."""
        return self._tiers_in(await self._look("tier", {"agent": agent}))

    # -- saying ----------------------------------------------------------------------------------------------------

    async def release(
        self, agent: AgentId, request: Lineage, note: str, by: str | None = None, *, as_: Person | None = None
    ) -> None:  # fmt: skip
        """See `Cluster.release`."""
        await (await self._request(agent, request)).release(note, as_=as_ or self._person)

    async def approve(
        self, agent: AgentId, request: Lineage, note: str = "", by: str | None = None, *, as_: Person | None = None
    ) -> None:  # fmt: skip
        """See `Cluster.approve`."""
        await (await self._request(agent, request)).approve(note, as_=as_ or self._person)

    async def reject(
        self, agent: AgentId, request: Lineage, note: str = "", by: str | None = None, *, as_: Person | None = None
    ) -> None:  # fmt: skip
        """See `Cluster.reject`."""
        await (await self._request(agent, request)).reject(note, as_=as_ or self._person)

    async def answer(
        self, agent: AgentId, request: Lineage, value: Any, note: str = "", by: str | None = None, *,
        as_: Person | None = None,
    ) -> None:  # fmt: skip
        """See `Cluster.answer`."""
        await (await self._request(agent, request)).answer(value, note, as_=as_ or self._person)

    async def pause(
        self, agent: AgentId, note: str = "", by: str | None = None, *, as_: Person | None = None
    ) -> None:  # fmt: skip
        """See `Cluster.pause`."""
        await requests.pause(self._ask, agent, True, note, None, as_ or self._person)

    async def resume(
        self, agent: AgentId, note: str = "", by: str | None = None, *, as_: Person | None = None
    ) -> None:  # fmt: skip
        """See `Cluster.resume`."""
        await requests.pause(self._ask, agent, False, note, None, as_ or self._person)

    async def set_tier(
        self, agent: AgentId, tier: str, note: str, by: str | None = None, *, as_: Person | None = None
    ) -> None:  # fmt: skip
        """See `Cluster.set_tier`."""
        await requests.set_tier(self._ask, agent, tier, note, None, as_ or self._person)

    # -- over the wire ---------------------------------------------------------------------------------------------

    async def suspect(
        self, step: StepId | str | Sequence[StepId | str], score: float = 1.0, why: str = "", *, to: AgentId,
        key: str | None = None,
    ) -> Receipt:  # fmt: skip
        """See `Cluster.suspect`. It is said by who signs; so is the key theirs: others' are other ones."""
        steps = [str(step)] if isinstance(step, str | StepId) else [str(each) for each in step]
        row = await self._of_steps(
            "suspect", steps, why, {"steps": steps, "to": to, "score": score, "why": why, "key": key}
        )
        try:
            return Receipt(row["to"], tuple(row["inputs"]), row["repeated"])
        except (KeyError, TypeError) as error:
            raise self._strange(error) from error

    async def overturn(
        self, step: StepId | str, why: str, *, to: AgentId | None = None, timeout_s: float = 60.0
    ) -> Overturned:
        """See `Cluster.overturn`. It is said by who signs."""
        body = {"step": str(step), "why": why, "to": to, "timeout": timeout_s}
        row = await self._of_steps("overturn", [str(step)], why, body, timeout_s)
        try:
            return Overturned(StepId.parse(row["step"]), row["reinstated"], row["proposal"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._strange(error) from error

    async def _of_steps(self, verb: str, steps: Sequence[str], why: str, body: Any, timeout_s: float = 0.0) -> Any:
        """Say something of steps: the body is signed as it is sent."""
        data, named = json.dumps(body).encode(), tuple(dict.fromkeys(map(as_step, steps)))
        agent = named[0].agent if named else ""
        act = Act(verb, agent, " ".join(map(str, named)), "", why, data, requests.now_us())
        return await self._send("POST", f"{self._url}/{verb}", self._person.proof(act), data, timeout_s)

    async def _request(self, agent: AgentId, name: Lineage) -> PendingRequest:
        """Return a request that waits, or one of that name alone, of which its agent says what has become."""
        found = await self.requests(agent)
        return next((each for each in found if each.name == name), requests.unseen(agent, name, self._ask))

    def _requests_in(self, rows: Any) -> list[PendingRequest]:
        try:
            return [request_of(row, self._ask) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise self._strange(error) from error

    def _tiers_in(self, row: Any) -> TiersAnswer:
        try:
            return TiersAnswer(tuple(row["tiers"]), row["tier"], row["by"], row["note"], row["at_us"])
        except (KeyError, TypeError) as error:
            raise self._strange(error) from error

    def _strange(self, error: Exception) -> errors.EbbtideError:
        return errors.PayloadInvalid(
            f"{self._url} does not answer as `ebbtide people serve` does ({error}). Is it one?"
        )

    async def _ask(self, agent: AgentId, what: str, body: bytes) -> bytes:
        """Say over HTTP what a peer would ask of an agent's host; the signature goes along as it is."""
        match what:
            case "say":
                said: Say = questions.decode(body, Say)
                sent: dict[str, Any] = {"agent": agent, "request": said.name, "step": said.step, "note": said.note}
                if said.verb == "answer":
                    sent["value"] = payload.decode(said.value)
                await self._post(said.verb, sent, said.proof)
            case "pause":
                pause: Pause = questions.decode(body, Pause)
                verb = "pause" if pause.is_on else "resume"
                await self._post(verb, {"agent": agent, "note": pause.note}, pause.proof)
            case _:
                tier: SetTier = questions.decode(body, SetTier)
                await self._post("tier", {"agent": agent, "tier": tier.tier, "note": tier.note}, tier.proof)
        return b""

    async def _look(self, name: str, query: dict[str, str]) -> Any:
        asked = urlencode(query)
        act = msgspec.structs.replace(look_act(name, asked), at_us=requests.now_us())
        where = f"{self._url}/{name}?{asked}" if asked else f"{self._url}/{name}"
        return await self._send("GET", where, self._person.proof(act), None)

    async def _post(self, name: str, body: Any, proof: bytes) -> Any:
        return await self._send("POST", f"{self._url}/{name}", proof, json.dumps(body).encode())

    async def _send(self, method: str, where: str, proof: bytes, body: bytes | None, timeout_s: float = 0.0) -> Any:
        headers = {"authorization": header_of(proof), "content-type": "application/json"}
        try:
            answer = await self._client.request(
                method, where, content=body, headers=headers, timeout=ANSWER_S + timeout_s
            )
        except self._httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise errors.AskTimeout(f"{self._url} does not answer ({why}); what was asked may still be done") from error
        try:
            found = msgspec.json.decode(answer.content)
            if answer.status_code == 200:
                return found
            kind, text = errors.named(found["error"]), str(found["text"])
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            raise self._strange(error) from error
        raise kind(text)
