/* Everything that is text: the tooltip, the side panel, the proposals and the undone steps. Built as nodes, so
   nothing of the export is ever read as markup. */

function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter(child => child !== null && child !== undefined).map(child => (typeof child === "number" ? String(child) : child)));
  return made;
}

class Texts {
  constructor(run, go) {
    this.run = run;
    this.go = go;
  }

  /* A step by name; pressing it shows it. */
  link(i) {
    if (typeof i === "string") return node("span", { class: "dim", title: "not in this export" }, i);
    const kind = this.run.kind[i], name = this.run.id(i);
    return node("button", { class: `link${kind === AGAIN ? " again" : kind === UNDONE ? " struck" : kind === RESTORED ? " back" : ""}`, title: STATES[kind], onclick: () => this.go(i) }, name);
  }

  state(i) {
    const { run } = this, by = run.retractedBy(i), heir = run.replacedBy.get(i), kind = run.kind[i];
    const parts = [node("span", { class: `state k${kind}` }, kind === UNDONE && run.roots.has(i) ? "wrong step, undone" : STATES[kind])];
    if (by) parts.push(` by ${by}`);
    if (heir !== undefined) parts.push(", replaced by ", this.link(heir));
    if (run.originals.has(i)) parts.push(" in place of ", ...run.originals.get(i).flatMap((j, n) => (n ? [", ", this.link(j)] : [this.link(j)])));
    return node("div", {}, parts);
  }

  details(i, most) {
    const { run } = this, rows = [];
    const some = list => [...list.slice(0, most), ...(list.length > most ? [node("div", { class: "dim" }, `and ${list.length - most} more`)] : [])];
    const row = (label, items) => { if (items.length) rows.push(node("dt", {}, label), node("dd", {}, some(items))); };
    row("state", [this.state(i)]);
    row("time", [node("div", {}, shownTime(run.time[i]), " ", node("span", { class: "dim" }, `+${run.time[i].toLocaleString("en-US")} µs`))]);
    row("input", [node("div", {}, run.input(i), run.producer[i] >= 0 ? [" from ", this.link(run.producer[i])] : node("span", { class: "dim" }, run.input(i).startsWith("ext:") ? " from outside" : ""))]);
    if (run.producer[i] >= 0) row("began as", [node("div", {}, run.origin(i))]);
    row("lineage", [node("div", { class: "dim" }, run.lineage(i))]);
    row("reads", run.reads(i).map(({ key, writers }) => node("div", {}, key, node("span", { class: "dim" }, " ← "),
      !writers.length ? node("span", { class: "dim" }, "nobody") : writers.length > 3 ? `${writers.length} writers` : writers.flatMap((w, n) => (n ? [", ", this.link(w)] : [this.link(w)])))));
    row("writes", run.writes(i).map(key => node("div", {}, key)));
    row("sends", run.sends(i).map(({ id, to }) => node("div", {}, id.slice(id.lastIndexOf("#")), node("span", { class: "dim" }, " to "), to)));
    row("calls", run.calls(i).map(({ tool, intent, effect, state }) => node("div", {}, tool, " ", node("span", { class: "dim" }, `${effect}, `),
      node("b", {}, state), node("span", { class: "dim" }, ` ${intent}`))));
    return node("dl", {}, rows);
  }

  tip(i) { return [node("h3", {}, this.run.id(i)), this.details(i, 4)]; }

  panel({ step, causes, consequences }, close) {
    const agents = set => new Set([...set].map(i => this.run.agent[i])).size;
    const count = (name, set, text) => node("div", { class: name }, node("b", {}, set.size.toLocaleString("en-US")),
      `${text} at ${agents(set)} agent${agents(set) === 1 ? "" : "s"}`);
    return [
      node("div", { class: "head" }, node("h3", {}, this.run.id(step)), node("button", { onclick: close, "aria-label": "Clear the selection" }, "✕")),
      node("div", { class: "walk" }, count("up", causes, "causes"), count("down", consequences, "consequences")),
      this.details(step, 40),
    ];
  }

  proposals(fit) {
    const { run } = this;
    if (!run.proposals.length) return node("p", { class: "dim" }, "No rollback was proposed.");
    const heads = ["Proposal", "Roots", "Mode", "Decision", "Undone", "Participants", "Messages", "Bytes", "Latency, ms", "Why"];
    const numeric = new Set(["Undone", "Messages", "Bytes", "Latency, ms"]);
    const undone = new Map();
    for (const i of run.undone) undone.set(run.retractedBy(i), (undone.get(run.retractedBy(i)) ?? 0) + 1);
    return node("table", {}, node("thead", {}, node("tr", {}, heads.map(h => node("th", { scope: "col", class: numeric.has(h) ? "number" : null }, h)))),
      node("tbody", {}, run.proposals.map(p => node("tr", {},
        node("td", {}, node("button", { class: "link", title: "Show it in the diagram", onclick: () => fit(p) }, p.id)),
        node("td", { class: "wide" }, p.roots.slice(0, 3).flatMap((r, n) => (n ? [", ", this.link(r)] : [this.link(r)])), p.roots.length > 3 ? ` and ${p.roots.length - 3} more` : null),
        node("td", {}, p.mode),
        node("td", {}, node("span", { class: `mark ${{ commit: "good", abort: "bad" }[p.decision] ?? "open"}` }, { commit: "✓ commit", abort: "✗ abort" }[p.decision] ?? p.decision)),
        node("td", { class: "number" }, (undone.get(p.id) ?? 0).toLocaleString("en-US")),
        node("td", { class: "wide", title: p.electors.join(", ") }, `${p.electors.length}: ${p.electors.join(", ")}`),
        node("td", { class: "number" }, p.messages.toLocaleString("en-US")),
        node("td", { class: "number" }, p.bytes.toLocaleString("en-US")),
        node("td", { class: "number" }, p.decided === null ? "–" : ((p.decided - p.began) / 1000).toLocaleString("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 })),
        node("td", { class: "wide" }, p.reason, p.rejects.map(([voter, why]) => node("div", {}, node("b", {}, `${voter} rejects: `), why)))))));
  }
}

/* The undone steps: sorted by a click on a column, sifted by a text, drawn a hundred at a time. */
class UndoneTable {
  constructor(texts, place, sieve, status) {
    Object.assign(this, { texts, run: texts.run, place, status, column: 1, down: false, limit: 100, sieve });
    const { run } = texts;
    this.rows = run.undone.map(i => {
      const heir = run.replacedBy.get(i), calls = run.calls(i).filter(c => c.effect !== "pure");
      return {
        i, heir, calls,
        cells: [run.id(i), run.time[i], run.origin(i), run.roots.has(i) ? 0 : 1, run.retractedBy(i), calls.map(c => `${c.tool} ${c.state}`).join(", "),
          heir === undefined ? "" : run.id(heir), heir === undefined ? Infinity : run.time[heir] - run.time[i]],
        text: [run.id(i), run.input(i), run.origin(i), run.lineage(i), run.retractedBy(i), ...run.writes(i), ...run.reads(i).map(r => r.key), ...calls.map(c => c.tool), heir === undefined ? "" : run.id(heir)].join("\n").toLowerCase(),
      };
    });
    sieve.addEventListener("input", () => { this.limit = 100; this.draw(); });
    this.draw();
  }

  draw() {
    const wanted = this.sieve.value.trim().toLowerCase(), { column, texts } = this;
    const order = (a, b) => (typeof a.cells[column] === "number" ? a.cells[column] - b.cells[column] || 0 : a.cells[column].localeCompare(b.cells[column], "en", { numeric: true })) || a.i - b.i;
    const rows = this.rows.filter(r => !wanted || r.text.includes(wanted)).sort((a, b) => (this.down ? order(b, a) : order(a, b)));
    this.status.textContent = this.rows.length ? `${rows.length.toLocaleString("en-US")} of ${this.rows.length.toLocaleString("en-US")}` : "";
    if (!this.rows.length) { this.place.replaceChildren(node("p", { class: "dim" }, "No step was undone.")); return; }
    const heads = ["Step undone", "At", "Began as", "Why", "Undone by", "Calls taken back", "Replaced by", "After, ms"];
    const sort = n => () => { this.down = this.column === n && !this.down; this.column = n; this.draw(); };
    const table = node("table", {}, node("thead", {}, node("tr", {}, heads.map((h, n) => node("th",
      { scope: "col", class: n === 1 || n === 7 ? "number" : null, "aria-sort": n === column ? (this.down ? "descending" : "ascending") : null },
      node("button", { onclick: sort(n) }, h, n === column ? (this.down ? " ↓" : " ↑") : ""))))),
    node("tbody", {}, rows.slice(0, this.limit).map(({ i, heir, cells, calls }) => node("tr", {},
      node("td", {}, texts.link(i)),
      node("td", { class: "number" }, shownTime(cells[1])),
      node("td", {}, cells[2]),
      node("td", {}, cells[3] ? "consequence" : node("b", { class: "state k1" }, "wrong step")),
      node("td", {}, cells[4]),
      node("td", { class: "wide" }, calls.length ? calls.map(c => node("div", {}, c.tool, " ", node("span", { class: "dim" }, c.state))) : node("span", { class: "dim" }, "none")),
      node("td", {}, heir === undefined ? node("span", { class: "dim" }, "nothing") : texts.link(heir)),
      node("td", { class: "number" }, heir === undefined ? "" : (cells[7] / 1000).toLocaleString("en-US", { maximumFractionDigits: 1, minimumFractionDigits: 1 }))))));
    const more = rows.length > this.limit
      ? [node("p", { class: "more" }, node("button", { onclick: () => { this.limit *= 4; this.draw(); } }, `Show more (${(rows.length - this.limit).toLocaleString("en-US")} left)`))] : [];
    this.place.replaceChildren(table, ...more);
  }
}
