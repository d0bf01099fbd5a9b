"""`ebbtide tier`: how far an agent is trusted, while it runs."""

from typing import Annotated, Any

import typer

from peer.audit.console import print_json
from peer.audit.telling import iso
from peer.cluster.attached import Attached
from peer.errors import CallerError
from peer.host.questions import TiersAnswer
from peer.people.person import Person
from peer.running.console import HERE, Agent, Folder, Json, Url, asked_there, said, table
from peer.running.requests import As, By, Note
from peer.serving.remote import Remote
from peer.serving.rows import tiers_row


def tier(
    agent: Agent,
    name: Annotated[
        str | None, typer.Argument(metavar="[TIER]", help="The tier to set. [default: show which there are]")
    ] = None,
    note: Note = "",
    by: By = None,
    key: As = None,
    url: Url = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Set how far an agent is trusted, by a tier that its class declares; or show which there are, and which holds.

    Examples: `ebbtide tier clerk`, `ebbtide tier clerk watched --note 'two weeks without a slip' --as ann.key`
    """
    if name is not None and not note:
        raise CallerError("say why: --note. Nothing changed.")
    signer = None if key is None else Person.load(key)

    async def say(cluster: Attached | Remote) -> TiersAnswer:
        if name is not None:
            await cluster.set_tier(agent, name, note, by, as_=signer)
        return await cluster.tiers(agent)

    found = asked_there(url, signer, folder, say)
    if json_:
        print_json(tiers_row(agent, found))
    elif name is not None:
        said(f"{agent} is {found.tier}")
    else:
        table(_rows(found), ("tier", "holds", "by", "note", "since"), f"the class of {agent} declares no tiers")


def _rows(found: TiersAnswer) -> list[dict[str, Any]]:
    known = dict.fromkeys((*found.tiers, *((found.tier,) if found.tier else ())))
    return [_row(name, found) for name in known]


def _row(name: str, found: TiersAnswer) -> dict[str, Any]:
    if name != found.tier:
        return {"tier": name, "holds": "", "by": "", "note": "", "since": ""}
    holds = "yes" if name in found.tiers else "yes, though the class does not declare it: the strictest of all counts"
    since = iso(found.at_us) if found.at_us else ""
    return {"tier": name, "holds": holds, "by": found.by, "note": found.note, "since": since}
