"""A trail as people look at it: tables and trees on a terminal."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from peer.audit.gaps import Gap
from peer.audit.telling import moment, signed
from peer.audit.trail import Step, Trail, Word, type_of
from peer.export.lines import written_keys
from protocol.ids import StepId
from protocol.limits import NEVER_US

LISTED_MAX = 3
"""Keys, messages or calls named in one cell of a table."""
WIDE = 130
"""Columns of a terminal from which on a table shows all that there is."""
_ONLY_WIDE = ("read from", "wrote", "sent to")
TREE_MAX = 200
"""Steps drawn of a cone; the rest is counted."""


def clock(time_us: int) -> str:
    """Return a time of day."""
    return f"{moment(time_us):%H:%M:%S.%f}"


def listed(names: list[str]) -> str:
    """Return a few names, and how many more there are."""
    more = len(names) - LISTED_MAX
    return ", ".join(names[:LISTED_MAX]) + (f" +{more}" if more > 0 else "")


def shown(trail: Trail, steps: list[Step], console: Console, title: str) -> None:
    """Print a table of steps."""
    table = Table(title=title, title_justify="left")
    names = ("time (UTC)", "step", "input", "read from", "wrote", "sent to", "calls", "made by", "undone by")
    columns = [at for at, name in enumerate(names) if console.width >= WIDE or name not in _ONLY_WIDE]
    for at in columns:
        table.add_column(names[at], overflow="fold", no_wrap=names[at] in ("time (UTC)", "step"))
    for step in steps:
        record = step.record
        effects = trail.effects_of(record)
        calls = [
            f"{tool.rpartition(':')[2]} {state}{_claimed(trail.claimant(step, intent))}"
            for intent, (tool, _, state) in effects.items()
        ]
        sure = "" if record.confidence is None else f"{record.confidence:.2f}"
        row = (
            clock(record.time_us)[:-3],
            str(step.id),
            _input(step),
            listed([str(writer) for writer in dict.fromkeys(r.writer for r in record.reads if r.writer is not None)]),
            listed(written_keys(record)),
            listed([output.receiver for output in record.outputs]),
            listed(calls),
            f"{record.model} {sure}".strip(),
            "" if step.undone is None else step.undone.by,
        )
        table.add_row(*(escape(row[at]) for at in columns), style=None if step.undone is None else "red")
    console.print(table)


def _claimed(by: StepId | str | None) -> str:
    """Say that an undone step's effect was not undone with it."""
    return "" if by is None else f", claimed by {by}"


def _input(step: Step) -> str:
    item = step.record.input
    again = f" (run {item.attempt})" if item.attempt > 1 else ""
    return f"{type_of(item.payload)} {item}{again}".strip()


def words(said: list[Word], console: Console) -> None:
    """Print what people have said of agents as a whole: paused, resumed, or of which tier."""
    for word in sorted(said, key=lambda each: each.time_us):
        roles = signed(word.proof)["roles"] if word.proof else None
        by = word.by + ("" if roles is None else f" ({', '.join(roles) or 'no role'}, signed)")
        what = f"{clock(word.time_us)[:-3]} {word.agent}: {word.what}, by {by}{word.note and f': {word.note}'}"
        console.print(escape(what), highlight=False, soft_wrap=True)


def noted(notes: Iterable[str], gaps: Iterable[Gap], console: Console) -> None:
    """Print what whoever reads a trail should know: of logs that differ, and what is not told."""
    for note in notes:
        console.print(f"[bold yellow]note:[/] {escape(note)}", highlight=False, soft_wrap=True)
    for gap in gaps:
        console.print(f"[bold red]damaged:[/] {escape(str(gap))}", highlight=False, soft_wrap=True)


def why(line: dict[str, Any], console: Console) -> None:
    """Print an explanation."""
    sure = "" if line["confidence"] is None else f", confidence {line['confidence']:.2f}"
    given = {name: value for name, value in line["scores"].items() if value is not None}
    scores = "".join(f", {name} {value:.4g}" for name, value in given.items())
    by = f", made by {line['model']}" if line["model"] else ""
    head = f"[bold]{escape(line['step'])}[/] {clock(line['time'])}, epoch {line['epoch']}{escape(by + sure + scores)}"
    tree = Tree(head, highlight=False)
    _came(line, tree)
    _did(line, tree)
    _became(line, tree)
    console.print(tree)


def _came(line: dict[str, Any], tree: Tree) -> None:
    item = line["input"]
    size = f"{item['size']} bytes, hash {item['hash'][:12]}"
    attempt = f", given back {item['attempt'] - 1} times" if item["attempt"] > 1 else ""
    branch = tree.add(escape(f"its input: {item['type']} {item['id']} ({size}{attempt})".replace("  ", " ")))
    for link in line["chain"]:
        if not link["known"]:
            branch = branch.add(escape(f"sent by {link['step']}, of which these logs do not tell"))
            continue
        undone = f" [red](undone by {escape(link['undone'])})[/]" if link["undone"] else ""
        made = f" ({link['model']})" if link["model"] else ""
        told = f"sent by {link['step']}{made}, which handled {link['input']['type']} {link['input']['id']}"
        branch = branch.add(escape(told.replace("  ", " ")) + undone)
    if line["outside"] is not None:
        branch.add(escape(f"from outside: {line['outside']}"))
    reads = tree.add("it read") if line["reads"] or line["observed"] or line["tolerated"] else None
    if reads is None:
        return
    for read in line["reads"]:
        source = "absent: nobody had written it" if read["writer"] is None else f"as {read['writer']} had left it"
        reads.add(escape(f"{read['key']}, {source}") + (" [red](undone)[/]" if read["undone"] else ""))
    for key in line["observed"]:
        reads.add(escape(f"{key}, without depending on whoever wrote it"))
    for sums in line["tolerated"]:
        reads.add(escape(f"{sums['key']}, the sum of {len(sums['parts'])} writers, of which {sums['limit']} may go"))


def _did(line: dict[str, Any], tree: Tree) -> None:
    did = tree.add("it did") if any(line[name] for name in ("writes", "sends", "cancelled", "calls")) else None
    if did is None:
        return
    for write in line["writes"]:
        what = "deleted" if write["hash"] is None else f"{write['size']} bytes, hash {write['hash'][:12]}"
        did.add(escape(f"write {write['key']} ({what})"))
    for send in line["sends"]:
        handled = f"handled by {listed(send['handled_by'])}" if send["handled_by"] else "not handled by any step"
        verb = _verb(send)
        did.add(escape(f"{verb} {send['type']} {send['id']} to {send['to']}: {handled}".replace("  ", " ")))
    for message in line["cancelled"]:
        did.add(escape(f"cancel the timer {message}"))
    for call in line["calls"]:
        states = " -> ".join(at["state"] for at in call["history"]) or call["state"]
        claimed = _claimed(call["claimed_by"])
        did.add(escape(f"call {call['tool']} ({call['effect']}, intent {call['intent']}): {states}{claimed}"))


def _verb(send: dict[str, Any]) -> str:
    if "due" not in send:
        return "send"
    # What is requested, and what people are asked, is a message to itself that no time lets go.
    return "keep till it is let go" if send["due"] >= NEVER_US else f"set a timer, due {clock(send['due'])},"


def _became(line: dict[str, Any], tree: Tree) -> None:
    undone = line["undone"]
    if undone is None:
        tree.add("[green]it stands[/]")
    else:
        reason = f": {undone['reason']}" if undone["reason"] else ""
        branch = tree.add(f"[red]undone by {escape(undone['by'])}[/] at {clock(undone['time'])}{escape(reason)}")
        if "votes" in undone:
            root = "this step is a root of it" if undone["is_root"] else "this step follows from its roots"
            branch.add(escape(f"proposed by {undone['proposer']} (inputs: {undone['inputs']}); {root}"))
        for link in line["path"][1:]:
            branch.add(escape(f"{link['step']} depends on {link['because_of']} by {link['how']} {link['via']}"))
        for vote in undone.get("votes", ()):
            said = "[green]accepted[/]" if vote["accepts"] else f"[red]rejected[/]: {escape(vote['why'])}"
            voted = branch.add(f"{escape(vote['voter'])} {said} ({vote['steps']} steps of its own)")
            _findings(vote, voted)
    runs = [run for run in line["runs"] if run != line["step"]]
    if runs:
        tree.add(escape(f"the same input was run by {listed(runs)}, too"))
    for proposal in line["proposals"]:
        if undone is None or proposal["id"] != undone["by"]:
            text = f"{proposal['id']} named it as well ({proposal['reason']}): {proposal['decision']}"
            branch = tree.add(escape(text))
            for vote in proposal["votes"]:
                if not vote["accepts"]:
                    _findings(vote, branch.add(escape(f"{vote['voter']} rejected: {vote['why']}")))
                elif vote["findings"]:
                    _findings(vote, branch.add(escape(f"{vote['voter']} accepted")))


def _findings(vote: dict[str, Any], branch: Tree) -> None:
    for each in vote["findings"]:
        said = "held" if each["holds"] else f"did not hold: {each['text']}" if each["text"] else "did not hold"
        branch.add(escape(f"{each['name']} {said}, at {clock(each['time'])}"))


def cone(lines: list[dict[str, Any]], console: Console, all_of_it: bool) -> None:
    """Print a cone as a tree: each step once, below the one by which it was found first."""
    room = len(lines) if all_of_it else TREE_MAX
    places: dict[str, Tree] = {}
    tree = Tree("", hide_root=True, highlight=False)
    for line in lines[:room]:
        verb = {"root": "", "message": "handled"}.get(line["how"], "read")
        how = f" [dim]{verb} {escape(line['via'])}[/]" if verb else ""
        undone = f" [red](undone by {escape(line['undone'])})[/]" if line["undone"] else ""
        calls = "".join(
            f" [yellow]{escape(c['tool'].rpartition(':')[2])}: {c['state']}{escape(_claimed(c['claimed_by']))}[/]"
            for c in line["calls"]
        )
        above = tree if line["because_of"] is None else places[line["because_of"]]
        places[line["step"]] = above.add(f"{escape(line['step'])}{how}{calls}{undone}")
    console.print(tree)
    agents = {StepId.parse(line["step"]).agent for line in lines}
    gone = sum(1 for line in lines if line["undone"])
    if len(lines) > room:
        console.print(f"and {len(lines) - room} more: --all draws them")
    console.print(f"{len(lines)} steps at {len(agents)} agents, {gone} of them undone")
