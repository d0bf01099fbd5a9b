"""A still picture of a rollback: the agents that it touched, a few that it did not, and some hundred steps.

Standalone SVG with no background of its own; its middle tones read on white and on black. It leaves out
much of what the page shows: most surviving steps, and a true scale of time (quiet stretches are shortened).
"""

import html
import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from peer.report.lines import ReportError
from peer.report.model import AGAIN, RESTORED, UNDONE, Run, read_export

STEPS_MAX = 120
"""Steps in a picture: more do not read at the width of a page."""
UNDONE_MAX = 36
BYSTANDERS = 2
WIDTH, GUTTER, ROW, TOP, FOOT = 1100, 118, 38, 88, 66

READ = 'stroke-width="1.6" stroke-dasharray="1.5 3"'
INK, STEP, STOOD, GONE, LATER, BAND = "#7c8896", "#8b97a5", "#9aa5b1", "#e0591b", "#3a86d6", "#d99a00"
CUT = "#0d9aa3"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"


def write_svg(export: Path, out: Path, focus: str = "cone") -> None:
    """Draw the neighbourhood of a rollback.

    Args:
        export: the folder with `steps.jsonl` and `proposals.jsonl` (docs/export.md).
        out: the SVG file to write; an older one is replaced.
        focus: "cone" for whatever was undone, or the id of one proposal.

    Raises: ReportError, and nothing is written, where the export is bad or nobody has heard of `focus`.
    """
    run = read_export(export)
    known = {step.retracted_by for step, kind in zip(run.steps, run.kinds, strict=True) if kind == UNDONE} | {
        proposal.id for proposal in run.proposals
    }
    if focus != "cone" and focus not in known:
        raise ReportError(f"{export}: no proposal {focus!r} to draw; 'cone' draws whatever was undone")
    out.write_text(_Picture(run, focus).text(), encoding="utf-8")


def chosen_steps(run: Run, focus: str = "cone") -> list[int]:
    """Return the steps to draw, in time order: some cones, what replaced them, undisturbed work around."""
    wanted = [i for i, kind in enumerate(run.kinds) if kind == UNDONE and focus in ("cone", run.steps[i].retracted_by)]
    if not wanted:
        return list(range(min(STEPS_MAX, len(run.steps))))
    gone = _whole_cones(run, wanted)
    picked = gone | {run.replacements[i] for i in gone if i in run.replacements}
    picked |= {run.producers[i] for i in picked} - {-1}
    agents = {run.places[i][0] for i in picked} | set(_bystanders(run, picked))
    times = [run.steps[i].time for i in gone]
    room = max((max(times) - min(times)) // 6, 1)
    chains: dict[int, list[int]] = defaultdict(list)
    top: list[int] = []
    for i, producer in enumerate(run.producers):
        top.append(top[producer] if 0 <= producer < i else i)
        if i not in picked and run.kinds[i] not in (UNDONE, AGAIN):
            chains[top[i]].append(i)
    near = [
        chain
        for chain in chains.values()
        if min(times) - room <= run.steps[chain[0]].time <= max(times) + room
        and all(run.places[i][0] in agents for i in chain)
    ]
    # Spread over the window, not its first moments: as many chains as there is room for, evenly taken.
    left = STEPS_MAX - len(picked)
    share = max(1, left // max(1, max(map(len, near), default=1)))
    for n in range(min(share, len(near))):
        chain = near[n * len(near) // min(share, len(near))]
        if len(chain) <= left:
            picked |= set(chain)
            left -= len(chain)
    return sorted(picked)[:STEPS_MAX]


def _whole_cones(run: Run, wanted: list[int]) -> set[int]:
    """The cones of as many roots as fit, first come first drawn; at least a part of the first.

    A step is left out if the undone step that sent its input is: it would seem to come from nowhere.
    """
    after: dict[int, set[int]] = defaultdict(set)
    for i in wanted:
        causes = {run.producers[i], *(run.index.get(read.writer or "", -1) for read in run.steps[i].reads)}
        for cause in causes - {-1, i}:
            after[cause].add(i)
    picked: set[int] = set()
    for root in [i for i in wanted if i in run.roots] or wanted:
        cone, edge = {root}, [root]
        while edge:
            for i in after[edge.pop()] - cone:
                cone.add(i)
                edge.append(i)
        if picked and len(picked | cone) > UNDONE_MAX:
            continue
        for i in sorted(cone - picked):
            producer = run.producers[i]
            explained = producer < 0 or run.kinds[producer] != UNDONE or producer in picked
            if explained and len(picked) < UNDONE_MAX:
                picked.add(i)
    return picked


def _bystanders(run: Run, picked: set[int]) -> list[str]:
    touched = {run.places[i][0] for i in picked}
    rows = [row for row, name in enumerate(run.agents) if name in touched]
    others = [row for row, name in enumerate(run.agents) if name not in touched]
    others.sort(key=lambda row: min(abs(row - near) for near in rows))
    return [run.agents[row] for row in others[:BYSTANDERS]]


class _Picture:
    def __init__(self, run: Run, focus: str) -> None:
        self.run = run
        self.steps = chosen_steps(run, focus)
        present = {run.places[i][0] for i in self.steps}
        self.agents = [name for name in run.agents if name in present]
        self.y = {name: TOP + ROW * row + ROW // 2 for row, name in enumerate(self.agents)}
        self.bottom = TOP + ROW * len(self.agents)
        self.x = self._columns()
        self.cuts = self._cuts()
        undid = {run.steps[i].retracted_by for i in self.steps}
        self.proposals = [p for p in run.proposals if focus == p.id or (focus == "cone" and p.id in undid)]

    def _columns(self) -> dict[int, float]:
        """Time to the right: order kept everywhere, long gaps shortened, steps of one agent side by side."""
        gaps = [0, *(self.run.steps[b].time - self.run.steps[a].time for a, b in pairwise(self.steps))]
        usual = sorted(gaps)[len(gaps) // 2] or 1
        x, last, columns = 0.0, defaultdict(lambda: -99.0), {}
        for i, gap in zip(self.steps, gaps, strict=False):
            agent = self.run.places[i][0]
            x = max(x + min(3.5, 0.25 + 0.75 * gap / usual), last[agent] + 1.6)
            last[agent] = columns[i] = x
        stretch = (WIDTH - GUTTER - 60) / max(x, 1.0)
        return {i: round(GUTTER + 22 + column * stretch, 1) for i, column in columns.items()}

    def _at(self, time: int) -> float:
        """Where a moment stands, between the steps around it."""
        known = [(self.run.steps[i].time, self.x[i]) for i in self.steps]
        for (before, x), (after, u) in pairwise(known):
            if before <= time < after:
                return round(x + (u - x) * (time - before) / (after - before), 1)
        return known[0][1] - 12 if not known or time < known[0][0] else known[-1][1] + 14

    def _cuts(self) -> list[tuple[int, list[tuple[float, int]]]]:
        """The checkpoints inside the picture: epoch, and where each agent's cut stands."""
        if not self.steps:
            return []
        first, last = self.run.steps[self.steps[0]].time, self.run.steps[self.steps[-1]].time
        found = []
        for checkpoint in self.run.checkpoints:
            cuts = {name: checkpoint.cuts[name].time for name in self.agents if name in checkpoint.cuts}
            if cuts and first <= min(cuts.values()) and max(cuts.values()) < last:
                found.append((checkpoint.epoch, [(self._at(at), self.y[name]) for name, at in cuts.items()]))
        return found

    def _checkpoints(self) -> list[str]:
        """Each as a line across the lifelines: what is left of it is inside."""
        parts, free = [], 0.0
        faint = ' opacity=".42"' if len(self.cuts) > 3 else ""
        for epoch, points in self.cuts:
            (x, y), (u, v) = points[0], points[-1]
            line = f"M{x} {y - ROW // 2}V{y}" + "".join(f"L{a} {b}" for a, b in points[1:]) + f"V{v + ROW // 2}"
            ticks = "".join(f"M{a - 4:.1f} {b}h8" for a, b in points)
            parts.append(
                f'<g fill="none" stroke="{CUT}"{faint}><path d="{line}" stroke-width="1.6" stroke-linejoin="round"/>'
                f'<path d="{ticks}" stroke-width="3"/></g>'
            )
            # As much of its name as there is room for.
            label = next((text for text in (f"checkpoint {epoch}", f"{epoch}") if u - 3.8 * len(text) >= free), None)
            if label is not None:
                free = u + 3.8 * len(label) + 10
                parts.append(
                    f'<text x="{u}" y="{self.bottom + 15}" fill="{CUT}" text-anchor="middle" font-weight="600">'
                    f"{label}</text>"
                )
        return parts

    def text(self) -> str:
        """Return the whole SVG."""
        height = self.bottom + FOOT + (18 if self.cuts else 0)
        story = _xml(self.run.story_of_rollbacks())
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title" '
            f'font-family="{FONT}" font-size="13">\n<title id="title">{story}</title>'
        )
        parts = [head]
        for line, sentence in enumerate(story.split(". ", 1)):
            full = sentence if sentence.endswith(".") else f"{sentence}."
            parts.append(f'<text x="16" y="{24 + 21 * line}" fill="{INK}" font-size="14.5">{full}</text>')
        if self.steps:
            parts += [*self._bands(), *self._rows(), *self._messages(), *self._checkpoints(), *self._marks()]
        return "\n".join([*parts, *self._legend(height - 40), "</svg>\n"])

    def _bands(self) -> list[str]:
        parts = []
        for proposal in self.proposals:
            a = self._at(proposal.began)
            b = self._at(proposal.decided) if proposal.decided is not None else WIDTH - 16
            took = f" in {(proposal.decided - proposal.began) / 1000:.1f} ms" if proposal.decided is not None else ""
            end = max(b, a + 3)
            label = f"{_xml(proposal.id)}: {proposal.decision}{took}"
            side = "end" if a > WIDTH / 2 else "start"
            edge = end if side == "end" else a
            parts.append(
                f'<rect x="{a}" y="{TOP - 6}" width="{end - a:.1f}" height="{self.bottom - TOP + 6}" '
                f'fill="{BAND}" fill-opacity=".16"/>'
                f'<path d="M{a} {TOP - 6}V{self.bottom}M{end} {TOP - 6}V{self.bottom}" stroke="{BAND}"/>'
                f'<text x="{edge}" y="{TOP - 12}" fill="{BAND}" text-anchor="{side}" font-weight="600">'
                f"{label}</text>"
            )
        return parts

    def _rows(self) -> list[str]:
        return [
            f'<path d="M{GUTTER} {y}H{WIDTH - 16}" stroke="{STEP}" stroke-opacity=".4"/>'
            f'<text x="{GUTTER - 12}" y="{y + 4.5}" fill="{INK}" text-anchor="end">{_xml(name)}</text>'
            for name, y in self.y.items()
        ]

    def _messages(self) -> list[str]:
        kinds, layers = self.run.kinds, defaultdict(list)
        for i in self.steps:
            producer = self.run.producers[i]
            if producer not in self.x:
                continue
            kind = UNDONE if kinds[i] == kinds[producer] == UNDONE else AGAIN if kinds[i] == AGAIN else 0
            (x, y), (u, v) = self._point(producer), self._point(i)
            layers[kind].append(_link(x, y, u, v))
        styles = {
            0: f'stroke="{STOOD}" stroke-opacity=".6"',
            AGAIN: f'stroke="{LATER}" stroke-opacity=".75" stroke-width="1.3"',
            UNDONE: f'stroke="{GONE}" stroke-width="1.6" stroke-dasharray="5 3.5"',
        }
        reads = [_link(*self._point(writer), *self._point(i)) for writer, i in self._tainted()]
        return [
            *(f'<path d="{"".join(layers[kind])}" fill="none" {style}/>' for kind, style in styles.items()),
            f'<path d="{"".join(reads)}" fill="none" stroke="{GONE}" {READ}/>',
        ]

    def _tainted(self) -> list[tuple[int, int]]:
        """Reads that made an undone step one: its message was sound, but it saw what an undone step wrote."""
        run, pairs = self.run, []
        for i in self.steps:
            if run.kinds[i] == UNDONE and (run.producers[i] < 0 or run.kinds[run.producers[i]] != UNDONE):
                writers = {run.index.get(read.writer or "", -1) for read in run.steps[i].reads}
                pairs += [(w, i) for w in sorted(writers) if w in self.x and w != i and run.kinds[w] == UNDONE]
        return pairs

    def _point(self, i: int) -> tuple[float, int]:
        return self.x[i], self.y[self.run.places[i][0]]

    def _marks(self) -> list[str]:
        order = sorted(self.steps, key=lambda i: (self.run.kinds[i] == UNDONE, i in self.run.roots))
        return [_mark(*self._point(i), self.run.kinds[i], i in self.run.roots, self.run.steps[i].step) for i in order]

    def _legend(self, y: int) -> list[str]:
        entries = [
            (0, False, "stands"),
            (UNDONE, True, "wrong step"),
            (UNDONE, False, "its consequence, undone"),
        ]
        parts, x = [], GUTTER + 6
        for kind, root, label in [*entries, (AGAIN, False, "run again in its place")]:
            parts.append(f'{_mark(x, y - 4, kind, root, "")}<text x="{x + 15}" y="{y}" fill="{INK}">{label}</text>')
            x += 44 + 7 * len(label)
        for dash, label in (("5 3.5", "message undone"), ("1.5 3", "undone value read")):
            parts.append(
                f'<path d="M{x} {y - 4}h26" stroke="{GONE}" stroke-width="1.6" stroke-dasharray="{dash}"/>'
                f'<text x="{x + 34}" y="{y}" fill="{INK}">{label}</text>'
            )
            x += 60 + 7 * len(label)
        shown = f"{len(self.steps)} of {len(self.run.steps):,} steps"
        note = f"{shown}; time runs to the right, quiet stretches shortened"
        if self.cuts:
            x = GUTTER + 34 + 6 * len(note)
            parts.append(
                f'<path d="M{x} {y + 13}v14" stroke="{CUT}" stroke-width="1.6"/>'
                f'<path d="M{x - 4} {y + 20}h8" stroke="{CUT}" stroke-width="3"/>'
                f'<text x="{x + 14}" y="{y + 24}" fill="{INK}">checkpoint: each agent\'s cut</text>'
            )
        return [*parts, f'<text x="{GUTTER}" y="{y + 24}" fill="{INK}" font-size="12">{note}</text>']


def _link(x: float, y: int, u: float, v: int) -> str:
    return f"M{x} {y}Q{(x + u) / 2:.1f} {y - 24} {u} {v}" if y == v else f"M{x} {y}L{u} {v}"


def _mark(x: float, y: int, kind: int, root: bool, name: str) -> str:
    title = f"<title>{_xml(name)}</title>" if name else ""
    strike = f'<path d="M{x - 8:.1f} {y + 6}L{x + 8:.1f} {y - 6}" stroke="{INK}" stroke-width="2"/>'
    if root:
        shape = f'<path d="M{x:.1f} {y - 8}l8 8-8 8-8-8z" fill="{GONE}"/>'
        return f"<g>{title}{shape}{strike.replace(INK, '#ffffff')}{_ends(x, y)}</g>"
    if kind == UNDONE:
        paint = f'fill="{GONE}" fill-opacity=".18" stroke="{GONE}" stroke-width="2"'
        ring = f'<circle cx="{x}" cy="{y}" r="5.5" {paint}/>'
        return f"<g>{title}{ring}{strike.replace(INK, GONE)}</g>"
    if kind == RESTORED:
        return f'<circle cx="{x}" cy="{y}" r="3.6" fill="none" stroke="{CUT}" stroke-width="1.4">{title}</circle>'
    if kind == AGAIN:
        return f'<rect x="{x - 5:.1f}" y="{y - 5}" width="10" height="10" rx="2" fill="{LATER}">{title}</rect>'
    return f'<circle cx="{x}" cy="{y}" r="4" fill="{STEP}">{title}</circle>'


def _ends(x: float, y: int) -> str:
    """The strike's ends outside the diamond, where white would be lost on white."""
    ends = f"M{x - 10:.1f} {y + 7.5}l4.5 -3.4M{x + 10:.1f} {y - 7.5}l-4.5 3.4"
    return f'<path d="{ends}" stroke="{GONE}" stroke-width="2"/>'


def _xml(text: str) -> str:
    """Return the text for an element or attribute; what XML cannot hold at all is shown as unreadable."""
    return html.escape(re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))
