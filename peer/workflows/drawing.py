"""A graph of a workflow for people and programs: a table, a Mermaid flowchart, plain values for JSON."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from peer.workflows.graph import SPACE, Graph, Reach
from peer.workflows.workflow import Activity, Workflow

LISTED_MAX = 4
"""Names in one cell of a table."""
KEYS_MAX = 2
"""Keys of one space that are named in a cell."""
EDGES_MAX = 500
"""Edges of one Mermaid chart: its own bound (`maxEdges`)."""


def listed(names: list[str]) -> str:
    """Return a few names, and how many more there are."""
    more = len(names) - LISTED_MAX
    return ", ".join(names[:LISTED_MAX]) + (f" +{more}" if more > 0 else "")


def shown(graph: Graph, console: Console, title: str) -> None:
    """Print the activities in a table, upstream first, with what a wrong step of each would undo, and what not."""
    workflow = graph.workflow
    table = Table(title=title, title_justify="left")
    is_logged = any(each.count for each in workflow.handlings)
    names = ["agent.kind", *(["steps"] if is_logged else []), "sends", "tools", "shared keys", "undoes too", "keeps"]
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name == "agent.kind")
    for activity in (each for members in graph.components for each in members):
        reach = graph.reach_of([activity])
        row = [
            str(activity), *([str(sum(each.count for each in workflow.ways(activity)))] if is_logged else []),
            listed(_sent(workflow, activity)), listed(_tools(workflow, activity)), listed(_shared(workflow, activity)),
            listed([str(each) for each in reach.falls if each != activity]) or "nothing",
            listed(_kept(reach)) or "nothing",
        ]  # fmt: skip
        table.add_row(*map(escape, row))
    console.print(table)
    for line in lines(graph):
        console.print(escape(line), highlight=False, soft_wrap=True)


def lines(graph: Graph) -> list[str]:
    """Return what there is to say besides the table: who falls together, what goes round, what is not known."""
    together = [members for members in graph.components if len(members) > 1]
    found = [f"fall together: {', '.join(map(str, members))}" for members in together]
    found += [f"goes round by {'messages' if loop.messages else 'keys'}: {loop}" for loop in graph.loops]
    found += [
        f"dragged in by {drag.key}: a wrong step of {drag.wrong} undoes {drag.dragged}, upstream of it"
        for drag in graph.drags
    ]
    return found + [f"note: {note}" for note in graph.workflow.notes]


def reach_lines(graph: Graph, what: list[str]) -> list[str]:
    """Return what a wrong step of some agents or kinds can drag along, and what it can't, in sentences."""
    reach = graph.reach(*what)
    kept = reach.agents_that_keep_all
    return [
        f"a wrong step of {', '.join(map(str, reach.of))} can undo steps of {', '.join(map(str, reach.falls))}",
        f"and none of {', '.join(map(str, reach.keeps)) or 'nobody: it reaches all'}",
        f"agents that keep all: {', '.join(kept) or 'none'}",
    ]


def _sent(workflow: Workflow, activity: Activity) -> list[str]:
    return [str(Activity(*to)) for to in sorted({to for each in workflow.ways(activity) for to in each.sends})]


def _tools(workflow: Workflow, activity: Activity) -> list[str]:
    used = {tool for each in workflow.ways(activity) for tool in (*each.uses, *each.requests)}
    return [f"{tool} ({workflow.tools[tool]})" for tool in sorted(used)]


def _shared(workflow: Workflow, activity: Activity) -> list[str]:
    ways = workflow.ways(activity)
    verbs = {"reads": {key for each in ways for key in each.reads}, "writes": {k for each in ways for k in each.writes}}
    found: list[str] = []
    for verb, keys in verbs.items():
        spaces: dict[str, list[str]] = {}
        for key in sorted(key[len(SPACE) :] for key in keys if key.startswith(SPACE)):
            spaces.setdefault(key.split("/", 1)[0], []).append(key)
        found += [
            f"{verb} {', '.join(of) if len(of) <= KEYS_MAX else f'{space} ({len(of)} keys)'}"
            for space, of in spaces.items()
        ]
    return found


def _kept(reach: Reach) -> list[str]:
    whole = reach.agents_that_keep_all
    return whole + [str(each) for each in reach.keeps if each.agent not in whole]


def mermaid(graph: Graph) -> str:
    """Return the graph as a Mermaid flowchart: an agent a box, what falls together in red, tools by their kinds."""
    workflow = graph.workflow
    ids = {activity: f"a{number}" for number, activity in enumerate(workflow.activities)}
    found = ["flowchart LR"]
    for number, agent in enumerate(workflow.agents):
        found.append(f'  subgraph g{number}["{_safe(agent)}"]')
        for activity in (each for each in workflow.activities if each.agent == agent):
            tools = "".join(f"<br/>{_safe(tool)}" for tool in _tools(workflow, activity))
            found.append(f'    {ids[activity]}["{_safe(activity.kind)}{tools}"]')
        found.append("  end")
    edges: dict[tuple[Activity, Activity, bool], list[str]] = {}
    for link in graph.links:
        if link.before in ids and link.after in ids and link.before != link.after:
            edges.setdefault((link.before, link.after, link.how in ("message", "result")), []).append(link.via)
    for (before, after, is_message), via in list(edges.items())[:EDGES_MAX]:
        arrow = "-->" if is_message else f'-. "{_safe(listed([*dict.fromkeys(via)]))}" .->'
        found.append(f"  {ids[before]} {arrow} {ids[after]}")
    together = [ids[each] for members in graph.components if len(members) > 1 for each in members]
    if together:
        found += ["  classDef together stroke:#c00,stroke-width:2px", f"  class {','.join(together)} together"]
    if len(edges) > EDGES_MAX:
        found.append(f"  %% {len(edges) - EDGES_MAX} edges are left out: --fold takes numbered agents for one")
    return "\n".join(found)


def _safe(text: str) -> str:
    """Return a text that can't end a quoted label, or begin markup in it."""
    for char, entity in (("#", "#35;"), ("&", "#38;"), ('"', "#34;"), ("<", "#60;"), (">", "#62;")):
        text = text.replace(char, entity)
    return " ".join(text.split())


def told(graph: Graph) -> dict[str, Any]:
    """Return the graph as plain values: the workflow, which can be read again, and what follows from it."""
    return graph.workflow.told() | {
        "components": [[*map(str, members)] for members in graph.components],
        "loops": [
            {"path": [*map(str, loop.path)], "members": [*map(str, loop.members)], "messages": loop.messages}
            for loop in graph.loops
        ],
        "drags": [
            {"wrong": str(drag.wrong), "dragged": str(drag.dragged), "key": drag.key} for drag in graph.drags
        ],
        "reach": {str(each): reach_told(graph.reach_of([each])) for each in graph.workflow.activities},
    }  # fmt: skip


def reach_told(reach: Reach) -> dict[str, Any]:
    """Return a reach as plain values."""
    return {"falls": [*map(str, reach.falls)], "keeps": [*map(str, reach.keeps)]}
