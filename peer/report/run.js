/* The run, decoded: columns of steps, what depends on what, and the walks along it. Draws nothing. */

const SURVIVED = 0, UNDONE = 1, AGAIN = 2, RESTORED = 3;

class Run {
  constructor(model) {
    const steps = model.steps;
    this.agents = model.agents;
    this.families = model.families;
    this.proposals = model.proposals;
    this.began = model.began;
    this.checkpoints = model.checkpoints;
    this.restores = model.restores;
    this.texts = model.texts;
    this.columns = steps;
    this.size = steps.time.length;
    this.time = Float64Array.from(steps.time);
    this.agent = Int32Array.from(steps.agent);
    this.kind = Uint8Array.from(steps.kind);
    this.producer = Int32Array.from(steps.producer);
    this.roots = new Set(model.roots);
    this.replacedBy = new Map(model.replaced);
    this.originals = new Map();
    for (const [old, heir] of model.replaced) this.originals.set(heir, [...(this.originals.get(heir) ?? []), old]);
    this.rows = this.agents.map(() => []);
    for (let i = 0; i < this.size; i++) this.rows[this.agent[i]].push(i);
    this.undone = [...this.indices(i => this.kind[i] === UNDONE)];
    this.again = [...this.indices(i => this.kind[i] === AGAIN)];
    const ends = [...this.proposals.map(p => p.decided ?? p.began), ...this.restores.map(r => r.done),
      ...this.checkpoints.flatMap(c => c.cuts.map(([, time]) => time))];
    this.end = Math.max(1000, this.size ? this.time[this.size - 1] : 0, ends.reduce((a, b) => Math.max(a, b), 0));
    this.origins = new Map();
    this.link();
    this.tainted = this.undone.flatMap(i => this.taints(i).map(w => [w, i]));
  }

  /* Undone writers whose value made an undone step one, where its message was sound. */
  taints(i) {
    if (this.producer[i] >= 0 && this.kind[this.producer[i]] === UNDONE) return [];
    return [...this.up.items.subarray(this.up.at[i], this.up.at[i + 1])].filter(w => this.kind[w] === UNDONE);
  }

  *indices(wanted) { for (let i = 0; i < this.size; i++) if (wanted(i)) yield i; }

  /* Edges both ways as two flat lists each: those of step i are at[i] .. at[i + 1]. */
  link() {
    const from = [], to = [];
    for (let i = 0; i < this.size; i++) {
      const causes = new Set(this.producer[i] >= 0 ? [this.producer[i]] : []);
      for (const read of this.reads(i)) for (const w of read.writers) if (typeof w === "number") causes.add(w);
      for (const cause of causes) if (cause !== i) { from.push(cause); to.push(i); }
    }
    this.down = this.lists(from, to);
    this.up = this.lists(to, from);
  }

  lists(keys, values) {
    const at = new Int32Array(this.size + 1), items = new Int32Array(keys.length);
    for (const key of keys) at[key + 1]++;
    for (let i = 0; i < this.size; i++) at[i + 1] += at[i];
    const next = at.slice();
    keys.forEach((key, n) => { items[next[key]++] = values[n]; });
    return { at, items };
  }

  walk(start, { at, items }) {
    const seen = new Set([start]), open = [start];
    while (open.length) {
      const i = open.pop();
      for (let n = at[i]; n < at[i + 1]; n++) if (!seen.has(items[n])) { seen.add(items[n]); open.push(items[n]); }
    }
    seen.delete(start);
    return seen;
  }

  causes(i) { return this.walk(i, this.up); }
  consequences(i) { return this.walk(i, this.down); }

  id(i) {
    if (typeof i === "string") return i;
    return `${this.agents[this.agent[i]]}/${this.columns.incarnation[i]}/${this.columns.seq[i]}`;
  }

  find(id) {
    for (let i = 0; i < this.size; i++) if (this.id(i) === id) return i;
    return -1;
  }

  input(i) {
    const input = this.columns.input[i];
    return typeof input === "number" ? `${this.id(this.producer[i])}#${input}` : input;
  }

  /* The input from outside that all this began with. */
  origin(i) {
    if (!this.origins.has(i)) {
      const trail = [];
      let at = i;
      while (this.producer[at] >= 0 && !this.origins.has(at) && trail.length <= this.size) { trail.push(at); at = this.producer[at]; }
      const origin = this.origins.get(at) ?? this.input(at);
      for (const step of [at, ...trail]) this.origins.set(step, origin);
    }
    return this.origins.get(i);
  }

  lineage(i) { return this.texts[this.columns.lineage[i]]; }
  writes(i) { return this.columns.writes[i].map(key => this.texts[key]); }
  sends(i) { return this.columns.sends[i].map(([id, to]) => ({ id: typeof id === "number" ? `${this.id(i)}#${id}` : id, to: this.agents[to] })); }
  calls(i) { return this.columns.calls[i].map(([tool, intent, effect, state]) => ({ tool: this.texts[tool], intent, effect: this.texts[effect], state: this.texts[state] })); }
  retractedBy(i) { return this.columns.retracted[i] < 0 ? null : this.texts[this.columns.retracted[i]]; }

  reads(i) {
    return this.columns.reads[i].map(([key, ...rest]) => {
      let last = 0;
      return { key: this.texts[key], writers: rest.map(w => (typeof w === "string" ? w : (last += w))) };
    });
  }

  /* Steps that a text names: by input from outside exactly, else by any part of id, input, lineage, origin or key. */
  search(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return null;
    const hits = tests => [...this.indices(i => tests(i))];
    const exact = hits(i => this.origin(i).toLowerCase() === wanted || this.id(i).toLowerCase() === wanted);
    if (exact.length) return exact;
    const keys = new Set(this.texts.flatMap((t, n) => (t.toLowerCase().includes(wanted) ? [n] : [])));
    return hits(i => keys.has(this.columns.lineage[i]) || this.columns.writes[i].some(k => keys.has(k))
      || this.columns.reads[i].some(([k]) => keys.has(k)) || this.id(i).toLowerCase().includes(wanted)
      || this.input(i).toLowerCase().includes(wanted) || this.origin(i).toLowerCase().includes(wanted));
  }

  /* From the first to the last agent's cut of a checkpoint; null if the export knows of none. */
  cutSpan(epoch) {
    const found = this.checkpoints.find(c => c.epoch === epoch);
    if (!found?.cuts.length) return null;
    const times = found.cuts.map(([, time]) => time);
    return [times.reduce((a, b) => Math.min(a, b)), times.reduce((a, b) => Math.max(a, b))];
  }

  /* The stretch of time that holds the undone steps, what replaced them, and the decision. */
  rollbackSpan(proposal = null) {
    const mine = this.undone.filter(i => !proposal || this.retractedBy(i) === proposal.id);
    const times = mine.flatMap(i => [this.time[i], ...(this.replacedBy.has(i) ? [this.time[this.replacedBy.get(i)]] : [])]);
    const useful = this.proposals.filter(p => mine.some(i => this.retractedBy(i) === p.id));
    for (const p of proposal ? [proposal] : useful.length ? useful : this.proposals) times.push(p.began, p.decided ?? p.began);
    if (!times.length) return [0, this.end];
    const from = times.reduce((a, b) => Math.min(a, b)), to = times.reduce((a, b) => Math.max(a, b));
    const room = Math.max(200, (to - from) * 0.04);
    return [from - room, to + room];
  }
}

const STATES = ["stands", "undone", "run again, stands", "stood, until a restore took it back"];

/* A time for people: s from a second on, else ms; up to microseconds. */
function shownTime(us) {
  const [value, unit] = Math.abs(us) >= 1e6 ? [us / 1e6, "s"] : [us / 1000, "ms"];
  return `${value.toLocaleString("en-US", { maximumFractionDigits: unit === "s" ? 4 : 3 })} ${unit}`;
}

/* A tick label: all ticks of an axis share the unit and the number of places. */
function tickTime(us, tick) {
  const [by, unit] = tick >= 1e5 ? [1e6, "s"] : [1000, "ms"], places = Math.max(0, Math.ceil(-Math.log10(tick / by) - 1e-9));
  return `${(Math.round(us / tick) * tick / by + 0).toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places })} ${unit}`;
}
